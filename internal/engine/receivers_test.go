// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// What stock receivers tell, in a fleet.

// tell has an agent tell something every so often for d.
func (f *fleet) tell(every, d time.Duration, what func(b *report.Batch)) {
	for end := f.now.Add(d); f.now < end; {
		b := &report.Batch{Arrived: f.now}
		what(b)
		f.e.Observe(b)
		f.run(every)
	}
}

// levelsOf tells how full something of p, or of its host, is.
func levelsOf(src *report.Source, kind report.LevelKind, share float64) func(b *report.Batch) {
	return func(b *report.Batch) {
		l := report.Level{Source: src, Kind: kind, Share: share, At: b.Arrived}
		if kind == report.LevelPool && share >= 1 {
			l.Waiting = 5
		}
		b.Levels = append(b.Levels, l)
	}
}

func hostOf(p *proc) *report.Source { return &report.Source{Host: p.src.Host} }

// fails has p answer a share of its calls with failures of its own making, told
// by a metric.
func fails(p *proc, calls, failures int) func(b *report.Batch) {
	return func(b *report.Batch) {
		b.Served = append(b.Served, report.Served{Source: p.src, OK: calls - failures, Failed: failures, Faults: failures, Last: b.Arrived, Counted: true})
	}
}

func both(a, b func(*report.Batch)) func(*report.Batch) { return func(x *report.Batch) { a(x); b(x) } }

// byMetrics makes a fleet in which one service tells of its calls by metrics only.
func byMetrics(t *testing.T) (*fleet, *proc) {
	f := newFleet(t)
	p := f.add("ledger", "ledger-1")
	f.stock(p)
	return f, p
}

