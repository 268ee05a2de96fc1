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

// says has p write a line that means kind, each second for d, while a share of
// its answers fails.
func (f *fleet) says(p *proc, kind report.FactKind, text string, failing bool, d time.Duration) {
	for end := f.now.Add(d); f.now < end; {
		b := &report.Batch{Arrived: f.now, Facts: []report.Fact{{Source: p.src, Kind: kind, At: f.now, Text: text}}}
		if failing {
			b.Served = []report.Served{{Source: p.src, Failed: 12, Last: f.now}}
		}
		f.e.Observe(b)
		f.run(time.Second)
	}
}

func TestEngineNamesTheLimitThatRefused(t *testing.T) {
	for sub, c := range map[string]struct {
		kind report.FactKind
		text string
	}{
		"disk":             {report.FactDiskFull, "write /data/wal: no space left on device"},
		"file_descriptors": {report.FactNoDescriptor, "accept: too many open files"},
		"threads":          {report.FactNoThread, "unable to create native thread"},
		"ports":            {report.FactNoPort, "dial tcp 10.0.0.7:80: connect: cannot assign requested address"},
		"connection_pool":  {report.FactPoolEmpty, "timed out waiting for a connection from the pool"},
	} {
		t.Run(sub, func(t *testing.T) {
			s := newShop(t)
			s.run(time.Minute)
			at := s.now
			s.says(s.ledger, c.kind, c.text, true, 15*time.Second)
			s.accused(at, 10*time.Second, verdict.ClassExhaustion, sub, "ledger-1")
			s.run(time.Minute)
			if n := len(s.e.suspects); n != 0 {
				t.Errorf("%d still under suspicion a minute after: %s", n, s.dump())
			}
		})
	}
}

// Who has no descriptor left takes no connection, which looks like a hang. Who hangs keeps
// those who wait for it, and so comes to that limit, too, but later.
func TestWhoHasNoDescriptorLeftDoesNotHang(t *testing.T) {
	for name, c := range map[string]struct {
		later    time.Duration // that the limit is reached after the last answer
		class    verdict.Class
		subclass string
	}{
		"that is why it answers nobody":     {1800 * time.Millisecond, verdict.ClassExhaustion, "file_descriptors"},
		"that is because it answers nobody": {12 * time.Second, verdict.ClassCrash, "hang"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.ledger.watch, s.ledger.files, s.ledger.probe = true, 20, time.Second
			s.run(2 * time.Minute)
			at := s.now
			s.ledger.state = "deadlock"
			if c.later > 0 {
				s.run(c.later)
			}
			s.ledger.files = 100
			s.run(20 * time.Second)
			if v := s.e.instance(s.ledger.src).verdict; v == nil || v.Class != c.class || string(v.Subclass) != c.subclass {
				t.Errorf("after %v it is %v, want %s/%s; %s", s.now.Sub(at), v, c.class, c.subclass, s.dump())
			}
		})
	}
}

// All threads wait for one that does not answer, and no span tells of that: there are
// enough threads. What came meanwhile waits for them still when that is over.
func TestThreadsThatAllWaitAreNotTooFew(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.ledger.state = "deadlock"
	s.run(8 * time.Second)
	s.says(s.ledger, report.FactNoThread, "Task queue depth is 8", false, 4*time.Second)
	s.ledger.state = "up"
	s.says(s.ledger, report.FactNoThread, "Task queue depth is 9", false, 2*time.Second)
	s.run(30 * time.Second)
	for _, ev := range s.events {
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassExhaustion {
			t.Errorf("said %s", ev.Body)
		}
	}
}

func TestEngineTakesNoBusyResourceForAnExhaustedOne(t *testing.T) {
	t.Run("a_line_that_hurts_nobody", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.says(s.ledger, report.FactDiskFull, "no space left on device (old report)", false, 15*time.Second)
		s.nobodyAccused(false)
	})
	t.Run("throttled_batch_job", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		for range 30 {
			s.e.Observe(&report.Batch{Arrived: s.now, Probes: []report.Probe{{Stamp: s.stamp(), Source: s.ledger.src, Target: "process:ledger", Outcome: report.OutcomeOK, Interval: 2 * time.Second,
				Process: &report.Process{State: report.ProcessRunning, Throttled: 0.9, MemoryUsed: 99, MemoryLimit: 100, OOMKills: -1}}}})
			s.run(2 * time.Second)
		}
		s.nobodyAccused(false)
	})
}

