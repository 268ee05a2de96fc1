// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// says has p write a line that means kind, each second for d, while a share of
// its answers fails.
func (f *fleet) says(p *proc, kind FactKind, text string, failing bool, d time.Duration) {
	for end := f.now.Add(d); f.now < end; {
		b := &Batch{Arrived: f.now, Facts: []Fact{{Source: p.src, Kind: kind, At: f.now, Text: text}}}
		if failing {
			b.Served = []Served{{Source: p.src, Failed: 12, Last: f.now}}
		}
		f.e.Observe(b)
		f.run(time.Second)
	}
}

func TestEngineNamesTheLimitThatRefused(t *testing.T) {
	for sub, c := range map[string]struct {
		kind FactKind
		text string
	}{
		"disk":             {FactDiskFull, "write /data/wal: no space left on device"},
		"file_descriptors": {FactNoDescriptor, "accept: too many open files"},
		"threads":          {FactNoThread, "unable to create native thread"},
		"ports":            {FactNoPort, "dial tcp 10.0.0.7:80: connect: cannot assign requested address"},
		"connection_pool":  {FactPoolEmpty, "timed out waiting for a connection from the pool"},
	} {
		t.Run(sub, func(t *testing.T) {
			s := newShop(t)
			s.run(time.Minute)
			at := s.now
			s.says(s.ledger, c.kind, c.text, true, 15*time.Second)
			s.accused(at, 10*time.Second, ClassExhaustion, sub, "ledger-1")
			s.run(time.Minute)
			if n := len(s.e.suspects); n != 0 {
				t.Errorf("%d still under suspicion a minute after: %s", n, s.dump())
			}
		})
	}
}

func TestEngineTakesNoBusyResourceForAnExhaustedOne(t *testing.T) {
	t.Run("a_line_that_hurts_nobody", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.says(s.ledger, FactDiskFull, "no space left on device (old report)", false, 15*time.Second)
		s.nobodyAccused(false)
	})
	t.Run("throttled_batch_job", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		for range 30 {
			s.e.Observe(&Batch{Arrived: s.now, Probes: []Probe{{Stamp: s.stamp(), Source: s.ledger.src, Target: "process:ledger", Outcome: OutcomeOK, Interval: 2 * time.Second,
				Process: &Process{State: ProcessRunning, Throttled: 0.9, MemoryUsed: 99, MemoryLimit: 100, OOMKills: -1}}}})
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
		s.e.Observe(&Batch{Arrived: s.now,
			Facts:  []Fact{{Source: s.ledger.src, Kind: FactDiskFull, At: s.now, Text: "write: no space left on device"}},
			Served: []Served{{Source: s.ledger.src, Failed: 60, Last: s.now}}})
		s.run(4 * time.Second)
	}
	s.accused(at, 10*time.Second, ClassExhaustion, "disk", "ledger-1")
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
	s.says(s.ledger, FactNoThread, "runtime/cgo: pthread_create failed: Resource temporarily unavailable", false, time.Second)
	s.ledger.state = "dead"
	s.e.Observe(&Batch{Arrived: s.now, Facts: []Fact{{Source: s.ledger.src, Kind: FactPanic, At: s.now, Text: "SIGABRT: abort"}}})
	s.run(10 * time.Second)
	s.accused(at, 10*time.Second, ClassExhaustion, "threads", "ledger-1")
}

