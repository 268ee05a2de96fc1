// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// beatAs sends one heartbeat in p's name, as it comes from elsewhere.
func (f *fleet) beatAs(p *proc, change func(*report.Beat)) {
	b := report.Beat{Stamp: f.stamp(), Source: p.src, Interval: p.interval, Incarnation: p.incarnation, Seq: p.seq, SentAt: f.now, Remote: "10.1.1.1", Authenticated: f.signed}
	change(&b)
	f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{b}})
}

// A mistake in who is who is told as such and is nobody's failure.
func TestOneIdentityForSeveralIsAConflict(t *testing.T) {
	for name, c := range map[string]struct {
		signed bool
		each   func(s *shop, i int) // once a second
	}{
		"four_copies_of_one_id_one_after_the_other": {each: func(s *shop, i int) {
			for twin := range 3 {
				s.beatAs(s.ledger, func(b *report.Beat) { b.Incarnation, b.Seq = 900+uint64(twin), uint64(1000*twin+i) })
			}
		}},
		"copies_of_a_signing_machine": {signed: true, each: func(s *shop, i int) {
			s.beatAs(s.ledger, func(b *report.Beat) { b.Incarnation, b.Seq, b.Digest = 0, uint64(i), fmt.Sprint("mine ", i) })
			s.beatAs(s.ledger, func(b *report.Beat) { b.Incarnation, b.Seq, b.Digest = 0, uint64(i), fmt.Sprint("its ", i) })
		}},
		"devices_behind_one_NAT_that_name_no_instance": {each: func(s *shop, i int) {
			nat := &proc{src: report.NewSource(report.Source{Service: report.ServiceID{Name: "meter"}}), interval: time.Second}
			for device := range 5 {
				s.beatAs(nat, func(b *report.Beat) { b.Incarnation, b.Seq = 0, uint64(1000*device+i+1) })
			}
		}},
		"more_copies_of_one_id_than_are_remembered": {each: func(s *shop, i int) {
			for twin := range 20 {
				s.beatAs(s.ledger, func(b *report.Beat) { b.Incarnation, b.Seq = 900+uint64(twin), uint64(1000*twin+i) })
			}
		}},
		"counts_that_are_scraped_by_a_virtual_address": {each: func(s *shop, i int) {
			kind := report.FactBackwards
			if i%5 == 1 {
				kind = report.FactTwins
			}
			if i%5 < 2 || i > 20 && i < 25 {
				s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.ledger.src, Kind: kind, At: s.now, Text: "its count fell"}}})
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.signed = c.signed
			s.run(time.Minute)
			for i := range 60 {
				c.each(s, i)
				s.run(time.Second)
			}
			s.nobodyAccused(false)
			if s.first(contract.EventIdentityConflict) == nil {
				t.Error("nobody was told of the conflict")
			}
			if t.Failed() {
				t.Log(s.dump())
			}
		})
	}
}

func TestWhatOnlyLooksLikeAnotherIsNoConviction(t *testing.T) {
	for name, run := range map[string]func(s *shop){
		// It begins in 1970 at each start, so that its starts cannot be told apart.
		"device_without_a_clock_that_starts_again_and_again": func(s *shop) {
			s.ledger.beats = false
			for range 12 {
				for seq := range uint64(7) {
					s.beatAs(s.ledger, func(b *report.Beat) {
						b.Incarnation, b.Seq, b.SentAt = 5_000_000_000, seq+1, clock.Time(seq+5)*1e9
						b.Digest = fmt.Sprint("state ", s.now)
					})
					s.run(time.Second)
				}
			}
		},
		"post_that_is_tried_again_after_seconds": func(s *shop) {
			for range 30 {
				for range 10 { // ten beats a second, each third retried after two seconds
					seq := s.ledger.seq
					s.beatAs(s.ledger, func(b *report.Beat) { b.Interval, b.Seq = 100*time.Millisecond, seq })
				}
				s.run(time.Second)
			}
		},
		"fast_beats_tried_again_after_two_seconds": func(s *shop) {
			s.ledger.beats = false
			for i := range uint64(300) {
				s.beatAs(s.ledger, func(b *report.Beat) { b.Interval, b.Seq = 100*time.Millisecond, 1000+i })
				if i%3 == 0 && i > 20 {
					s.beatAs(s.ledger, func(b *report.Beat) { b.Interval, b.Seq = 100*time.Millisecond, 1000+i-20 })
				}
				s.run(100 * time.Millisecond)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.signed = true
			s.run(time.Minute)
			run(s)
			for _, ev := range s.events {
				if v := ev.Verdict; v != nil && v.Class == verdict.ClassByzantine {
					t.Error(ev.Body)
				}
			}
		})
	}
}

// A meter that tells two states of its register in turn, while its heartbeats come from
// one start and one address, lies; where another beats under its name, too, nobody does.
func TestCountBackAndForthOfOneSender(t *testing.T) {
	for _, twin := range []bool{false, true} {
		s := newShop(t)
		remote(s)
		s.run(time.Minute)
		at := s.now
		for i := range uint64(6) {
			kind := report.FactBackwards
			if i%2 == 1 {
				kind = report.FactTwins
			}
			s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.ledger.src, Kind: kind, Value: int64(i % 2), At: s.now, Text: "its count x goes back and forth"}}})
			if twin {
				s.beatAs(s.ledger, func(b *report.Beat) { b.Incarnation, b.Seq, b.Remote = 900, i+1, "10.0.0.77" })
			}
			s.run(3 * time.Second)
		}
		if twin {
			s.nobodyAccused(false)
			if s.first(contract.EventIdentityConflict) == nil {
				t.Error("nobody was told of the twins")
			}
			continue
		}
		s.accused(at, 15*time.Second, verdict.ClassByzantine, "impossible_state", "ledger-1")
	}
}
