// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// zones is a fleet in three zones with two hosts each; on each host runs one
// instance of each of three services, and each zone has an agent that probes
// the others. The engine stands in zone c.
type zones struct {
	e         *Engine
	now       clock.Time
	rand      *rand.Rand
	instances []*zoned
	agents    []*zoneAgent
	blocked   func(from, to zoneHost) bool
	deaf      func(from, to *zoned) bool // nothing gets from one to the other
	answer    func(from, to *zoned) report.Outcome
	late      func(to *zoned) bool                // it takes far longer than usual
	wire      func(from, to *zoned) time.Duration // what a call spends on the way
	lost      func(from, to zoneHost) bool        // packets from one to the other
	starved   func(from, to *zoned) bool          // it gets to a call when its caller has gone
	never     func(from, to *zoned) bool          // it does not call the other
	byName    bool                                // callers name services, not instances
	beatless  bool
	times     float64 // calls, of what is usual
	beating   func(n *zoned, b *report.Beat)
	serving   func(to *zoned, s *report.Served, c *report.Calls)
	began     func(client, server *zoned, at clock.Time) (c, s clock.Time) // by their clocks
	more      func(b *report.Batch)
	deliver   func(b *report.Batch) // by what way batches come; nil: at once
	dead      map[string]bool       // hosts whose kernel is gone
	events    []verdict.Event
}

type zoneHost struct{ zone, name string }

type zoned struct {
	at   zoneHost
	src  *report.Source
	addr string
	inc  uint64
	seq  uint64
	next clock.Time
	told []func(*report.Batch) // spans that could not be sent yet
}

type zoneAgent struct {
	at     zoneHost
	id     string
	seq    uint64
	queue  []func(*report.Batch) // what could not be sent yet
	paused bool
}

func newZones() *zones {
	z := &zones{e: New(DefaultParams()), rand: rand.New(rand.NewPCG(3, 4)), now: clock.Time(1_800_000_000_000_000_000), dead: map[string]bool{}}
	for _, zone := range []string{"zone-a", "zone-b", "zone-c"} {
		for h := range 2 {
			at := zoneHost{zone, fmt.Sprintf("%s-h%d", zone, h)}
			for s := range 3 {
				id := fmt.Sprintf("svc%d-%s%d", s, zone[5:], h)
				z.instances = append(z.instances, &zoned{
					at: at, addr: fmt.Sprintf("%s:80%d", at.name, s), inc: uint64(len(z.instances) + 1),
					src: report.NewSource(report.Source{Service: report.ServiceID{Name: fmt.Sprintf("svc%d", s)}, Instance: id, Host: at.name, Zone: zone}),
				})
			}
		}
		z.agents = append(z.agents, &zoneAgent{at: zoneHost{zone, zone + "-h0"}, id: "agent-" + zone})
	}
	z.blocked = func(_, _ zoneHost) bool { return false }
	z.deaf = func(_, _ *zoned) bool { return false }
	z.answer = func(_, _ *zoned) report.Outcome { return report.OutcomeOK }
	z.wire = func(_, _ *zoned) time.Duration { return time.Duration(500+z.rand.IntN(1000)) * time.Microsecond }
	z.lost = func(_, _ zoneHost) bool { return false }
	z.never = func(_, _ *zoned) bool { return false }
	z.starved = func(_, _ *zoned) bool { return false }
	z.late, z.times = func(_ *zoned) bool { return false }, 1
	z.beating = func(_ *zoned, _ *report.Beat) {}
	z.serving = func(_ *zoned, _ *report.Served, _ *report.Calls) {}
	z.began = func(_, _ *zoned, _ clock.Time) (c, s clock.Time) { return 0, 0 }
	z.more = func(_ *report.Batch) {}
	return z
}

func (z *zones) cut(a, b zoneHost) bool {
	return a != b && (z.blocked(a, b) || z.blocked(b, a)) || z.dead[a.name] || z.dead[b.name]
}

