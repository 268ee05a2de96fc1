// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
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
}

// final says whether there is nothing to wait for. `unknown` may still become a
// class, and a better reason than a way that loses a part may be told later.
func (d decision) final() bool { return d.verdict.Firm() }

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
	end := clock.Time(span.EndTimestamp())
	if !look.Failed && !look.Late {
		return c.answer(src, span, look, snapshot, now)
	}
	victim := func(v *verdict.Verdict) decision { return decision{v, roleOf(v, src)} }
	blames := c.memory.blames(span.TraceID())
	var d decision
	if look.Failed {
		d = victim(below(blames, span))
	}
	// hurts says whether the failure of whom the span is, or whom it calls, hurt it: one
	// that went well it can only have made late, and only while it lasted.
	hurts := func(v *verdict.Verdict) bool {
		return look.Failed || v.Delays() && !snapshot.Spares(v, clock.Time(span.StartTimestamp()))
	}
	if look.Client && !d.final() {
		outcome := look.Outcome
		if !look.Failed {
			outcome = report.OutcomeTimeout // it was served, and late
		}
		if v := snapshot.Blame(src, look.Callee, outcome, end); hurts(v) {
			d = d.or(victim(v))
		}
	}
	if !d.final() {
		if v := snapshot.Verdict(src, end); hurts(v) && !(look.Client && v.OfClient()) {
			d = d.or(victim(v))
		}
	}
	if !d.final() {
		d = d.or(victim(around(blames, span, look.Failed)))
	}
	if look.Unresolved && !d.final() {
		d = d.or(victim(snapshot.Beyond(src, end)))
	}
	if d.verdict == nil && !look.Failed {
		return c.answer(src, span, look, snapshot, now)
	}
	if d.verdict != nil {
		c.memory.remember(span, look.Failed, d.verdict, now)
	}
	return d
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
	v := snapshot.Answer(src, callee, clock.Time(span.EndTimestamp()))
	if v == nil && look.Client {
		v = c.memory.servedBy(span)
	}
	if v == nil {
		return decision{}
	}
	c.memory.remember(span, false, v, now)
	return decision{v, roleOf(v, src)}
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
