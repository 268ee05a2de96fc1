// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/observation"
)

// decision is on whose account a span failed.
type decision struct {
	verdict *verdict.Verdict // nil if nobody's that is known
	role    string
	// open: the span went well, and nothing has spoken for the failure since it began.
	// If that goes on, more will soon.
	open bool
	// unsure: what has not been told yet may explain more.
	unsure bool
}

// found says whether there is no better verdict to look for.
func (d decision) found() bool { return d.verdict.Firm() }

// final says whether there is nothing to wait for. `unknown` may still become a class, a
// better reason than a way that loses a part may be told later, and what is said in haste
// be revised.
func (d decision) final(now clock.Time) bool {
	return d.found() && !d.open && !d.unsure && now.Sub(d.verdict.Decided) >= settling(d.verdict)
}

// settles is for how long a verdict may be revised by what comes at its heels, such as the
// kernel's word of what ended a process. Whose demand it was that was refused is known when
// what each caller asks has been counted for as long again.
const settles = time.Second

// settling is for how long v may be revised so.
func settling(v *verdict.Verdict) time.Duration {
	if v.NarrowsTo(verdict.CulpritClient) && !v.OfClient() {
		return 2 * settles
	}
	return settles
}

// or returns the other if that explains more than d.
func (d decision) or(other decision) decision {
	if d.verdict.Or(other.verdict) != d.verdict {
		return other
	}
	return d
}

// decide finds the verdict that a failed or late span belongs to: one above a call
// to a culprit in its trace, such a call itself, or a span of the culprit. Blame goes
// to the deepest: whose own call failed failed for that, whatever else is said of it.
func (c *core) decide(src *report.Source, span ptrace.Span, look *observation.Span, snapshot *verdict.Snapshot, now clock.Time) decision {
	began, end := c.times(span)
	if !look.Failed && !look.Late {
		return c.answer(src, span, look, snapshot, now)
	}
	victim := func(v *verdict.Verdict) decision { return decision{verdict: v, role: roleOf(v, src)} }
	blames := c.memory.blames(span.TraceID())
	var d decision
	if look.Failed {
		d = victim(below(blames, span))
	}
	if look.Client && !d.found() {
		outcome := look.Outcome
		if !look.Failed {
			outcome = report.OutcomeTimeout // it was served, and late
		}
		if v := snapshot.Blame(src, look.Callee, outcome, end); hurts(v, look, began, snapshot) {
			d = d.or(victim(v))
		}
	}
	if !d.found() {
		if v := snapshot.Verdict(src, end); hurts(v, look, began, snapshot) && !(look.Client && v.OfClient()) {
			d = d.or(victim(v))
		}
	}
	if !d.found() && !look.Client && merelyLate(look) {
		if v := snapshot.Pusher(src, end); hurts(v, look, began, snapshot) {
			d = d.or(victim(v))
		}
	}
	d.open = d.verdict != nil && merelyLate(look) && !speaksItself(d.verdict, look) && c.mayWait() && snapshot.Awaits(d.verdict, began)
	if !d.found() || d.open {
		if v, sure := around(blames, span, look); v != nil && (d.open || d.verdict.Or(v) == v) {
			d = victim(v)
			d.unsure = !sure
		}
	}
	if look.Unresolved && !d.found() {
		d = d.or(victim(snapshot.Beyond(src, end)))
	}
	if d.verdict == nil && !look.Failed {
		return c.answer(src, span, look, snapshot, now)
	}
	if d.verdict != nil && !d.open && !d.unsure {
		c.memory.remember(span, look.Failed, d.verdict, now)
	}
	return d
}

// times is when a span began and ended, on the engine's clock.
func (c *core) times(span ptrace.Span) (began, end clock.Time) {
	end = clock.Time(span.EndTimestamp())
	moved := c.engine.Dated(end).Sub(end)
	return clock.Time(span.StartTimestamp()).Add(moved), end.Add(moved)
}

// merelyLate says whether a span went well, and is only later than usual.
func merelyLate(look *observation.Span) bool { return !look.Failed && !look.TurnedAway() }

// hurts says whether the failure of whom a span is, or whom it calls, hurt it. One that
// went well it can only have made late, and only while it lasted: who is short of something
// may have been seen to be so for the last time when he makes others wait once more. What
// got over a cut had to be sent again, or came when all else did that had waited for it.
func hurts(v *verdict.Verdict, look *observation.Span, began clock.Time, snapshot *verdict.Snapshot) bool {
	switch {
	case !merelyLate(look):
		return true
	case !v.Delays() || v.Blocks() && look.Over < verdict.Resends && !look.Slow:
		return false
	}
	return speaksItself(v, look) || !snapshot.Spares(v, began)
}

// speaksItself says whether a span that took far longer than usual tells by itself that one
// who is short of something still is. For what is refused nobody waits.
func speaksItself(v *verdict.Verdict, look *observation.Span) bool {
	return look.Slow && v.Class == verdict.ClassExhaustion && !v.Refuses()
}

// answer finds the verdict on a span that looks well, or late, and is an answer of one
// convicted of byzantine behaviour. Who could not use it fails above it.
func (c *core) answer(src *report.Source, span ptrace.Span, look *observation.Span, snapshot *verdict.Snapshot, now clock.Time) decision {
	if !snapshot.Convicts() {
		return decision{}
	}
	var callee *report.Callee
	if look.Client {
		callee = &look.Callee
	} else if span.Kind() != ptrace.SpanKindServer {
		return decision{}
	}
	began, end := c.times(span)
	v := snapshot.Answer(src, callee, end)
	open := c.mayWait() && snapshot.Awaits(v, began)
	if v == nil && look.Client {
		v = c.memory.servedBy(span)
	}
	if v == nil {
		return decision{}
	}
	if !open {
		c.memory.remember(span, false, v, now)
	}
	return decision{verdict: v, role: roleOf(v, src), open: open}
}

// roleOf is the part that a source plays in a verdict.
func roleOf(v *verdict.Verdict, src *report.Source) string {
	if src != nil && v != nil && v.Culprit.Service.Name != "" && v.Culprit.Service == src.Service &&
		(v.Culprit.Type == verdict.CulpritService || v.OfClient() || v.Culprit.Instance == src.Instance ||
			v.Culprit.Type == verdict.CulpritVersion && v.Culprit.Name == src.Version) {
		return contract.RoleCulprit
	}
	return contract.RoleVictim
}
