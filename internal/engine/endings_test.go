// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// note hands the engine facts about p, now.
func (f *fleet) note(p *proc, facts ...report.Fact) {
	for i := range facts {
		facts[i].Source, facts[i].At = p.src, f.now
	}
	f.e.Observe(&report.Batch{Arrived: f.now, Facts: facts})
}

var heapFull = report.Fact{Kind: report.FactOutOfMemory, Text: "java.lang.OutOfMemoryError: Java heap space"}

// A process that says that its memory ran out and then ends did so for want of it,
// however the end shows.
func TestEndForWantOfMemoryIsNoCrash(t *testing.T) {
	for name, end := range map[string]func(s *shop){
		"seen_by_its_callers":          func(*shop) {},
		"seen_by_a_process_target":     func(s *shop) { s.payment1.watch = true },
		"seen_by_its_exit_status":      func(s *shop) { s.note(s.payment1, report.Fact{Kind: report.FactExit, Value: 3}) },
		"aborted":                      func(s *shop) { s.note(s.payment1, report.Fact{Kind: report.FactExit, Value: 134}) },
		"killed_by_its_own_hook":       func(s *shop) { s.note(s.payment1, report.Fact{Kind: report.FactExit, Value: 137}) },
		"it_wrote_a_panic_as_well":     func(s *shop) { s.note(s.payment1, report.Fact{Kind: report.FactPanic, Text: "fatal error"}) },
		"called_by_nobody_but_a_probe": func(s *shop) { s.payment1.callers, s.payment1.probe = nil, time.Second },
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.payment1.watch = name == "seen_by_a_process_target"
			s.run(time.Minute)
			at := s.now
			s.note(s.payment1, heapFull)
			s.run(time.Second)
			s.payment1.state = "dead"
			end(s)
			s.run(20 * time.Second)
			s.accused(at, 12*time.Second, verdict.ClassExhaustion, "memory", "payment-1")
			for _, ev := range s.events {
				if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassCrash {
					t.Errorf("after %v said %s", ev.At.Sub(at), ev.Body)
				}
			}
		})
	}
}

// One that lived on after it had run out of memory, and then ends, ends of
// something else.
func TestEndLongAfterWantOfMemoryIsACrash(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.note(s.payment1, heapFull)
	s.run(45 * time.Second)
	at := s.now
	s.payment1.state = "dead"
	s.note(s.payment1, report.Fact{Kind: report.FactExit, Value: 139})
	s.run(20 * time.Second)
	s.accused(at, 5*time.Second, verdict.ClassCrash, "process_exit", "payment-1")
}

func TestWantOfMemoryThatHurtsNobodyIsNone(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.note(s.payment1, heapFull)
	s.run(time.Minute)
	s.nobodyAccused(false)
}

// A kill soon after one for want of memory is a failure of its own, and what is
// told late of the first one does not make it one for want of memory.
func TestKillSoonAfterAnOOMKillIsItsOwnFailure(t *testing.T) {
	for name, late := range map[string]time.Duration{"calls_are_told_at_once": 0, "calls_are_told_late": 10 * time.Second} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.payment1.watch, s.payment1.probe = true, time.Second
			s.checkout.tells = late
			s.run(time.Minute)
			die := func(facts ...report.Fact) {
				s.payment1.state = "dead"
				s.note(s.payment1, facts...)
				s.run(8 * time.Second)
				s.payment1.restart()
				s.run(20 * time.Second)
			}
			classes := func() (out []verdict.Class) {
				for _, ev := range s.events {
					if ev.Verdict != nil && ev.Verdict.Culprit.Name == "payment-1" && ev.Kind != contract.EventFailureCleared && (ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised) {
						out = append(out, ev.Verdict.Class)
					}
				}
				return out
			}
			die(report.Fact{Kind: report.FactOOMKill, Text: "its cgroup counted 1 out-of-memory kills"}, report.Fact{Kind: report.FactExit, Value: 137})
			for _, c := range classes() {
				if c != verdict.ClassExhaustion {
					t.Errorf("the first end: said %s; %v", c, s.verdicts())
				}
			}
			at := s.now
			s.events = nil
			die(report.Fact{Kind: report.FactExit, Value: 137})
			s.accused(at, 3*time.Second, verdict.ClassCrash, "process_exit", "payment-1")
			for _, c := range classes() {
				if c != verdict.ClassCrash {
					t.Errorf("the second end: said %s; %v", c, s.verdicts())
				}
			}
		})
	}
}

