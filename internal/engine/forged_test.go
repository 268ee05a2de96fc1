// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

const forger = "10.6.6.6"

// remote has everybody's heartbeats come from one address each.
func remote(s *shop) {
	for _, p := range s.procs {
		p.remote = "10.0.0." + p.src.Instance
	}
}

func TestForgedAnnouncementDoesNotHideAnUnseenKill(t *testing.T) {
	for name, c := range map[string]struct {
		signed bool
		forge  func(s *shop, b *report.Beat)
	}{
		"of_another_start":     {false, func(_ *shop, b *report.Beat) { b.Incarnation, b.Remote = 4711, "" }},
		"of_no_start":          {false, func(_ *shop, b *report.Beat) { b.Incarnation, b.Remote = 0, "" }},
		"from_elsewhere":       {false, func(_ *shop, b *report.Beat) { b.Remote = forger }},
		"unsigned_by_a_signer": {true, func(s *shop, b *report.Beat) { b.Authenticated, b.Remote = false, s.ledger.remote }},
	} {
		for _, status := range []report.Status{report.StatusStopping, report.StatusDraining} {
			t.Run(name, func(t *testing.T) {
				s := newShop(t)
				s.signed = c.signed
				remote(s)
				s.run(time.Minute)
				s.beatAs(s.ledger, func(b *report.Beat) {
					b.Seq++
					b.Status = status
					c.forge(s, b)
				})
				s.run(300 * time.Millisecond)
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
}

func TestAnnouncementOfOneWhoGoesOnExpires(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.announce(s.ledger, report.StatusStopping)
	s.run(45 * time.Second) // and beats on, and says nothing of its state
	s.ledger.state = "dead"
	at := s.now
	s.run(15 * time.Second)
	s.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
}

func TestForgedEndConvictsNobodyWhoLivesOn(t *testing.T) {
	for name, c := range map[string]struct {
		forge func(*report.Beat)
	}{
		"failed":                   {func(b *report.Beat) { b.Status = report.StatusFailed }},
		"exited_with_139":          {func(b *report.Beat) { b.HasExitCode, b.ExitCode = true, 139 }},
		"killed":                   {func(b *report.Beat) { b.HasExitCode, b.ExitCode = true, 137 }},
		"last_gasp":                {func(b *report.Beat) { b.Status = report.StatusLastGasp }},
		"exited_from_elsewhere":    {func(b *report.Beat) { b.HasExitCode, b.ExitCode, b.Remote = true, 139, forger }},
		"stopped_with_an_exit":     {func(b *report.Beat) { b.Status, b.HasExitCode, b.ExitCode = report.StatusStopping, true, 1 }},
		"a_beat_once_a_year":       {func(b *report.Beat) { b.Interval = 366 * 24 * time.Hour }},
		"many_starts":              {func(b *report.Beat) { b.Incarnation += b.Seq }},
		"a_count_at_the_very_end":  {func(b *report.Beat) { b.Seq = 1<<63 - 1 }},
		"an_order_of_a_wild_clock": {func(b *report.Beat) { b.SentAt = 1 << 62 }},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			remote(s)
			s.run(time.Minute)
			for range 20 {
				s.beatAs(s.ledger, func(b *report.Beat) {
					b.Seq++
					b.Remote = s.ledger.remote
					c.forge(b)
				})
				s.run(1300 * time.Millisecond)
			}
			s.nobodyAccused(true)
			s.run(time.Minute)
			s.events = nil
			s.ledger.state = "dead" // and its real end is seen
			at := s.now
			s.run(20 * time.Second)
			for _, ev := range s.events {
				if ev.Kind == contract.EventFailureDetected && ev.Verdict.Culprit.Name == "ledger-1" && ev.Verdict.Class == verdict.ClassCrash && ev.At.Sub(at) < 8*time.Second {
					return
				}
			}
			t.Errorf("its end was missed: %v %s", s.verdicts(), s.dump())
		})
	}
}

func TestEndThatItsOwnSenderTellsIsBelieved(t *testing.T) {
	s := newShop(t)
	remote(s)
	s.run(time.Minute)
	s.beatAs(s.ledger, func(b *report.Beat) {
		b.Seq++
		b.Remote, b.Status, b.HasExitCode, b.ExitCode = s.ledger.remote, report.StatusFailed, true, 139
	})
	s.ledger.state = "dead"
	at := s.now
	s.run(15 * time.Second)
	s.accused(at, 5*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
}

func TestUnsignedBeatsDoNotKeepASignersDeathSecret(t *testing.T) {
	s := newShop(t)
	s.signed = true
	s.run(time.Minute)
	s.ledger.state = "dead"
	at := s.now
	for range 15 { // by a receiver that asks for no key
		s.beatAs(s.ledger, func(b *report.Beat) {
			b.Stamp = report.Stamp{Observer: "lax", At: s.now, Uptime: s.now.Sub(s.began) + time.Hour, Seq: uint64(s.now)}
			b.Seq, b.Authenticated = b.Seq+uint64(s.now.Sub(at)/time.Second)+1, false
		})
		s.run(time.Second)
	}
	s.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
	if s.first(contract.EventIdentityConflict) == nil {
		t.Error("nobody was told of the forger")
	}
}

func TestKeysMayBeTakenAway(t *testing.T) {
	s := newShop(t)
	s.signed = true
	s.run(time.Minute)
	s.signed = false
	s.run(5 * time.Minute)
	s.nobodyAccused(true)
	for _, p := range s.procs {
		if n := s.e.instance(p.src); !n.streams[0].fresh() || n.episode != nil {
			t.Errorf("%s is not followed any more", n.name())
		}
	}
}

func TestOneForgedIntervalChangesNothing(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	n := s.e.instance(s.ledger.src)
	known := n.streams[0].gaps.Learned()
	s.beatAs(s.ledger, func(b *report.Beat) { b.Seq++; b.Interval = 366 * 24 * time.Hour })
	if got := n.streams[0].gaps; got.Learned() < known || got.Interval != time.Second {
		t.Errorf("interval %v, %d gaps, want those of before: %d", got.Interval, got.Learned(), known)
	}
	s.ledger.interval = 2 * time.Second // it was configured anew
	s.run(10 * time.Second)
	if got := n.streams[0].gaps.Interval; got != 2*time.Second {
		t.Errorf("interval %v, want what it says for good", got)
	}
}
