// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/observation"
)

// traces is the processor of one traces pipeline.
type traces struct {
	member
	next consumer.Traces
	room *waitingRoom // nil if nothing waits
}

func newTraces(c *core, next consumer.Traces) *traces {
	t := &traces{member: member{core: c}, next: next}
	if c.mayWait() {
		t.room = newWaitingRoom(t)
	}
	return t
}

// Capabilities says that spans may be written to and held back.
func (t *traces) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: t.config.Annotate.Enabled}
}

// Start finds the engine and opens the waiting room.
func (t *traces) Start(ctx context.Context, host component.Host) error {
	if err := t.member.Start(ctx, host); err != nil {
		return err
	}
	if t.room != nil {
		t.telemetry.ProcessorFailureModelSpansUndelivered.Add(ctx, 0) // seen before the first loss
		t.room.open()
	}
	return nil
}

// Shutdown lets go of all who wait.
func (t *traces) Shutdown(ctx context.Context) error {
	if t.room != nil {
		t.room.close()
	}
	return t.member.Shutdown(ctx)
}

// ConsumeTraces shows the engine what passes and tags what failed. Spans without
// anything odd pass as they are.
func (t *traces) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	now := t.engine.Now()
	var odd []int32
	if t.config.Observe {
		b := t.engine.NewBatch()
		b.Arrived = now
		odd = t.extractor.Traces(td, now, t.engine.Baselines(), b)
		t.engine.Observe(b)
	} else if t.config.Annotate.Enabled {
		odd = t.look(td, now)
	}
	a := &t.config.Annotate
	all := a.Score == scoreAlways || !t.engine.Snapshot().Empty()
	if !a.Enabled || len(odd) == 0 && !all {
		return t.next.ConsumeTraces(ctx, td)
	}
	if all {
		odd = nil
	}
	seats := noSeat
	if t.room != nil {
		seats = freeSeat
	}
	held := t.annotate(td, odd, seats)
	if t.room != nil && held.SpanCount() > 0 {
		t.room.enter(held, client.FromContext(ctx), now)
	}
	if td.SpanCount() == 0 {
		return nil
	}
	return t.next.ConsumeTraces(ctx, td)
}

// seating is which of the spans that annotate meets may wait.
type seating int

const (
	noSeat   seating = iota // none
	freeSeat                // those for whom the room has space
	ownSeat                 // all, because they wait already and are counted
	timeUp                  // none: they have waited for as long as they may
)

// annotate tags the spans of td on which there is a verdict. Those for which it
// is too early to tell are moved to the traces that it returns, if they may wait.
// odd lists the places of those worth a look; nil: all are.
func (t *traces) annotate(td ptrace.Traces, odd []int32, seats seating) (held ptrace.Traces) {
	snapshot, baselines, now := t.engine.Snapshot(), t.engine.Baselines(), t.engine.Now()
	t.rememberCalls(td, snapshot, baselines, now)
	held = ptrace.NewTraces()
	place := int32(-1)
	rss := td.ResourceSpans()
	rss.RemoveIf(func(rs ptrace.ResourceSpans) bool {
		src := t.extractor.Source(rs.Resource())
		var heldResource ptrace.ResourceSpans
		resourceHeld := false
		rs.ScopeSpans().RemoveIf(func(ss ptrace.ScopeSpans) bool {
			if observation.Own(ss.Scope()) {
				return false
			}
			var heldScope ptrace.ScopeSpans
			scopeHeld := false
			before := ss.Spans().Len()
			ss.Spans().RemoveIf(func(span ptrace.Span) bool {
				if place++; odd != nil {
					if len(odd) == 0 || odd[0] != place {
						return false
					}
					odd = odd[1:]
				}
				look := t.extractor.Look(src, span, baselines)
				d := t.decide(src, span, &look, snapshot, now)
				mayWait := seats == freeSeat || seats == ownSeat
				if mayWait && !d.final(now) && t.waits(src, span, &look, d, snapshot) && (seats == ownSeat || t.room.hasSpace()) {
					if !resourceHeld {
						heldResource, resourceHeld = held.ResourceSpans().AppendEmpty(), true
						rs.Resource().CopyTo(heldResource.Resource())
						heldResource.SetSchemaUrl(rs.SchemaUrl())
					}
					if !scopeHeld {
						heldScope, scopeHeld = heldResource.ScopeSpans().AppendEmpty(), true
						ss.Scope().CopyTo(heldScope.Scope())
						heldScope.SetSchemaUrl(ss.SchemaUrl())
					}
					span.MoveTo(heldScope.Spans().AppendEmpty())
					return true
				}
				if seats == timeUp && d.open {
					d = decision{} // nothing has spoken for that failure any more
				}
				t.write(span, &look, d)
				return false
			})
			return before > 0 && ss.Spans().Len() == 0
		})
		return resourceHeld && rs.ScopeSpans().Len() == 0
	})
	return held
}

// waits says whether a span is worth waiting for its verdict. What is only later than
// usual is, once something is known to be wrong: the call that it waited for may be
// told after it. So is an answer of one who is convicted of wrong ones, or may soon be, and
// one under a name that it shares, of which its own span will tell; while half of the room
// is free: what failed goes first.
func (t *traces) waits(src *report.Source, span ptrace.Span, look *observation.Span, d decision, snapshot *verdict.Snapshot) bool {
	switch {
	case look.Failed || look.Slow || look.TurnedAway() || look.Late && !snapshot.Empty():
		return true
	case t.waitingSpans.Load() >= int64(t.config.Annotate.MaxWaiting/2):
		return false
	case d.open:
		return true
	case look.Client:
		return snapshot.Doubts(src, &look.Callee) || snapshot.MayAnswer(&look.Callee)
	}
	return span.Kind() == ptrace.SpanKindServer && snapshot.Doubts(src, nil)
}

// rememberCalls first looks for calls to culprits, so that the spans above them
// are found in the same batch, whatever its order.
func (t *traces) rememberCalls(td ptrace.Traces, snapshot *verdict.Snapshot, baselines *engine.Baselines, now clock.Time) {
	if snapshot.Empty() {
		return
	}
	for _, rs := range td.ResourceSpans().All() {
		src := t.extractor.Source(rs.Resource())
		for _, ss := range rs.ScopeSpans().All() {
			if observation.Own(ss.Scope()) {
				continue
			}
			for _, span := range ss.Spans().All() {
				if look := t.extractor.Look(src, span, baselines); look.Client && (look.Failed || look.Late || snapshot.Convicts()) {
					t.decide(src, span, &look, snapshot, now)
				}
			}
		}
	}
}

// write tags a span as decided and scores it as configured.
func (t *traces) write(span ptrace.Span, look *observation.Span, d decision) {
	a := &t.config.Annotate
	if d.verdict != nil {
		tag(span.Attributes(), d)
		if a.JaegerWarnings {
			warn(span.Attributes(), d.verdict)
		}
		t.telemetry.ProcessorFailureModelSpansTagged.Add(context.Background(), 1, metric.WithAttributeSet(attribute.NewSet(
			attribute.String("class", string(d.verdict.Class)), attribute.String("role", d.role))))
	}
	score := stat.Score(look.Surprise)
	why := d.verdict != nil && look.Late // nothing else in a tagged span tells that it was hurt
	if odd := look.Failed || look.Slow; a.Score == scoreAlways || a.Score == scoreThreshold && (why || odd && score >= a.ScoreThreshold) {
		span.Attributes().PutDouble(contract.AnomalyScore, score)
	}
}
