// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// newMachine is a fleet with two services on one machine, each called from
// another one.
func newMachine(t *testing.T, beats bool, tells time.Duration) (f *fleet, one, other *proc) {
	f = newFleet(t)
	one, other = f.add("cart", "cart-0"), f.add("mail", "mail-0")
	for _, p := range [...]*proc{one, other} {
		src := *p.src
		src.Host = "machine"
		p.src, p.beats = report.NewSource(src), beats
		c := f.add("shop-"+p.src.Instance, "shop-"+p.src.Instance)
		f.calls(c, p)
		if p == one {
			c.tells = tells
		}
	}
	f.run(60 * time.Second)
	return f, one, other
}

func TestMachineThatPausesDoesNotHang(t *testing.T) {
	for name, tc := range map[string]struct {
		beats bool
		tells time.Duration
		state string
		pause time.Duration
	}{
		"told_by_calls_alone":           {false, 500 * time.Millisecond, "frozen", 7 * time.Second},
		"told_late":                     {false, 4 * time.Second, "frozen", 5 * time.Second},
		"told_by_heartbeats":            {true, 500 * time.Millisecond, "frozen", 7 * time.Second},
		"its_balancer_refuses":          {true, 500 * time.Millisecond, "unlisted", 7 * time.Second},
		"its_balancer_refuses_no_beats": {false, 500 * time.Millisecond, "unlisted", 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f, one, other := newMachine(t, tc.beats, tc.tells)
			one.state, other.state = tc.state, tc.state
			f.run(tc.pause)
			one.state, other.state = "up", "up"
			f.run(60 * time.Second)
			f.nobodyAccused(true)
		})
	}
}

func TestOneThatStopsWhileItsMachineGoesOnIsAccused(t *testing.T) {
	for name, tc := range map[string]struct {
		state, subclass string
		beats           bool
		within          time.Duration
	}{
		"hangs":                         {"frozen", "hang", false, 9 * time.Second},
		"dies_and_its_balancer_refuses": {"unlisted", "process_exit", true, 9 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f, one, _ := newMachine(t, tc.beats, 0)
			one.state = tc.state
			from := f.now
			f.run(30 * time.Second)
			f.accused(from, tc.within, verdict.ClassCrash, tc.subclass, "cart-0")
		})
	}
}

func TestShortCutNeedsTwoEndsThatLiveThroughIt(t *testing.T) {
	const began = clock.Time(100 * time.Second)
	at := began.Add
	for name, tc := range map[string]struct {
		tried, near, far time.Duration // after it began
		passes           bool
	}{
		"both_ends_go_on":                 {5 * time.Second, 4 * time.Second, 3 * time.Second, false},
		"one_end_goes_on_only_afterwards": {5 * time.Second, 4 * time.Second, 6 * time.Second, true},
		"one_end_went_on_only_before":     {5 * time.Second, 4 * time.Second, -time.Second, true},
		"what_was_under_way_is_no_life":   {5 * time.Second, 4 * time.Second, 500 * time.Millisecond, true},
		"no_machine_pauses_for_so_long":   {11 * time.Second, 12 * time.Second, -time.Second, false},
		"calls_that_began_early_end_late": {time.Second / 2, 4 * time.Second, 4 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b, c := &hostState{name: "a"}, &hostState{name: "b"}, &hostState{name: "c"}
			e := New(DefaultParams())
			e.now = at(13 * time.Second)
			n := &entity{kind: kindLink}
			n.cut = &cutState{cut: cut{near: side{host: a}, far: side{host: b}}, entity: n, began: began, at: e.now, found: foundCut{bad: at(tc.tried + 2*time.Second)}}
			e.cuts = append(e.cuts, n.cut)
			one := &entity{host: c}
			e.livesOn([]sight{
				{from: a, to: b, target: &entity{host: b}, share: 1, tried: at(tc.tried)},
				{from: a, to: c, target: one, good: at(tc.near)},
				{from: c, to: b, caller: one, target: &entity{host: b}, good: at(tc.far)},
			})
			if got := e.cutMayPass(n, &episode{}); got != tc.passes {
				t.Errorf("may pass: %v, want %v", got, tc.passes)
			}
		})
	}
}

func TestWhatWaitedForAPausedOneIsNoDemand(t *testing.T) {
	const onset, back = clock.Time(100 * time.Second), clock.Time(106 * time.Second)
	for name, tc := range map[string]struct {
		counted clock.Time // until when its rate was counted, over 5 s
		slow    float64
		waited  bool
	}{
		"asked_more_just_after_it_went_on": {back.Add(4 * time.Second), 0, true},
		"still_asked_more_later":           {back.Add(15 * time.Second), 0, false},
		"and_slow":                         {back.Add(4 * time.Second), 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.now = back.Add(5 * time.Second)
			n := &entity{resumed: back, rate: stat.Rate{Span: stat.RateSpan, Began: tc.counted}}
			p := &episode{onset: onset}
			p.found[belief.EvDemand].strength, p.found[belief.EvSlow].strength = 1, tc.slow
			if got := e.onlyWaited(n, p); got != tc.waited {
				t.Errorf("only waited: %v, want %v", got, tc.waited)
			}
		})
	}
}

