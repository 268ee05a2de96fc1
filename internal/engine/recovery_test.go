// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// answers has p answer many calls a second for d, a share of them far slower than usual.
func (f *fleet) answers(p *proc, throttled float64, slow func() float64, d time.Duration) {
	for end := f.now.Add(d); f.now < end; {
		n := int(40 * slow())
		f.e.Observe(&report.Batch{Arrived: f.now,
			Served: []report.Served{{Source: p.src, OK: 40, Slow: n, Last: f.now}},
			Levels: []report.Level{{Source: p.src, Kind: report.LevelThrottled, Share: throttled, At: f.now}}})
		f.run(500 * time.Millisecond)
	}
}

// cleared counts the verdicts that were cleared since a time.
func (f *fleet) cleared(since clock.Time) (n int) {
	for _, ev := range f.events {
		if ev.Kind == contract.EventFailureCleared && ev.At > since {
			n++
		}
	}
	return n
}

// share is the same share at all times.
func share(x float64) func() float64 { return func() float64 { return x } }

func TestOneThatWasSlowIsWellOnceItAnswersAsFastAsEver(t *testing.T) {
	s := newShop(t)
	s.answers(s.ledger, 0, share(0), time.Minute)
	at := s.now
	s.answers(s.ledger, 0.6, share(1), 20*time.Second)
	s.accused(at, 15*time.Second, verdict.ClassExhaustion, "cpu", "ledger-1")
	if n := s.cleared(at); n != 0 {
		t.Fatalf("cleared %d times while it was slow", n)
	}
	over := s.now
	s.answers(s.ledger, 0, share(0.02), 12*time.Second)
	if s.cleared(over) == 0 {
		t.Errorf("still held 12 s after: %s", s.dump())
	}
	s.events = nil
	s.answers(s.ledger, 0, share(0.02), time.Minute)
	if ev := s.first(contract.EventFailureDetected); ev != nil {
		t.Errorf("it came again: %s", ev.Body)
	}
}

func TestOneThatIsSlowNowAndThenIsHeldAllTheWhile(t *testing.T) {
	s := newShop(t)
	s.answers(s.ledger, 0, share(0), time.Minute)
	at, i := s.now, 0
	s.answers(s.ledger, 0.6, func() float64 { // three seconds of five
		if i++; i%10 < 6 {
			return 0.9
		}
		return 0
	}, 40*time.Second)
	s.accused(at, 15*time.Second, verdict.ClassExhaustion, "cpu", "ledger-1")
	if n := s.cleared(at); n != 0 {
		t.Errorf("cleared %d times meanwhile", n)
	}
}

func TestFewAnswersAreNoSignThatOneIsFastAgain(t *testing.T) {
	e := New(DefaultParams())
	e.Tick(1e18)
	n := e.instance(report.NewSource(report.Source{Service: report.ServiceID{Name: "pay"}, Instance: "pay-1", Host: "h"}))
	p := n.episodeOf(e)
	n.served.total = 100
	n.served.pace.add(8, 0, e.now)
	if e.fastAgain(n, p) {
		t.Error("by eight answers")
	}
	n.served.pace.add(20, 0, e.now)
	if !e.fastAgain(n, p) {
		t.Error("not by 28")
	}
	n.verdict, n.cleared = &verdict.Verdict{}, e.now.Add(-time.Minute)
	if e.fastAgain(n, p) {
		t.Error("of one that had fallen back")
	}
}

