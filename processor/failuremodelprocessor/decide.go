// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/observation"
)

// decision is on whose account a span failed.
type decision struct {
	verdict *engine.Verdict // nil if nobody's that is known
	role    string
}

// final says whether there is nothing to wait for: `unknown` may still become a
// class.
func (d decision) final() bool { return d.verdict != nil && d.verdict.Class != engine.ClassUnknown }

// decide finds the verdict that a failed or late span belongs to: a call to a
// culprit, a span of the culprit itself, or one above such a call in its trace.
func (c *core) decide(src *engine.Source, span ptrace.Span, look *observation.Span, snapshot *engine.Snapshot, now engine.Time) decision {
	end := engine.Time(span.EndTimestamp())
	if !look.Failed && !look.Late {
		return c.answer(src, span, look, snapshot, now)
	}
	if look.Client {
		outcome := look.Outcome
		if !look.Failed {
			outcome = engine.OutcomeTimeout // it was served, and late
		}
		if v := snapshot.Blame(src, look.Callee, outcome, end); v != nil {
			c.memory.remember(span, v, now)
			return decision{v, roleOf(v, src)}
		}
	}
	if v := snapshot.Verdict(src, end); v != nil {
		c.memory.remember(span, v, now)
		return decision{v, contract.RoleCulprit}
	}
	if v := c.memory.around(span, look.Failed); v != nil {
		c.memory.remember(span, v, now)
		return decision{v, roleOf(v, src)}
	}
	return decision{}
}

// answer finds the verdict on a span that looks well and is an answer of one
// convicted of byzantine behaviour. Who could not use it fails above it.
func (c *core) answer(src *engine.Source, span ptrace.Span, look *observation.Span, snapshot *engine.Snapshot, now engine.Time) decision {
	if !snapshot.Convicts() {
		return decision{}
	}
	var callee *engine.Callee
	if look.Client {
		callee = &look.Callee
	} else if span.Kind() != ptrace.SpanKindServer {
		return decision{}
	}
	v := snapshot.Answer(src, callee, engine.Time(span.EndTimestamp()))
	if v == nil && look.Client {
		v = c.memory.servedBy(span)
	}
	if v == nil {
		return decision{}
	}
	c.memory.remember(span, v, now)
	return decision{v, roleOf(v, src)}
}

// roleOf is the part that a source plays in a verdict.
func roleOf(v *engine.Verdict, src *engine.Source) string {
	if src != nil && v.Culprit.Service.Name != "" && v.Culprit.Service == src.Service &&
		(v.Culprit.Type == engine.CulpritService || v.Culprit.Instance == src.Instance ||
			v.Culprit.Type == engine.CulpritVersion && v.Culprit.Name == src.Version) {
		return contract.RoleCulprit
	}
	return contract.RoleVictim
}
