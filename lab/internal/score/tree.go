// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

// inTrace is a span's place in its trace.
type inTrace struct {
	trace traceID
	span  spanID
}

// tree finds spans, and those that they were made for.
type tree struct {
	spans []Span
	at    map[inTrace]int32
}

func treeOf(spans []Span) tree {
	t := tree{spans, make(map[inTrace]int32, len(spans))}
	for i := range spans {
		t.at[inTrace{spans[i].Trace, spans[i].ID}] = int32(i)
	}
	return t
}

// span is nil if nobody told of it.
func (t tree) span(trace traceID, id spanID) *Span {
	if id == (spanID{}) {
		return nil
	}
	i, ok := t.at[inTrace{trace, id}]
	if !ok {
		return nil
	}
	return &t.spans[i]
}

func (t tree) parent(s *Span) *Span { return t.span(s.Trace, s.Parent) }
