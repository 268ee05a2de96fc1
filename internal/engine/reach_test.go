// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestCutsAreToldByWhoReachesWhom(t *testing.T) {
	pair := func(a, b string) func(x, y zoneHost) bool {
		return func(x, y zoneHost) bool { return x.zone == a && y.zone == b || x.zone == b && y.zone == a }
	}
	for name, c := range map[string]struct {
		blocked  func(a, b zoneHost) bool
		deaf     func(a, b *zoned) bool
		class    verdict.Class
		culprits []string
	}{
		"two zones that cannot see each other are one link": {
			blocked: pair("zone-a", "zone-b"), class: verdict.ClassPartition, culprits: []string{"link zone-a→zone-b", "link zone-b→zone-a"},
		},
		"a zone cut off from all is that zone": {
			blocked: func(x, y zoneHost) bool { return (x.zone == "zone-b") != (y.zone == "zone-b") }, class: verdict.ClassPartition, culprits: []string{"zone zone-b"},
		},
		"two hosts that cannot see each other are one link": {
			blocked: func(x, y zoneHost) bool { return x.name == "zone-a-h1" && y.name == "zone-b-h1" }, class: verdict.ClassPartition,
			culprits: []string{"link zone-a-h1→zone-b-h1", "link zone-b-h1→zone-a-h1"},
		},
		"a port blocked between two is the link between them": {
			deaf: func(a, b *zoned) bool { return a.at.name == "zone-a-h1" && b.src.Instance == "svc1-b1" }, class: verdict.ClassPartition,
			culprits: []string{"link zone-a-h1→svc1-b1", "link svc0-a1→svc1-b1", "link svc1-a1→svc1-b1", "link svc2-a1→svc1-b1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			z.expect(t, verdict.ClassNone)
			if c.blocked != nil {
				z.blocked = c.blocked
			}
			if c.deaf != nil {
				z.deaf = c.deaf
			}
			z.run(30 * time.Second)
			z.blocked = func(_, _ zoneHost) bool { return false }
			z.deaf = func(_, _ *zoned) bool { return false }
			z.run(60 * time.Second)
			z.expect(t, c.class, c.culprits...)
			if n := len(z.e.suspects); n != 0 {
				t.Errorf("%d are still under suspicion a minute after it healed", n)
			}
		})
	}
}

// A way that was silent before, and has been open since, tells nothing of when a place
// was cut off: who was heard in between did not live on behind the cut.
func TestCutBeginsWithTheSilencesThatLast(t *testing.T) {
	a, b := &hostState{name: "a"}, &hostState{name: "b"}
	f := foundCut{cut: cut{near: side{host: b}}}
	silence := func(since, good, bad clock.Time) sight {
		return sight{from: a, to: b, share: 1, weight: 1, since: since, good: good, bad: bad}
	}
	for _, c := range []struct {
		sights []sight
		since  clock.Time
	}{
		{[]sight{silence(30, 20, 50), silence(40, 35, 50)}, 30},
		{[]sight{silence(10, 20, 15), silence(30, 20, 50)}, 30},
		{[]sight{silence(10, 20, 15)}, 10},
	} {
		g := f
		if g.take(c.sights); g.since != c.since || g.paths != len(c.sights) {
			t.Errorf("%d silences, since %d, want %d", g.paths, g.since, c.since)
		}
	}
}

