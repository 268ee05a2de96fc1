// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestWhoseLogTellsOfACalleeThatFailsIsNotAtFault(t *testing.T) {
	for name, c := range map[string]struct {
		tells, accused bool
	}{"it_tells_of_none": {false, true}, "it_tells_of_one": {true, false}} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			api := report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: "api-1", Host: "node-1"})
			answers := func(failed int) func(b *report.Batch) {
				return func(b *report.Batch) {
					b.Served = append(b.Served, report.Served{Source: api, OK: 20 - failed, Failed: failed, Faults: failed, Last: b.Arrived, Counted: true})
					if failed > 0 && c.tells {
						b.Calls = append(b.Calls, report.Calls{Caller: api, Callee: report.Callee{Address: "pg-main:5432"}, Outcome: report.OutcomeRefused, Count: failed, First: b.Arrived, Last: b.Arrived, Hearsay: true})
					}
				}
			}
			f.tell(time.Second, 2*time.Minute, answers(0))
			f.tell(time.Second, 30*time.Second, answers(15))
			for i := range f.events {
				if v := f.events[i].Verdict; v != nil && v.Class == verdict.ClassByzantine && !c.accused {
					t.Errorf("said %s", f.events[i].Body)
				} else if v != nil && v.Class == verdict.ClassByzantine {
					return
				}
			}
			if c.accused {
				t.Errorf("nobody accused: %s", f.dump())
			}
		})
	}
}

func TestLogOfAProxyTellsWhyCallsFailThatSpansTell(t *testing.T) {
	f := newFleet(t)
	web := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "web-1", Host: "node-1"})
	calls := func(o, logged report.Outcome) func(b *report.Batch) {
		return func(b *report.Batch) {
			c := report.Calls{Caller: web, Callee: report.Callee{Address: "consent:8080"}, Outcome: o, Count: 5, First: b.Arrived, Last: b.Arrived}
			l := c
			l.Outcome, l.Counted = logged, true
			b.Calls = append(b.Calls, c, l)
		}
	}
	f.tell(time.Second, time.Minute, calls(report.OutcomeOK, report.OutcomeOK))
	f.tell(time.Second, 20*time.Second, calls(report.OutcomeUnavailable, report.OutcomeTLS))
	s := f.e.callee(report.Callee{Address: "consent:8080"}).calls
	w := f.e.params.CallWindow
	vague, told := s.byOutcome[report.OutcomeUnavailable].Value(f.now, w), s.byOutcome[report.OutcomeTLS].Value(f.now, w)
	if told < 20 || vague > told/4 {
		t.Errorf("%.1f calls failed in the handshake and %.1f nobody knows how", told, vague)
	}
	f.accused(f.began.Add(time.Minute), 15*time.Second, verdict.ClassPartition, "tls", "consent:8080")
}

func TestLineThatNamesAnUnknownAddressTellsNothingThatSpansDoNot(t *testing.T) {
	f := newFleet(t)
	web := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "web-1", Host: "node-1"})
	call := func(address string, o report.Outcome, line bool) func(b *report.Batch) {
		return func(b *report.Batch) {
			b.Calls = append(b.Calls, report.Calls{Caller: web, Callee: report.Callee{Address: address, Direct: line}, Outcome: o, Count: 5, First: b.Arrived, Last: b.Arrived, Hearsay: line})
		}
	}
	f.tell(time.Second, time.Minute, call("consent:8080", report.OutcomeOK, false))
	line := call("10.96.1.2:8080", report.OutcomeRefused, true)
	f.tell(time.Second, 2*time.Second, line)
	if f.e.reg.byKey[externalKey("10.96.1.2:8080")] == nil {
		t.Error("the line is all that tells")
	}
	f.tell(time.Second, 20*time.Second, func(b *report.Batch) {
		call("consent:8080", report.OutcomeRefused, false)(b)
		line(b)
	})
	if f.e.reg.byKey[externalKey("10.96.1.2:8080")] != nil {
		t.Error("spans tell it by its name")
	}
}