func TestTurningCallersAway(t *testing.T) {
	refuse := func(s *shop, share int, d time.Duration) {
		for end := s.now.Add(d); s.now < end; {
			s.e.Observe(&Batch{Arrived: s.now, Calls: []Calls{
				{Caller: s.payment1.src, Callee: Callee{Address: s.ledger.addr, Direct: true}, Outcome: OutcomeOverloaded, Count: share, First: s.now, Last: s.now},
				{Caller: s.payment1.src, Callee: Callee{Address: s.ledger.addr, Direct: true}, Outcome: OutcomeOK, Count: 100 - share, First: s.now, Last: s.now},
			}})
			s.run(time.Second)
		}
	}
	t.Run("most_of_them", func(t *testing.T) {
		s := newShop(t)
		refuse(s, 0, time.Minute)
		at := s.now
		refuse(s, 70, 20*time.Second)
		s.accused(at, 12*time.Second, ClassExhaustion, "quota", "ledger-1")
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
		s.e.Observe(&Batch{Arrived: s.now,
			Facts:  []Fact{{Source: s.gateway.src, Kind: FactPoolEmpty, At: s.now, Text: "checkout answered 502: connection pool exhausted"}},
			Calls:  []Calls{{Caller: s.gateway.src, Callee: Callee{Address: s.checkout.addr, Direct: true}, Outcome: OutcomeUnavailable, Count: 10, First: s.now, Last: s.now}},
			Served: []Served{{Source: s.gateway.src, Failed: 10, Last: s.now}}})
		s.run(time.Second)
	}
	for _, ev := range s.events {
		if ev.Verdict != nil && ev.Verdict.Class != ClassUnknown && ev.Verdict.Culprit.Name == "gateway-1" {
			t.Errorf("said %s", ev.Body)
		}
	}
}

// A line of a log that names a far address in another's words shows no way to it.
func TestHearsayShowsNoWay(t *testing.T) {
	s := newShop(t)
	hear := func(o Outcome) {
		s.e.Observe(&Batch{Arrived: s.now, Calls: []Calls{{Caller: s.gateway.src, Callee: Callee{Address: s.ledger.addr, Direct: true},
			Outcome: o, Count: 1, First: s.now, Last: s.now, Hearsay: true}}})
		s.run(time.Second)
	}
	s.run(time.Minute)
	hear(OutcomeRefused) // it came back once, by another
	for range 20 {
		hear(OutcomeConnectTimeout)
	}
	for _, ev := range s.events {
		if ev.Verdict != nil && ev.Verdict.Class == ClassPartition {
			t.Errorf("said %s", ev.Body)
		}
	}
}

func TestOOMKillIsNoCrashWhateverElseShowsItsEnd(t *testing.T) {
	signs := []evidence{evSilent, evProbeRefused, evProbeStill, evCallersRefused, evStillRefused, evHostAlive, evProcessGone, evExitKilled, evReturnNew}
	end := func(why ...evidence) belief {
		p := &episode{}
		for _, kind := range append(why, signs...) {
			p.note(kind, 1, 1, "it")
		}
		return weigh(p.strengths(1), causeHealthy, DefaultParams().Temperature)
	}
	if b := end(evOOMKill); b.class(ClassExhaustion) < 0.9 {
		t.Errorf("exhaustion %.2f, crash %.2f", b.class(ClassExhaustion), b.class(ClassCrash))
	}
	if b := end(); b.class(ClassCrash) < 0.9 {
		t.Errorf("without a kill for memory: exhaustion %.2f, crash %.2f", b.class(ClassExhaustion), b.class(ClassCrash))
	}
}

// Whom nobody ever saw work, and of whom only logs tell, is not accused, however
// it ends.
func TestHearsayConvictsNobody(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	for range 20 {
		s.e.Observe(&Batch{Arrived: s.now, Calls: []Calls{{Caller: s.gateway.src, Callee: Callee{Address: "10.9.9.9:4000", Direct: true},
			Outcome: OutcomeRefused, Count: 3, First: s.now, Last: s.now, Hearsay: true}}})
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
		class          Class
		subclass       string
	}{
		"they have run out":        {40, 100, ClassExhaustion, "file_descriptors"},
		"there are enough of them": {40, 40, ClassCrash, "hang"},
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
		s.e.Observe(&Batch{Arrived: s.now, Levels: []Level{
			{Source: s.ledger.src, Kind: LevelCPUWait, Share: 0.95, At: s.now}, {Source: s.ledger.src, Kind: LevelThrottled, Share: 0.9, At: s.now}}})
		s.says(s.ledger, FactOutOfMemory, "java.lang.OutOfMemoryError: Java heap space", true, 2*time.Second)
	}
	s.accused(at, 10*time.Second, ClassExhaustion, "memory", "ledger-1")
	for _, ev := range s.events {
		if v := ev.Verdict; v != nil && v.Subclass == "cpu" {
			t.Errorf("said %s", ev.Body)
		}
	}
}