// A heartbeat from before it was killed does not say that it lives, however long ago
// the next one is due.
func TestHeartbeatFromBeforeTheEndIsNoSignOfLife(t *testing.T) {
	s := newShop(t)
	s.payment1.interval, s.checkout.tells = 5*time.Second, 5*time.Second
	s.run(time.Minute)
	for s.run(step); !s.due(s.payment1.interval, s.payment1.phase); s.run(step) {
	}
	s.run(3500 * time.Millisecond)
	s.e.Observe(&report.Batch{Arrived: s.now, Calls: []report.Calls{{Caller: s.checkout.src, Callee: report.Callee{Address: s.payment1.addr, Direct: true},
		Outcome: report.OutcomeReset, Count: 1, First: s.now, Last: s.now}}}) // somebody suspects it already
	s.run(2200 * time.Millisecond) // and it beats once more
	at := s.now
	s.payment1.state = "dead"
	s.note(s.payment1, report.Fact{Kind: report.FactExit, Value: 137})
	s.run(20 * time.Second)
	s.accused(at, 1500*time.Millisecond, verdict.ClassCrash, "process_exit", "payment-1")
}

// Who was killed is not well again before it is seen to live, though nobody has
// missed it yet, nor while it only starts.
func TestKilledOneIsNotWellBeforeItIsSeenToLive(t *testing.T) {
	for name, c := range map[string]struct {
		fact  report.Fact
		beats bool
	}{
		"heartbeats_of_5_s":     {report.Fact{Kind: report.FactOOMKill, Text: "its cgroup counted 1 out-of-memory kills"}, true},
		"nothing_but_its_spans": {report.Fact{Kind: report.FactExit, Value: 137}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.payment1.interval, s.payment1.beats, s.checkout.tells = 5*time.Second, c.beats, 5*time.Second
			s.run(time.Minute)
			s.payment1.state = "dead"
			s.note(s.payment1, c.fact)
			s.run(12 * time.Second)
			if ev := s.first(contract.EventFailureCleared); ev != nil {
				t.Errorf("while it was dead: %s", ev.Body)
			}
			s.note(s.payment1, report.Fact{Kind: report.FactStarted, Text: "Started container"})
			s.run(5 * time.Second)
			if ev := s.first(contract.EventFailureCleared); ev != nil {
				t.Errorf("while it started: %s", ev.Body)
			}
			s.payment1.restart()
			at := s.now
			s.run(25 * time.Second)
			if ev := s.first(contract.EventFailureCleared); ev == nil || ev.At.Sub(at) > 20*time.Second { // it beats every 5 s
				t.Errorf("not cleared 20 s after it was back: %v %s", s.verdicts(), s.dump())
			}
			if len(s.verdicts()) != 2 {
				t.Errorf("said more than its end: %v", s.verdicts())
			}
		})
	}
}