// Two who look at a zone say as much of one of its machines as counts; what they say of the
// others, too, is the same cut.
func TestMachineIsNotTakenForItsZone(t *testing.T) {
	h1, h2 := &hostState{name: "a1", zone: "a"}, &hostState{name: "a2", zone: "a"}
	for name, c := range map[string]struct {
		others  int     // on the other machine
		share   float64 // of what got no reply from these
		reached bool    // an answer of the first was on its way
		near    side
	}{
		"both machines are silent":       {3, 1, false, side{zone: "a"}},
		"one is":                         {3, 0, false, side{host: h1}},
		"and the other is slow to reply": {12, 0.3, true, side{host: h1}},
	} {
		t.Run(name, func(t *testing.T) {
			on := func(h *hostState) *entity { return &entity{kind: kindInstance, host: h, src: &report.Source{}} }
			targets := []*entity{on(h1), on(h1)}
			shares := []float64{1, 1}
			for range c.others {
				targets, shares = append(targets, on(h2)), append(shares, c.share)
			}
			var sights []sight
			for _, watch := range [...]string{"watch-b", "watch-c"} {
				from := &hostState{name: watch}
				for i, target := range targets {
					sights = append(sights, seen(from, nil, target, shares[i], true))
				}
			}
			if c.reached {
				late := seen(&hostState{name: "watch-d"}, nil, targets[0], 0, false)
				late.weight = 0.3
				sights = append(sights, late)
			}
			if found := solve(sights, nil); len(found) == 0 || found[0].near != c.near || found[0].lossy {
				t.Errorf("found %d cuts, the first of %+v, want one of %+v", len(found), found[0].near, c.near)
			}
		})
	}
}

func TestLastReportOfOneThatFellSilentTellsNothingOfThen(t *testing.T) {
	watch, here, b := &hostState{name: "watch"}, &hostState{}, &hostState{name: "b"}
	sights := []sight{
		{from: watch, to: here, share: 1, weight: 1, since: 10, good: 10},
		{from: watch, to: b, target: &entity{}, weight: 1, good: 10},
		{from: b, to: watch, caller: &entity{}, weight: 1, good: 10},
		{from: b, to: here, weight: 1, good: 10},
		{from: watch, to: b, target: &entity{}, weight: 1, good: 11},
	}
	weighSights(sights)
	for i, want := range []float64{1, staleWeight, staleWeight, 1, 1} {
		if sights[i].weight != want {
			t.Errorf("sight %d counts %v, want %v", i, sights[i].weight, want)
		}
	}
}

func TestNodeSeenFromOneSideIsUnknownUntilItComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		dead  bool
		class verdict.Class
	}{
		"it was cut off": {false, verdict.ClassPartition},
		"it was down":    {true, verdict.ClassCrash},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			host := "zone-a-h1"
			if c.dead {
				z.dead[host] = true
			} else {
				z.blocked = func(x, y zoneHost) bool { return (x.name == host) != (y.name == host) }
			}
			z.run(30 * time.Second)
			during := z.verdicts()
			for who, v := range during {
				if who != "node "+host || v.Class != verdict.ClassUnknown && v.Confidence > ceilingOneSided {
					t.Errorf("meanwhile %s: %s %.2f: %s", who, classWords(v), v.Confidence, v.Reason)
				}
			}
			if len(during) == 0 {
				t.Error("nothing was said while it lasted")
			}
			if c.dead {
				delete(z.dead, host)
				for _, n := range z.instances {
					if n.at.name == host {
						n.inc += 1000
						n.seq = 0
					}
				}
			} else {
				z.blocked = func(_, _ zoneHost) bool { return false }
			}
			z.run(60 * time.Second)
			z.expect(t, c.class, "node "+host)
			if t.Failed() {
				z.dump(t)
			}
		})
	}
}

func TestSickObserverAccusesNobody(t *testing.T) {
	z := newZones()
	z.run(60 * time.Second)
	z.agents[0].paused = true
	z.run(30 * time.Second)
	z.agents[0].paused = false
	z.run(60 * time.Second)
	z.expect(t, verdict.ClassNone)
}

func TestObserverThatWasUpBeforeItWasHeardDidNotSleep(t *testing.T) {
	e := New(DefaultParams())
	e.Observe(&report.Batch{Arrived: 1e18, Observers: []report.ObserverBeat{{Stamp: report.Stamp{Observer: "o", At: 1e18, Uptime: time.Hour, Seq: 1}, Interval: time.Second}}})
	if ev := e.Events(); len(ev) != 0 {
		t.Errorf("said %s", ev[0].Body)
	}
}

