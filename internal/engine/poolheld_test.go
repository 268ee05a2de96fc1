// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
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
				b := &Batch{Arrived: s.now, Facts: []Fact{{Source: s.payment1.src, Kind: FactPoolEmpty, At: s.now, Text: "timed out waiting for a connection from the pool"}},
					Served: []Served{{Source: s.payment1.src, Failed: 12, Last: s.now}}}
				if s.now.Sub(at) >= c.later {
					b.Facts = append(b.Facts, Fact{Source: s.ledger.src, Kind: FactNoDescriptor, At: s.now, Text: "accept: too many open files"})
					b.Served = append(b.Served, Served{Source: s.ledger.src, Failed: 12, Last: s.now})
					b.Calls = append(b.Calls, Calls{Caller: s.payment1.src, Callee: Callee{Address: s.ledger.addr, Direct: true}, Outcome: OutcomeTimeout, Count: 10, First: s.now, Last: s.now})
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
