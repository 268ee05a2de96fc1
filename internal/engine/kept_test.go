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

// behindCut is a fleet in three zones whose agents look at one process in one of them.
type behindCut struct {
	*zones
	n       *zoned
	agent   *zoneAgent
	process report.Process
	status  report.Status // that it tells
	ahead   time.Duration // of the agent's clock
}

func newBehindCut(zone int) *behindCut {
	w := &behindCut{zones: newZones(), status: report.StatusReady}
	w.n, w.agent = w.instances[6*zone+1], w.agents[zone]
	w.process = report.Process{State: report.ProcessRunning, PID: 7, StartTime: 1, Throttled: -1, CPUWait: -1, PressureCPU: -1, MemoryUsed: -1}
	w.answer = func(_, to *zoned) report.Outcome {
		if to == w.n && w.process.State == report.ProcessGone {
			return report.OutcomeRefused
		}
		return report.OutcomeOK
	}
	w.beating = func(_ *zoned, b *report.Beat) { b.Status = w.status }
	w.more = func(*report.Batch) {
		if (w.now/1e8)%20 != 7 || w.agent.paused {
			return
		}
		w.agent.seq++
		process, outcome := w.process, report.OutcomeOK
		if process.State != report.ProcessRunning {
			outcome = report.OutcomeOther
		}
		look := report.Probe{Source: w.n.src, Target: "process:it", Interval: 2 * time.Second, Outcome: outcome, Process: &process,
			Stamp: report.Stamp{Observer: w.agent.id, At: w.now, Uptime: time.Duration(w.now - 1_800_000_000_000_000_000 + 1e12), Seq: w.agent.seq}}
		w.agent.queue = append(w.agent.queue, func(b *report.Batch) { b.Probes = append(b.Probes, look) })
	}
	w.deliver = func(b *report.Batch) {
		for i := range b.Observers {
			w.shift(&b.Observers[i].Stamp)
		}
		for i := range b.Beats {
			w.shift(&b.Beats[i].Stamp)
		}
		for i := range b.Probes {
			w.shift(&b.Probes[i].Stamp)
		}
		w.e.Observe(b)
	}
	w.run(45 * time.Second)
	return w
}

func (w *behindCut) shift(s *report.Stamp) {
	if s.Observer == w.agent.id {
		s.At = s.At.Add(w.ahead)
	}
}

// cutOff lets nothing into or out of its zone.
func (w *behindCut) cutOff() {
	w.blocked = func(from, to zoneHost) bool { return (from.zone == w.n.at.zone) != (to.zone == w.n.at.zone) }
}

func (w *behindCut) heal() { w.blocked = func(_, _ zoneHost) bool { return false } }

// end lets the process end with a status.
func (w *behindCut) end(status int) {
	w.process.State, w.process.HasExitCode, w.process.ExitCode = report.ProcessGone, true, status
	w.n.next = w.now.Add(time.Hour)
}

func (w *behindCut) start() {
	w.process.State, w.process.PID = report.ProcessRunning, w.process.PID+1 // and its agent still tells how the last one ended
	w.n.inc, w.n.seq, w.n.next, w.status = w.n.inc+100, 0, w.now, report.StatusReady
}

// says has it send one more heartbeat at once, and those that follow, with a status.
func (w *behindCut) says(status report.Status) {
	w.status = status
	w.n.seq++
	w.agent.seq++
	beat := report.Beat{Source: w.n.src, Interval: time.Second, Incarnation: w.n.inc, Seq: w.n.seq, SentAt: w.now, Status: status,
		Stamp: report.Stamp{Observer: w.agent.id, At: w.now, Uptime: time.Duration(w.now - 1_800_000_000_000_000_000 + 1e12), Seq: w.agent.seq}}
	w.agent.queue = append(w.agent.queue, func(b *report.Batch) { b.Beats = append(b.Beats, beat) })
}

// accused are the verdicts on instances, in order.
func (w *behindCut) accused() (out []*verdict.Verdict) {
	for _, ev := range w.events {
		if (ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised) && ev.Verdict.Culprit.Type == verdict.CulpritInstance {
			out = append(out, ev.Verdict)
		}
	}
	return out
}