func TestCallsThatMetricsCountTellFailures(t *testing.T) {
	for _, every := range []time.Duration{10 * time.Second, 60 * time.Second} {
		calls := int(every / time.Second)
		t.Run(fmt.Sprintf("of_its_own_every_%v", every), func(t *testing.T) {
			f, p := byMetrics(t)
			f.tell(every, 10*time.Minute, fails(p, calls, 0))
			at := f.now
			f.tell(every, 3*time.Minute, fails(p, calls, calls*7/10))
			f.accused(at, 2*every+10*time.Second, verdict.ClassByzantine, "error_response", p.src.Name())
		})
		t.Run(fmt.Sprintf("for_a_full_disk_every_%v", every), func(t *testing.T) {
			f, p := byMetrics(t)
			f.tell(every, 10*time.Minute, both(fails(p, calls, 0), levelsOf(hostOf(p), report.LevelDisk, 0.7)))
			at := f.now
			f.tell(every, 3*time.Minute, both(fails(p, calls, calls*7/10), levelsOf(hostOf(p), report.LevelDisk, 1)))
			f.accused(at, 2*every+10*time.Second, verdict.ClassExhaustion, "disk", p.src.Name())
		})
		t.Run(fmt.Sprintf("for_a_disk_until_there_is_room_again_every_%v", every), func(t *testing.T) {
			f, p := byMetrics(t)
			f.tell(every, 10*time.Minute, both(fails(p, calls, 0), levelsOf(hostOf(p), report.LevelDisk, 0.7)))
			f.tell(every, 3*time.Minute, both(fails(p, calls, calls*7/10), levelsOf(hostOf(p), report.LevelDisk, 1)))
			f.tell(time.Second, time.Second, levelsOf(hostOf(p), report.LevelDisk, 0.7)) // told before the failures end
			f.tell(every, time.Second, fails(p, calls, calls*7/10))
			f.tell(every, 5*time.Minute, both(fails(p, calls, 0), levelsOf(hostOf(p), report.LevelDisk, 0.7)))
			for _, ev := range f.events {
				if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassByzantine {
					t.Errorf("said %s", ev.Body)
				}
			}
		})
		t.Run(fmt.Sprintf("none_while_the_disk_is_full_as_ever_every_%v", every), func(t *testing.T) {
			f, p := byMetrics(t)
			f.tell(every, 20*time.Minute, both(fails(p, calls, 0), levelsOf(hostOf(p), report.LevelDisk, 0.99)))
			f.nobodyAccused(false)
		})
	}
	for kind, sub := range map[report.LevelKind]string{report.LevelThrottled: "cpu", report.LevelCPUWait: "cpu", report.LevelPool: "connection_pool", report.LevelGC: "memory", report.LevelMemoryStall: "memory", report.LevelDiskIO: "disk_io"} {
		t.Run("that_are_slow_for_want_of_"+sub+"_"+kind.String(), func(t *testing.T) {
			f, p := byMetrics(t)
			slow := func(n int) func(*report.Batch) {
				return func(b *report.Batch) {
					b.Served = append(b.Served, report.Served{Source: p.src, OK: 60, Slow: n, Last: b.Arrived, Counted: true})
				}
			}
			f.tell(15*time.Second, 5*time.Minute, both(slow(0), levelsOf(p.src, kind, 0.01)))
			f.tell(15*time.Second, 5*time.Minute, both(slow(0), levelsOf(p.src, kind, 1))) // busy and fine
			f.nobodyAccused(false)
			f.tell(15*time.Second, 5*time.Minute, both(slow(0), levelsOf(p.src, kind, 0.01)))
			f.tell(15*time.Second, 5*time.Minute, both(slow(60), levelsOf(p.src, kind, 0.01))) // slow, and nothing is short
			for _, ev := range f.events {
				if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassExhaustion {
					t.Errorf("said %s", ev.Body)
				}
			}
			f.tell(15*time.Second, 20*time.Minute, both(slow(0), levelsOf(p.src, kind, 0.01)))
			at := f.now
			f.tell(15*time.Second, 2*time.Minute, both(slow(60), levelsOf(p.src, kind, 1)))
			f.accused(at, 45*time.Second, verdict.ClassExhaustion, sub, p.src.Name())
		})
	}
	t.Run("that_come_after_a_long_wait_for_a_pool", func(t *testing.T) {
		waits := func(p *proc, calls, failures int) func(*report.Batch) {
			return func(b *report.Batch) {
				b.Served = append(b.Served, report.Served{Source: p.src, OK: calls - failures, Failed: failures, Waited: failures, Last: b.Arrived, Counted: true})
			}
		}
		used := func(p *proc, share float64) func(*report.Batch) {
			return func(b *report.Batch) {
				b.Levels = append(b.Levels, report.Level{Source: p.src, Kind: report.LevelPool, Share: share, At: b.Arrived})
			}
		}
		f, p := byMetrics(t)
		f.tell(30*time.Second, 10*time.Minute, both(waits(p, 60, 0), used(p, 0.3)))
		at := f.now
		f.tell(30*time.Second, 3*time.Minute, both(waits(p, 60, 50), used(p, 1)))
		f.accused(at, 60*time.Second, verdict.ClassExhaustion, "connection_pool", p.src.Name())
		for _, ev := range f.events {
			if ev.Kind == contract.EventFailureCleared {
				t.Errorf("between two exports: %s", ev.Body)
			}
		}
		f.tell(30*time.Second, 2*time.Minute, both(waits(p, 60, 0), used(p, 0.3)))
		if f.first(contract.EventFailureCleared) == nil {
			t.Errorf("still held after two minutes: %s", f.dump())
		}

		f, p = byMetrics(t)
		f.tell(30*time.Second, 10*time.Minute, both(waits(p, 60, 0), used(p, 1)))
		f.tell(30*time.Second, 3*time.Minute, both(waits(p, 60, 50), used(p, 1))) // as full as ever
		for _, ev := range f.events {
			if ev.Verdict != nil && ev.Verdict.Class != verdict.ClassUnknown {
				t.Errorf("said %s", ev.Body)
			}
		}
	})
	t.Run("a_few_as_usual", func(t *testing.T) {
		f, p := byMetrics(t)
		f.tell(15*time.Second, 20*time.Minute, fails(p, 100, 2))
		f.nobodyAccused(false)
	})
	t.Run("that_callers_met_with", func(t *testing.T) {
		f, p := byMetrics(t)
		caller := f.add("payment", "payment-1")
		asked := func(o report.Outcome) func(*report.Batch) {
			return func(b *report.Batch) {
				b.Calls = append(b.Calls, report.Calls{Caller: caller.src, Callee: report.Callee{Address: "db:5432"}, Outcome: o, Count: 50, First: b.Arrived.Add(-15*time.Second + 1), Last: b.Arrived, Counted: true})
			}
		}
		f.tell(15*time.Second, 5*time.Minute, both(asked(report.OutcomeOK), fails(p, 10, 0)))
		at := f.now
		f.tell(15*time.Second, time.Minute, asked(report.OutcomeRefused))
		f.accused(at, 40*time.Second, verdict.ClassCrash, "process_exit", "db:5432")
	})
}

