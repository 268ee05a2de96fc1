// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// stock makes p a process of which only a stock SDK tells: no heartbeat, a new
// id at each start, its metrics exported every ten seconds.
func (f *fleet) stock(p *proc) {
	p.beats = false
	p.interval = 10 * time.Second
	p.drawn = true
	p.draw()
}

func (p *proc) draw() {
	p.src = report.NewSource(report.Source{Service: p.src.Service, Host: p.src.Host, Volatile: true,
		Instance: fmt.Sprintf("%08x-0000-4000-8000-000000000000", p.incarnation)})
}

func TestEngineJudgesStockSDKs(t *testing.T) {
	stockShop := func(t *testing.T) *shop {
		s := newShop(t)
		for _, p := range s.procs {
			s.stock(p)
		}
		return s
	}
	t.Run("healthy", func(t *testing.T) {
		s := stockShop(t)
		s.run(10 * time.Minute)
		s.nobodyAccused(false)
	})
	t.Run("killed", func(t *testing.T) {
		s := stockShop(t)
		s.run(3 * time.Minute)
		s.ledger.state = "dead"
		at := s.now
		s.run(time.Minute)
		s.accused(at, 8*time.Second, verdict.ClassCrash, "process_exit", s.ledger.src.Name())
	})
	t.Run("hangs", func(t *testing.T) {
		s := stockShop(t)
		s.run(3 * time.Minute)
		s.ledger.state = "frozen"
		at := s.now
		s.run(time.Minute)
		s.accused(at, 11*time.Second, verdict.ClassCrash, "hang", s.ledger.src.Name()) // alone on its machine: that may just pause
	})
	t.Run("restarted_within_two_seconds_with_a_new_id", func(t *testing.T) {
		s := stockShop(t)
		s.run(3 * time.Minute)
		s.ledger.state = "dead"
		s.run(2 * time.Second)
		s.ledger.restart()
		s.run(5 * time.Minute)
		s.nobodyAccused(true)
		if n := len(s.e.suspects); n != 0 {
			t.Errorf("%d still under suspicion: %s", n, s.dump())
		}
	})
	t.Run("idle_service_that_is_never_called", func(t *testing.T) {
		s := stockShop(t)
		idle := s.add("idle", "idle-1")
		s.stock(idle)
		s.run(10 * time.Minute)
		s.nobodyAccused(false)
	})
}

func TestEngineJudgesWhatIsNotInstrumented(t *testing.T) {
	database := func(t *testing.T) (*shop, *proc) {
		s := newShop(t)
		db := s.add("", "db")
		db.src, db.mute = &report.Source{}, true
		db.beats = false
		s.calls(s.payment1, db)
		s.calls(s.payment2, db)
		return s, db
	}
	t.Run("database_refuses", func(t *testing.T) {
		s, db := database(t)
		s.run(time.Minute)
		db.state = "dead"
		at := s.now
		s.run(30 * time.Second)
		v := s.accused(at, 8*time.Second, verdict.ClassCrash, "process_exit", "db:8080")
		if v.Culprit.Type != verdict.CulpritExternal {
			t.Errorf("culprit type %s", v.Culprit.Type)
		}
	})
	t.Run("an_address_that_never_worked_is_no_crash", func(t *testing.T) {
		s, db := database(t)
		db.state = "dead"
		s.run(time.Minute)
		s.nobodyAccused(true)
	})
}

func TestEngineNamesTheOneBehindAVirtualAddress(t *testing.T) {
	s := newShop(t)
	s.payment1.addr, s.payment2.addr = "payment:80", "payment:80"
	s.run(time.Minute)
	s.payment2.state = "dead"
	at := s.now
	s.run(30 * time.Second)
	s.accused(at, 8*time.Second, verdict.ClassCrash, "process_exit", "payment-2")
}

func TestEngineBlamesTheDeepest(t *testing.T) {
	t.Run("caller_without_time_out_waits_on_the_one_that_hangs", func(t *testing.T) {
		s := newShop(t)
		s.ledger.probe = 2 * time.Second
		s.run(time.Minute)
		s.ledger.state = "frozen"
		s.ledger.timeout = time.Hour // payment waits for ever …
		at := s.now
		s.run(time.Second)
		s.payment1.state, s.payment2.state = "deadlock", "deadlock" // … and so answers nobody
		s.run(30 * time.Second)
		s.accused(at, 11*time.Second, verdict.ClassCrash, "hang", "ledger-1")
		for _, ev := range s.events {
			if ev.Kind == contract.EventFailureDetected && ev.Verdict.Culprit.Service.Name == "payment" && ev.Verdict.Class != verdict.ClassUnknown {
				t.Errorf("blamed the victim: %s", ev.Body)
			}
		}
	})
}

func TestEngineSeesACrashSoonAfterAnotherFailureHadPassedThrough(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.ledger.state = "frozen"
	for range 100 { // payment and checkout hand the failure on, as 502
		s.passOn(s.gateway, s.checkout)
		s.passOn(s.checkout, s.payment1)
		s.run(100 * time.Millisecond)
	}
	s.ledger.state = "up"
	s.run(12 * time.Second)
	s.events = nil
	s.checkout.state = "dead"
	at := s.now
	s.run(15 * time.Second)
	s.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", "checkout-1")
}

// passOn has callee answer caller with a 502.
func (f *fleet) passOn(caller, callee *proc) {
	f.e.Observe(&report.Batch{Arrived: f.now,
		Calls:  []report.Calls{{Caller: caller.src, Callee: report.Callee{Address: callee.addr, Direct: true}, Outcome: report.OutcomeUnavailable, Count: 2, First: f.now.Add(-time.Second), Last: f.now}},
		Served: []report.Served{{Source: callee.src, Failed: 2, Last: f.now}},
	})
}
