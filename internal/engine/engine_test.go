// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// shop is gateway → checkout → payment (two instances) → ledger.
type shop struct {
	*fleet
	gateway, checkout, payment1, payment2, ledger *proc
}

func newShop(t *testing.T) *shop {
	f := newFleet(t)
	s := &shop{fleet: f, gateway: f.add("gateway", "gateway-1"), checkout: f.add("checkout", "checkout-1"),
		payment1: f.add("payment", "payment-1"), payment2: f.add("payment", "payment-2"), ledger: f.add("ledger", "ledger-1")}
	f.calls(s.gateway, s.checkout)
	f.calls(s.checkout, s.payment1)
	f.calls(s.checkout, s.payment2)
	f.calls(s.payment1, s.ledger)
	f.calls(s.payment2, s.ledger)
	return s
}

// loop lets p die and come back five times.
func (f *fleet) loop(p *proc) {
	for range 5 {
		p.state = "dead"
		f.run(7 * time.Second)
		p.restart()
		f.run(6 * time.Second)
	}
}

func TestEngineNamesCrashes(t *testing.T) {
	t.Run("killed_while_it_beats_and_is_called", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.payment1.state = "dead"
		at := s.now
		s.run(15 * time.Second)
		v := s.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", "payment-1")
		if v.Culprit.Type != verdict.CulpritInstance || v.Culprit.Service.Name != "payment" {
			t.Errorf("culprit %+v", v.Culprit)
		}
	})
	t.Run("killed_soon_after_start", func(t *testing.T) {
		s := newShop(t)
		s.run(10 * time.Second)
		s.payment1.state = "dead"
		at := s.now
		s.run(15 * time.Second)
		s.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", "payment-1")
	})
	t.Run("killed_and_refused_by_a_probe_and_by_callers", func(t *testing.T) {
		s := newShop(t)
		s.payment1.probe = time.Second
		s.run(time.Minute)
		s.payment1.state = "dead"
		at := s.now
		s.run(15 * time.Second)
		s.accused(at, 3500*time.Millisecond, verdict.ClassCrash, "process_exit", "payment-1")
	})
	t.Run("killed_with_a_process_target", func(t *testing.T) {
		s := newShop(t)
		s.payment1.watch = true
		s.run(time.Minute)
		s.payment1.state = "dead"
		at := s.now
		s.run(15 * time.Second)
		s.accused(at, 4*time.Second, verdict.ClassCrash, "process_exit", "payment-1") // 2 s between looks
	})
	t.Run("exit_status_tells_at_once", func(t *testing.T) {
		for status, want := range map[int64]string{139: "process_exit", 2: "process_exit", 137: "process_exit"} {
			s := newShop(t)
			s.run(time.Minute)
			s.payment1.state = "dead"
			at := s.now
			s.run(500 * time.Millisecond)
			s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.payment1.src, Kind: report.FactExit, Value: status, At: s.now}}})
			s.run(5 * time.Second)
			s.accused(at, 2*time.Second, verdict.ClassCrash, want, "payment-1")
		}
	})
	t.Run("closed_port_while_it_beats", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.payment1.state = "closed"
		at := s.now
		s.run(15 * time.Second)
		s.accused(at, 6*time.Second, verdict.ClassCrash, "not_listening", "payment-1")
	})
	t.Run("crash_loop", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.loop(s.payment1)
		last := ""
		for _, ev := range s.events {
			if ev.Verdict != nil && ev.Kind != contract.EventFailureCleared && ev.Verdict.Class != verdict.ClassUnknown {
				last = string(ev.Verdict.Class) + "/" + string(ev.Verdict.Subclass)
			}
		}
		if last != "crash/crash_loop" {
			t.Errorf("at last said %q; %v", last, s.verdicts())
		}
	})
	t.Run("what_looped_and_is_well_again_is_not_held_against_it", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.loop(s.payment1)
		s.run(time.Minute)
		s.events = nil
		at := s.now
		s.payment1.state = "frozen"
		s.run(20 * time.Second)
		s.accused(at, 16*time.Second, verdict.ClassCrash, "hang", "payment-1")
	})
	t.Run("nor_after_a_restart_of_the_engine", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.loop(s.payment1)
		s.run(time.Minute)
		s.restartEngine(5 * time.Second)
		s.run(time.Minute)
		s.events = nil
		at := s.now
		s.payment1.state = "frozen"
		s.run(20 * time.Second)
		s.accused(at, 16*time.Second, verdict.ClassCrash, "hang", "payment-1")
	})
	t.Run("verdict_leaves_when_it_is_back", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.payment1.state = "dead"
		s.run(15 * time.Second)
		s.payment1.restart()
		at := s.now
		s.run(30 * time.Second)
		ev := s.first(contract.EventFailureCleared)
		if ev == nil || ev.At.Sub(at) > 15*time.Second {
			t.Fatalf("not cleared in time: %v %s", s.verdicts(), s.dump())
		}
		if s.first(contract.EventIncidentResolved) == nil {
			t.Error("incident not resolved")
		}
		if len(s.e.suspects) != 0 {
			t.Errorf("still suspects: %s", s.dump())
		}
	})
}

