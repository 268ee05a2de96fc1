// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// again sends p's beat of some counts ago anew, each second for d.
func (f *fleet) again(p *proc, behind uint64, signed bool, d time.Duration) {
	for end := f.now.Add(d); f.now < end; {
		f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: f.stamp(), Source: p.src, Interval: time.Second,
			Incarnation: p.incarnation, Seq: p.seq - behind, Authenticated: signed}}})
		f.run(time.Second)
	}
}

func TestReplayedBeats(t *testing.T) {
	t.Run("signed", func(t *testing.T) {
		s := newShop(t)
		s.signed = true
		s.run(time.Minute)
		at := s.now
		s.again(s.ledger, 10, true, 10*time.Second)
		v := s.accused(at, 5*time.Second, verdict.ClassByzantine, "forged_identity", "ledger-1")
		if got := s.e.Snapshot().Answer(s.ledger.src, nil, s.now); got == nil || got.Class != v.Class {
			t.Error("what is answered in a forged name is not tagged")
		}
		s.run(30 * time.Second)
		if s.first(contract.EventFailureCleared) == nil {
			t.Error("it is held half a minute after the last")
		}
	})
	t.Run("unsigned", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.again(s.ledger, 10, false, 10*time.Second)
		s.nobodyAccused(false)
		if s.first(contract.EventIdentityConflict) == nil {
			t.Error("nobody was told")
		}
	})
	t.Run("retries", func(t *testing.T) {
		s := newShop(t)
		s.signed = true
		s.run(time.Minute)
		s.again(s.ledger, 1, true, 10*time.Second)
		s.nobodyAccused(false)
	})
	t.Run("overtaken_while_the_observer_stood_still", func(t *testing.T) { // what waited comes in any order
		s := newShop(t)
		s.signed = true
		s.run(time.Minute)
		first := s.ledger.seq + 1
		s.ledger.beats = false
		for i := range uint64(12) {
			n := s.ledger
			n.seq = first + 11 - i/2
			if i%2 == 1 {
				n.seq = first + i/2
			}
			s.e.Observe(&report.Batch{Arrived: s.now, Beats: []report.Beat{{Stamp: s.stamp(), Source: n.src, Interval: time.Second,
				Incarnation: n.incarnation, Seq: n.seq, Authenticated: true}}})
			s.e.Observe(&report.Batch{Arrived: s.now, Beats: []report.Beat{{Stamp: s.stamp(), Source: n.src, Interval: time.Second,
				Incarnation: n.incarnation, Seq: first + 12 + i, Authenticated: true}}})
		}
		s.ledger.seq, s.ledger.beats = first+24, true
		s.run(20 * time.Second)
		s.nobodyAccused(false)
	})
	t.Run("do_not_keep_the_dead_alive", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		at := s.now
		s.ledger.state = "dead"
		s.again(s.ledger, 10, true, 20*time.Second)
		s.accused(at, 10*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
	})
	t.Run("recorded_ones_do_not_keep_the_dead_alive", func(t *testing.T) {
		s := newShop(t)
		s.signed = true
		s.run(time.Minute)
		at, seq, from := s.now, s.ledger.seq-40, s.now.Add(-40*time.Second)
		s.ledger.state = "dead"
		for i := range 20 {
			s.e.Observe(&report.Batch{Arrived: s.now, Beats: []report.Beat{{Stamp: s.stamp(), Source: s.ledger.src, Interval: time.Second,
				Incarnation: s.ledger.incarnation, Seq: seq + uint64(i), SentAt: from.Add(time.Duration(i) * time.Second), Authenticated: true}}})
			s.run(time.Second)
		}
		s.accused(at, 10*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
		if s.first(contract.EventIdentityConflict) == nil {
			t.Error("nobody was told")
		}
	})
	t.Run("of_one_who_beats_rarely_and_is_set_back", func(t *testing.T) {
		f := newFleet(t)
		p := f.add("meter", "m-1")
		f.add("meter", "m-2")
		p.interval = time.Minute
		f.run(30 * time.Minute)
		p.seq -= 20
		f.run(30 * time.Minute)
		f.nobodyAccused(false)
	})
	t.Run("count_backwards", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.ledger.seq += 1000
		for range 300 {
			s.ledger.seq -= 2 // each beat adds one
			s.run(time.Second)
		}
		s.nobodyAccused(false)
		if s.first(contract.EventIdentityConflict) == nil {
			t.Error("nobody was told")
		}
		at := s.now
		s.ledger.state = "dead"
		s.run(20 * time.Second)
		s.accused(at, 10*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
	})
	t.Run("set_back_to_a_snapshot", func(t *testing.T) {
		s := newShop(t)
		s.run(time.Minute)
		s.ledger.seq -= 40
		s.run(2 * time.Minute)
		s.signed = true
		s.run(time.Minute)
		s.ledger.seq -= 40
		s.run(2 * time.Minute)
		s.nobodyAccused(false)
	})
}

