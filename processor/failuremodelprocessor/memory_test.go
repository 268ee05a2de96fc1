// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/observation"
)

func TestBlameGoesUpTheTraceAndNotToWhatWasDoneBesides(t *testing.T) {
	const ms = pcommon.Timestamp(time.Millisecond)
	span := func(id, parent byte, start, end pcommon.Timestamp) ptrace.Span {
		s := ptrace.NewSpan()
		s.SetTraceID(pcommon.TraceID{1})
		s.SetSpanID(pcommon.SpanID{id})
		s.SetParentSpanID(pcommon.SpanID{parent})
		s.SetStartTimestamp(1000*ms + start*ms)
		s.SetEndTimestamp(1000*ms + end*ms)
		return s
	}
	m := newMemory(8, time.Minute)
	v := &verdict.Verdict{}
	m.remember(span(3, 2, 10, 11), true, v, 1) // a refused call …
	m.remember(span(2, 1, 0, 40), true, v, 1)  // … of this one

	for name, c := range map[string]struct {
		span         ptrace.Span
		failed, late *verdict.Verdict
	}{
		"its parent":                                {span(1, 9, 0, 41), v, v},
		"one above a span that is lost":             {span(8, 0, 0, 60), v, v},
		"another call of the parent":                {span(5, 2, 12, 30), v, nil},
		"a part of the call":                        {span(6, 3, 10, 11), v, v},
		"what came before":                          {span(7, 9, 900, 950), nil, nil},
		"one above, by a clock that is 15 ms ahead": {span(10, 0, 15, 75), v, nil},
		"one above, by a clock that is 50 ms ahead": {span(11, 0, 50, 110), nil, nil},
	} {
		failed, _ := around(m.blames(c.span.TraceID()), c.span, &observation.Span{Failed: true})
		assert.Equal(t, c.failed, failed, "%s, if it failed", name)
		late, _ := around(m.blames(c.span.TraceID()), c.span, &observation.Span{})
		assert.Equal(t, c.late, late, "%s, if it is only late", name)
	}
}

func TestNothingIsRememberedLongAfterAFailure(t *testing.T) {
	span := ptrace.NewSpan()
	span.SetTraceID(pcommon.TraceID{1})
	m := newMemory(8, time.Minute)
	m.remember(span, true, &verdict.Verdict{}, t0)
	for after, empty := range []bool{false, false, true} {
		assert.Equal(t, empty, m.empty(t0.Add(time.Duration(after)*time.Minute)), "after %d minutes", after)
	}
	assert.Zero(t, m.len())
}

func TestWhatIsRememberedIsBounded(t *testing.T) {
	span := func(trace, id byte) ptrace.Span {
		s := ptrace.NewSpan()
		s.SetTraceID(pcommon.TraceID{trace})
		s.SetSpanID(pcommon.SpanID{id})
		return s
	}
	m := newMemory(4, time.Minute)
	forgotten := int64(0)
	m.forgotten = func(n int64) { forgotten += n }
	for trace := byte(1); trace <= 10; trace++ {
		m.remember(span(trace, 1), true, &verdict.Verdict{}, t0)
		assert.LessOrEqual(t, m.len(), 4)
	}
	assert.EqualValues(t, 6, forgotten)
	assert.Len(t, m.blames(pcommon.TraceID{10}), 1, "the latest stay")

	for id := byte(1); id <= maxBlames+8; id++ {
		m.remember(span(10, id), true, &verdict.Verdict{}, t0)
	}
	assert.Len(t, m.blames(pcommon.TraceID{10}), maxBlames)
}