func TestEngineNamesHangs(t *testing.T) {
	for name, c := range map[string]struct {
		state  string
		probe  time.Duration
		within time.Duration
	}{
		// Alone on its machine: that may just pause.
		"stopped_with_a_probe":    {"frozen", 2 * time.Second, 11 * time.Second},
		"stopped_without_a_probe": {"frozen", 0, 11 * time.Second},
		"deadlock_with_a_probe":   {"deadlock", 2 * time.Second, 8 * time.Second},
		"deadlock_without_probe":  {"deadlock", 0, 3500 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.ledger.probe = c.probe
			s.run(time.Minute)
			s.ledger.state = c.state
			at := s.now
			s.run(20 * time.Second)
			s.accused(at, c.within, verdict.ClassCrash, "hang", "ledger-1")
		})
	}
}

func TestEngineAccusesNobody(t *testing.T) {
	t.Run("healthy_fleet", func(t *testing.T) {
		s := newShop(t)
		s.run(5 * time.Minute)
		s.nobodyAccused(false)
	})
	t.Run("announced_stop_and_restart", func(t *testing.T) {
		for _, away := range []time.Duration{2 * time.Second, 20 * time.Second, 10 * time.Minute} {
			s := newShop(t)
			s.payment1.probe = 2 * time.Second
			s.run(time.Minute)
			s.announce(s.payment1, report.StatusStopping)
			s.run(300 * time.Millisecond)
			s.payment1.state = "dead"
			s.run(away)
			s.payment1.restart()
			s.run(time.Minute)
			s.nobodyAccused(false)
			if away > 5*time.Second && s.first(contract.EventPlannedStop) == nil {
				t.Errorf("away for %v: no planned.stop", away)
			}
		}
	})
	t.Run("clean_exit_status", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.payment1.state = "dead"
		s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.payment1.src, Kind: report.FactExit, Value: 0, At: s.now}}})
		s.run(time.Minute)
		s.nobodyAccused(false)
	})
	t.Run("sigterm_in_the_log", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.payment1.src, Kind: report.FactStopping, At: s.now, Text: "SIGTERM received"}}})
		s.run(time.Second)
		s.payment1.state = "dead"
		s.run(20 * time.Second)
		s.payment1.restart()
		s.run(30 * time.Second)
		s.nobodyAccused(false)
	})
	t.Run("rolling_restart", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		for _, p := range []*proc{s.payment1, s.payment2} {
			s.announce(p, report.StatusDraining)
			s.run(time.Second)
			p.state = "dead"
			s.run(8 * time.Second)
			p.restart()
			s.run(10 * time.Second)
		}
		s.run(time.Minute)
		s.nobodyAccused(false)
	})
	t.Run("collector_paused_for_30_s", func(t *testing.T) {
		s := newShop(t)
		for _, p := range s.procs {
			p.probe = 2 * time.Second
		}
		s.run(time.Minute)
		s.asleep = true
		s.run(30 * time.Second)
		s.asleep = false
		s.run(time.Minute)
		s.nobodyAccused(false)
		if s.first(contract.EventObserverDegraded) == nil {
			t.Error("it did not say that it slept")
		}
		if s.first(contract.EventObserverRecovered) == nil {
			t.Error("it did not say that it is well again")
		}
	})
	t.Run("all_silent_at_once", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		for _, p := range s.procs {
			p.beats = false
			p.callers = nil
		}
		s.run(30 * time.Second)
		s.nobodyAccused(false)
		if s.first(contract.EventObserverDegraded) == nil {
			t.Error("no observer.degraded")
		}
	})
	t.Run("beats_end_while_callers_succeed", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.payment1.beats = false
		s.run(2 * time.Minute)
		s.nobodyAccused(true)
	})
}

