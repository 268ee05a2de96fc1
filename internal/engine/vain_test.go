// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// sharedCache is a cache without telemetry that two services on different hosts
// ask ten times a second each, and tell of every five seconds.
type sharedCache struct {
	*fleet
	orders, web *proc
}

func newSharedCache(t *testing.T) *sharedCache {
	c := &sharedCache{fleet: newFleet(t)}
	c.orders, c.web = c.add("orders", "orders-1"), c.add("web", "web-1")
	c.calls(c.add("front", "front-1"), c.orders) // it answers its own callers
	c.five(18, report.OutcomeOK, report.OutcomeOK, nil)
	return c
}

// five lets so many times five seconds pass in which the calls of each end so;
// unset: it makes none.
func (c *sharedCache) five(times int, orders, web report.Outcome, also func(b *report.Batch)) {
	c.tell(5*time.Second, time.Duration(times)*5*time.Second, func(b *report.Batch) {
		for p, o := range map[*proc]report.Outcome{c.orders: orders, c.web: web} {
			served := report.Served{Source: p.src, OK: 50, Last: b.Arrived}
			if o.Failed() {
				served = report.Served{Source: p.src, Failed: 50, Waited: 50, Last: b.Arrived}
			}
			b.Served = append(b.Served, served)
			if o != report.OutcomeUnset {
				b.Calls = append(b.Calls, report.Calls{Caller: p.src, Callee: report.Callee{Address: "cache:6379"}, Outcome: o, Count: 50, First: b.Arrived.Add(-4900 * time.Millisecond), Started: b.Arrived - 1e9, Last: b.Arrived, Done: b.Arrived.Add(-4 * time.Second)})
			}
		}
		if also != nil {
			also(b)
		}
	})
}

// A driver that keeps its connection and tries no other never fails to connect.
func TestOneThatWaitsInVainWhileOthersAreServedIsNoSecret(t *testing.T) {
	c := newSharedCache(t)
	c.five(5, report.OutcomeTimeout, report.OutcomeOK, nil)
	ev := c.first("failure.detected")
	if ev == nil || ev.Verdict.Class != verdict.ClassUnknown || ev.Verdict.Culprit.Type != verdict.CulpritLink || ev.Verdict.Culprit.Name != "orders-1→cache:6379" {
		t.Fatalf("said %v, want unknown of the link; %s", c.verdicts(), c.dump())
	}
	t.Log(ev.Body)
	c.five(5, report.OutcomeOK, report.OutcomeOK, nil)
	c.nobodyAccused(true)
	if len(c.verdicts())%2 != 0 {
		t.Errorf("it is well again: %v", c.verdicts())
	}
}

func TestWaitingInVainAccusesNoLink(t *testing.T) {
	for name, during := range map[string]func(c *sharedCache){
		"for_a_moment": func(c *sharedCache) {
			c.five(1, report.OutcomeTimeout, report.OutcomeOK, nil)
			c.five(4, report.OutcomeOK, report.OutcomeOK, nil)
		},
		"nobody_else_asks": func(c *sharedCache) { c.five(5, report.OutcomeTimeout, report.OutcomeUnset, nil) },
		"others_waited_too_till_now": func(c *sharedCache) {
			c.five(3, report.OutcomeTimeout, report.OutcomeUnset, nil)
			c.five(1, report.OutcomeTimeout, report.OutcomeOK, nil)
		},
		"bad_requests": func(c *sharedCache) { c.five(5, report.OutcomeClientError, report.OutcomeOK, nil) },
		"breaker":      func(c *sharedCache) { c.five(5, report.OutcomeCircuitOpen, report.OutcomeOK, nil) },
		"some_are_answered": func(c *sharedCache) {
			c.five(5, report.OutcomeTimeout, report.OutcomeOK, func(b *report.Batch) {
				b.Calls = append(b.Calls, report.Calls{Caller: c.orders.src, Callee: report.Callee{Address: "cache:6379"}, Outcome: report.OutcomeOK, Count: 10, First: b.Arrived.Add(-5 * time.Second), Last: b.Arrived, Done: b.Arrived})
			})
		},
		"its_own_failure_is_known": func(c *sharedCache) {
			c.five(5, report.OutcomeTimeout, report.OutcomeOK, func(b *report.Batch) {
				b.Facts = append(b.Facts, report.Fact{Source: c.orders.src, Kind: report.FactOutOfMemory, At: b.Arrived, Text: "Java heap space"})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newSharedCache(t)
			during(c)
			for _, ev := range c.events {
				if v := ev.Verdict; v != nil && v.Culprit.Type == verdict.CulpritLink {
					t.Errorf("said %s", ev.Body)
				}
			}
		})
	}
}
