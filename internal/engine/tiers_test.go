// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// wire is what lies between agents and a gateway: each signal is gathered for a
// while by itself, and now and then a batch comes twice, because its answer was
// lost.
type wire struct {
	z     *zones
	every time.Duration
	held  [3]report.Batch // logs, traces, metrics
	sent  int
}

func (w *wire) take(b *report.Batch) {
	l, t, m := &w.held[0], &w.held[1], &w.held[2]
	l.Observers, l.Beats, l.Probes, l.Facts = append(l.Observers, b.Observers...), append(l.Beats, b.Beats...), append(l.Probes, b.Probes...), append(l.Facts, b.Facts...)
	t.Calls, t.Served, t.Hops, t.Spans = append(t.Calls, b.Calls...), append(t.Served, b.Served...), append(t.Hops, b.Hops...), append(t.Spans, b.Spans...)
	m.Signs, m.Levels, m.Queues = append(m.Signs, b.Signs...), append(m.Levels, b.Levels...), append(m.Queues, b.Queues...)
	step := clock.Time(100 * time.Millisecond)
	for i := range w.held {
		phase := clock.Time(int64(w.every) * int64(i) / 3)
		if (b.Arrived+phase)/clock.Time(w.every) == (b.Arrived+phase-step)/clock.Time(w.every) || w.held[i].Empty() {
			continue
		}
		w.held[i].Arrived = b.Arrived
		w.z.e.Observe(&w.held[i])
		if w.sent++; w.sent%7 == 0 && i == 0 {
			w.z.e.Observe(&w.held[i])
		}
		w.held[i] = report.Batch{}
	}
}

// last are the classes and culprits that stood last, in order.
func (z *zones) last() []string {
	out := map[string]bool{}
	for who, v := range z.verdicts() {
		out[who+": "+string(v.Class)] = true
	}
	return slices.Sorted(maps.Keys(out))
}

// A fault is called the same, whether the engine sits beside the receivers or
// tiers away behind batches of seconds.
func TestTwoTiersGiveTheVerdictsOfOneProcess(t *testing.T) {
	const who = "svc1-b0"
	gone := func(z *zones, o report.Outcome) {
		n := z.who(who)
		n.next = z.now.Add(time.Hour)
		z.answer = func(_, to *zoned) report.Outcome {
			if to == n {
				return o
			}
			return report.OutcomeOK
		}
	}
	fact := func(z *zones, kind report.FactKind, value int64, text string) {
		queue := &z.agents[1].queue
		f := report.Fact{Source: z.who(who).src, Kind: kind, Value: value, At: z.now, Text: text}
		*queue = append(*queue, func(b *report.Batch) { b.Facts = append(b.Facts, f) })
	}
	for name, c := range map[string]struct {
		inject func(z *zones)
		want   []string // nil: nobody
	}{
		"killed":       {func(z *zones) { gone(z, report.OutcomeRefused) }, []string{"instance " + who + ": crash"}},
		"killed_by_11": {func(z *zones) { gone(z, report.OutcomeRefused); fact(z, report.FactExit, 139, "") }, []string{"instance " + who + ": crash"}},
		"hangs":        {func(z *zones) { gone(z, report.OutcomeTimeout) }, []string{"instance " + who + ": crash"}},
		"out_of_memory": {func(z *zones) {
			gone(z, report.OutcomeRefused)
			fact(z, report.FactOOMKill, 0, "its cgroup counted 1 out-of-memory kill")
		}, []string{"instance " + who + ": resource_exhaustion"}},
		"ends_for_want_of_memory": {func(z *zones) {
			fact(z, report.FactOutOfMemory, 0, "java.lang.OutOfMemoryError: Java heap space")
			gone(z, report.OutcomeRefused)
		}, []string{"instance " + who + ": resource_exhaustion"}},
		"ends_for_want_of_memory_with_a_status": {func(z *zones) {
			gone(z, report.OutcomeRefused)
			fact(z, report.FactOutOfMemory, 0, "java.lang.OutOfMemoryError: Java heap space")
			fact(z, report.FactExit, 3, "")
		}, []string{"instance " + who + ": resource_exhaustion"}},
		"hangs_for_want_of_memory": {func(z *zones) {
			fact(z, report.FactOutOfMemory, 0, "java.lang.OutOfMemoryError: GC overhead limit exceeded")
			gone(z, report.OutcomeTimeout)
		}, []string{"instance " + who + ": resource_exhaustion"}},
		"fails_by_itself": {func(z *zones) {
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == who && z.rand.Float64() < 0.7 {
					return report.OutcomeServerError
				}
				return report.OutcomeOK
			}
		}, []string{"instance " + who + ": byzantine"}},
		"answers_that_nobody_can_use": {func(z *zones) {
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == who && z.rand.Float64() < 0.5 {
					return report.OutcomeWrongAnswer
				}
				return report.OutcomeOK
			}
		}, []string{"instance " + who + ": byzantine"}},
		"turns_callers_away": {func(z *zones) {
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == who && z.rand.Float64() < 0.8 {
					return report.OutcomeOverloaded
				}
				return report.OutcomeOK
			}
		}, []string{"instance " + who + ": resource_exhaustion"}},
		"two_zones_cannot_see_each_other": {func(z *zones) {
			z.blocked = func(x, y zoneHost) bool {
				return x.zone == "zone-a" && y.zone == "zone-b" || x.zone == "zone-b" && y.zone == "zone-a"
			}
		}, []string{"link zone-a→zone-b: network_partition"}},
		"planned_stop": {func(z *zones) {
			n := z.who(who)
			z.agents[1].seq++
			beat := report.Beat{Stamp: z.stampOf(1), Source: n.src, Interval: time.Second, Incarnation: n.inc, Seq: n.seq + 1, Status: report.StatusStopping}
			z.agents[1].queue = append(z.agents[1].queue, func(b *report.Batch) { b.Beats = append(b.Beats, beat) })
			n.next = z.now.Add(time.Hour)
			z.instances = slices.DeleteFunc(slices.Clone(z.instances), func(x *zoned) bool { return x == n })
		}, nil},
		"agent_paused": {func(z *zones) { z.agents[0].paused = true }, nil},
		"healthy":      {func(_ *zones) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, every := range []time.Duration{0, time.Second, 5 * time.Second} {
				z := newZones()
				if every > 0 {
					z.deliver = (&wire{z: z, every: every}).take
				}
				z.run(90 * time.Second)
				if got := z.last(); len(got) != 0 {
					t.Errorf("every %v: before it began: %v", every, got)
				}
				c.inject(z)
				z.run(45 * time.Second)
				if got := z.last(); !slices.Equal(got, c.want) {
					t.Errorf("every %v: %v, want %v", every, got, c.want)
					z.dump(t)
				}
				for _, ev := range z.events {
					if (ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised) && ev.Verdict.Class != verdict.ClassUnknown && c.want == nil {
						t.Errorf("every %v: said %s", every, ev.Body)
					}
				}
			}
		})
	}
}