func TestLoopIsLeftByWhoOutlivesItsEarlierLives(t *testing.T) {
	// starts has payment-1 start three times, wait apart, and live for so long before the last.
	starts := func(lives, apart time.Duration) (*shop, clock.Time) {
		s := newShop(t)
		s.payment1.watch = true
		s.run(time.Minute)
		for range 4 {
			s.payment1.state = "dead"
			s.run(apart - lives)
			s.payment1.restart()
			s.run(lives)
		}
		s.payment1.state = "dead"
		s.run(apart - lives)
		s.payment1.restart()
		return s, s.now
	}
	t.Run("it_died_at_once_and_was_started_late", func(t *testing.T) {
		s, at := starts(2*time.Second, 20*time.Second)
		s.run(15 * time.Second)
		if s.cleared(at) == 0 {
			t.Errorf("still held 15 s after: %s", s.dump())
		}
		s.events = nil
		s.run(time.Minute)
		if ev := s.first(contract.EventFailureDetected); ev != nil {
			t.Errorf("it came again: %s", ev.Body)
		}
	})
	t.Run("what_befalls_it_later_is_no_loop", func(t *testing.T) {
		s, _ := starts(2*time.Second, 20*time.Second)
		s.run(time.Minute)
		s.payment1.restart() // and nobody is hurt
		s.run(90 * time.Second)
		s.events = nil
		s.payment1.state = "cut"
		s.run(20 * time.Second)
		if ev := s.first(contract.EventFailureDetected); ev == nil || ev.Verdict.Subclass == "crash_loop" {
			t.Errorf("said: %+v", ev)
		}
	})
	t.Run("it_died_of_something_else_after_that", func(t *testing.T) {
		s, _ := starts(2*time.Second, 20*time.Second)
		s.run(2 * time.Minute)
		s.events = nil
		s.payment1.state = "dead"
		s.run(20 * time.Second)
		s.payment1.restart()
		at := s.now
		s.run(15 * time.Second)
		if said := s.saidOf(s.payment1); s.cleared(at) == 0 || !slices.Equal(said, []string{"crash/process_exit"}) {
			t.Errorf("said %v, left at %v: %s", said, s.cleared(at), s.dump())
		}
	})
	t.Run("it_falls_into_one_after_that", func(t *testing.T) {
		s, _ := starts(2*time.Second, 20*time.Second)
		s.run(2 * time.Minute)
		s.events = nil
		for range 4 {
			s.payment1.state = "dead"
			s.run(3 * time.Second)
			s.payment1.restart()
			s.run(2 * time.Second)
		}
		if said := s.saidOf(s.payment1); !slices.Contains(said, "crash/crash_loop") {
			t.Errorf("said %v", said)
		}
	})
	t.Run("it_lived_for_a_while_each_time", func(t *testing.T) {
		s, at := starts(12*time.Second, 20*time.Second)
		s.run(14 * time.Second)
		if s.cleared(at) != 0 {
			t.Error("cleared as soon as it had lived that long again")
		}
	})
}

// It went over to another observer, or a namesake beat there for a while.
func TestSilenceAtOneObserverDoesNotKeepWhoBeatsToAnother(t *testing.T) {
	for name, back := range map[string]bool{"it_is_back": true, "it_is_not": false} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.payment1.watch = true
			seq := uint64(0)
			two := func(d time.Duration, beats bool) {
				for end := s.now.Add(d); s.now < end; {
					s.run(time.Second)
					seq += 2
					stamp := report.Stamp{Observer: "node-2", At: s.now, Uptime: s.now.Sub(s.began) + time.Hour, Seq: seq}
					b := &report.Batch{Arrived: s.now, Observers: []report.ObserverBeat{{Stamp: stamp, Interval: time.Second, Host: "other-host"}}}
					if stamp.Seq++; beats {
						b.Beats = append(b.Beats, report.Beat{Stamp: stamp, Source: s.payment1.src, Interval: time.Second, Incarnation: s.payment1.incarnation, Seq: s.payment1.seq, SentAt: s.now})
					}
					s.e.Observe(b)
				}
			}
			two(2*time.Minute, true)
			two(time.Minute, false)
			s.payment1.state = "dead"
			two(15*time.Second, false)
			if s.first(contract.EventFailureDetected) == nil {
				t.Fatal("no verdict: this shows nothing")
			}
			at := s.now
			if back {
				s.payment1.restart()
			}
			two(30*time.Second, false)
			if got := s.cleared(at) > 0; got != back {
				t.Errorf("cleared: %v", got)
			}
		})
	}
}

