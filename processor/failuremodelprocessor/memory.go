// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/observation"
)

// memory remembers in which traces a call to a culprit failed. Children end,
// and are sent, before their parents: the failed spans above such a call are
// its victims too. It holds two generations; the older one goes as a whole.
type memory struct {
	max       int
	ttl       time.Duration
	forgotten func(n int64) // traces that went early

	mu         sync.Mutex // guards all below
	young, old map[pcommon.TraceID][]blame
	turned     clock.Time // when young was begun
}

// blame is a span that failed because of a culprit.
type blame struct {
	span, parent pcommon.SpanID
	start, end   pcommon.Timestamp
	failed       bool // or else it was late, or the answer of a byzantine
	call         bool // its client's end
	verdict      *verdict.Verdict
}

const (
	// maxBlames bounds what one trace holds.
	maxBlames = 32
	// enclosing is how far clocks of two hosts may be apart for one span to
	// count as enclosing another.
	enclosing = pcommon.Timestamp(20 * time.Millisecond)
)

func newMemory(maxTraces int, ttl time.Duration) *memory {
	return &memory{max: maxTraces, ttl: ttl, young: map[pcommon.TraceID][]blame{}, old: map[pcommon.TraceID][]blame{}, forgotten: func(int64) {}}
}

func (m *memory) len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.young) + len(m.old)
}

// remember notes that a span is blamed on v's culprit.
func (m *memory) remember(span ptrace.Span, failed bool, v *verdict.Verdict, now clock.Time) {
	id := span.TraceID()
	if id.IsEmpty() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn(now)
	blames := m.young[id]
	if blames == nil {
		blames = m.old[id]
	}
	for i := range blames {
		if blames[i].span == span.SpanID() {
			blames[i].verdict = v
			m.young[id] = blames
			return
		}
	}
	if len(blames) < maxBlames {
		blames = append(blames, blame{span.SpanID(), span.ParentSpanID(), span.StartTimestamp(), span.EndTimestamp(), failed, span.Kind() == ptrace.SpanKindClient, v})
	}
	m.young[id] = blames
}

// turn drops the older generation when it has lived long enough or there is no
// more room.
func (m *memory) turn(now clock.Time) {
	if m.turned == 0 {
		m.turned = now
	}
	full := len(m.young) >= max(m.max/2, 1)
	if !full && now.Sub(m.turned) < m.ttl {
		return
	}
	if full && now.Sub(m.turned) < m.ttl && len(m.old) > 0 {
		m.forgotten(int64(len(m.old)))
	}
	m.old, m.young = m.young, map[pcommon.TraceID][]blame{}
	m.turned = now
}

// below returns the verdict on which a failed call right below a failed span is
// blamed: the firmest, and of these the last, since what was tried before was tried
// again.
func below(blames []blame, span ptrace.Span) (v *verdict.Verdict) {
	last := pcommon.Timestamp(0)
	for i := range blames {
		b := &blames[i]
		if !b.failed || b.parent != span.SpanID() {
			continue
		}
		if firmer := b.verdict.Firmness() - v.Firmness(); firmer > 0 || firmer == 0 && b.end >= last {
			v, last = b.verdict, b.end
		}
	}
	return v
}

// around returns the verdict on which a failed or late span is to be blamed
// because it stands above a blamed call in its trace: it is the parent of one, or
// encloses one in time where a span between them is missing. Of several the firmest, and
// of a failure one that failed rather than one that was merely late. It is not sure that
// it failed for what was late: why it did may not have been told yet.
//
// A part of a blamed call, such as its attempt to connect, stands right below it. What
// else is only late there is another's business: a call that the same caller made
// besides.
func around(blames []blame, span ptrace.Span, look *observation.Span) (v *verdict.Verdict, sure bool) {
	for i := range blames {
		b := &blames[i]
		below := !b.span.IsEmpty() && b.span == span.ParentSpanID()
		above := b.parent == span.SpanID() || b.within(span, enclosing)
		hurt, fails := below && b.call && span.Kind() == ptrace.SpanKindInternal || b.delays(span, look.Over), true
		if look.Failed {
			hurt, fails = below || above && (b.fails() || b.mostOf(span)), below || b.fails()
		}
		if !hurt && b.span != span.SpanID() {
			continue
		}
		if better := v.Or(b.verdict); better != v || fails && !sure && b.verdict.Firmness() == v.Firmness() {
			v, sure = b.verdict, fails
		}
	}
	return v, sure
}

// fails says whether what needs b fails for want of it: it failed, or answered wrongly.
func (b *blame) fails() bool { return b.failed || b.verdict.Class == verdict.ClassByzantine }

// mostOf says whether b took half of the time of a span, or more: if that ran out of
// time, b is why.
func (b *blame) mostOf(span ptrace.Span) bool {
	return 2*(b.end-b.start) >= span.EndTimestamp()-span.StartTimestamp()
}

// delays says whether a span that went well was late for b: it made that call, and waited
// for most of it; or it may have made it, as it encloses it, and that took as long as the
// span took too long, or nearly. A wrong answer delays nobody.
func (b *blame) delays(span ptrace.Span, over time.Duration) bool {
	took := b.end - b.start
	switch {
	case b.verdict.Class == verdict.ClassByzantine && !b.failed:
		return false
	case b.parent == span.SpanID():
		return span.EndTimestamp() >= b.start+took/2
	}
	return b.within(span, 0) && 2*took >= pcommon.Timestamp(over)
}

// within says whether a span encloses b in time, up to a skew of clocks.
func (b *blame) within(span ptrace.Span, skew pcommon.Timestamp) bool {
	start, end := span.StartTimestamp(), span.EndTimestamp()
	return start <= b.start+skew && end+skew >= b.end && end-start >= b.end-b.start
}

// servedBy returns the verdict of byzantine behaviour on the one who answered a
// call, where that was seen at its end of it: a name may stand for several.
func (m *memory) servedBy(call ptrace.Span) *verdict.Verdict {
	for _, b := range m.blames(call.TraceID()) {
		if b.parent == call.SpanID() && b.verdict.Class == verdict.ClassByzantine {
			return b.verdict
		}
	}
	return nil
}

// trace returns a verdict on which something in a trace is blamed, or nil.
func (m *memory) trace(id pcommon.TraceID) *verdict.Verdict {
	if blames := m.blames(id); len(blames) > 0 {
		return blames[len(blames)-1].verdict
	}
	return nil
}

func (m *memory) blames(id pcommon.TraceID) []blame {
	if id.IsEmpty() {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	blames := m.young[id]
	if blames == nil {
		blames = m.old[id]
	}
	return append([]blame(nil), blames...)
}

// empty says whether nothing is remembered. After a failure nothing else lets go
// of what is too old.
func (m *memory) empty(now clock.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.young)+len(m.old) > 0 {
		m.turn(now)
	}
	return len(m.young)+len(m.old) == 0
}