func TestLimitThatRefusesNowAndThenIsOneFailure(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	at := s.now
	for range 10 {
		s.e.Observe(&report.Batch{Arrived: s.now,
			Facts:  []report.Fact{{Source: s.ledger.src, Kind: report.FactDiskFull, At: s.now, Text: "write: no space left on device"}},
			Served: []report.Served{{Source: s.ledger.src, Failed: 60, Last: s.now}}})
		s.run(4 * time.Second)
	}
	s.accused(at, 10*time.Second, verdict.ClassExhaustion, "disk", "ledger-1")
	for _, ev := range s.events {
		if ev.Kind == contract.EventFailureCleared {
			t.Errorf("after %v: %s", ev.At.Sub(at), ev.Body)
		}
	}
	s.run(20 * time.Second)
	if ev := s.first(contract.EventFailureCleared); ev == nil {
		t.Errorf("still held 20 s after the last refusal: %s", s.dump())
	}
}

func TestEngineNamesTheLimitThatEndedIt(t *testing.T) {
	s := newShop(t)
	s.ledger.watch = true
	s.run(time.Minute)
	at := s.now
	s.says(s.ledger, report.FactNoThread, "runtime/cgo: pthread_create failed: Resource temporarily unavailable", false, time.Second)
	s.ledger.state = "dead"
	s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.ledger.src, Kind: report.FactPanic, At: s.now, Text: "SIGABRT: abort"}}})
	s.run(10 * time.Second)
	s.accused(at, 10*time.Second, verdict.ClassExhaustion, "threads", "ledger-1")
}

func TestTurningCallersAway(t *testing.T) {
	refuse := func(s *shop, share int, d time.Duration) {
		for end := s.now.Add(d); s.now < end; {
			s.e.Observe(&report.Batch{Arrived: s.now, Calls: []report.Calls{
				{Caller: s.payment1.src, Callee: report.Callee{Address: s.ledger.addr, Direct: true}, Outcome: report.OutcomeOverloaded, Count: share, First: s.now, Last: s.now},
				{Caller: s.payment1.src, Callee: report.Callee{Address: s.ledger.addr, Direct: true}, Outcome: report.OutcomeOK, Count: 100 - share, First: s.now, Last: s.now},
			}})
			s.run(time.Second)
		}
	}
	t.Run("most_of_them", func(t *testing.T) {
		s := newShop(t)
		refuse(s, 0, time.Minute)
		at := s.now
		refuse(s, 70, 20*time.Second)
		s.accused(at, 12*time.Second, verdict.ClassExhaustion, "quota", "ledger-1")
	})
	t.Run("some_as_usual", func(t *testing.T) {
		s := newShop(t)
		refuse(s, 5, 5*time.Minute)
		s.nobodyAccused(false)
	})
}

// Who repeats what a callee answered is short of nothing.
func TestWordsOfACalleeAreNoWantOfItsCaller(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	for range 15 {
		s.e.Observe(&report.Batch{Arrived: s.now,
			Facts:  []report.Fact{{Source: s.gateway.src, Kind: report.FactPoolEmpty, At: s.now, Text: "checkout answered 502: connection pool exhausted"}},
			Calls:  []report.Calls{{Caller: s.gateway.src, Callee: report.Callee{Address: s.checkout.addr, Direct: true}, Outcome: report.OutcomeUnavailable, Count: 10, First: s.now, Last: s.now}},
			Served: []report.Served{{Source: s.gateway.src, Failed: 10, Last: s.now}}})
		s.run(time.Second)
	}
	for _, ev := range s.events {
		if ev.Verdict != nil && ev.Verdict.Class != verdict.ClassUnknown && ev.Verdict.Culprit.Name == "gateway-1" {
			t.Errorf("said %s", ev.Body)
		}
	}
}