func TestConnectionsThatWaitToSendAgainKeepNoCut(t *testing.T) {
	const began, later = clock.Time(10e9), clock.Time(20e9)
	o, other := &observer{}, &observer{}
	stuck := &probeState{observer: o, target: "connections:10.0.0.31:3306", passive: true, outcome: report.OutcomeUnacknowledged, first: began}
	for name, c := range map[string]struct {
		probe probeState
		open  bool
	}{
		"a probe fails and gets through again": {probeState{observer: o, target: "tcp://10.0.0.31:3306", outcome: report.OutcomeOK, run: 2, first: later}, true},
		"once may be chance":                   {probeState{observer: o, target: "tcp://10.0.0.31:3306", outcome: report.OutcomeOK, run: 1, first: later}, false},
		"it fails still":                       {probeState{observer: o, target: "tcp://10.0.0.31:3306", outcome: report.OutcomeConnectTimeout, run: 2, first: later}, false},
		"it never failed":                      {probeState{observer: o, target: "tcp://10.0.0.31:3306", outcome: report.OutcomeOK, run: 9, first: began}, false},
		"it goes to another port":              {probeState{observer: o, target: "tcp://10.0.0.31:22", outcome: report.OutcomeOK, run: 2, first: later}, false},
		"it comes from elsewhere":              {probeState{observer: other, target: "tcp://10.0.0.31:3306", outcome: report.OutcomeOK, run: 2, first: later}, false},
	} {
		n := &entity{probes: []*probeState{stuck, &c.probe}}
		if got := n.backsOff(stuck); got != c.open {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhenProbesAreAnsweredAgain(t *testing.T) {
	const passive = "connections:10.0.0.31:3306"
	for name, c := range map[string]struct {
		probes []probeState
		again  bool
	}{
		"nobody_probes":                 {nil, true},
		"once_may_be_chance":            {[]probeState{{outcome: report.OutcomeOK, run: 1}}, false},
		"twice":                         {[]probeState{{outcome: report.OutcomeOK, run: 2}}, true},
		"a_kernel_tells_it_once":        {[]probeState{{target: passive, passive: true, outcome: report.OutcomeOK, run: 1}}, true},
		"a_kernel_tells_that_it_is_not": {[]probeState{{target: passive, passive: true, outcome: report.OutcomeUnacknowledged, run: 3}}, false},
		"it_fails":                      {[]probeState{{outcome: report.OutcomeRefused, run: 5}}, false},
		"one_of_two_fails":              {[]probeState{{outcome: report.OutcomeOK, run: 9}, {outcome: report.OutcomeTimeout, run: 1}}, false},
		"one_of_two_was_answered_once":  {[]probeState{{outcome: report.OutcomeOK, run: 9}, {outcome: report.OutcomeOK, run: 1}}, false},
		"who_fails_looks_no_more":       {[]probeState{{outcome: report.OutcomeRefused, run: 5, at: 1}, {outcome: report.OutcomeOK, run: 2}}, true},
		"connections_wait_to_send_again": {[]probeState{{target: passive, passive: true, outcome: report.OutcomeUnacknowledged, run: 3, first: 1},
			{target: "tcp://10.0.0.31:3306", outcome: report.OutcomeOK, run: 2, first: 2}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.now = clock.Time(time.Hour)
			o, n := &observer{}, &entity{}
			for _, ps := range c.probes {
				ps.observer, ps.interval = o, 2*time.Second
				if ps.at == 0 {
					ps.at = e.now
				}
				n.probes = append(n.probes, &ps)
			}
			if again := e.probesAgain(n); again != c.again {
				t.Errorf("answered again: %v", again)
			}
		})
	}
}

func TestHowACalleeWasExcusesItsCallersForThatTime(t *testing.T) {
	e := New(DefaultParams())
	e.Tick(100e9)
	for name, c := range map[string]struct {
		onset, well, failed clock.Time
		excused             bool
	}{
		"it failed while the callee did": {60e9, 90e9, 89e9, true},
		"it fails still":                 {60e9, 90e9, 95e9, false},
		"it began afterwards":            {92e9, 90e9, 89e9, false},
		"that was long ago":              {40e9, 50e9, 49e9, false},
		"the callee never failed":        {60e9, 0, 0, false},
	} {
		n := &entity{calls: &callStats{failBegan: c.failed}}
		if got := e.hurtUntil(n, &episode{onset: c.onset}, c.well); got != c.excused {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestWhatIsLeftOfACutTakesNobodyFromIt(t *testing.T) {
	now := clock.Time(100e9)
	told := &cutState{entity: &entity{verdict: &verdict.Verdict{}}, at: now.Add(-12 * time.Second)}
	if rest := (&cutState{entity: &entity{}, at: now}); !told.outranks(rest, now) || rest.outranks(told, now) {
		t.Error("what is left of it goes before it")
	}
	if other := (&cutState{entity: &entity{verdict: &verdict.Verdict{}}, at: now}); told.outranks(other, now) {
		t.Error("one that is told by itself does not count")
	}
	if none := (*cutState)(nil); none.outranks(told, now) {
		t.Error("none goes before one")
	}
}
