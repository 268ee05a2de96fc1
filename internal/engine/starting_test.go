// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A runtime that starts compiles, and takes all of its machine for a while.
func TestWhatAStartTakesOfAProcessorIsNoShortage(t *testing.T) {
	for name, c := range map[string]struct {
		before, after time.Duration // for how long the machine is busy before and after somebody starts on it
		started       bool
		short         bool
	}{
		"for_a_while_after_it":     {0, 20 * time.Second, true, false},
		"for_much_longer":          {0, 80 * time.Second, true, true},
		"it_was_busy_before":       {20 * time.Second, 20 * time.Second, true, true},
		"nobody_has_started_there": {0, 25 * time.Second, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			const host = "zone-a-h0"
			one, busy := z.instances[0], c.before > 0
			z.late = func(to *zoned) bool { return busy && to.at.name == host }
			z.more = func(b *report.Batch) {
				cpu, queue := 0.2, 0.0
				if busy {
					cpu, queue = 1, 0.8
				}
				if (z.now/1e8)%20 == 0 {
					b.Levels = append(b.Levels, report.Level{Source: &report.Source{Host: host}, Kind: report.LevelCPU, Share: cpu, At: z.now},
						report.Level{Source: &report.Source{Host: host}, Kind: report.LevelRunQueue, Share: queue, At: z.now})
				}
			}
			z.run(20*time.Second + c.before)
			if c.started {
				one.inc, one.seq = one.inc+100, 0
			}
			z.run(2 * time.Second)
			busy = true
			z.run(c.after)
			busy = false
			z.run(30 * time.Second)
			short := false
			for _, ev := range z.events {
				short = short || ev.Verdict != nil && ev.Verdict.Class == verdict.ClassExhaustion
			}
			if short != c.short {
				t.Errorf("short: %v", short)
				z.dump(t)
			}
		})
	}
}

// Only what a start may take for a while is let pass, and only of the one that starts,
// or of its machine.
func TestWhatAStartTakes(t *testing.T) {
	for name, c := range map[string]struct {
		kind      report.LevelKind
		own, host time.Duration // how long ago it, and somebody on its machine, started; 0 never
		full      time.Duration // since when that is short
		takes     bool
	}{
		"the_machine's":                 {kind: report.LevelCPU, host: 10 * time.Second, full: 8 * time.Second, takes: true},
		"told_a_bit_before":             {kind: report.LevelRunQueue, host: 10 * time.Second, full: 14 * time.Second, takes: true},
		"told_before":                   {kind: report.LevelRunQueue, host: 10 * time.Second, full: 16 * time.Second},
		"for_long":                      {kind: report.LevelCPUWait, host: 31 * time.Second, full: 20 * time.Second},
		"nobody_started":                {kind: report.LevelCPU, full: 8 * time.Second},
		"its_quota":                     {kind: report.LevelThrottled, own: 10 * time.Second, full: 8 * time.Second, takes: true},
		"its_quota_and_another_started": {kind: report.LevelThrottled, host: 10 * time.Second, full: 8 * time.Second},
		"memory":                        {kind: report.LevelMemory, own: 10 * time.Second, host: 10 * time.Second, full: 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.now = fellAt
			n := &entity{host: &hostState{name: "a"}}
			if c.own != 0 {
				n.starts = e.now.Add(-c.own)
			}
			if c.host != 0 {
				n.host.startsAt(e.now.Add(-c.host))
			}
			if takes := e.startTakes(n, c.kind, &levelState{full: e.now.Add(-c.full)}); takes != c.takes {
				t.Errorf("a start takes it: %v", takes)
			}
		})
	}
}

// How fast the process before used something says nothing of the one that took its place;
// what is stored outlives it.
func TestANewProcessIsShortOfNothingUntilItIsSeenToBe(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.throttled(s.payment1, s.checkout, 10*time.Second)
	n := s.e.instance(s.payment1.src)
	s.e.levelOf(n, &report.Level{Kind: report.LevelDisk, Share: 1})
	short := func(kind report.LevelKind) bool { return n.levels.short(kind, s.e.now) }
	if !short(report.LevelThrottled) || !short(report.LevelDisk) {
		t.Fatal("it is not short")
	}
	s.payment1.restart()
	s.run(2 * time.Second)
	if short(report.LevelThrottled) || !short(report.LevelDisk) {
		t.Errorf("throttled: %v, its disk full: %v", short(report.LevelThrottled), short(report.LevelDisk))
	}
	s.throttled(s.payment1, s.checkout, time.Second)
	if short(report.LevelThrottled) {
		t.Error("what was smoothed over the life before counts on")
	}
	s.throttled(s.payment1, s.checkout, 10*time.Second)
	if !short(report.LevelThrottled) {
		t.Error("the new one is short as well, and that is not seen")
	}
}

// A container that was just started anew is not ready at first; one that was not has no excuse.
func TestWhoWasStartedAnewIsNotReadyAtFirst(t *testing.T) {
	for name, c := range map[string]struct {
		started bool
		status  int64 // with which it ended before
		said    bool
	}{
		"it_was":                     {true, 0, false},
		"it_was_not":                 {false, 0, true},
		"it_was_after_a_violent_end": {true, 1, true},
	} {
		t.Run(name, func(t *testing.T) {
			k := newCluster(1)
			pod := k.pods[0]
			k.e.Observe(&report.Batch{Arrived: k.now, Probes: []report.Probe{{Stamp: report.Stamp{Observer: "agent", At: k.now}, Source: pod, Target: "http://pod", Outcome: report.OutcomeOK, Direct: true}}})
			k.run(3 * time.Minute)
			k.silent["node-0"] = true // while it is not ready nobody calls it so
			b := &report.Batch{Arrived: k.now}
			if c.status != 0 {
				b.Facts = append(b.Facts, report.Fact{Source: pod, Kind: report.FactExit, Value: c.status, At: k.now})
			}
			if c.started {
				b.Facts = append(b.Facts, report.Fact{Source: pod, Kind: report.FactStarted, At: k.now})
			}
			k.e.Observe(b)
			for range 4 {
				k.run(5 * time.Second)
				k.e.Observe(&report.Batch{Arrived: k.now, Probes: []report.Probe{{Stamp: report.Stamp{Observer: "agent", At: k.now}, Source: pod, Target: "kubelet:readiness", Outcome: report.OutcomeRefused, Interval: 10 * time.Second, Direct: true}}})
			}
			k.run(5 * time.Second)
			if said := len(k.said) > 0; said != c.said {
				t.Errorf("said %v", k.said)
			}
		})
	}
}