// BenchmarkWhoReachesWhom solves 50 hosts that all see each other, ten of which
// are cut off.
func BenchmarkWhoReachesWhom(b *testing.B) {
	e := New(DefaultParams())
	e.Tick(1e18)
	var hosts []*hostState
	var targets []*entity
	for i := range 50 {
		src := report.NewSource(report.Source{Service: report.ServiceID{Name: fmt.Sprint("s", i)}, Instance: fmt.Sprint("i", i), Host: fmt.Sprint("h", i), Zone: fmt.Sprint("z", i/10)})
		targets = append(targets, e.instance(src))
		hosts = append(hosts, e.host(src.Host))
	}
	for _, cut := range []bool{false, true} {
		for i, n := range targets {
			for j, h := range hosts {
				o := report.OutcomeOK
				if cut && (i/10 == 4) != (j/10 == 4) {
					o = report.OutcomeConnectTimeout
				}
				e.seenFrom(n, h, targets[j], o, 6, e.now, e.now)
			}
		}
		e.Tick(e.now.Add(time.Second))
	}
	b.ReportAllocs()
	for b.Loop() {
		if found := solve(e.sights(), e.here); len(found) != 1 || found[0].near.zone != "z4" {
			b.Fatalf("%+v", found)
		}
	}
}

func TestCutOnTheEnginesOwnSideIsToldWhenItHeals(t *testing.T) {
	z := newZones()
	z.run(60 * time.Second)
	z.blocked = func(x, y zoneHost) bool { return (x.zone == "zone-c") != (y.zone == "zone-c") }
	z.run(30 * time.Second)
	for who, v := range z.verdicts() {
		if v.Class != verdict.ClassUnknown && (v.Class != verdict.ClassPartition || v.Confidence > ceilingOneSided) {
			t.Errorf("meanwhile %s: %s %.2f: %s", who, classWords(v), v.Confidence, v.Reason)
		}
	}
	z.blocked = func(_, _ zoneHost) bool { return false }
	z.run(60 * time.Second)
	z.expect(t, verdict.ClassPartition, "zone zone-c", "link zone-c→zone-a", "link zone-a→zone-c", "link zone-c→zone-b", "link zone-b→zone-c")
}

// Observers on the two sides of a cut each find fault with all on the other side,
// whom a third finds well. None of them is sick.
func TestObserversOnBothSidesOfACutAreBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		blocked func(a, b zoneHost) bool
		class   verdict.Class
		culprit string
	}{
		"two zones cannot see each other": {func(a, b zoneHost) bool {
			return a.zone == "zone-a" && b.zone == "zone-b" || a.zone == "zone-b" && b.zone == "zone-a"
		}, verdict.ClassPartition, "link zone-a→zone-b"},
		"one of them is sick": {func(a, _ zoneHost) bool { return a.zone == "zone-a" }, verdict.ClassNone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.times = 0
			cut := func(_, _ zoneHost) bool { return false } // for a probe from one to the other
			z.more = func(b *report.Batch) {
				for _, a := range z.agents {
					for i, n := range z.instances {
						if (int64(z.now/1e8)+int64(i))%20 != 0 {
							continue
						}
						outcome := report.OutcomeOK
						if cut(a.at, n.at) {
							outcome = report.OutcomeConnectTimeout
						}
						if n.at.zone == a.at.zone {
							continue
						}
						a.seq++
						b.Probes = append(b.Probes, report.Probe{Source: n.src, Target: "tcp://" + n.addr, Outcome: outcome, Interval: 2 * time.Second, Direct: true, RTT: time.Millisecond,
							Stamp: report.Stamp{Observer: a.id, At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: a.seq}})
					}
				}
			}
			z.run(time.Minute)
			cut = c.blocked
			z.run(20 * time.Second)
			z.expect(t, c.class, c.culprit, "link zone-b→zone-a")
			for _, ev := range z.events {
				if ev.Kind == contract.EventObserverDegraded && c.class == verdict.ClassPartition {
					t.Errorf("said %s", ev.Body)
				}
			}
		})
	}
}