// Kubernetes says that a container ended in error and was started again: it crashed,
// though nobody was hurt. Whoever said that it would stop may have been ended by a signal.
func TestContainerThatEndedInErrorCrashed(t *testing.T) {
	for _, announced := range []bool{false, true} {
		f := newFleet(t)
		p := f.add("worker", "worker-1")
		p.beats, p.callEvery = false, time.Hour
		for range 4 {
			f.note(p, report.Fact{Kind: report.FactAlive}, report.Fact{Kind: report.FactRestarts, Value: 0})
			f.run(15 * time.Second)
		}
		if announced {
			f.note(p, report.Fact{Kind: report.FactStopping, Text: "shutting down"})
			f.run(5 * time.Second)
		}
		at := f.now
		f.note(p, report.Fact{Kind: report.FactRestarts, Value: 1}, report.Fact{Kind: report.FactExit, Value: report.ExitUntold, Text: "Kubernetes says that its container ended in error"})
		f.run(time.Minute)
		if announced {
			f.nobodyAccused(false)
		} else {
			f.accused(at, time.Second, verdict.ClassCrash, "process_exit", "worker-1")
		}
	}
}

// An exception that a server wrote of one request is not why it ends, if it ends in order.
func TestExceptionBeforeAnEndInOrderIsNoCrash(t *testing.T) {
	s := newShop(t)
	s.payment1.watch = true
	s.run(time.Minute)
	s.says(s.payment1, report.FactPanic, "Uncaught exception POST /charge", true, 12*time.Second)
	s.payment1.state = "dead"
	s.run(200 * time.Millisecond)
	s.note(s.payment1, report.Fact{Kind: report.FactExit, Value: 0})
	s.run(4 * time.Second)
	s.payment1.restart()
	s.run(30 * time.Second)
	s.nobodyAccused(true)
}

// A supervisor's word that a container was started is of another process where each draws
// an id of its own: the one that stopped in order is not back, and is not missed.
func TestWhoIsStartedUnderAnotherIdIsNotBack(t *testing.T) {
	s := newShop(t)
	s.payment1.drawn = true
	s.payment1.draw()
	s.run(2 * time.Minute)
	s.note(s.payment1, report.Fact{Kind: report.FactRestarts, Value: 0})
	s.run(15 * time.Second)
	old := *s.payment1
	s.payment1.state = "dead"
	s.run(2 * time.Second)
	s.note(s.payment1, report.Fact{Kind: report.FactExit, Value: 143})
	s.run(3 * time.Second)
	s.note(&old, report.Fact{Kind: report.FactRestarts, Value: 1})
	s.note(&old, report.Fact{Kind: report.FactStarted, Text: "Started container"})
	s.run(time.Second)
	if !s.e.instance(old.src).left {
		t.Error("it is missed")
	}
	s.payment1.restart()
	s.run(30 * time.Second)
	s.nobodyAccused(true)
}

// A word that comes late about one whose place is taken does not make it missed again.
func TestLateWordOfOneWhosePlaceIsTakenIsNoReturn(t *testing.T) {
	s := newShop(t)
	s.payment1.drawn = true
	s.payment1.draw()
	s.run(time.Minute)
	old := s.payment1.src
	s.payment1.state = "dead"
	s.note(s.payment1, report.Fact{Kind: report.FactExit, Value: 137})
	s.run(5 * time.Second)
	s.payment1.restart()
	s.run(15 * time.Second)
	s.events = nil
	for _, kind := range []report.FactKind{report.FactStarted, report.FactRestarts} {
		for n := range 2 {
			s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: old, Kind: kind, Value: int64(n), At: s.now}}})
			s.run(time.Second)
		}
	}
	s.run(time.Minute)
	s.nobodyAccused(false)
}

// Who ran out of memory in one request and goes on is not accused of what its callee
// does.
func TestWantOfMemoryInOneRequestIsNoFailure(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.note(s.payment1, heapFull)
	s.ledger.state = "deadlock"
	s.run(20 * time.Second)
	for _, ev := range s.events {
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassExhaustion {
			t.Errorf("said %s", ev.Body)
		}
	}
}

