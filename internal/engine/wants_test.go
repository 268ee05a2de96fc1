// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Two that are short of a processor may call each other, so that each waits for one who
// is slow. Who only waits is short of nothing.
func TestWhoWaitsForAProcessorIsNotExcusedByASlowCallee(t *testing.T) {
	for name, c := range map[string]struct {
		throttled float64
		accused   bool
	}{
		"its quota throttles it": {0.7, true},
		"it only waits":          {0, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.run(time.Minute)
			at := s.now
			s.payment1.callers, s.ledger.callers = nil, nil
			for range 20 {
				s.e.Observe(&report.Batch{Arrived: s.now,
					Probes: []report.Probe{{Stamp: s.stamp(), Source: s.payment1.src, Target: "process:payment-1", Outcome: report.OutcomeOK, Interval: time.Second,
						Process: &report.Process{State: report.ProcessRunning, PID: int64(s.payment1.incarnation), Throttled: c.throttled, OOMKills: -1}}},
					Calls: []report.Calls{
						{Caller: s.checkout.src, Callee: report.Callee{Address: s.payment1.addr, Direct: true}, Outcome: report.OutcomeTimeout, Count: 8, First: s.now.Add(-time.Second), Last: s.now},
						{Caller: s.payment1.src, Callee: report.Callee{Address: s.ledger.addr, Direct: true}, Outcome: report.OutcomeOK, Count: 8, Slow: 7, First: s.now.Add(-time.Second), Last: s.now},
					},
					Served: []report.Served{{Source: s.payment1.src, OK: 8, Slow: 8, Last: s.now}, {Source: s.ledger.src, OK: 8, Slow: 7, Last: s.now}}})
				s.run(time.Second)
			}
			if waits := s.e.instance(s.payment1.src).episode.found[belief.EvCalleeSlow].strength; (waits < 0.5) != c.accused || waits == 0 {
				t.Errorf("it waits for ledger: %.1f", waits)
			}
			if c.accused {
				s.accused(at, 20*time.Second, verdict.ClassExhaustion, "cpu", "payment-1")
				return
			}
			s.neverAccuses(verdict.ClassExhaustion, "payment-1")
		})
	}
}
