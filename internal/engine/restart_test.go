// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// reborn is what an engine is after a stop and a start away later, with its state
// on a disk.
func reborn(t *testing.T, e *Engine, now clock.Time, away time.Duration) *Engine {
	t.Helper()
	e.Freeze()
	state, err := e.Save()
	if err != nil {
		t.Fatal(err)
	}
	fresh := New(DefaultParams())
	fresh.Freeze()
	now = now.Add(away)
	if err := fresh.Restore(state, now); err != nil {
		t.Fatal(err)
	}
	fresh.Thaw(now)
	return fresh
}

func (f *fleet) restartEngine(away time.Duration) {
	f.t.Helper()
	f.e = reborn(f.t, f.e, f.now, away)
	f.now = f.now.Add(away)
}

// told returns the kinds of failure and incident events since the last call, and
// forgets all.
func (f *fleet) told() map[string]int {
	out := map[string]int{}
	for _, ev := range f.events {
		out[ev.Kind]++
	}
	f.events = nil
	return out
}

// openIncident is the id of the only incident that was opened.
func (f *fleet) openedIncident() string {
	f.t.Helper()
	id := ""
	for _, ev := range f.events {
		if ev.Kind == contract.EventIncidentOpened {
			if id != "" {
				f.t.Error("two incidents were opened")
			}
			id = ev.Incident.ID
		}
	}
	if id == "" {
		f.t.Fatalf("no incident was opened: %s", f.dump())
	}
	return id
}

func TestRestartDuringAFaultLosesNoIncidentAndChangesNoClass(t *testing.T) {
	for name, c := range map[string]struct {
		fail func(s *shop)
		heal func(s *shop)
	}{
		"crash": {func(s *shop) { s.payment1.state = "dead" }, func(s *shop) { s.payment1.restart() }},
		"crash_with_a_probe": {func(s *shop) {
			s.payment1.probe = 2 * time.Second
			s.run(10 * time.Second)
			s.payment1.state = "dead"
		}, func(s *shop) { s.payment1.restart() }},
		"nobody_calls_it": {func(s *shop) {
			s.payment1.callers = nil
			s.run(30 * time.Second)
			s.payment1.state = "dead"
		}, func(s *shop) { s.payment1.restart() }},
		"out_of_memory_kill": {func(s *shop) {
			s.payment1.state = "dead"
			s.e.Observe(&report.Batch{Arrived: s.now, Facts: []report.Fact{
				{Source: s.payment1.src, Kind: report.FactOOMKill, At: s.now, Text: "its cgroup counted 1 out-of-memory kill"},
				{Source: s.payment1.src, Kind: report.FactExit, Value: 137, At: s.now},
			}})
		}, func(s *shop) { s.payment1.restart() }},
		"database_without_telemetry": {func(s *shop) {
			s.ledger.state = "dead"
		}, func(s *shop) { s.ledger.state = "up" }},
		"hang": {func(s *shop) { s.payment1.state = "frozen" }, func(s *shop) { s.payment1.state = "up" }},
		"wrong_answers": {func(s *shop) {
			for range 10 {
				s.e.Observe(&report.Batch{Arrived: s.now, Probes: []report.Probe{{Stamp: s.stamp(), Source: s.payment1.src, Target: "http://known", Outcome: report.OutcomeWrongAnswer, Interval: time.Second, Direct: true}}})
				s.run(time.Second)
			}
		}, func(s *shop) {
			for range 10 {
				s.e.Observe(&report.Batch{Arrived: s.now, Probes: []report.Probe{{Stamp: s.stamp(), Source: s.payment1.src, Target: "http://known", Outcome: report.OutcomeOK, Interval: time.Second, Direct: true}}})
				s.run(time.Second)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			if name == "database_without_telemetry" {
				s.ledger.beats, s.ledger.mute = false, true
			}
			s.run(2 * time.Minute)
			c.fail(s)
			s.run(15 * time.Second)
			incident := s.openedIncident()
			class := map[string]verdict.Class{}
			for _, n := range s.e.suspects {
				if n.verdict != nil {
					class[n.name()] = n.verdict.Class
				}
			}
			s.told()
			s.restartEngine(10 * time.Second)
			still := 12 * time.Second
			if name == "wrong_answers" {
				still = time.Second
			}
			s.run(still)
			for _, ev := range s.events {
				switch ev.Kind {
				case contract.EventFailureDetected, contract.EventFailureRevised:
					if ev.Verdict.Class != class[ev.Entity] {
						t.Errorf("after the restart: %s", ev.Body)
					}
				case contract.EventIncidentOpened, contract.EventIncidentResolved, contract.EventFailureCleared:
					t.Errorf("after the restart: %s", ev.Body)
				}
			}
			s.events = nil
			c.heal(s)
			s.run(90 * time.Second)
			resolved := 0
			for _, ev := range s.events {
				if ev.Kind == contract.EventIncidentResolved {
					resolved++
					if ev.Incident.ID != incident {
						t.Errorf("resolved incident %s, opened was %s", ev.Incident.ID, incident)
					}
				}
				if ev.Kind == contract.EventFailureDetected {
					t.Errorf("after it was healed: %s", ev.Body)
				}
			}
			if resolved != 1 {
				t.Errorf("the incident was resolved %d times: %v %s", resolved, s.verdicts(), s.dump())
			}
		})
	}
}

func TestRestartDuringACutLosesNoIncidentAndBlamesNobodyElse(t *testing.T) {
	for name, blocked := range map[string]func(x, y zoneHost) bool{
		"between_two_zones": func(x, y zoneHost) bool {
			return x.zone == "zone-a" && y.zone == "zone-b" || x.zone == "zone-b" && y.zone == "zone-a"
		},
		"a_whole_zone": func(x, y zoneHost) bool { return (x.zone == "zone-b") != (y.zone == "zone-b") },
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			z.blocked = blocked
			z.run(20 * time.Second)
			culprit := ""
			for who := range z.verdicts() {
				culprit = who
			}
			opened := z.told(contract.EventIncidentOpened)
			z.e = reborn(t, z.e, z.now, 5*time.Second)
			z.now = z.now.Add(5 * time.Second)
			z.run(20 * time.Second)
			for who, v := range z.verdicts() {
				if who != culprit && v.Class != verdict.ClassUnknown {
					t.Errorf("%s: %s: %s", who, classWords(v), v.Reason)
				}
			}
			z.blocked = func(_, _ zoneHost) bool { return false }
			z.run(3 * time.Minute)
			if got := z.told(contract.EventIncidentResolved); got != opened || opened == 0 {
				t.Errorf("%d incidents were opened, %d resolved", z.told(contract.EventIncidentOpened), got)
			}
			z.expect(t, verdict.ClassPartition, culprit)
			if t.Failed() {
				z.dump(t)
			}
		})
	}
}