// run lets d pass in steps of 100 ms.
func (z *zones) run(d time.Duration) {
	gateway := zoneHost{"zone-c", "gateway"}
	for end := z.now.Add(d); z.now < end; {
		z.now = z.now.Add(100 * time.Millisecond)
		b := &report.Batch{Arrived: z.now}
		for i, n := range z.instances {
			if z.dead[n.at.name] {
				n.told = nil
				continue
			}
			if z.now < n.next {
				continue
			}
			n.next = z.now.Add(time.Second)
			n.seq++
			agent := z.agents[i/6]
			if !z.beatless && !z.cut(n.at, agent.at) && !agent.paused {
				agent.seq++
				beat := report.Beat{
					Stamp:  report.Stamp{Observer: agent.id, At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: agent.seq},
					Source: n.src, Interval: time.Second, Incarnation: n.inc, Seq: n.seq, SentAt: z.now,
				}
				z.beating(n, &beat)
				agent.queue = append(agent.queue, func(b *report.Batch) { b.Beats = append(b.Beats, beat) })
			}
			// It calls three others, and its spans go out by the zone's agent.
			for range int(3 * z.times) {
				to := z.instances[z.rand.IntN(len(z.instances))]
				if to == n || z.never(n, to) {
					continue
				}
				outcome := z.answer(n, to)
				if z.cut(n.at, to.at) || z.deaf(n, to) || z.deaf(to, n) {
					outcome = report.OutcomeConnectTimeout
				}
				call := report.Calls{Caller: n.src, Callee: report.Callee{Address: to.addr, Direct: true}, Outcome: outcome, Count: 1, First: z.now, Last: z.now}
				if z.byName {
					call.Callee = report.Callee{Address: to.src.Service.Name + ":80"}
				}
				arrived := outcome.Answered()
				took := 5*time.Millisecond + z.wire(n, to)
				servedBefore := took - 5*time.Millisecond // the client's end
				if z.lost(n.at, to.at) || z.lost(to.at, n.at) {
					arrived, took = !z.lost(n.at, to.at), 2*time.Second
					servedBefore = took - 5*time.Millisecond
					outcome, call.Outcome = report.OutcomeTimeout, report.OutcomeTimeout
				} else if outcome == report.OutcomeOK && z.starved(n, to) {
					took, servedBefore = 2*time.Second, -300*time.Millisecond
					outcome, call.Outcome = report.OutcomeTimeout, report.OutcomeTimeout
				}
				served, hop := report.Served{Source: to.src, OK: 1, Last: z.now}, z.rand.Uint64()
				if outcome == report.OutcomeOK && z.late(to) {
					call.Slow, served.Slow = 1, 1
				}
				if outcome == report.OutcomeOK && z.late(n) {
					call.Slow = 1 // it gets to the answer late
				}
				if outcome == report.OutcomeServerError {
					served.OK, served.Failed, served.Faults = 0, 1, 1
				}
				z.serving(to, &served, &call)
				mine, its := z.began(n, to, z.now)
				n.told = append(n.told, func(b *report.Batch) {
					b.Calls = append(b.Calls, call)
					if arrived {
						b.Served = append(b.Served, served)
						b.Hops = append(b.Hops, report.Hop{Span: hop, Source: call.Caller, Callee: call.Callee, Lost: outcome == report.OutcomeTimeout, Duration: took, At: call.Last, Began: mine},
							report.Hop{Span: hop, Server: true, Source: to.src, Duration: 5 * time.Millisecond, At: call.Last.Add(-servedBefore), Began: its})
					}
				})
			}
		}
		for i, n := range z.instances {
			if agent := z.agents[i/6]; !z.dead[n.at.name] && !z.cut(n.at, agent.at) {
				agent.queue = append(agent.queue, n.told...)
				n.told = nil
			}
		}
		for _, a := range z.agents {
			if a.paused || z.dead[a.at.name] {
				continue
			}
			if (z.now/1e8)%10 == 0 {
				a.seq++
				beat := report.ObserverBeat{Stamp: report.Stamp{Observer: a.id, At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: a.seq}, Host: a.at.name, Interval: time.Second}
				a.queue = append(a.queue, func(b *report.Batch) { b.Observers = append(b.Observers, beat) })
			}
			if !z.cut(a.at, gateway) {
				for _, deliver := range a.queue {
					deliver(b)
				}
				a.queue = nil
			}
		}
		z.more(b)
		if z.deliver != nil {
			z.deliver(b)
		} else {
			z.e.Observe(b)
		}
		if (z.now/1e8)%3 == 0 {
			z.e.Tick(z.now)
		}
		z.events = append(z.events, z.e.Events()...)
	}
}