// watched has a process target on p say what state it is in, each d.
func (f *fleet) watched(p *proc, state report.ProcessState, every, lasts time.Duration) {
	for end := f.now.Add(lasts); f.now < end; {
		outcome := report.OutcomeOK
		if state != report.ProcessRunning {
			outcome = report.OutcomeOther
		}
		f.e.Observe(&report.Batch{Arrived: f.now, Probes: []report.Probe{{Stamp: f.stamp(), Source: p.src, Target: "process:" + p.src.Instance, Outcome: outcome, Interval: every,
			Process: &report.Process{State: state, PID: 7, OOMKills: -1}}}})
		f.run(every)
	}
}

// Who is seen to be stopped hangs, as soon as it is known to be so for longer than
// it takes to look into a process.
func TestStoppedProcessHangs(t *testing.T) {
	for name, tc := range map[string]struct {
		look, unseen time.Duration // between looks, and before the first
		within       time.Duration
	}{
		"looked_at_often":                       {time.Second, 0, 4 * time.Second},
		"missed_before_anybody_looked":          {5 * time.Second, 3500 * time.Millisecond, 4500 * time.Millisecond},
		"missed_only_after_somebody_had_looked": {5 * time.Second, 500 * time.Millisecond, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f, one, _ := newMachine(t, true, 0)
			one.state = "frozen"
			at := f.now
			f.run(tc.unseen)
			f.watched(one, report.ProcessStopped, tc.look, 15*time.Second)
			f.accused(at, tc.within, verdict.ClassCrash, "hang", "cart-0")
		})
	}
}

func TestMomentaryStopIsNoHang(t *testing.T) {
	t.Run("of_one", func(t *testing.T) {
		for _, look := range []time.Duration{200 * time.Millisecond, time.Second, 1900 * time.Millisecond} {
			f, one, _ := newMachine(t, true, 500*time.Millisecond)
			one.interval = 5 * time.Second // it owes no heartbeat meanwhile
			f.run(20 * time.Second)
			one.state = "frozen"
			f.watched(one, report.ProcessStopped, look, 1900*time.Millisecond)
			one.state = "up"
			f.watched(one, report.ProcessRunning, 5*time.Second, 20*time.Second)
			f.nobodyAccused(true)
		}
	})
	t.Run("of_all_on_its_machine", func(t *testing.T) {
		f, one, other := newMachine(t, true, 500*time.Millisecond)
		one.state, other.state = "frozen", "frozen"
		for range 7 {
			f.watched(one, report.ProcessStopped, 100*time.Millisecond, 100*time.Millisecond)
			f.watched(other, report.ProcessStopped, 900*time.Millisecond, 900*time.Millisecond)
		}
		one.state, other.state = "up", "up"
		f.watched(one, report.ProcessRunning, 100*time.Millisecond, 100*time.Millisecond)
		f.watched(other, report.ProcessRunning, time.Second, 20*time.Second)
		f.nobodyAccused(true)
	})
}

// One whose timer goes on between calls that it does not answer is not paused,
// however rarely it beats.
func TestDeadlockOfOneThatBeatsRarelyIsToldByItsHeartbeat(t *testing.T) {
	s := newShop(t)
	s.ledger.interval = 5 * time.Second
	s.run(90 * time.Second)
	s.ledger.state = "deadlock"
	at := s.now
	s.run(30 * time.Second)
	s.accused(at, 9500*time.Millisecond, verdict.ClassCrash, "hang", "ledger-1")
}

// A database that refuses for seconds on end is gone: a switch to its standby takes
// less.
func TestOutsideServerThatRefusesOnEndIsGone(t *testing.T) {
	for name, tc := range map[string]struct {
		away    time.Duration
		accused bool
	}{"for_good": {time.Minute, true}, "while_it_fails_over": {3 * time.Second, false}} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			db := s.add("db", "db-0")
			db.mute, db.beats = true, false
			s.calls(s.payment1, db)
			s.calls(s.payment2, db)
			s.run(time.Minute)
			at := s.now
			db.state = "dead"
			s.run(tc.away)
			db.state = "up"
			s.run(30 * time.Second)
			if tc.accused {
				s.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", db.addr)
			} else {
				s.nobodyAccused(true)
			}
		})
	}
}
