// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// saidOf lists what was said of p, one after the other.
func (f *fleet) saidOf(p *proc) (out []string) {
	for _, ev := range f.events {
		if (ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised) && ev.Verdict.Culprit.Name == p.src.Instance {
			if s := fmt.Sprintf("%s/%s", ev.Verdict.Class, ev.Verdict.Subclass); ev.Verdict.Class != verdict.ClassUnknown && (len(out) == 0 || out[len(out)-1] != s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// throttled lets p's quota throttle it for d: it answers late, and its callers give
// up on some calls.
func (f *fleet) throttled(p, caller *proc, d time.Duration) {
	callers := p.callers
	p.callers = nil // told below
	defer func() { p.callers = callers }()
	for end := f.now.Add(d); f.now < end; {
		f.e.Observe(&report.Batch{Arrived: f.now,
			Probes: []report.Probe{{Stamp: f.stamp(), Source: p.src, Target: "process:" + p.src.Instance, Outcome: report.OutcomeOK, Interval: time.Second,
				Process: &report.Process{State: report.ProcessRunning, PID: int64(p.incarnation), Throttled: 0.9, OOMKills: -1}}},
			Calls: []report.Calls{
				{Caller: caller.src, Callee: report.Callee{Address: p.addr, Direct: true}, Outcome: report.OutcomeTimeout, Count: 2, First: f.now.Add(-time.Second), Last: f.now},
				{Caller: caller.src, Callee: report.Callee{Address: p.addr, Direct: true}, Outcome: report.OutcomeOK, Count: 8, Slow: 8, First: f.now.Add(-time.Second), Last: f.now},
			},
			Served: []report.Served{{Source: p.src, OK: 8, Slow: 8, Last: f.now}}})
		f.run(time.Second)
	}
}

// Who is starved and then killed from outside has failed twice: first for want of
// what it was short of, then by the kill.
func TestStarvedOneThatIsKilledFailsTwice(t *testing.T) {
	for name, c := range map[string]struct {
		facts []report.Fact
		watch bool
	}{
		"by_its_exit_status":    {[]report.Fact{{Kind: report.FactExit, Value: 137}}, false},
		"by_a_process_target":   {nil, true},
		"by_a_fault_of_its_own": {[]report.Fact{{Kind: report.FactExit, Value: 139}}, false},
		"by_nothing_but_calls":  {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.run(time.Minute)
			at := s.now
			s.throttled(s.payment1, s.checkout, 15*time.Second)
			s.accused(at, 12*time.Second, verdict.ClassExhaustion, "cpu", "payment-1")
			killed := s.now
			s.payment1.watch = c.watch
			s.payment1.state = "dead"
			s.note(s.payment1, c.facts...)
			s.run(20 * time.Second)
			if got := s.saidOf(s.payment1); !slices.Equal(got, []string{"resource_exhaustion/cpu", "crash/process_exit"}) {
				t.Errorf("said %v; %s", got, s.dump())
			}
			for _, ev := range s.events {
				if ev.Kind == contract.EventFailureRevised {
					t.Logf("after %v: %s", ev.At.Sub(killed), ev.Body)
				}
			}
		})
	}
}

// Who is ended for want of what it was short of has failed once.
func TestStarvedOneThatEndsForItFailsOnce(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.note(s.payment1, heapFull)
	s.throttled(s.payment1, s.checkout, 8*time.Second)
	s.payment1.state = "dead"
	s.note(s.payment1, report.Fact{Kind: report.FactOOMKill, Text: "its cgroup counted 1 out-of-memory kills"}, report.Fact{Kind: report.FactExit, Value: 137})
	s.run(20 * time.Second)
	for _, said := range s.saidOf(s.payment1) {
		if said == "crash/process_exit" {
			t.Errorf("said %v", s.saidOf(s.payment1))
		}
	}
}