// Metrics are exported once a minute: who is not due to tell yet has not stopped answering,
// though callers of its service tell first that one of it fails them.
func TestWhoIsNotDueToTellYetHasNotStoppedAnswering(t *testing.T) {
	f := newFleet(t)
	var api []*proc
	for i := range 3 {
		p := f.add("api", fmt.Sprintf("api-%d", i))
		f.stock(p)
		api = append(api, p)
	}
	caller := f.add("web", "web-1")
	hung := -1
	tells := func(second int) func(*report.Batch) {
		return func(b *report.Batch) {
			for i, p := range api {
				if second%60 == 20*i && i != hung {
					fails(p, 60, 0)(b)
				}
			}
			if second%60 != 59 { // api-0 is due a second later
				return
			}
			asked := func(o report.Outcome, n int) {
				b.Calls = append(b.Calls, report.Calls{Caller: caller.src, Callee: report.Callee{Service: "api"}, Outcome: o, Count: n, First: b.Arrived.Add(-time.Minute + 1), Last: b.Arrived, Counted: true})
			}
			if asked(report.OutcomeOK, 180); hung >= 0 {
				asked(report.OutcomeTimeout, 60)
			}
		}
	}
	for second := range 900 {
		if second == 641 {
			hung = 1 // which has told just before
		}
		f.tell(time.Second, time.Second, tells(second))
	}
	for _, ev := range f.events {
		if v := ev.Verdict; v != nil && v.Class != verdict.ClassUnknown && ev.Entity != api[1].src.Name() {
			t.Errorf("said %s", ev.Body)
		}
	}
}

func TestLinesOfALogDoNotStandInForCounts(t *testing.T) {
	f, p := byMetrics(t)
	caller := f.add("payment", "payment-1")
	asked := func(o report.Outcome, hearsay bool) func(*report.Batch) {
		return func(b *report.Batch) {
			b.Calls = append(b.Calls, report.Calls{Caller: caller.src, Callee: report.Callee{Address: "db:5432"}, Outcome: o, Count: 50, First: b.Arrived.Add(-15*time.Second + 1), Last: b.Arrived, Counted: !hearsay, Hearsay: hearsay})
		}
	}
	f.tell(15*time.Second, 5*time.Minute, both(asked(report.OutcomeOK, false), both(asked(report.OutcomeRefused, true), fails(p, 10, 0))))
	if n := f.e.instance(caller.src); n.spanned != 0 {
		t.Error("a line of a log counts as a span")
	}
}

func TestMetricsAreNotHeededWhereSpansTellTheSame(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	// The count is of another time: the spans say that all is well.
	s.tell(10*time.Second, time.Minute, both(fails(s.ledger, 100, 90), func(b *report.Batch) {
		b.Calls = append(b.Calls, report.Calls{Caller: s.payment1.src, Callee: report.Callee{Address: s.ledger.addr, Direct: true}, Outcome: report.OutcomeTimeout, Count: 90, First: b.Arrived.Add(-time.Minute), Last: b.Arrived, Counted: true})
	}))
	s.nobodyAccused(true)
}

func TestLimitThatIsUsuallyReachedExplainsNoFailure(t *testing.T) {
	chronic := func(b *report.Batch, s *shop) {
		levelsOf(hostOf(s.ledger), report.LevelDisk, 0.99)(b)
		levelsOf(s.ledger.src, report.LevelThrottled, 0.9)(b)
		levelsOf(s.ledger.src, report.LevelCPU, 1)(b)
		levelsOf(s.ledger.src, report.LevelMemory, 0.97)(b)
	}
	for state, sub := range map[string]string{"dead": "process_exit", "frozen": "hang"} {
		t.Run(state, func(t *testing.T) {
			s := newShop(t)
			s.tell(10*time.Second, 10*time.Minute, func(b *report.Batch) { chronic(b, s) })
			s.nobodyAccused(false)
			s.ledger.state = state
			at := s.now
			s.tell(10*time.Second, 30*time.Second, func(b *report.Batch) { chronic(b, s) })
			s.accused(at, 11*time.Second, verdict.ClassCrash, sub, "ledger-1")
		})
	}
}