func TestHealthCheckThatIsAnsweredDoesNotHideAHang(t *testing.T) {
	for _, target := range []string{"tcp://zone-b-h0:801", "grpc://zone-b-h0:801"} {
		t.Run(target[:4], func(t *testing.T) {
			z := newZones()
			z.times = 2
			z.more = func(b *report.Batch) {
				if (z.now/1e8)%10 == 0 {
					b.Probes = append(b.Probes, report.Probe{Stamp: z.stampOf(1), Source: z.who("svc1-b0").src, Target: target, Outcome: report.OutcomeOK, Interval: time.Second, Direct: true},
						report.Probe{Stamp: z.stampOf(1), Source: z.who("svc1-b0").src, Target: "process:svc1-b0", Outcome: report.OutcomeOK, Interval: time.Second, Process: &report.Process{State: report.ProcessRunning, PID: 7}})
				}
			}
			z.run(60 * time.Second)
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == "svc1-b0" {
					return report.OutcomeTimeout
				}
				return report.OutcomeOK
			}
			z.run(20 * time.Second)
			z.expect(t, verdict.ClassCrash, "instance svc1-b0")
		})
	}
}

func TestOneOfSeveralCallersThatGetsNoAnswerIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		silent func(from, to *zoned) bool
		class  verdict.Class
	}{
		"while its sibling does": {func(from, to *zoned) bool { return from.src.Instance == "svc0-a0" && to.src.Instance == "svc1-b0" }, verdict.ClassPartition},
		"as all who call it":     {func(_, to *zoned) bool { return to.src.Instance == "svc1-b0" }, verdict.ClassCrash},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.times = 3
			z.never = func(from, to *zoned) bool { return from.at.name == "zone-b-h0" && to.at.name == "zone-a-h0" }
			z.run(60 * time.Second)
			z.answer = func(from, to *zoned) report.Outcome {
				if c.silent(from, to) {
					return report.OutcomeTimeout
				}
				return report.OutcomeOK
			}
			z.run(25 * time.Second)
			z.expect(t, c.class, "link svc0-a0→svc1-b0", "link svc1-b0→svc0-a0", "instance svc1-b0")
		})
	}
}

// One that is known by a probe alone stands on a host that nobody tells: what is cut off
// is himself, by his name.
func TestACutIsNamedByWhoHasAName(t *testing.T) {
	caller, target := &entity{kind: kindInstance}, &entity{kind: kindService}
	for _, c := range propose([]sight{{from: &hostState{name: "api2"}, to: &hostState{}, caller: caller, target: target, share: 1, broken: true}}, nil) {
		for _, s := range [...]side{c.near, c.far} {
			if s.host != nil && s.host.name == "" {
				t.Errorf("proposed %+v", c)
			}
		}
		if c.near.host != nil && c.far.entity == target {
			return
		}
	}
	t.Error("nobody proposed that it is cut off from the host of its caller")
}

// Nobody misses a machine on which only an observer stands; who has somebody beside it does.
func TestMachineOfAnObserverAloneIsNotAccused(t *testing.T) {
	e, all := sized(1)
	watch := e.host("watch")
	watch.observer = &observer{}
	f := foundCut{cut: cut{near: side{host: watch}}, paths: 6, of: 7}
	e.believe(f, false)
	if len(e.cuts) != 0 {
		t.Error("accused")
	}
	all[0].host = watch
	e.believe(f, false)
	if len(e.cuts) != 1 {
		t.Error("with somebody on it: not accused")
	}
}
