// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What a process says of itself may come from an answer that it was given. Who
// cannot use one says so where it reads it: in its own span, after the client's
// span has ended well. And who was answered with a failure repeats its words. The
// last call in the same trace tells whose answer that was.

// maxSearches bounds how often a batch is searched for such a call.
const maxSearches = 128

// couldNotUse says whether a span that is no client's failed over an answer that
// its process was given, and counts that call as answered wrongly. Where no call
// of the process is in the batch, or the last one had failed by its own account,
// nobody is blamed.
func (sc *scratch) couldNotUse(span ptrace.Span, t *texts) bool {
	if t.says&(saysDecode|saysIntegrity) == 0 || t.says&aboutCall != 0 || sc.searches >= maxSearches || sc.src == nil {
		return false
	}
	sc.searches++
	call, ok := sc.lastCall(span)
	if !ok {
		return false
	}
	var v view
	v.read(call.Attributes())
	if v.odd(call.Status().Code() == ptrace.StatusCodeError, call.Kind()) {
		return false
	}
	id := v.calleeID(sc.src)
	c := sc.callee(&id)
	if c.none {
		return false
	}
	if call.SpanID() == sc.lastBlamed {
		return true // a span around the one that said it says it once more
	}
	sc.lastBlamed = call.SpanID()
	sc.call(c, report.OutcomeWrongAnswer, sc.past(call.StartTimestamp()), sc.past(call.EndTimestamp()))
	return true
}

// quotes says whether a span may only repeat what a callee answered: it is a call
// that was answered, or the last call within it was answered with a failure.
func (sc *scratch) quotes(span ptrace.Span) bool {
	if span.Kind() == ptrace.SpanKindClient || span.Kind() == ptrace.SpanKindProducer {
		return sc.v.http >= 400
	}
	if sc.searches >= maxSearches {
		return false
	}
	sc.searches++
	call, ok := sc.lastCall(span)
	if !ok {
		return false
	}
	var v view
	v.read(call.Attributes())
	return v.http >= 400 || v.grpc > 0
}

// failedUnnamed says whether a call within a span failed that does not tell whom it
// was made to, as drivers of databases often do not: the failure may be theirs. Of
// calls that do tell, the engine knows how they went.
func (sc *scratch) failedUnnamed(within ptrace.Span) bool {
	if sc.searches >= maxSearches || sc.src == nil {
		return false
	}
	sc.searches++
	for _, ss := range sc.spans.ScopeSpans().All() {
		for _, s := range ss.Spans().All() {
			if s.Kind() == ptrace.SpanKindClient && s.Status().Code() == ptrace.StatusCodeError && isWithin(s, within) && sc.unnamedFailure(s) {
				return true
			}
		}
	}
	return false
}

// unnamedFailure says whether a call that failed tells neither whom it was made to nor
// that the request was at fault.
func (sc *scratch) unnamedFailure(call ptrace.Span) bool {
	var v view
	v.read(call.Attributes())
	id := v.calleeID(sc.src)
	if !sc.callee(&id).none {
		return false
	}
	o, failed, _ := v.judge(call, call.Kind(), true)
	return failed && o != report.OutcomeClientError && o != report.OutcomeCanceled
}

// isWithin says whether a call was made, and ended, within a span of the same trace.
func isWithin(call, span ptrace.Span) bool {
	return call.TraceID() == span.TraceID() && call.StartTimestamp() >= span.StartTimestamp() && call.EndTimestamp() <= span.EndTimestamp()
}

// lastCall is the last call that the process made within a span before it failed.
func (sc *scratch) lastCall(within ptrace.Span) (last ptrace.Span, found bool) {
	for _, ss := range sc.spans.ScopeSpans().All() {
		for _, s := range ss.Spans().All() {
			if s.Kind() != ptrace.SpanKindClient || !isWithin(s, within) {
				continue
			}
			if !found || s.EndTimestamp() > last.EndTimestamp() {
				last, found = s, true
			}
		}
	}
	return last, found
}