func TestLimitStandsBetweenTwoExports(t *testing.T) {
	var ls levels
	now := clock.Time(1e18)
	for range 4 {
		ls[report.LevelDisk].set(&report.Level{Kind: report.LevelDisk, Share: 1}, now, time.Hour, true)
		now = now.Add(time.Minute)
	}
	if !ls.short(report.LevelDisk, now.Add(50*time.Second)) {
		t.Error("told every minute, it stands for more than one")
	}
	if ls.short(report.LevelDisk, now.Add(5*time.Minute)) {
		t.Error("it stands for ever")
	}
	ls[report.LevelNodeDisk].set(&report.Level{Kind: report.LevelNodeDisk, Share: 1, Stands: 5 * time.Minute}, now, time.Hour, true)
	if !ls.short(report.LevelNodeDisk, now.Add(4*time.Minute)) || ls.short(report.LevelNodeDisk, now.Add(6*time.Minute)) {
		t.Error("what an event says stands as long as it says")
	}
}

func TestFullestOfSeveralCounts(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.e.Observe(&report.Batch{Arrived: s.now, Levels: []report.Level{
		{Source: s.ledger.src, Kind: report.LevelDisk, Share: 1}, {Source: s.ledger.src, Kind: report.LevelDisk, Share: 0.1}, // its other volume
	}})
	n := s.e.instance(s.ledger.src)
	if !n.levels.short(report.LevelDisk, s.e.now) {
		t.Error("the volume that was told last hides the full one")
	}
}

func TestNodesThatAreShort(t *testing.T) {
	pressed := func(s *shop) func(*report.Batch) { return levelsOf(hostOf(s.ledger), report.LevelNodeMemory, 1) }
	t.Run("and_hurt_nobody", func(t *testing.T) {
		s := newShop(t)
		s.tell(10*time.Second, time.Minute, levelsOf(hostOf(s.ledger), report.LevelNodeMemory, 0))
		s.tell(10*time.Second, 5*time.Minute, pressed(s))
		s.nobodyAccused(false)
	})
	t.Run("and_end_a_pod", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		at := s.now
		s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{
			{Source: s.ledger.src, Kind: report.FactEvicted, Value: int64(report.LevelMemory), At: s.now, Text: "The node was low on resource: memory."},
			{Source: s.ledger.src, Kind: report.FactStopping, At: s.now, Text: "Stopping container app"},
		}})
		s.ledger.state = "dead"
		s.run(20 * time.Second)
		v := s.accused(at, 3*time.Second, verdict.ClassExhaustion, "memory", s.ledger.src.Host)
		if v.Culprit.Type != verdict.CulpritNode {
			t.Errorf("culprit type %s", v.Culprit.Type)
		}
	})
	t.Run("a_pod_that_exceeds_its_own_limit", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		at := s.now
		s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{
			{Source: s.ledger.src, Kind: report.FactOverLimit, At: s.now, Text: "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi."},
			{Source: s.ledger.src, Kind: report.FactStopping, At: s.now, Text: "Stopping container app"},
		}})
		s.ledger.state = "dead"
		s.run(20 * time.Second)
		s.accused(at, 3*time.Second, verdict.ClassExhaustion, "disk", "ledger-1")
	})
}

func TestNodeReachesThoseWhoKnowOnlyTheirContainer(t *testing.T) {
	s := newShop(t)
	s.e.Observe(&report.Batch{Arrived: s.now, Places: []report.Place{{Source: s.ledger.src, Host: "node-7"}}})
	s.run(time.Minute)
	s.ledger.state = "dead"
	at := s.now
	s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: &report.Source{Host: "node-7"}, Kind: report.FactNodeDown, At: s.now, Text: "Kubernetes says that node node-7 is not ready"}}})
	s.run(15 * time.Second)
	s.accused(at, 8*time.Second, verdict.ClassCrash, "node_down", "node-7")
}

