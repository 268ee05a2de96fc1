// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestPoolThatIsHeldByWhoWaitsForAnotherIsNotTooSmall(t *testing.T) {
	for name, c := range map[string]struct {
		later time.Duration // than the pool the callee is short
		held  bool
	}{
		"its callee was short at that time": {2 * time.Second, true},
		"its callee is short much later":    {30 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.run(time.Minute)
			for at := s.now; s.now.Sub(at) < c.later+15*time.Second; s.run(time.Second) {
				b := &report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.payment1.src, Kind: report.FactPoolEmpty, At: s.now, Text: "timed out waiting for a connection from the pool"}},
					Served: []report.Served{{Source: s.payment1.src, Failed: 12, Last: s.now}}}
				if s.now.Sub(at) >= c.later {
					b.Facts = append(b.Facts, report.Fact{Source: s.ledger.src, Kind: report.FactNoDescriptor, At: s.now, Text: "accept: too many open files"})
					b.Served = append(b.Served, report.Served{Source: s.ledger.src, Failed: 12, Last: s.now})
					b.Calls = append(b.Calls, report.Calls{Caller: s.payment1.src, Callee: report.Callee{Address: s.ledger.addr, Direct: true}, Outcome: report.OutcomeTimeout, Count: 10, First: s.now, Last: s.now})
				}
				s.e.Observe(b)
			}
			said, held := false, false
			for _, ev := range s.events {
				if ev.Entity == "payment-1" && ev.Verdict != nil && ev.Verdict.Subclass == "connection_pool" {
					said = said || ev.Kind == contract.EventFailureDetected
					held = ev.Kind == contract.EventFailureCleared
				}
			}
			if !said || held != c.held {
				t.Errorf("said %v, taken back %v: %s", said, held, s.dump())
			}
		})
	}
}

func TestWhoHoldsAPool(t *testing.T) {
	for name, c := range map[string]struct {
		held   bool
		change func(e *Engine, n, callee *entity, ed *edge)
	}{
		"who_failed_no_later": {true, func(*Engine, *entity, *entity, *edge) {}},
		"who_is_late": {true, func(e *Engine, _, _ *entity, ed *edge) {
			ed.failed = stat.Fading{}
			ed.slow.Add(2, e.now, e.params.CallWindow)
		}},
		"an_external":                       {true, func(_ *Engine, n, callee *entity, _ *edge) { n.service, callee.service = nil, nil }},
		"not_where_nothing_is_said":         {false, func(_ *Engine, n, _ *entity, _ *edge) { n.verdict = nil }},
		"not_where_something_else_is_short": {false, func(_ *Engine, n, _ *entity, _ *edge) { n.verdict.Subclass = "cpu" }},
		"not_who_is_well":                   {false, func(_ *Engine, _, callee *entity, _ *edge) { callee.verdict = nil }},
		"not_who_may_be":                    {false, func(_ *Engine, _, callee *entity, _ *edge) { callee.verdict.Class = verdict.ClassUnknown }},
		"not_who_answers_wrongly":           {false, func(_ *Engine, _, callee *entity, _ *edge) { callee.verdict.Class = verdict.ClassByzantine }},
		"not_who_failed_later": {false, func(_ *Engine, n, callee *entity, _ *edge) {
			callee.verdict.Since = n.verdict.Since.Add(heldWithin + 1)
		}},
		"not_a_sibling":   {false, func(_ *Engine, n, callee *entity, _ *edge) { callee.service = n.service }},
		"not_who_answers": {false, func(_ *Engine, _, _ *entity, ed *edge) { ed.failed = stat.Fading{} }},
		"not_who_is_late_once": {false, func(e *Engine, _, _ *entity, ed *edge) {
			ed.failed, ed.ok = stat.Fading{}, stat.Fading{}
			ed.slow.Add(1, e.now, e.params.CallWindow)
		}},
		"not_who_is_seldom_late": {false, func(e *Engine, _, _ *entity, ed *edge) {
			ed.failed = stat.Fading{}
			ed.ok.Add(100, e.now, e.params.CallWindow)
			ed.slow.Add(2, e.now, e.params.CallWindow)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e, n, ed := newStarved(t)
			callee := ed.callee
			n.verdict = &verdict.Verdict{Class: verdict.ClassExhaustion, Subclass: "connection_pool", Since: e.now}
			callee.verdict = &verdict.Verdict{Class: verdict.ClassCrash, Since: e.now}
			callee.service, ed.slow, ed.ok = &service{}, stat.Fading{}, stat.Fading{}
			ed.ok.Add(4, e.now, e.params.CallWindow)
			ed.failed.Add(10, e.now, e.params.CallWindow)
			c.change(e, n, callee, ed)
			if holder := e.poolHeldBy(n); (holder == callee) != c.held {
				t.Errorf("held by %v", holder)
			}
		})
	}
}

