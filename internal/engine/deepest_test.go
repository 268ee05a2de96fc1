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

// chain is an API that calls payments, which calls fraud, which calls a bank that sends
// no telemetry. Each fails its caller if the next fails it.
type chain struct {
	*fleet
	api, payments, fraud *proc
}

func newChain(t *testing.T) *chain {
	f := newFleet(t)
	c := &chain{fleet: f, api: f.add("api", "api-1"), payments: f.add("payments", "payments-1"), fraud: f.add("fraud", "fraud-1")}
	c.seconds(90, report.OutcomeOK, report.OutcomeOK, report.OutcomeOK)
	return c
}

// seconds tells of eight calls a second, which end so: to payments, to fraud and to the bank.
func (c *chain) seconds(times int, payments, fraud, bank report.Outcome) {
	c.tell(time.Second, time.Duration(times)*time.Second, func(b *report.Batch) {
		call := func(from *proc, to report.Callee, o report.Outcome) {
			b.Calls = append(b.Calls, report.Calls{Caller: from.src, Callee: to, Outcome: o, Count: 8, First: b.Arrived - 1e7, Last: b.Arrived, Done: b.Arrived})
		}
		serve := func(p *proc, o report.Outcome) {
			s := report.Served{Source: p.src, OK: 8, Last: b.Arrived}
			if o.Failed() {
				s.OK, s.Failed = 0, 8
			}
			b.Served = append(b.Served, s)
		}
		call(c.fraud, report.Callee{Address: "bank:443"}, bank)
		serve(c.fraud, fraud)
		call(c.payments, report.Callee{Service: "fraud"}, fraud)
		serve(c.payments, payments)
		call(c.api, report.Callee{Service: "payments"}, payments)
		serve(c.api, payments)
	})
}

// Whom another fails that has not failed itself is a victim of the one that did.
func TestAFailureIsFollowedToTheDeepest(t *testing.T) {
	c := newChain(t)
	at := c.now
	c.seconds(40, report.OutcomeUnavailable, report.OutcomeServerError, report.OutcomeWrongAnswer)
	if c.accused(at, 20*time.Second, verdict.ClassByzantine, "invalid_response", "bank:443") == nil {
		t.Errorf("the bank was not named: %s", c.dump())
	}
	for _, ev := range c.events {
		if ev.Kind == contract.EventFailureDetected && ev.Verdict.Culprit.Name != "bank:443" {
			t.Errorf("said %s", ev.Body)
		}
	}
}

// That somebody deeper has failed excuses nobody whom it does not fail.
func TestAFailureElsewhereExcusesNobody(t *testing.T) {
	c := newChain(t)
	c.seconds(40, report.OutcomeUnavailable, report.OutcomeOK, report.OutcomeWrongAnswer)
	named := map[string]bool{}
	for _, ev := range c.events {
		if ev.Kind == contract.EventFailureDetected {
			named[ev.Verdict.Culprit.Name] = true
		}
	}
	if !named["payments-1"] && !named["payments"] {
		t.Errorf("payments fails by itself: %v %s", c.verdicts(), c.dump())
	}
}

// One that sends no telemetry and is slow keeps its callers waiting until they answer
// nobody in time.
func TestOneThatHoldsUpItsCallersIsUnknown(t *testing.T) {
	for name, k := range map[string]struct {
		slow, late int // of the eight calls a second to the bank, those that are slow; to fraud, those that run out of time
		seconds    int
		want       bool
	}{
		"and they answer nobody in time": {8, 6, 40, true},
		"and they have the patience":     {8, 0, 60, false},
		"now and then":                   {3, 6, 40, false},
		"for a moment":                   {8, 6, 8, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChain(t)
			c.tell(time.Second, time.Duration(k.seconds)*time.Second, func(b *report.Batch) {
				call := func(from *proc, to report.Callee, o report.Outcome, count, slow int) {
					b.Calls = append(b.Calls, report.Calls{Caller: from.src, Callee: to, Outcome: o, Count: count, Slow: slow, First: b.Arrived - 5e9, Last: b.Arrived, Done: b.Arrived})
				}
				call(c.fraud, report.Callee{Address: "bank:443"}, report.OutcomeOK, 8, k.slow)
				call(c.payments, report.Callee{Service: "fraud"}, report.OutcomeOK, 8-k.late, 0)
				call(c.payments, report.Callee{Service: "fraud"}, report.OutcomeTimeout, k.late, 0)
				b.Served = append(b.Served, report.Served{Source: c.fraud.src, OK: 8, Slow: k.slow, Last: b.Arrived})
			})
			if k.seconds < 20 {
				c.seconds(30, report.OutcomeOK, report.OutcomeOK, report.OutcomeOK)
			}
			said := false
			for _, ev := range c.events {
				if ev.Kind == contract.EventFailureDetected && ev.Verdict.Culprit.Name == "bank:443" {
					said = true
					if ev.Verdict.Class != verdict.ClassUnknown {
						t.Errorf("said %s", ev.Body)
					}
				}
			}
			if said != k.want {
				t.Errorf("named: %v, want %v: %v %s", said, k.want, c.verdicts(), c.dump())
			}
			c.seconds(60, report.OutcomeOK, report.OutcomeOK, report.OutcomeOK)
			for _, n := range c.e.suspects {
				if n.verdict != nil {
					t.Errorf("%s is still %v", n.name(), n.verdict.Class)
				}
			}
		})
	}
}