// between sends p's latest count again, with a word and when it was sent.
func (f *fleet) between(p *proc, sent clock.Time, change func(*report.Beat)) {
	f.beatAs(p, func(b *report.Beat) {
		b.SentAt, b.Remote, b.Authenticated = sent, p.remote, f.signed
		change(b)
	})
}

func TestWordBetweenTwoTicks(t *testing.T) {
	stops := func(b *report.Beat) { b.Status = report.StatusStopping }
	fails := func(b *report.Beat) { b.Status, b.HasExitCode, b.ExitCode = report.StatusFailed, true, 139 }
	t.Run("goodbye", func(t *testing.T) {
		s := newShop(t)
		remote(s)
		s.run(time.Minute)
		s.between(s.ledger, s.now, stops)
		s.ledger.state = "unlisted"
		s.ledger.callers, s.ledger.probe, s.ledger.watch = nil, 0, false
		s.run(30 * time.Second)
		s.nobodyAccused(false)
		if s.first(contract.EventPlannedStop) == nil {
			t.Error("it does not pass for a stop on purpose")
		}
	})
	t.Run("end", func(t *testing.T) {
		s := newShop(t)
		remote(s)
		for _, p := range s.procs {
			p.probe, p.watch, p.callers = 0, false, nil
		}
		s.run(time.Minute)
		s.between(s.ledger, s.now, fails)
		s.ledger.state = "dead"
		at := s.now
		s.run(30 * time.Second)
		s.accused(at, 15*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
	})
	for name, c := range map[string]struct {
		signed bool
		sent   time.Duration // after its latest
		change func(*report.Beat)
	}{
		"copy_of_the_latest":       {true, 0, stops},
		"one_of_before":            {true, -10 * time.Second, stops},
		"unsigned_by_a_signer":     {true, time.Second / 2, func(b *report.Beat) { stops(b); b.Authenticated = false }},
		"forged_from_elsewhere":    {false, time.Second / 2, func(b *report.Beat) { stops(b); b.Remote = forger }},
		"forged_for_another_start": {false, time.Second / 2, func(b *report.Beat) { stops(b); b.Incarnation = 4711 }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.signed = c.signed
			remote(s)
			s.run(time.Minute)
			s.between(s.ledger, s.e.instance(s.ledger.src).streams[0].sent.Add(c.sent), c.change)
			s.ledger.state = "dead"
			at := s.now
			s.run(15 * time.Second)
			s.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
			if s.first(contract.EventPlannedStop) != nil {
				t.Error("it passed for a stop on purpose")
			}
		})
	}
}

func TestHostPort(t *testing.T) {
	for target, want := range map[string]string{
		"http://10.0.0.1:8080/health": "10.0.0.1:8080", "https://api.example": "api.example:443", "http://a/b": "a:80",
		"tcp://[::1]:6379": "[::1]:6379", "dns://ns/x": "", "process:1": "", "http://[::1]/": "[::1]:80",
	} {
		if got := hostPort(target); got != want {
			t.Errorf("hostPort(%q) = %q, want %q", target, got, want)
		}
	}
}