// verdicts are the last words on each culprit since the start.
func (z *zones) verdicts() map[string]*verdict.Verdict {
	out := map[string]*verdict.Verdict{}
	for _, ev := range z.events {
		if ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised {
			out[string(ev.Verdict.Culprit.Type)+" "+ev.Verdict.Culprit.Name] = ev.Verdict
		}
	}
	return out
}

func (z *zones) expect(t *testing.T, class verdict.Class, culprits ...string) {
	t.Helper()
	got := z.verdicts()
	right := false
	for name, v := range got {
		ok := false
		for _, c := range culprits {
			ok = ok || c == name
		}
		if !ok || v.Class != class {
			if v.Class != verdict.ClassUnknown || class == verdict.ClassNone {
				t.Errorf("%s: %s %.2f: %s", name, classWords(v), v.Confidence, v.Reason)
			}
			continue
		}
		right = true
		t.Logf("%s: %s %.2f: %s | %v", name, classWords(v), v.Confidence, v.Reason, v.RuledOut)
	}
	if !right && class != verdict.ClassNone {
		t.Errorf("want %s of one of %v, got:", class, culprits)
		for name, v := range got {
			t.Logf("%s: %s %.2f: %s", name, classWords(v), v.Confidence, v.Reason)
		}
	}
}

func (z *zones) dump(t *testing.T) {
	for _, ev := range z.events {
		t.Logf("%.1f %s %s", float64(ev.At-1_800_000_000_000_000_000)/1e9, ev.Kind, ev.Body)
	}
}

// Whose zone is cut off with the engine in it has not been silent: nobody there will come
// back and tell what it was. Where those of a zone were silent, they are waited for.
func TestCutOfTheJudgesOwnZoneIsOverSoonAfterItHeals(t *testing.T) {
	w := newBehindCut(2)
	w.cutOff()
	w.run(25 * time.Second)
	w.heal()
	at := w.now
	told := false
	w.run(19 * time.Second)
	for _, ev := range w.events {
		if ev.Verdict == nil || ev.Verdict.Culprit.Type != verdict.CulpritZone {
			continue
		}
		told = told || ev.Kind == contract.EventFailureDetected
		if ev.Kind == contract.EventFailureCleared && ev.At > at {
			return
		}
	}
	t.Errorf("told: %v, and not over 19 s after it healed", told)
}

func TestWhoWasHeardAllTheWhileIsOnOurSideOfACut(t *testing.T) {
	w := newBehindCut(2)
	w.cutOff()
	w.run(25 * time.Second)
	w.heal()
	w.run(8 * time.Second)
	for _, c := range w.e.cuts {
		if c.near.here == nil {
			continue
		}
		if !w.e.withUs(c) {
			t.Errorf("%s was heard all the while", c.near.name())
		}
		theirs, others := *c, *c
		theirs.near.zone = "zone-a"
		if w.e.withUs(&theirs) {
			t.Error("those of zone-a were silent, and are waited for")
		}
		if others.near.here = nil; w.e.withUs(&others) {
			t.Error("we are not in a zone that others do not reach")
		}
		return
	}
	t.Error("nothing is cut off with the engine in it")
}