// Who ended behind a cut is told when its agent can tell, be it back or not.
func TestEndBehindACutIsToldWhenItHeals(t *testing.T) {
	for name, c := range map[string]struct {
		status, kills int
		back          bool
		ahead         time.Duration
		class         verdict.Class
		subclass      string
		before, soon  time.Duration
	}{
		"killed_and_started_again":              {137, 0, true, 0, verdict.ClassCrash, "process_exit", 8 * time.Second, 4 * time.Second},
		"killed_just_before_the_cut":            {137, 0, true, 0, verdict.ClassCrash, "process_exit", -300 * time.Millisecond, 4 * time.Second},
		"killed_and_still_gone":                 {137, 0, false, 0, verdict.ClassCrash, "process_exit", 8 * time.Second, 2 * time.Second},
		"aborted_and_started_again":             {134, 0, true, 0, verdict.ClassCrash, "process_exit", 8 * time.Second, 4 * time.Second},
		"out_of_memory_and_started_again":       {137, 1, true, 0, verdict.ClassExhaustion, "oom_kill", 8 * time.Second, 2 * time.Second},
		"out_of_memory_and_still_gone":          {137, 1, false, 0, verdict.ClassExhaustion, "oom_kill", 8 * time.Second, 2 * time.Second},
		"killed_where_the_clock_is_hours_ahead": {137, 0, true, 3 * time.Hour, verdict.ClassCrash, "process_exit", 8 * time.Second, 4 * time.Second},
		"killed_where_the_clock_is_behind":      {137, 0, true, -time.Hour, verdict.ClassCrash, "process_exit", 8 * time.Second, 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newBehindCut(1)
			w.ahead = c.ahead
			if c.before < 0 {
				w.process.OOMKills += int64(c.kills)
				w.end(c.status)
				w.run(-c.before)
				w.cutOff()
			} else {
				w.cutOff()
				w.run(c.before)
				w.process.OOMKills += int64(c.kills)
				w.end(c.status)
			}
			w.run(12 * time.Second)
			if c.back {
				w.start()
			}
			w.run(20 * time.Second)
			if said := w.accused(); len(said) != 0 {
				t.Errorf("while it was cut off said %s: %s", classWords(said[0]), said[0].Reason)
			}
			healed := w.now
			w.heal()
			w.run(20 * time.Second)
			said := w.accused()
			if len(said) != 1 || said[0].Class != c.class || string(said[0].Subclass) != c.subclass || said[0].Culprit.Name != w.n.src.Instance {
				w.dump(t)
				t.Fatalf("want %s/%s of %s alone", c.class, c.subclass, w.n.src.Instance)
			}
			for _, ev := range w.events {
				if ev.Verdict == said[0] && ev.At.Sub(healed) > c.soon {
					t.Errorf("said %v after the cut had healed", ev.At.Sub(healed))
				}
				if ev.Kind == contract.EventFailureCleared && ev.Verdict.Culprit == said[0].Culprit && c.back && ev.At.Sub(healed) > 10*time.Second {
					t.Errorf("held for %v after the cut had healed, and it was back", ev.At.Sub(healed))
				}
			}
			if v := w.verdicts()["zone zone-b"]; v == nil || v.Class != verdict.ClassPartition {
				t.Errorf("the zone was cut off, said %v", v)
			}
		})
	}
}

// Who was merely cut off, or was stopped on purpose meanwhile, is not accused.
func TestNobodyBehindACutIsAccusedOfAStop(t *testing.T) {
	for name, meanwhile := range map[string]func(w *behindCut){
		"nothing_happened":      func(w *behindCut) {},
		"it_ended_in_order":     func(w *behindCut) { w.end(0) },
		"it_was_asked_to_end":   func(w *behindCut) { w.end(143) },
		"and_was_started_again": func(w *behindCut) { w.end(143); w.run(8 * time.Second); w.start() },
		"it_took_too_long_to_drain": func(w *behindCut) {
			w.says(report.StatusDraining)
			w.run(10 * time.Second)
			w.end(137)
			w.run(5 * time.Second)
			w.start()
		},
		"and_has_not_been_started_again": func(w *behindCut) { w.says(report.StatusDraining); w.run(10 * time.Second); w.end(137) },
		"its_machine_was_paused": func(w *behindCut) {
			w.agent.paused = true
			for _, n := range w.instances[6:9] {
				n.next = w.now.Add(20 * time.Second)
			}
			w.run(20 * time.Second)
			w.agent.paused = false
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newBehindCut(1)
			w.cutOff()
			w.run(8 * time.Second)
			meanwhile(w)
			w.run(25 * time.Second)
			w.heal()
			w.run(40 * time.Second)
			for _, v := range w.accused() {
				t.Errorf("said %s of %s: %s", classWords(v), v.Culprit.Name, v.Reason)
			}
		})
	}
}

