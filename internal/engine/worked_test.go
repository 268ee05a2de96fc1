// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// worker reads ten messages a second that a shop sends, and fails at some from a minute
// on, for thirty seconds.
type worker struct {
	*fleet
	fails   int    // of ten messages
	retries bool   // and tries the same one again and again
	usually int    // of ten messages, before
	newShop bool   // the shop sends by a new version from then on
	bank    bool   // the worker calls a bank for each message, which fails
	answers int    // calls that it answers a second, well
	newOne  string // its own version from then on
	until   time.Duration
}

func (w *worker) run(t *testing.T) *worker {
	w.fleet = newFleet(t)
	id := func(service, version string) *report.Source {
		return report.NewSource(report.Source{Service: report.ServiceID{Name: service}, Instance: service + "-1", Host: "h-" + service, Version: version})
	}
	shop, settle := id("shop", "1"), id("settle", "1")
	trace := uint64(1)
	for second := time.Duration(0); second < max(w.until, 90*time.Second); second += time.Second {
		bad, began := w.usually, second >= time.Minute && second < 90*time.Second
		if began {
			bad = max(bad, w.fails)
		}
		if began && w.newShop {
			shop = id("shop", "2")
		}
		if began && w.newOne != "" {
			settle = id("settle", w.newOne)
		}
		w.tell(time.Second, time.Second, func(b *report.Batch) {
			if !w.retries {
				trace += uint64(bad)
			}
			c := report.Consumed{Source: settle, Queue: "payments", Count: 10, Last: b.Arrived, Faults: bad}
			if bad > 0 {
				c.Failed = trace
				if w.retries {
					c.Faults = 1
				}
			}
			b.Sent = append(b.Sent, report.Sent{Source: shop, Queue: "payments", Count: 10, Last: b.Arrived})
			b.Consumed = append(b.Consumed, c)
			if w.answers > 0 {
				b.Served = append(b.Served, report.Served{Source: settle, OK: w.answers, Last: b.Arrived})
			}
			if w.bank {
				call := report.Calls{Caller: settle, Callee: report.Callee{Service: "bank"}, Outcome: report.OutcomeOK, Count: 10, First: b.Arrived, Last: b.Arrived}
				if began {
					call.Outcome = report.OutcomeServerError
				}
				b.Calls = append(b.Calls, call)
			}
		})
	}
	return w
}

func TestMessagesThatOneFailsAt(t *testing.T) {
	from := func(w *worker) {
		w.accused(w.began.Add(time.Minute), 20*time.Second, verdict.ClassByzantine, "error_response", "settle-1")
	}
	t.Run("convict_it", func(t *testing.T) { from((&worker{fails: 6}).run(t)) })
	t.Run("convict_it_though_it_answers_calls_well", func(t *testing.T) { from((&worker{fails: 6, answers: 50}).run(t)) })
	t.Run("are_over_when_messages_go_well", func(t *testing.T) {
		w := (&worker{fails: 6, until: 2 * time.Minute}).run(t)
		from(w)
		if w.cleared(w.began.Add(90*time.Second)) != 1 {
			t.Errorf("half a minute after it was well again: %s", w.dump())
		}
	})
	t.Run("convict_nobody_if_that_is_usual", func(t *testing.T) { (&worker{fails: 3, usually: 3}).run(t).nobodyAccused(true) })
	t.Run("convict_nobody_if_it_is_one_that_is_tried_again_and_again", func(t *testing.T) { (&worker{fails: 6, retries: true}).run(t).nobodyAccused(true) })
	t.Run("convict_nobody_if_who_sends_them_has_a_new_version", func(t *testing.T) { (&worker{fails: 6, newShop: true}).run(t).nobodyAccused(true) })
	t.Run("are_not_its_own_if_whom_it_calls_fails", func(t *testing.T) {
		(&worker{fails: 6, bank: true}).run(t).neverAccuses(verdict.ClassByzantine, "settle-1")
	})
	t.Run("name_its_new_version", func(t *testing.T) {
		w := (&worker{fails: 6, newOne: "2"}).run(t)
		w.accused(w.began.Add(time.Minute), 20*time.Second, verdict.ClassByzantine, "faulty_release", "2")
	})
}