// Those who waited for a connection while the callee hung give up yet when it goes on.
func TestAPoolIsNotShortWhenTheHangOfItsCalleeEnds(t *testing.T) {
	for name, c := range map[string]struct {
		stands, waits int // s, for how long it hangs, and for how long after that calls wait in vain
		short         bool
	}{
		"for_as_long_as_it_hung":          {6, 5, false},
		"for_as_long_as_drivers_may_wait": {20, 9, false},
		"for_much_longer":                 {6, 30, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.run(time.Minute)
			s.ledger.state = "frozen"
			for i := range c.stands + c.waits {
				if i == c.stands {
					s.ledger.state = "up"
				}
				if i >= 3 {
					s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{{Source: s.payment1.src, Kind: report.FactPoolEmpty, At: s.now, Text: "timed out waiting for a connection from the pool"}},
						Served: []report.Served{{Source: s.payment1.src, Failed: 12, Last: s.now}}})
				}
				s.run(time.Second)
			}
			s.run(time.Minute)
			short := false
			for _, ev := range s.events {
				short = short || ev.Verdict != nil && ev.Verdict.Subclass == "connection_pool"
			}
			if short != c.short {
				t.Errorf("short: %v, said %v", short, s.verdicts())
			}
		})
	}
}

// A database that keeps statements waiting, as for a lock, answers nobody any more, and
// drivers wait for ever. All pools run out together then; those that leak do not.
func TestPoolsThatRunOutTogetherAreHeldByTheOneThatAllWaitFor(t *testing.T) {
	for name, c := range map[string]struct {
		later int // s, that the other pool lasts for
		short bool
	}{
		"together":   {0, false},
		"each apart": {20, true},
		"one of two": {1000, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			web := func(id string) *report.Source {
				return report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: id, Host: "h-" + id})
			}
			sources := []*report.Source{web("web-1"), web("web-2")}
			for second := -120; second < 60; second++ {
				f.tell(time.Second, time.Second, func(b *report.Batch) {
					for i, src := range sources {
						if second < i*c.later {
							b.Calls = append(b.Calls, report.Calls{Caller: src, Callee: report.Callee{Address: "db:5432", Direct: true}, Outcome: report.OutcomeOK, Count: 10,
								First: b.Arrived.Add(-time.Second), Started: b.Arrived, Last: b.Arrived, Done: b.Arrived.Add(-time.Second)})
							b.Served = append(b.Served, report.Served{Source: src, OK: 10, Last: b.Arrived})
							continue
						}
						if second < i*c.later+3 {
							continue // they wait
						}
						b.Served = append(b.Served, report.Served{Source: src, Failed: 10, Waited: 10, Passed: 10, Last: b.Arrived})
						b.Facts = append(b.Facts, report.Fact{Source: src, Kind: report.FactPoolEmpty, At: b.Arrived, Text: "timed out waiting for a connection from the pool"})
					}
				})
			}
			said := false
			for _, ev := range f.events {
				said = said || ev.Verdict != nil && ev.Verdict.Subclass == verdict.SubclassConnectionPool
			}
			if said != c.short {
				t.Errorf("said that a pool is short: %v; %v", said, f.verdicts())
			}
		})
	}
}