func TestStopThatWasAnnouncedBeforeARestartIsPlanned(t *testing.T) {
	s := newShop(t)
	s.run(2 * time.Minute)
	s.announce(s.payment1, report.StatusStopping)
	for _, p := range s.procs {
		p.callers = nil // its callers were sent elsewhere
	}
	s.run(time.Second)
	s.payment1.state = "dead"
	s.restartEngine(5 * time.Second)
	s.run(time.Minute)
	s.nobodyAccused(false)
}

func TestIncidentThatEndsWhileFrozenIsResolvedByTheNextEngine(t *testing.T) {
	s := newShop(t)
	s.run(2 * time.Minute)
	s.payment1.state = "dead"
	s.run(15 * time.Second)
	incident := s.openedIncident()
	s.payment1.restart()
	for s.first(contract.EventFailureCleared) == nil {
		s.run(time.Second)
	}
	s.e.Freeze() // receivers are being stopped
	s.run(20 * time.Second)
	s.restartEngine(5 * time.Second)
	s.run(time.Minute)
	for _, ev := range s.events {
		if ev.Kind == contract.EventIncidentResolved && ev.Incident.ID == incident {
			return
		}
	}
	t.Errorf("incident %s was never resolved: %v", incident, s.told())
}

func TestStartsOfLongAgoAreNoLoopAfterARestart(t *testing.T) {
	for name, between := range map[string]time.Duration{"long_before": 20 * time.Minute, "announced_just_before": 0} {
		t.Run(name, func(t *testing.T) {
			f := newSites(t, 2, 6)
			f.run(2 * time.Minute)
			for range 3 {
				f.updates(f.procs[0])
				f.run(between)
			}
			f.restartEngine(5 * time.Second)
			f.run(2 * time.Minute)
			f.procs[0].state = "dead"
			f.run(2 * time.Minute)
			f.nobodyAccused(true)
		})
	}
}

// What is captured may be encoded while the engine goes on.
func TestCapturedStateDoesNotChangeAnyMore(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.ledger.state = "dead"
	s.run(20 * time.Second)
	encode := s.e.Capture()
	want, err := s.e.Save()
	if err != nil {
		t.Fatal(err)
	}
	s.ledger.restart()
	s.run(10 * time.Minute)
	got, err := encode()
	if err != nil || string(got) != string(want) {
		t.Errorf("another state than when it was captured; %v", err)
	}
	if later, _ := s.e.Save(); string(later) == string(want) {
		t.Error("nothing happened meanwhile")
	}
}

// The clock of the host was set back meanwhile, or by its end the engine's was ahead of it.
func TestFailureHurtsThoughTheClockWasSetBackOverARestart(t *testing.T) {
	s := newShop(t)
	s.run(2 * time.Minute)
	s.payment1.state = "dead"
	s.run(15 * time.Second)
	incident := s.openedIncident()
	s.told()
	s.restartEngine(-time.Hour)
	s.run(12 * time.Second)
	v := s.e.Snapshot().Verdict(s.payment1.src, s.now)
	if v == nil || v.Class != verdict.ClassCrash || v.Incident != incident {
		t.Fatalf("now it is %v", v)
	}
	if age := s.now.Sub(v.Since); age < 20*time.Second || age > 40*time.Second {
		t.Errorf("it began %v ago", age)
	}
	s.payment1.restart()
	s.run(90 * time.Second)
	if told := s.told(); told[contract.EventIncidentResolved] != 1 || told[contract.EventFailureDetected] != 0 {
		t.Error(told)
	}
}
