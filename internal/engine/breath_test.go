// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A neighbour takes the processors: one answers nobody and does not beat, and its agent
// sees from the first look on that it wants to run.
func TestWhoIsSeenToWaitForAProcessorDoesNotHang(t *testing.T) {
	for name, c := range map[string]struct {
		before, during float64
		class          verdict.Class
		subclass       string
	}{
		"it waits all the time": {0.1, 1, verdict.ClassExhaustion, "cpu"},
		"it wants nothing":      {0.1, 0.1, verdict.ClassCrash, "hang"},
		"it always waits so":    {0.9, 0.9, verdict.ClassCrash, "hang"},
	} {
		t.Run(name, func(t *testing.T) {
			f, api := wanting(t, c.before)
			api.state, api.beats, api.waits = "deadlock", false, c.during
			at := f.now
			f.run(7 * time.Second)
			for range 5 { // now and then it gets to something
				api.state = "up"
				f.run(200 * time.Millisecond)
				api.state = "deadlock"
				f.run(1800 * time.Millisecond)
			}
			f.accused(at, 15*time.Second, c.class, c.subclass, "api-1")
		})
	}
}

func TestAMomentWithoutAProcessorIsNoFailure(t *testing.T) {
	f, api := wanting(t, 0.1)
	api.state, api.waits = "deadlock", 1
	f.run(6 * time.Second)
	api.state, api.waits = "up", 0.1
	f.run(30 * time.Second)
	f.nobodyAccused(false)
}

// wanting is a service that has waited for a processor for a share of the time, 0-1.
func wanting(t *testing.T, waits float64) (f *fleet, api *proc) {
	f = newFleet(t)
	web, neighbour := f.add("web", "web-1"), f.add("batch", "batch-1")
	api = f.add("api", "api-1")
	neighbour.src.Host = api.src.Host
	f.calls(web, api)
	api.watch, api.waits = true, waits
	f.run(2 * time.Minute)
	return f, api
}

// What it waits for in vain says nothing of the network from the first look on, and what
// one that wants no processor does, does.
func TestSilenceOfOneSeenToWaitForAProcessorIsNoSightOfTheNetwork(t *testing.T) {
	for waits, silent := range map[float64]bool{1: false, 0.2: true} {
		z := newZones()
		since := z.now.Add(60 * time.Second)
		z.more = func(b *report.Batch) {
			if (z.now/1e8)%20 != 0 {
				return
			}
			look := report.Process{State: report.ProcessRunning, PID: 9, OOMKills: -1, Throttled: -1, PressureCPU: -1, CPUWait: 0.1}
			if z.now > since {
				look.CPUWait = waits
			}
			b.Probes = append(b.Probes, report.Probe{Stamp: report.Stamp{Observer: "kubelet", At: z.now}, Source: z.who("svc1-b0").src, Target: "process:svc1", Outcome: report.OutcomeOK, Interval: 2 * time.Second, Process: &look})
		}
		z.run(60 * time.Second)
		z.starved = func(from, to *zoned) bool { return to.src.Instance == "svc1-b0" || from.src.Instance == "svc1-b0" }
		z.run(7 * time.Second)
		n, seen := z.e.instance(z.who("svc1-b0").src), false
		for _, s := range z.e.sights() {
			seen = seen || (s.target == n || s.caller == n) && s.share >= silentFrom
		}
		if seen != silent {
			t.Errorf("waits for %.0f %%: met with silence: %v", 100*waits, seen)
		}
	}
}

// Calls are late for want of a processor at one of their ends, and are told to have been
// for a while after it is over; idle neighbours hardly wait for one.
func TestLateCallsOfThoseWhoWaitForAProcessorMakeNoSlowLink(t *testing.T) {
	for name, c := range map[string]struct {
		ago    time.Duration // since the caller had to wait
		share  float64       // of the time, that it waited
		breath bool
	}{
		"it waits":               {0, 0.7, true},
		"it waited a moment ago": {15 * time.Second, 0.7, true},
		"it waited long ago":     {40 * time.Second, 0.7, false},
		"it waits as ever":       {0, 0.35, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.now = 100e9
			busy, idle, called := machine("a1", "a"), machine("a1", "a"), machine("b1", "b")
			busy.levels, idle.levels = &levels{}, &levels{}
			now := levelState{share: c.share, high: c.share, highAt: e.now.Add(-c.ago), at: e.now, usual: 0.25}
			if c.ago > 0 {
				now.share = 0.2
			}
			busy.levels[report.LevelCPUWait] = now
			idle.levels[report.LevelCPUWait] = levelState{share: 0.1, at: e.now, usual: 0.1}
			late := func(from *entity, share float64) sight {
				return sight{from: from.host, to: called.host, caller: from, target: called, share: share, weight: 3, late: true}
			}
			f := &foundCut{cut: cut{near: side{zone: "a"}}, share: 0.4}
			if got := e.wantOfBreath(f, []sight{late(busy, 0.5), late(busy, 0.4), late(idle, 0.2)}, nil); got != c.breath {
				t.Errorf("for want of a processor: %v", got)
			}
		})
	}
}
