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

// One that hung is killed and started anew on a machine that is as busy as ever. What its
// callers waited for before says nothing of the new process.
func TestAProcessThatTookThePlaceOfOneThatHungIsNotShortOfAnything(t *testing.T) {
	f := newFleet(t)
	web := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "web-1", Host: "ap2"})
	booking := report.NewSource(report.Source{Service: report.ServiceID{Name: "booking"}, Instance: "booking-1", Host: "ap1"})
	callee := report.Callee{Address: "10.0.0.11:7000", Direct: true}
	p := report.Process{State: report.ProcessRunning, PID: 17, StartTime: 5, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
	pass := func(t time.Duration, outcome report.Outcome) {
		f.tell(2*time.Second, t, func(b *report.Batch) {
			stamp, looked := f.stamp(), report.OutcomeOK
			stamp.Observer = "ap1"
			b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp, Interval: 2 * time.Second, Host: "ap1"})
			stamp.Seq++
			f.obsSeq++
			if p.State != report.ProcessRunning {
				looked = report.OutcomeOther
			}
			look := p
			b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Source: booking, Target: "process:rail:7000", Outcome: looked, Interval: 2 * time.Second, Process: &look, Host: "ap1", Addresses: []string{callee.Address}})
			host := &report.Source{Host: "ap1"}
			b.Levels = append(b.Levels, report.Level{Source: host, Kind: report.LevelCPU, Share: 1, At: b.Arrived}, report.Level{Source: host, Kind: report.LevelRunQueue, Share: 0.95, At: b.Arrived})
			if outcome == report.OutcomeUnset { // its callers have not told yet
				b.Served = append(b.Served, report.Served{Source: booking, OK: 4, Coded: 4, Last: b.Arrived})
				return
			}
			first := b.Arrived.Add(-2 * time.Second)
			b.Calls = append(b.Calls, report.Calls{Caller: web, Callee: callee, Outcome: outcome, Count: 10, First: first, Started: b.Arrived.Add(-time.Second), Last: b.Arrived, Done: first})
			if outcome == report.OutcomeOK {
				f.hopID++
				b.Hops = append(b.Hops, report.Hop{Span: f.hopID, Source: web, Callee: callee, At: b.Arrived}, report.Hop{Span: f.hopID, Server: true, Source: booking, At: b.Arrived})
				b.Served = append(b.Served, report.Served{Source: booking, OK: 10, Coded: 10, Last: b.Arrived})
			}
		})
	}
	pass(2*time.Minute, report.OutcomeOK)
	hung := f.now
	pass(20*time.Second, report.OutcomeTimeout)
	f.accused(hung, 18*time.Second, verdict.ClassCrash, "hang", "booking-1")
	p.State, p.HasExitCode, p.ExitCode = report.ProcessGone, true, 137
	pass(2*time.Second, report.OutcomeTimeout)
	p = report.Process{State: report.ProcessRunning, PID: 18, StartTime: f.now, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
	pass(4*time.Second, report.OutcomeUnset)
	late := f.now.Add(-6 * time.Second) // told now
	f.e.Observe(&report.Batch{Arrived: f.now, Calls: []report.Calls{{Caller: web, Callee: callee, Outcome: report.OutcomeTimeout, Count: 30, First: late, Started: late, Last: late, Done: late}}})
	for range 4 {
		pass(2*time.Second, report.OutcomeUnset)
		if p := f.e.instance(booking).episode; p != nil && p.found[belief.EvCallersTimeout].now {
			t.Errorf("what was awaited of the one before is held against it: %s", f.dump())
		}
	}
	pass(30*time.Second, report.OutcomeOK)
	for _, ev := range f.events {
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassExhaustion {
			t.Errorf("said %s", ev.Body)
		}
	}
	if len(f.e.suspects) != 0 {
		t.Errorf("half a minute later: %s", f.dump())
	}
}
