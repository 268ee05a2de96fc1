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