// What an agent delivers late of an end that others have told already is the same one.
func TestEndThatWasToldIsNotToldAgainByABacklog(t *testing.T) {
	w := newBehindCut(1)
	w.blocked = func(from, to zoneHost) bool { return from == w.agent.at && to.name == "gateway" }
	w.run(8 * time.Second)
	w.end(137)
	w.run(20 * time.Second)
	w.start()
	w.run(25 * time.Second)
	if said := w.accused(); len(said) != 1 || said[0].Class != verdict.ClassCrash {
		t.Fatalf("its callers told of its end; said %v", w.verdicts())
	}
	w.heal()
	w.run(40 * time.Second)
	if said := w.accused(); len(said) != 1 {
		w.dump(t)
	}
}

// What is very old, of one who was not known before, of a client that ends as it likes or
// of a service that is supposed to be there, is history.
func TestOldOrDoubtfulLookThatComesLateIsHistory(t *testing.T) {
	for name, c := range map[string]struct {
		change func(n *entity, b *report.Probe)
		late   time.Duration
		kept   bool
	}{
		"an_end_of_a_minute_ago": {func(*entity, *report.Probe) {}, time.Minute, true},
		"an_hour_ago":            {func(*entity, *report.Probe) {}, time.Hour, false},
		"not_known_before":       {func(n *entity, _ *report.Probe) { n.process = processFacts{} }, time.Minute, false},
		"a_client":               {func(_ *entity, b *report.Probe) { b.Client = true }, time.Minute, false},
		"supposed":               {func(n *entity, _ *report.Probe) { n.supposed = true }, time.Minute, false},
		"in_order":               {func(_ *entity, b *report.Probe) { b.Process.ExitCode = 143 }, time.Minute, false},
		"told_already":           {func(*entity, *report.Probe) {}, time.Minute, false},
		"it_goes_on":             {func(_ *entity, b *report.Probe) { b.Process.State = report.ProcessRunning }, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.advance(clock.Time(2 * time.Hour))
			n := e.instance(report.NewSource(report.Source{Service: report.ServiceID{Name: "cart"}, Instance: "cart-1"}))
			n.process = processFacts{known: true, pid: 7}
			b := &report.Probe{Process: &report.Process{State: report.ProcessGone, PID: 7, HasExitCode: true, ExitCode: 137, OOMKills: -1}}
			c.change(n, b)
			if name == "told_already" {
				e.keepSettled(settledVerdict{entity: n, verdict: &verdict.Verdict{Class: verdict.ClassCrash, Until: e.now.Add(-30 * time.Second)}})
			}
			e.lookedMeanwhile(n, b, c.late)
			if kept := n.kept.told != 0; kept != c.kept {
				t.Errorf("kept: %v, want %v", kept, c.kept)
			}
		})
	}
}

// Who judges itself sees what ends in its zone while that is cut off.
func TestEndInAJudgesOwnZoneIsToldWhileThatIsCutOff(t *testing.T) {
	w := newBehindCut(2)
	w.cutOff()
	w.run(8 * time.Second)
	killed := w.now
	w.end(137)
	w.run(20 * time.Second)
	said := w.accused()
	if len(said) != 1 || said[0].Class != verdict.ClassCrash || said[0].Culprit.Name != w.n.src.Instance {
		w.dump(t)
		t.Fatalf("want crash of %s alone", w.n.src.Instance)
	}
	for _, ev := range w.events {
		if ev.Verdict == said[0] && ev.At.Sub(killed) > 5*time.Second {
			t.Errorf("said after %v", ev.At.Sub(killed))
		}
	}
}

// Who was killed because it took too long to stop, and is back before its agent can tell,
// has not failed, however short the cut was.
func TestKillAfterADrainInAShortCutIsNoCrash(t *testing.T) {
	w := newBehindCut(1)
	w.cutOff()
	w.run(time.Second)
	w.says(report.StatusDraining)
	w.run(2 * time.Second)
	w.end(137)
	w.run(3 * time.Second)
	w.start()
	w.run(3 * time.Second)
	w.heal()
	w.run(20 * time.Second)
	for _, v := range w.accused() {
		t.Errorf("said %s of %s: %s", classWords(v), v.Culprit.Name, v.Reason)
	}
}