// A line of a log that names a far address in another's words shows no way to it.
func TestHearsayShowsNoWay(t *testing.T) {
	s := newShop(t)
	hear := func(o report.Outcome) {
		s.e.Observe(&report.Batch{Arrived: s.now, Calls: []report.Calls{{Caller: s.gateway.src, Callee: report.Callee{Address: s.ledger.addr, Direct: true},
			Outcome: o, Count: 1, First: s.now, Last: s.now, Hearsay: true}}})
		s.run(time.Second)
	}
	s.run(time.Minute)
	hear(report.OutcomeRefused) // it came back once, by another
	for range 20 {
		hear(report.OutcomeConnectTimeout)
	}
	for _, ev := range s.events {
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassPartition {
			t.Errorf("said %s", ev.Body)
		}
	}
}

func TestOOMKillIsNoCrashWhateverElseShowsItsEnd(t *testing.T) {
	signs := []belief.Evidence{belief.EvSilent, belief.EvProbeRefused, belief.EvProbeStill, belief.EvCallersRefused, belief.EvStillRefused, belief.EvHostAlive, belief.EvProcessGone, belief.EvExitKilled, belief.EvReturnNew}
	end := func(why ...belief.Evidence) belief.Posterior {
		p := &episode{}
		for _, kind := range append(why, signs...) {
			p.note(kind, 1, 1, "it")
		}
		return belief.Weigh(p.strengths(1), belief.CauseHealthy, DefaultParams().Temperature)
	}
	if b := end(belief.EvOOMKill); b.Class(verdict.ClassExhaustion) < 0.9 {
		t.Errorf("exhaustion %.2f, crash %.2f", b.Class(verdict.ClassExhaustion), b.Class(verdict.ClassCrash))
	}
	if b := end(); b.Class(verdict.ClassCrash) < 0.9 {
		t.Errorf("without a kill for memory: exhaustion %.2f, crash %.2f", b.Class(verdict.ClassExhaustion), b.Class(verdict.ClassCrash))
	}
}

// Whom nobody ever saw work, and of whom only logs tell, is not accused, however
// it ends.
func TestHearsayConvictsNobody(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	for range 20 {
		s.e.Observe(&report.Batch{Arrived: s.now, Calls: []report.Calls{{Caller: s.gateway.src, Callee: report.Callee{Address: "10.9.9.9:4000", Direct: true},
			Outcome: report.OutcomeRefused, Count: 3, First: s.now, Last: s.now, Hearsay: true}}})
		s.run(time.Second)
	}
	s.run(2 * time.Minute)
	s.nobodyAccused(true)
}

// Who has no descriptor left can accept no connection, and need not say so: to its
// callers it hangs.
func TestWhoHangsForWantOfDescriptorsIsShortOfThem(t *testing.T) {
	for name, c := range map[string]struct {
		before, during int64
		class          verdict.Class
		subclass       string
	}{
		"they have run out":        {40, 100, verdict.ClassExhaustion, "file_descriptors"},
		"there are enough of them": {40, 40, verdict.ClassCrash, "hang"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			api, db := f.add("api", "api-1"), f.add("db", "db-1")
			f.calls(api, db)
			db.watch, db.probe, db.files = true, 2*time.Second, c.before
			f.run(time.Minute)
			db.files = c.during
			f.run(2 * time.Second)
			db.state = "deadlock"
			at := f.now
			f.run(20 * time.Second)
			f.accused(at, 15*time.Second, c.class, c.subclass, "db-1")
			if said := f.verdicts(); len(said) != 1 {
				t.Errorf("said %v", said)
			}
		})
	}
}

// Who has run out of memory collects garbage on all processors: that is no want of them.
func TestWhoRanOutOfMemoryIsNotShortOfProcessors(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	at := s.now
	for range 10 {
		s.e.Observe(&report.Batch{Arrived: s.now, Levels: []report.Level{
			{Source: s.ledger.src, Kind: report.LevelCPUWait, Share: 0.95, At: s.now}, {Source: s.ledger.src, Kind: report.LevelThrottled, Share: 0.9, At: s.now}}})
		s.says(s.ledger, report.FactOutOfMemory, "java.lang.OutOfMemoryError: Java heap space", true, 2*time.Second)
	}
	s.accused(at, 10*time.Second, verdict.ClassExhaustion, "memory", "ledger-1")
	for _, ev := range s.events {
		if v := ev.Verdict; v != nil && v.Subclass == "cpu" {
			t.Errorf("said %s", ev.Body)
		}
	}
}