func TestPodsThatARollOutReplaces(t *testing.T) {
	// A worker that nobody calls goes without a word.
	worker := func(t *testing.T) (*shop, *proc) {
		s := newShop(t)
		w := s.add("mail", "mail-1")
		s.run(2 * time.Minute)
		return s, w
	}
	rollOut := func(s *shop, w *proc) {
		s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: w.src, Kind: report.FactDeploy, At: s.now, Text: "Scaled up replica set mail-85bc to 1"}}})
		s.run(5 * time.Second)
	}
	t.Run("are_not_missed", func(t *testing.T) {
		s, w := worker(t)
		rollOut(s, w)
		w.state = "dead"
		s.run(time.Minute)
		s.nobodyAccused(false)
	})
	t.Run("are_missed_without_one", func(t *testing.T) {
		s, w := worker(t)
		w.state = "dead"
		s.run(time.Minute)
		if s.first(contract.EventFailureDetected) == nil {
			t.Error("nobody misses it")
		}
	})
	t.Run("may_crash_all_the_same", func(t *testing.T) {
		s, w := worker(t)
		rollOut(s, w)
		w.state = "dead"
		at := s.now
		s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: w.src, Kind: report.FactExit, Value: 139, At: s.now}}})
		s.run(20 * time.Second)
		s.accused(at, 8*time.Second, verdict.ClassCrash, "process_exit", "mail-1")
	})
}

func TestProcessThatItsHostSees(t *testing.T) {
	seen := func(p *proc) func(*report.Batch) {
		return func(b *report.Batch) {
			if p.state != "dead" {
				b.Facts = append(b.Facts, report.Fact{Source: p.src, Kind: report.FactAlive, At: b.Arrived})
			}
		}
	}
	t.Run("killed_right_after_it_was_seen", func(t *testing.T) {
		s := newShop(t)
		s.tell(5*time.Second, time.Minute, seen(s.ledger))
		s.ledger.state = "dead"
		at := s.now
		s.tell(5*time.Second, 20*time.Second, seen(s.ledger))
		s.accused(at, 8*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
	})
	t.Run("silent_and_seen", func(t *testing.T) {
		s := newShop(t)
		s.tell(5*time.Second, time.Minute, seen(s.ledger))
		s.ledger.state = "frozen"
		at := s.now
		s.tell(5*time.Second, 20*time.Second, seen(s.ledger))
		s.accused(at, 8*time.Second, verdict.ClassCrash, "hang", "ledger-1")
		if n := s.e.instance(s.ledger.src); n.episode == nil || n.episode.found[belief.EvProcessRuns].strength == 0 {
			t.Errorf("nobody says that it runs: %s", s.dump())
		}
	})
}

func TestFullServerIsKnownByItsAddress(t *testing.T) {
	s := newShop(t)
	db := s.add("", "db")
	db.src, db.mute, db.beats = &report.Source{}, true, false
	s.calls(s.payment1, db)
	full := func(share float64) func(*report.Batch) {
		return func(b *report.Batch) {
			b.Levels = append(b.Levels, report.Level{Address: db.addr, Kind: report.LevelConnections, Share: share})
		}
	}
	s.tell(10*time.Second, 2*time.Minute, full(0.4))
	at := s.now
	s.tell(2*time.Second, 20*time.Second, both(full(1), func(b *report.Batch) {
		b.Calls = append(b.Calls, report.Calls{Caller: s.payment1.src, Callee: report.Callee{Address: db.addr, Direct: true}, Outcome: report.OutcomeOverloaded, Count: 30, First: b.Arrived, Last: b.Arrived})
	}))
	s.accused(at, 10*time.Second, verdict.ClassExhaustion, "connection_pool", db.addr)
}

// kubelet has the kubelet say that its probe of p failed; it says nothing else.
func kubelet(f *fleet, p *proc, target string, o report.Outcome) func(*report.Batch) {
	return func(b *report.Batch) {
		b.Probes = append(b.Probes, report.Probe{Stamp: f.stamp(), Source: p.src, Target: "kubelet:" + target, Outcome: o, Interval: 10 * time.Second, Direct: true})
	}
}

func TestReadinessProbesThatFail(t *testing.T) {
	t.Run("while_it_starts", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		p := s.add("search", "search-1")
		s.stock(p)
		s.tell(10*time.Second, 90*time.Second, kubelet(s.fleet, p, "readiness", report.OutcomeRefused))
		s.run(3 * time.Minute)
		s.nobodyAccused(false)
	})
	t.Run("while_it_starts_again_after_a_stop", func(t *testing.T) {
		s := newShop(t)
		s.run(2 * time.Minute)
		s.announce(s.payment2, report.StatusStopping)
		s.payment2.callers = nil
		s.payment2.state = "dead"
		s.run(5 * time.Second)
		s.payment2.restart()
		s.tell(10*time.Second, 20*time.Second, kubelet(s.fleet, s.payment2, "readiness", report.OutcomeRefused))
		s.run(2 * time.Minute)
		s.nobodyAccused(false)
	})
}