// A look at its process from before it came back from a stop in order does not say
// that it is gone.
func TestLookFromBeforeItCameBackIsNoEnd(t *testing.T) {
	f, one, _ := newMachine(t, true, 0)
	one.interval, one.callers = 5*time.Second, nil
	f.watched(one, report.ProcessRunning, 2*time.Second, 20*time.Second)
	f.announce(one, report.StatusReady)
	f.watched(one, report.ProcessRunning, 2*time.Second, 20*time.Second)
	f.announce(one, report.StatusStopping)
	one.state = "dead"
	f.watched(one, report.ProcessGone, 2*time.Second, 40*time.Second)
	one.restart()
	one.seq++
	f.e.Observe(&report.Batch{Arrived: f.now, // an agent sends both at once
		Probes: []report.Probe{{Stamp: f.stamp(), Source: one.src, Target: "process:cart-0", Outcome: report.OutcomeOther, Interval: 2 * time.Second, Process: &report.Process{State: report.ProcessGone, OOMKills: -1}}},
		Beats:  []report.Beat{{Stamp: f.stamp(), Source: one.src, Interval: one.interval, Incarnation: one.incarnation, Seq: one.seq, Status: report.StatusReady}}})
	f.run(1900 * time.Millisecond)
	f.watched(one, report.ProcessRunning, 2*time.Second, 20*time.Second)
	f.nobodyAccused(false)
}

// A stop in order tells nothing of how the process ends that came after it.
func TestEndSoonAfterAStopInOrderIsNotThatStop(t *testing.T) {
	s := newShop(t)
	s.payment2.watch = true
	s.run(20 * time.Second)
	s.payment2.state = "dead"
	s.note(s.payment2, report.Fact{Kind: report.FactExit, Value: 0})
	s.run(7 * time.Second)
	s.payment2.restart()
	s.run(16 * time.Second)
	at := s.now
	s.payment2.state = "dead"
	s.run(15 * time.Second)
	s.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", "payment-2")
}

// The kernel's log tells of a kill sooner than the agent looks at the process again: that
// it ran when it was last looked at is no recovery.
func TestAKillIsNotOverBecauseTheProcessRanBefore(t *testing.T) {
	f := newFleet(t)
	src := report.NewSource(report.Source{Service: report.ServiceID{Name: "catalog"}, Instance: "catalog-1", Host: "ap2"})
	p := report.Process{State: report.ProcessRunning, PID: 17, StartTime: 5, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
	ticks, killed := 0, clock.Time(0)
	wait := func(t time.Duration) {
		f.tell(500*time.Millisecond, t, func(b *report.Batch) {
			if ticks++; ticks%4 == 0 {
				stamp := f.stamp()
				stamp.Observer = "ap2"
				b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp, Interval: 2 * time.Second, Host: "ap2"})
				stamp.Seq++
				f.obsSeq++
				outcome := report.OutcomeOK
				if p.State != report.ProcessRunning {
					outcome = report.OutcomeOther
				}
				look := p
				b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Source: src, Target: "process:node:3000", Outcome: outcome, Interval: 2 * time.Second, Process: &look, Host: "ap2", Addresses: []string{"10.0.0.12:3000"}})
			}
			switch killed {
			case 0:
				b.Served = append(b.Served, report.Served{Source: src, OK: 4, Coded: 4, Last: b.Arrived})
			case 1:
				killed = b.Arrived
				b.Facts = append(b.Facts, report.Fact{Source: src, Kind: report.FactOOMKill, At: b.Arrived, Text: "Out of memory: Killed process 17"})
			}
		})
	}
	wait(time.Minute)
	killed = 1
	wait(500 * time.Millisecond) // right after a look
	p.State, p.HasExitCode, p.ExitCode = report.ProcessGone, true, 137
	wait(20 * time.Second)
	if got := f.verdicts(); len(got) != 1 || !strings.Contains(got[0], "oom_kill") {
		t.Errorf("said %v, want one verdict", got)
	}
}

