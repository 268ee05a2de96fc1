// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// evenFleet beats once a second, and loses a few beats at the beginning.
type evenFleet struct {
	quietFleet
	away int // who pauses
}

func (f *evenFleet) run(d time.Duration) {
	for range int(d / time.Second) {
		f.now = f.now.Add(time.Second)
		b := &report.Batch{Arrived: f.now}
		for i, p := range f.instances {
			if p.seq++; i != f.away && (i > 10 || p.seq != uint64(20+i)) {
				b.Beats = append(b.Beats, report.Beat{Stamp: f.stamp(f.now), Source: p.src, Interval: time.Second, Incarnation: p.inc, Seq: p.seq})
			}
		}
		f.e.Observe(b)
		f.e.Tick(f.now)
	}
}

func (f *evenFleet) pause(i int, d time.Duration) {
	f.away = i
	f.run(d)
	f.away = -1
	f.run(2 * outageShows)
}

func TestFleetLearnsPausesThatSeveralShow(t *testing.T) {
	f := &evenFleet{quietFleet: *newQuietFleet(60, 1), away: -1}
	f.run(3 * time.Minute)
	deadline := func() time.Duration { return f.e.fleet.Deadline(1e-9) }
	before := deadline()
	check := func(what string, times float64) {
		t.Helper()
		if after := deadline(); after > time.Duration(times*float64(before)) {
			t.Errorf("%s made the deadline of all %s, which was %s", what, after, before)
		}
	}
	for range 3 {
		f.pause(0, 20*time.Second)
	}
	f.pause(0, 10*time.Minute)
	check("one that pauses", 3.5)
	f.pause(1, 10*time.Minute)
	f.pause(2, 10*time.Minute)
	check("devices that sleep", 3.5)
	f.pause(3, 18*time.Second)
	if after := deadline(); after < 5*before {
		t.Errorf("two that pause have left the deadline at %s, which was %s", after, before)
	}
}

// A hang that was told as one, and hurt callers, is no pause that anybody may make: the
// next one that stops is missed as soon.
func TestFleetDoesNotLearnFromFailures(t *testing.T) {
	s := newShop(t)
	for i := range 8 {
		s.add("idle", "idle-"+string(rune('a'+i)))
	}
	s.loss = 0.005
	s.run(4 * time.Minute)
	s.loss = 0
	s.nobodyAccused(false)
	overdue := func(p *proc) time.Duration { return s.e.instance(p.src).streams[0].due }
	before := overdue(s.payment2)
	for _, hangs := range []*proc{s.payment1, s.ledger, s.payment1} {
		at := s.now
		hangs.state = "frozen"
		s.run(20 * time.Second)
		s.accused(at, 16*time.Second, verdict.ClassCrash, "hang", hangs.src.Instance)
		hangs.state = "up"
		s.run(2 * outageShows)
		s.events = nil
	}
	for _, p := range []*proc{s.payment1, s.payment2} {
		s.e.instance(p.src).streams[0].deadline(s.e)
		if after := overdue(p); after > 2*before {
			t.Errorf("%s is missed after %s, and was after %s", p.src.Instance, after, before)
		}
	}
}

func TestWhoIsBehindACutWasAwayHoweverLongItsFleetPauses(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	n := s.e.instance(s.payment1.src)
	beats := n.streams[0]
	beats.due = time.Minute
	if s.e.absent(beats, 20*time.Second) {
		t.Error("a pause that its fleet makes is an absence")
	}
	n.cutOff = &cutState{}
	if !s.e.absent(beats, 20*time.Second) {
		t.Error("who was not reached for as long was not away")
	}
	if s.e.absent(beats, 2*time.Second) {
		t.Error("a late beat is an absence")
	}
}

func TestBeatsThatAreLateForWantOfAProcessorAreNoHabit(t *testing.T) {
	n := &entity{verdict: &verdict.Verdict{Class: verdict.ClassExhaustion}}
	if !n.failedFor(6 * time.Second) {
		t.Error("learned")
	}
	n.verdict = nil
	if n.failedFor(6 * time.Second) {
		t.Error("a pause of one that is well is not learned")
	}
}
