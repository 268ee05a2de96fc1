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
	answer    func(from, to *zoned) Outcome
	late      func(to *zoned) bool                // it takes far longer than usual
	wire      func(from, to *zoned) time.Duration // what a call spends on the way
	lost      func(from, to zoneHost) bool        // packets from one to the other
	starved   func(from, to *zoned) bool          // it gets to a call when its caller has gone
	never     func(from, to *zoned) bool          // it does not call the other
	byName    bool                                // callers name services, not instances
	beatless  bool
	times     float64 // calls, of what is usual
	beating   func(n *zoned, b *Beat)
	serving   func(to *zoned, s *Served, c *Calls)
	began     func(client, server *zoned, at clock.Time) (c, s clock.Time) // by their clocks
	more      func(b *Batch)
	deliver   func(b *Batch)  // by what way batches come; nil: at once
	dead      map[string]bool // hosts whose kernel is gone
	events    []Event
}

type zoneHost struct{ zone, name string }

type zoned struct {
	at   zoneHost
	src  *Source
	addr string
	inc  uint64
	seq  uint64
	next clock.Time
	told []func(*Batch) // spans that could not be sent yet
}

type zoneAgent struct {
	at     zoneHost
	id     string
	seq    uint64
	queue  []func(*Batch) // what could not be sent yet
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
					src: NewSource(Source{Service: ServiceID{Name: fmt.Sprintf("svc%d", s)}, Instance: id, Host: at.name, Zone: zone}),
				})
			}
		}
		z.agents = append(z.agents, &zoneAgent{at: zoneHost{zone, zone + "-h0"}, id: "agent-" + zone})
	}
	z.blocked = func(_, _ zoneHost) bool { return false }
	z.deaf = func(_, _ *zoned) bool { return false }
	z.answer = func(_, _ *zoned) Outcome { return OutcomeOK }
	z.wire = func(_, _ *zoned) time.Duration { return time.Duration(500+z.rand.IntN(1000)) * time.Microsecond }
	z.lost = func(_, _ zoneHost) bool { return false }
	z.never = func(_, _ *zoned) bool { return false }
	z.starved = func(_, _ *zoned) bool { return false }
	z.late, z.times = func(_ *zoned) bool { return false }, 1
	z.beating = func(_ *zoned, _ *Beat) {}
	z.serving = func(_ *zoned, _ *Served, _ *Calls) {}
	z.began = func(_, _ *zoned, _ clock.Time) (c, s clock.Time) { return 0, 0 }
	z.more = func(_ *Batch) {}
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
		b := &Batch{Arrived: z.now}
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
				beat := Beat{
					Stamp:  Stamp{Observer: agent.id, At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: agent.seq},
					Source: n.src, Interval: time.Second, Incarnation: n.inc, Seq: n.seq, SentAt: z.now,
				}
				z.beating(n, &beat)
				agent.queue = append(agent.queue, func(b *Batch) { b.Beats = append(b.Beats, beat) })
			}
			// It calls three others, and its spans go out by the zone's agent.
			for range int(3 * z.times) {
				to := z.instances[z.rand.IntN(len(z.instances))]
				if to == n || z.never(n, to) {
					continue
				}
				outcome := z.answer(n, to)
				if z.cut(n.at, to.at) || z.deaf(n, to) || z.deaf(to, n) {
					outcome = OutcomeConnectTimeout
				}
				call := Calls{Caller: n.src, Callee: Callee{Address: to.addr, Direct: true}, Outcome: outcome, Count: 1, First: z.now, Last: z.now}
				if z.byName {
					call.Callee = Callee{Address: to.src.Service.Name + ":80"}
				}
				arrived := outcome.Answered()
				took := 5*time.Millisecond + z.wire(n, to)
				servedBefore := took - 5*time.Millisecond // the client's end
				if z.lost(n.at, to.at) || z.lost(to.at, n.at) {
					arrived, took = !z.lost(n.at, to.at), 2*time.Second
					servedBefore = took - 5*time.Millisecond
					outcome, call.Outcome = OutcomeTimeout, OutcomeTimeout
				} else if outcome == OutcomeOK && z.starved(n, to) {
					took, servedBefore = 2*time.Second, -300*time.Millisecond
					outcome, call.Outcome = OutcomeTimeout, OutcomeTimeout
				}
				served, hop := Served{Source: to.src, OK: 1, Last: z.now}, z.rand.Uint64()
				if outcome == OutcomeOK && z.late(to) {
					call.Slow, served.Slow = 1, 1
				}
				if outcome == OutcomeOK && z.late(n) {
					call.Slow = 1 // it gets to the answer late
				}
				if outcome == OutcomeServerError {
					served.OK, served.Failed, served.Faults = 0, 1, 1
				}
				z.serving(to, &served, &call)
				mine, its := z.began(n, to, z.now)
				n.told = append(n.told, func(b *Batch) {
					b.Calls = append(b.Calls, call)
					if arrived {
						b.Served = append(b.Served, served)
						b.Hops = append(b.Hops, Hop{Span: hop, Source: call.Caller, Callee: call.Callee, Lost: outcome == OutcomeTimeout, Duration: took, At: call.Last, Began: mine},
							Hop{Span: hop, Server: true, Source: to.src, Duration: 5 * time.Millisecond, At: call.Last.Add(-servedBefore), Began: its})
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
				beat := ObserverBeat{Stamp: Stamp{Observer: a.id, At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: a.seq}, Host: a.at.name, Interval: time.Second}
				a.queue = append(a.queue, func(b *Batch) { b.Observers = append(b.Observers, beat) })
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
func (z *zones) verdicts() map[string]*Verdict {
	out := map[string]*Verdict{}
	for _, ev := range z.events {
		if ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised {
			out[string(ev.Verdict.Culprit.Type)+" "+ev.Verdict.Culprit.Name] = ev.Verdict
		}
	}
	return out
}

func (z *zones) expect(t *testing.T, class Class, culprits ...string) {
	t.Helper()
	got := z.verdicts()
	right := false
	for name, v := range got {
		ok := false
		for _, c := range culprits {
			ok = ok || c == name
		}
		if !ok || v.Class != class {
			if v.Class != ClassUnknown || class == ClassNone {
				t.Errorf("%s: %s %.2f: %s", name, classWords(v), v.Confidence, v.Reason)
			}
			continue
		}
		right = true
		t.Logf("%s: %s %.2f: %s | %v", name, classWords(v), v.Confidence, v.Reason, v.RuledOut)
	}
	if !right && class != ClassNone {
		t.Errorf("want %s of one of %v, got:", class, culprits)
		for name, v := range got {
			t.Logf("%s: %s %.2f: %s", name, classWords(v), v.Confidence, v.Reason)
		}
	}
}

func TestCutsAreToldByWhoReachesWhom(t *testing.T) {
	pair := func(a, b string) func(x, y zoneHost) bool {
		return func(x, y zoneHost) bool { return x.zone == a && y.zone == b || x.zone == b && y.zone == a }
	}
	for name, c := range map[string]struct {
		blocked  func(a, b zoneHost) bool
		deaf     func(a, b *zoned) bool
		class    Class
		culprits []string
	}{
		"two zones that cannot see each other are one link": {
			blocked: pair("zone-a", "zone-b"), class: ClassPartition, culprits: []string{"link zone-a→zone-b", "link zone-b→zone-a"},
		},
		"a zone cut off from all is that zone": {
			blocked: func(x, y zoneHost) bool { return (x.zone == "zone-b") != (y.zone == "zone-b") }, class: ClassPartition, culprits: []string{"zone zone-b"},
		},
		"two hosts that cannot see each other are one link": {
			blocked: func(x, y zoneHost) bool { return x.name == "zone-a-h1" && y.name == "zone-b-h1" }, class: ClassPartition,
			culprits: []string{"link zone-a-h1→zone-b-h1", "link zone-b-h1→zone-a-h1"},
		},
		"a port blocked between two is the link between them": {
			deaf: func(a, b *zoned) bool { return a.at.name == "zone-a-h1" && b.src.Instance == "svc1-b1" }, class: ClassPartition,
			culprits: []string{"link zone-a-h1→svc1-b1", "link svc0-a1→svc1-b1", "link svc1-a1→svc1-b1", "link svc2-a1→svc1-b1"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			z.expect(t, ClassNone)
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

func TestNodeSeenFromOneSideIsUnknownUntilItComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		dead  bool
		class Class
	}{
		"it was cut off": {false, ClassPartition},
		"it was down":    {true, ClassCrash},
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
				if who != "node "+host || v.Class != ClassUnknown && v.Confidence > ceilingOneSided {
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
	z.expect(t, ClassNone)
}

func (z *zones) dump(t *testing.T) {
	for _, ev := range z.events {
		t.Logf("%.1f %s %s", float64(ev.At-1_800_000_000_000_000_000)/1e9, ev.Kind, ev.Body)
	}
}

func TestObserverThatWasUpBeforeItWasHeardDidNotSleep(t *testing.T) {
	e := New(DefaultParams())
	e.Observe(&Batch{Arrived: 1e18, Observers: []ObserverBeat{{Stamp: Stamp{Observer: "o", At: 1e18, Uptime: time.Hour, Seq: 1}, Interval: time.Second}}})
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
		src := NewSource(Source{Service: ServiceID{Name: fmt.Sprint("s", i)}, Instance: fmt.Sprint("i", i), Host: fmt.Sprint("h", i), Zone: fmt.Sprint("z", i/10)})
		targets = append(targets, e.instance(src))
		hosts = append(hosts, e.host(src.Host))
	}
	for _, cut := range []bool{false, true} {
		for i, n := range targets {
			for j, h := range hosts {
				o := OutcomeOK
				if cut && (i/10 == 4) != (j/10 == 4) {
					o = OutcomeConnectTimeout
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
		if v.Class != ClassUnknown && (v.Class != ClassPartition || v.Confidence > ceilingOneSided) {
			t.Errorf("meanwhile %s: %s %.2f: %s", who, classWords(v), v.Confidence, v.Reason)
		}
	}
	z.blocked = func(_, _ zoneHost) bool { return false }
	z.run(60 * time.Second)
	z.expect(t, ClassPartition, "zone zone-c", "link zone-c→zone-a", "link zone-a→zone-c", "link zone-c→zone-b", "link zone-b→zone-c")
}

// Observers on the two sides of a cut each find fault with all on the other side,
// whom a third finds well. None of them is sick.
func TestObserversOnBothSidesOfACutAreBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		blocked func(a, b zoneHost) bool
		class   Class
		culprit string
	}{
		"two zones cannot see each other": {func(a, b zoneHost) bool {
			return a.zone == "zone-a" && b.zone == "zone-b" || a.zone == "zone-b" && b.zone == "zone-a"
		}, ClassPartition, "link zone-a→zone-b"},
		"one of them is sick": {func(a, _ zoneHost) bool { return a.zone == "zone-a" }, ClassNone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.times = 0
			cut := func(_, _ zoneHost) bool { return false } // for a probe from one to the other
			z.more = func(b *Batch) {
				for _, a := range z.agents {
					for i, n := range z.instances {
						if (int64(z.now/1e8)+int64(i))%20 != 0 {
							continue
						}
						outcome := OutcomeOK
						if cut(a.at, n.at) {
							outcome = OutcomeConnectTimeout
						}
						if n.at.zone == a.at.zone {
							continue
						}
						a.seq++
						b.Probes = append(b.Probes, Probe{Source: n.src, Target: "tcp://" + n.addr, Outcome: outcome, Interval: 2 * time.Second, Direct: true, RTT: time.Millisecond,
							Stamp: Stamp{Observer: a.id, At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: a.seq}})
					}
				}
			}
			z.run(time.Minute)
			cut = c.blocked
			z.run(20 * time.Second)
			z.expect(t, c.class, c.culprit, "link zone-b→zone-a")
			for _, ev := range z.events {
				if ev.Kind == contract.EventObserverDegraded && c.class == ClassPartition {
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
			z.more = func(b *Batch) {
				if (z.now/1e8)%10 == 0 {
					b.Probes = append(b.Probes, Probe{Stamp: z.stampOf(1), Source: z.who("svc1-b0").src, Target: target, Outcome: OutcomeOK, Interval: time.Second, Direct: true},
						Probe{Stamp: z.stampOf(1), Source: z.who("svc1-b0").src, Target: "process:svc1-b0", Outcome: OutcomeOK, Interval: time.Second, Process: &Process{State: ProcessRunning, PID: 7}})
				}
			}
			z.run(60 * time.Second)
			z.answer = func(_, to *zoned) Outcome {
				if to.src.Instance == "svc1-b0" {
					return OutcomeTimeout
				}
				return OutcomeOK
			}
			z.run(20 * time.Second)
			z.expect(t, ClassCrash, "instance svc1-b0")
		})
	}
}

func TestOneOfSeveralCallersThatGetsNoAnswerIsCutOff(t *testing.T) {
	for name, c := range map[string]struct {
		silent func(from, to *zoned) bool
		class  Class
	}{
		"while its sibling does": {func(from, to *zoned) bool { return from.src.Instance == "svc0-a0" && to.src.Instance == "svc1-b0" }, ClassPartition},
		"as all who call it":     {func(_, to *zoned) bool { return to.src.Instance == "svc1-b0" }, ClassCrash},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.times = 3
			z.never = func(from, to *zoned) bool { return from.at.name == "zone-b-h0" && to.at.name == "zone-a-h0" }
			z.run(60 * time.Second)
			z.answer = func(from, to *zoned) Outcome {
				if c.silent(from, to) {
					return OutcomeTimeout
				}
				return OutcomeOK
			}
			z.run(25 * time.Second)
			z.expect(t, c.class, "link svc0-a0→svc1-b0", "link svc1-b0→svc0-a0", "instance svc1-b0")
		})
	}
}
