// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// newSites is a fleet of devices at several sites behind NAT: they beat, nobody calls
// them and nobody looks at them.
func newSites(t *testing.T, sites, devices int) *fleet {
	f := newFleet(t)
	for s := range sites {
		for d := range devices {
			p := f.add("charger", fmt.Sprintf("cp-%d-%d", s, d))
			src := *p.src
			src.Host, src.Group = "", fmt.Sprintf("site-%d", s)
			p.src = report.NewSource(src)
			p.interval = 2 * time.Second
		}
	}
	return f
}

func TestSiteThatFallsSilentIsOneIncident(t *testing.T) {
	f := newSites(t, 4, 6)
	for _, p := range f.procs[4:6] {
		p.interval = 5 * time.Second
	}
	f.run(5 * time.Minute)
	for _, p := range f.procs[:6] {
		p.state = "cut"
	}
	f.run(2 * time.Minute)
	f.nobodyAccused(true)
	told := f.told()
	if told[contract.EventFailureDetected] != 6 || told[contract.EventIncidentOpened] != 1 {
		t.Errorf("told %v, want 6 devices in 1 incident", told)
	}
}

func TestDevicesOfASiteThatFailOneAfterTheOtherAreTwoIncidents(t *testing.T) {
	f := newSites(t, 4, 6)
	f.run(5 * time.Minute)
	f.procs[0].state = "dead"
	f.run(30 * time.Second)
	f.procs[1].state = "dead"
	f.run(time.Minute)
	if opened := f.told()[contract.EventIncidentOpened]; opened != 2 {
		t.Errorf("%d incidents, want 2", opened)
	}
}

// updates lets a device of the fleet be updated in order.
func (f *fleet) updates(p *proc) {
	f.announce(p, report.StatusStopping)
	p.state = "dead"
	f.run(8 * time.Second)
	p.restart()
	f.run(time.Minute)
}

func TestDeviceInARebootLoopIsToldThoughAnotherWasUpdated(t *testing.T) {
	f := newSites(t, 2, 6)
	f.run(2 * time.Minute)
	f.updates(f.procs[3])
	for range 5 {
		f.procs[0].state = "dead"
		f.run(4 * time.Second)
		f.procs[0].restart()
		f.run(5 * time.Second)
	}
	f.accused(f.now, 0, verdict.ClassCrash, "crash_loop", "cp-0-0")
	if told := f.told(); told[contract.EventFailureCleared] != 0 {
		t.Errorf("told %v while it loops", told)
	}
	f.run(30 * time.Second)
	if f.told()[contract.EventFailureCleared] != 1 {
		t.Error("not over though it loops no more")
	}
}

func TestDeviceThatAnnouncesEachOfItsRestartsIsInNoLoop(t *testing.T) {
	f := newSites(t, 2, 6)
	f.run(2 * time.Minute)
	for range 5 {
		f.updates(f.procs[0])
	}
	f.nobodyAccused(true)
}

// sleepsFor lets a device say, once, that it will beat more slowly from now on, as one
// that saves its battery does, and be silent until then.
func (f *fleet) sleepsFor(p *proc, d time.Duration) {
	p.seq++
	f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: f.stamp(), Source: p.src, Interval: d, Incarnation: p.incarnation, Seq: p.seq, Remote: p.remote}}})
	p.state = "frozen"
	f.run(d)
	p.state = "up"
}

func TestDeviceThatSaysThatItWillBeatMoreSlowlyIsNotMissed(t *testing.T) {
	f := newSites(t, 2, 6)
	f.run(3 * time.Minute)
	for range 3 {
		f.sleepsFor(f.procs[0], 2*time.Minute)
		f.run(time.Minute)
	}
	f.nobodyAccused(false)
}

func TestSleepThatSomebodyElseSaysHidesNobody(t *testing.T) {
	f := newSites(t, 2, 6)
	for _, p := range f.procs {
		p.remote = "192.0.2.1"
	}
	f.run(3 * time.Minute)
	p := f.procs[0]
	p.remote = "198.51.100.7"
	f.sleepsFor(p, 2*time.Minute)
	f.nobodyAccused(true)
	if f.first(contract.EventFailureDetected) == nil {
		t.Error("nobody missed it")
	}
}

func TestDeviceThatLosesPowerIsTold(t *testing.T) {
	f := newSites(t, 2, 6)
	f.run(3 * time.Minute)
	f.announce(f.procs[0], report.StatusReady)
	f.announce(f.procs[0], report.StatusLastGasp)
	f.procs[0].state = "dead"
	at := f.now
	f.run(40 * time.Second)
	f.accused(at, 15*time.Second, verdict.ClassCrash, "node_down", "cp-0-0")
}

func TestOutageOfASiteMakesNobodyDeafToAnotherSilence(t *testing.T) {
	f := newSites(t, 4, 6)
	f.run(5 * time.Minute)
	for range 2 {
		for _, p := range f.procs[:6] {
			p.state = "cut"
		}
		f.run(50 * time.Second)
		for _, p := range f.procs[:6] {
			p.state = "up"
		}
		f.run(3 * time.Minute)
	}
	f.events = nil
	f.procs[20].state = "dead"
	at := f.now
	f.run(2 * time.Minute)
	ev := f.first(contract.EventFailureDetected)
	if ev == nil || ev.At.Sub(at) > 25*time.Second {
		t.Errorf("missed after 25 s at the earliest: %v", ev)
	}
	if ev != nil {
		t.Log(ev.At.Sub(at))
	}
}

// pausing lets each device in turn be silent for a while, now and then.
func (f *fleet) pausing(rounds int, pause time.Duration) {
	for i := range rounds {
		p := f.procs[i%len(f.procs)]
		p.state = "frozen"
		f.run(pause)
		p.state = "up"
		f.run(20 * time.Second)
	}
}

func TestPausesOfSingleDevicesAreTheHabitOfTheFleet(t *testing.T) {
	f := newSites(t, 2, 6)
	f.run(5 * time.Minute)
	f.pausing(24, 14*time.Second)
	f.events = nil
	f.pausing(12, 14*time.Second)
	f.nobodyAccused(false)
}

func TestDeadlineOfAnotherTimeIsNotKept(t *testing.T) {
	f := newSites(t, 2, 6)
	f.run(5 * time.Minute)
	for _, s := range f.e.watched {
		s.due = 10 * time.Minute // as after a fleet that paused a lot
	}
	f.procs[0].state = "dead"
	at := f.now
	f.run(time.Minute)
	if ev := f.first(contract.EventFailureDetected); ev == nil || ev.At.Sub(at) > 30*time.Second {
		t.Errorf("missed late: %v", ev)
	}
}