// Clients of a cluster try again elsewhere when a member is killed, so that no call
// fails. Whose port stays closed without a word, and who was at work when it closed, was
// not taken out of service first.
func TestKilledMemberWhoseCallersAreWellIsMissed(t *testing.T) {
	for name, c := range map[string]struct {
		drains  time.Duration // from when nobody calls it any more until it ends
		away    time.Duration
		other   func(s *shop, p *proc) // happens meanwhile
		unknown bool
	}{
		"killed":                 {0, 50 * time.Second, nil, true},
		"taken_out_of_service":   {3 * time.Second, 50 * time.Second, nil, false},
		"restarted_slowly":       {0, 15 * time.Second, nil, false},
		"replaced":               {0, 50 * time.Second, func(s *shop, p *proc) { s.calls(s.checkout, s.add("member", "member-9")) }, false},
		"said_that_it_would_end": {0, 50 * time.Second, func(s *shop, p *proc) { s.note(p, report.Fact{Kind: report.FactStopping, Text: "SIGTERM received"}) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			p := s.add("member", "member-1")
			p.beats, p.mute, p.probe, p.callEvery = false, true, time.Second, 50*time.Millisecond
			s.calls(s.checkout, p)
			look := func(d time.Duration) { // another looks, too
				s.tell(time.Second, d, func(b *report.Batch) {
					o := report.OutcomeOK
					if p.state == "dead" {
						o = report.OutcomeRefused
					}
					stamp := s.stamp()
					stamp.Observer = "node-2"
					b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp, Interval: time.Second, Host: "node-2"})
					b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Source: p.src, Target: "http://" + p.addr, Outcome: o, Interval: time.Second, Direct: true})
				})
			}
			look(2 * time.Minute)
			p.callers = nil
			look(c.drains)
			p.state = "dead"
			at := s.now
			if c.other != nil {
				c.other(s, p)
			}
			look(c.away)
			if c.unknown {
				ev := s.first(contract.EventFailureDetected)
				if ev == nil || ev.Verdict.Class != verdict.ClassUnknown || ev.Verdict.Culprit.Name != "member-1" || ev.At.Sub(at) > 25*time.Second {
					t.Errorf("told %v, want unknown of member-1; %s", s.verdicts(), s.dump())
				}
				return
			}
			p.state = "up"
			look(20 * time.Second)
			s.nobodyAccused(false)
		})
	}
}

// All of a service is stopped before others are started in its place. Callers, who know it
// by its name alone, are refused meanwhile.
func TestAServiceOfWhichAllStopInOrderIsNoCrash(t *testing.T) {
	for name, c := range map[string]struct {
		say     int           // of two, who say that they will stop
		away    time.Duration // until others answer
		accused bool
	}{
		"both_say_so":                 {say: 2, away: 20 * time.Second},
		"one_says_nothing":            {say: 1, away: 20 * time.Second, accused: true},
		"nobody_comes_in_their_place": {say: 2, away: 3 * time.Minute, accused: true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			checkout := f.add("checkout", "checkout-1")
			ledgers := func(ids ...string) (all []*proc) {
				for _, id := range ids {
					p := f.add("ledger", id)
					p.addr, p.beats, p.state = "ledger:8080", false, "unlisted"
					f.calls(checkout, p)
					all = append(all, p)
				}
				return all
			}
			old := ledgers("ledger-a", "ledger-b")
			for _, p := range old {
				p.state = "up"
			}
			f.run(2 * time.Minute)
			for _, p := range old[:c.say] {
				f.note(p, report.Fact{Kind: report.FactStopping, Text: "Commencing graceful shutdown"})
			}
			f.run(time.Second)
			for _, p := range old {
				p.state = "unlisted"
			}
			f.run(c.away)
			for _, p := range ledgers("ledger-c", "ledger-d") {
				p.state = "up"
			}
			for _, p := range old {
				p.callers = nil
			}
			f.run(time.Minute)
			if !c.accused {
				f.nobodyAccused(false)
				return
			}
			if f.first(contract.EventFailureDetected) == nil {
				t.Errorf("nobody accused: %s", f.dump())
			}
		})
	}
}