func TestEngineSilenceAloneIsUnknown(t *testing.T) {
	f := newFleet(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		f.add("device", name)
	}
	f.run(time.Minute)
	f.procs[0].state = "dead"
	at := f.now
	f.run(time.Minute)
	ev := f.first(contract.EventFailureDetected)
	if ev == nil || ev.Verdict.Class != verdict.ClassUnknown {
		t.Fatalf("events %v, want unknown", f.verdicts())
	}
	if d := ev.At.Sub(at); d < 4*time.Second || d > 15*time.Second {
		t.Errorf("unknown after %v", d)
	}
	t.Log(ev.Body)
	f.nobodyAccused(true)
}

func TestSleepingDeviceDidNotHang(t *testing.T) {
	f := newFleet(t)
	for _, n := range []string{"a", "b", "c", "d"} {
		f.add("device", n)
	}
	f.run(time.Minute)
	f.procs[0].state = "frozen"
	f.run(30 * time.Second)
	f.procs[0].state = "up"
	f.run(30 * time.Second)
	f.nobodyAccused(true)
}

func TestEngineRevisesWhenASilenceEnds(t *testing.T) {
	for name, c := range map[string]struct {
		state string
		back  func(*proc)
		want  verdict.Class
		sub   string
	}{
		"same_process_that_counted_on_was_cut_off": {"cut", func(p *proc) { p.state = "up" }, verdict.ClassPartition, ""},
		"same_process_that_stood_still_hung":       {"frozen", func(p *proc) { p.state = "up" }, verdict.ClassCrash, "hang"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			for _, n := range []string{"a", "b", "c", "d"} {
				p := f.add("device", n)
				src := *p.src
				src.Host = "host" // one host: it did not sleep itself
				p.src = report.NewSource(src)
			}
			f.run(time.Minute)
			f.procs[0].state = c.state
			f.run(30 * time.Second)
			c.back(f.procs[0])
			f.run(30 * time.Second)
			v := f.accused(f.began, 3*time.Minute, c.want, c.sub, "a")
			if v.Previous != verdict.ClassUnknown {
				t.Errorf("previous class %q, want unknown", v.Previous)
			}
			if f.first(contract.EventFailureCleared) == nil {
				t.Error("not cleared")
			}
		})
	}
}

func TestEngineExcusesNoViolentEnd(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.announce(s.payment1, report.StatusStopping)
	s.run(time.Second)
	s.payment1.state = "dead"
	s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.payment1.src, Kind: report.FactExit, Value: 139, At: s.now}}})
	at := s.now
	s.run(10 * time.Second)
	s.accused(at, 2*time.Second, verdict.ClassCrash, "process_exit", "payment-1")
}

func TestEngineCallsAnOutOfMemoryKillExhaustion(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.payment1.state = "dead"
	at := s.now
	s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{
		{Source: s.payment1.src, Kind: report.FactOOMKill, At: s.now, Text: "its cgroup counted 1 out-of-memory kill"},
		{Source: s.payment1.src, Kind: report.FactExit, Value: 137, At: s.now},
	}})
	s.run(10 * time.Second)
	s.accused(at, 2*time.Second, verdict.ClassExhaustion, "oom_kill", "payment-1")
}

// One that was suspected for something else long before it died did not live on
// because it was heard in between.
func TestSignOfLifeFromBeforeTheRefusalsIsNone(t *testing.T) {
	for after := range 10 {
		s := newShop(t)
		s.payment1.probe = 500 * time.Millisecond
		s.run(time.Minute)
		s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.payment1.src, Kind: report.FactOutOfMemory, At: s.now, Text: "cannot allocate memory"}}})
		s.run(5*time.Second + time.Duration(after)*100*time.Millisecond)
		s.payment1.state = "dead"
		s.run(1500 * time.Millisecond)
		p := s.e.instance(s.payment1.src).episode
		if p == nil || p.found[belief.EvBeating].strength > 0 {
			t.Errorf("%d00 ms later: %s", after, s.dump())
		}
	}
}
