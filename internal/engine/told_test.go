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

// A database that can still be read from tells those who write that it is full.
func TestEngineBelievesADatabaseOfItsOwnDisk(t *testing.T) {
	database := func(t *testing.T) (*shop, *proc) {
		s := newShop(t)
		db := s.add("", "db")
		db.src, db.mute, db.beats = &report.Source{}, true, false
		s.calls(s.payment1, db)
		s.calls(s.payment2, db)
		s.run(time.Minute)
		return s, db
	}
	tell := func(s *shop, db *proc, o report.Outcome, times int) {
		for range times {
			s.e.Observe(&report.Batch{Arrived: s.now, Calls: []report.Calls{{Caller: s.payment1.src, Callee: report.Callee{Address: db.addr, Direct: true}, Outcome: o, Count: 1, First: s.now, Last: s.now}}})
			s.run(500 * time.Millisecond)
		}
	}
	t.Run("disk", func(t *testing.T) {
		s, db := database(t)
		at := s.now
		tell(s, db, report.OutcomeDiskFull, 20)
		s.accused(at, 6*time.Second, verdict.ClassExhaustion, "disk", "db:8080")
	})
	t.Run("memory", func(t *testing.T) {
		s, db := database(t)
		at := s.now
		tell(s, db, report.OutcomeMemoryFull, 20)
		s.accused(at, 6*time.Second, verdict.ClassExhaustion, "memory", "db:8080")
	})
	t.Run("as_long_as_it_says_so", func(t *testing.T) {
		s, db := database(t)
		for range 6 { // its callers tell every five seconds
			tell(s, db, report.OutcomeDiskFull, 2)
			s.run(4 * time.Second)
		}
		if v := s.verdicts(); len(v) != 1 {
			t.Errorf("said %v", v)
		}
		s.run(25 * time.Second)
		if v := s.verdicts(); len(v) != 2 {
			t.Errorf("it is over: %v", v)
		}
	})
	t.Run("one_such_answer_is_no_failure", func(t *testing.T) {
		s, db := database(t)
		tell(s, db, report.OutcomeDiskFull, 1)
		s.run(time.Minute)
		s.nobodyAccused(true)
	})
	t.Run("bad_requests_are_no_failure", func(t *testing.T) {
		s, db := database(t)
		tell(s, db, report.OutcomeClientError, 60)
		s.nobodyAccused(true)
	})
}

func TestEngineSeesADatabaseHang(t *testing.T) {
	database := func(t *testing.T) (*shop, *proc) {
		s := newShop(t)
		db := s.add("", "db")
		db.src, db.mute, db.beats = &report.Source{}, true, false
		s.calls(s.payment1, db)
		s.calls(s.payment2, db)
		s.run(time.Minute)
		return s, db
	}
	t.Run("it_answers_nobody", func(t *testing.T) {
		s, db := database(t)
		db.state = "frozen"
		at := s.now
		s.run(30 * time.Second)
		s.accused(at, 15*time.Second, verdict.ClassCrash, "hang", "db:8080")
	})
	t.Run("it_answers_some", func(t *testing.T) {
		s, db := database(t)
		for i := range 40 {
			o := report.OutcomeTimeout
			if i%4 == 0 {
				o = report.OutcomeOK
			}
			s.e.Observe(&report.Batch{Arrived: s.now, Calls: []report.Calls{{Caller: s.payment1.src, Callee: report.Callee{Address: db.addr, Direct: true}, Outcome: o, Count: 1, First: s.now, Last: s.now}}})
			s.run(250 * time.Millisecond)
		}
		s.nobodyAccused(true)
	})
}

// A proxy that says no more than 502 does not tell what is the matter with those
// behind it. That something is shows when no call goes well any more.
func TestEngineNoticesThatNoCallGoesWell(t *testing.T) {
	s := newShop(t)
	proxied := func(o report.Outcome, times int) {
		for range times {
			s.e.Observe(&report.Batch{Arrived: s.now, Calls: []report.Calls{{Caller: s.payment1.src, Callee: report.Callee{Address: "proxy:80"}, Outcome: o, Count: 1, First: s.now, Last: s.now}}})
			s.run(250 * time.Millisecond)
		}
	}
	proxied(report.OutcomeOK, 40)
	proxied(report.OutcomeUnavailable, 16)
	proxied(report.OutcomeOK, 100)
	s.nobodyAccused(false) // a moment of it is a deploy
	proxied(report.OutcomeUnavailable, 60)
	for _, ev := range s.events {
		if ev.Kind == contract.EventFailureDetected && ev.Entity == "proxy:80" && ev.Verdict.Class == verdict.ClassUnknown {
			return
		}
	}
	t.Errorf("nothing said of proxy:80: %v", s.verdicts())
}

// A database without room may go down for it: that it then serves nobody takes nothing
// back of what it said.
func TestWhatItToldStandsWhenItThenFails(t *testing.T) {
	s := newShop(t)
	db := s.add("", "db")
	db.src, db.mute, db.beats = &report.Source{}, true, false
	s.calls(s.payment1, db)
	s.run(time.Minute)
	at := s.now
	callee := report.Callee{Address: db.addr, Direct: true}
	s.e.Observe(&report.Batch{Arrived: s.now, Calls: []report.Calls{ // its callers tell every few seconds
		{Caller: s.payment1.src, Callee: callee, Outcome: report.OutcomeDiskFull, Count: 9, First: s.now.Add(-3 * time.Second), Last: s.now.Add(-time.Second)},
		{Caller: s.payment1.src, Callee: callee, Outcome: report.OutcomeUnavailable, Count: 2, First: s.now.Add(-time.Second), Last: s.now},
	}})
	s.run(3 * time.Second)
	s.accused(at, 3*time.Second, verdict.ClassExhaustion, "disk", "db:8080")
}
