// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// The one beyond a cut answers nobody who asks across it.
func TestWhoAnswersNobodyBesideACutMayNotBeReached(t *testing.T) {
	complains := func(p *parted, zone string, byName bool) {
		caller := machine("caller-"+zone, zone)
		p.beyond.view(caller.host, caller).lastBad = 25e9
		p.beyond.seenBy(caller).byName = byName
	}
	asks := func(p *parted, whom *entity) {
		p.e.edge(p.beyond, whom).used = 9e9
		complains(p, "b", false)
	}
	agent := func(p *parted, zone string, seen clock.Time) *observer {
		h := p.e.host("agent-" + zone)
		h.zone = zone
		o := &observer{id: "agent-" + zone, host: h.name, interval: time.Second, ownBeat: true, seen: seen}
		p.e.observerList = append(p.e.observerList, o)
		return o
	}
	for name, x := range map[string]struct {
		beside bool
		change func(p *parted)
	}{
		"all_who_ask_are_on_the_other_side":    {true, func(*parted) {}},
		"packets_are_lost_on_the_way":          {true, func(p *parted) { p.c.slow = true }},
		"one_on_its_side_asks_it":              {false, func(p *parted) { complains(p, "b", false) }},
		"one_elsewhere_asks_it":                {false, func(p *parted) { complains(p, "c", false) }},
		"one_elsewhere_asks_somebody_for_it":   {true, func(p *parted) { complains(p, "c", true) }},
		"it_is_elsewhere_and_its_siblings_too": {false, func(p *parted) { p.beyond.host.zone = "c"; p.here.served.last = 20e9 }},
		"it_is_elsewhere_and_no_other_answers": {true, func(p *parted) { p.beyond.host.zone = "c"; p.whole.seenBy(p.caller).byName = true }},
		"it_failed_before_the_cut":             {false, func(p *parted) { p.c.began = 24e9 }},
		"the_cut_is_long_over":                 {false, func(p *parted) { p.over(3600e9) }},
		"its_process_stands_still":             {false, func(p *parted) { p.beyond.episode.found[belief.EvProcessStopped].strength = 1 }},
		"it_is_back_and_had_stood_still":       {false, func(p *parted) { p.beyond.episode.found[belief.EvReturnFrozen].strength = 1 }},
		"it_asks_one_on_the_other_side":        {true, func(p *parted) { asks(p, p.here) }},
		"it_asks_one_on_its_own_side":          {false, func(p *parted) { asks(p, machine("b2", "b")) }},
		"it_asks_one_who_may_stand_anywhere":   {true, func(p *parted) { asks(p, &entity{kind: kindExternal, src: &report.Source{}}) }},
		"it_asked_one_beyond_who_answers": {false, func(p *parted) {
			asks(p, p.here)
			p.beyond.callee(p.here).okEnd = 20e9
		}},
		"a_probe_gets_through_and_no_further": {false, func(p *parted) {
			p.beyond.probes = []*probeState{{observer: agent(p, "a", 26e9), outcome: report.OutcomeNoAnswer, latched: true, run: 2, at: 25e9, interval: time.Second}}
		}},
		"nobody_there_is_heard_and_no_cut_is_found_yet": {true, func(p *parted) { p.e.cuts = nil; agent(p, "b", 10e9) }},
		"all_are_heard_and_no_cut_is_found":             {false, func(p *parted) { p.e.cuts = nil; agent(p, "b", 26e9) }},
		"an_observer_there_was_lost_long_ago":           {false, func(p *parted) { p.e.cuts = nil; agent(p, "b", 26e9-clock.Time(lostFor)) }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParted()
			x.change(p)
			if got := p.e.besideCut(p.beyond, p.beyond.episode); got != x.beside {
				t.Errorf("a cut explains it: %v", got)
			}
		})
	}
}

// What was asked before a cut healed runs out of time later, and is told later still.
func TestCallsFromTheTimeOfACutShowNoHangAfterIt(t *testing.T) {
	p := newParted()
	whole := p.whole.calls
	whole.failBegan = 25e9
	if !p.e.besideCut(p.beyond, p.beyond.episode) {
		t.Fatal("the cut does not explain it")
	}
	p.over(clock.Time(heardAgainFor) + 1e9)
	if !p.e.besideCut(p.beyond, p.beyond.episode) {
		t.Error("a call that began before the cut healed shows a hang")
	}
	whole.failBegan = p.e.now
	if p.e.besideCut(p.beyond, p.beyond.episode) {
		t.Error("a cut that healed explains calls that began since")
	}
}

// One hangs in zone c, while zones a and b cannot see each other: others in all zones ask
// it directly, and none of them gets an answer.
func TestHangBesideACutIsToldByThoseWhoAskOnOtherWays(t *testing.T) {
	for name, x := range map[string]struct {
		hangs bool
		class verdict.Class
	}{"it hangs": {true, verdict.ClassCrash}, "it does not": {false, verdict.ClassNone}} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.never = func(from, to *zoned) bool { return from.at.zone == "zone-c" && to.at.zone != "zone-c" } // else it may wait for those
			z.run(60 * time.Second)
			z.blocked = func(from, to zoneHost) bool {
				return from.zone == "zone-a" && to.zone == "zone-b" || from.zone == "zone-b" && to.zone == "zone-a"
			}
			z.answer = func(_, to *zoned) report.Outcome {
				if x.hangs && to.src.Instance == "svc1-c0" {
					return report.OutcomeTimeout
				}
				return report.OutcomeOK
			}
			z.run(40 * time.Second)
			got := verdict.ClassNone
			for who, v := range z.verdicts() {
				if who == "instance svc1-c0" {
					got = v.Class
				} else if v.Class == verdict.ClassCrash {
					t.Errorf("%s: %s: %s", who, classWords(v), v.Reason)
				}
			}
			if got != x.class {
				t.Errorf("it is %q", got)
			}
		})
	}
}

// A machine and all on it fell silent together. When the first is heard again, the others
// may be in a moment.
func TestWhoFellSilentWithItsMachineHasItsTurnToComeBack(t *testing.T) {
	for name, x := range map[string]struct {
		onset, back clock.Time // of the silence, and of others on the machine, before now
		waits       bool
	}{
		"others_are_back_just_now":         {40e9, 1e9, true},
		"others_have_been_back_for_long":   {40e9, 12e9, false},
		"others_were_heard_all_along":      {40e9, 60e9, false},
		"others_were_heard_until_just_now": {2e9, 60e9, false},
	} {
		t.Run(name, func(t *testing.T) {
			const now = clock.Time(100e9)
			e := told(now)
			n, other := machine("m", "a"), machine("m", "a")
			other.host = n.host
			n.streams = []*stream{{entity: n, observer: &observer{}, kind: signBeat, gaps: stat.Accrual{Interval: 2 * time.Second}}}
			n.host.heard(other, now-x.back)
			n.host.heard(other, now)
			n.host.since = now - x.back
			e.suspect(n)
			n.episode.onset = now - x.onset
			if got := e.awaitsTurn(n, n.episode); got != x.waits {
				t.Errorf("waits %v", got)
			}
		})
	}
}

// The same of one that answers nobody.
func TestWhoAnswersNobodyAsItsMachineWasSilentHasItsTurn(t *testing.T) {
	e := told(60e9)
	n, other := machine("m", "a"), machine("m", "a")
	n.host.heard(other, 20e9)
	e.suspect(n)
	n.episode.onset = 30e9
	silent := func(at clock.Time) bool {
		e.now = at
		return e.placeSilent(n, n.episode)
	}
	if !silent(60e9) {
		t.Error("a machine of which nobody is heard may be cut off")
	}
	n.host.heard(other, 64e9)
	n.host.recent[0].at = 64e9
	if !silent(61e9) {
		t.Error("it had no time yet to be heard")
	}
	if silent(70e9) {
		t.Error("it had time to be heard")
	}
	n.episode.blame(belief.EvSilent, 1, e.now, "no heartbeat")
	if !silent(90e9) {
		t.Error("it fell silent itself, and its machine is heard no more")
	}
}

func TestThatOneLivedOnBehindACutIsNoCutOfItsOwn(t *testing.T) {
	for name, x := range map[string]struct {
		change func(p *parted)
		counts bool
	}{
		"behind_a_cut_that_was_told": {func(*parted) {}, false},
		"behind_none":                {func(p *parted) { p.beyond.cutOff = nil }, true},
		"and_it_was_called_dead": {func(p *parted) {
			p.beyond.verdict = &verdict.Verdict{Class: verdict.ClassCrash}
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParted()
			p.beyond.cutOff = p.c
			p.beyond.episode.note(belief.EvReturnCounted, 1, p.e.now, "it had counted on")
			x.change(p)
			detectReach(p.e, p.beyond, p.beyond.episode)
			if got := p.beyond.episode.found[belief.EvReturnCounted].strength > 0; got != x.counts {
				t.Errorf("counts against it: %v", got)
			}
		})
	}
}

// One was said to hang before the cut was found that explains it.
func TestHangIsTakenBackWhenTheCutIsFound(t *testing.T) {
	for name, x := range map[string]struct {
		held      belief.Cause
		explained float64
		class     verdict.Class
	}{
		"a_cut_explains_it":    {belief.CauseHang, 0.8, verdict.ClassUnknown},
		"another_fails_it":     {belief.CauseHang, 0, verdict.ClassNone},
		"it_was_called_dead":   {belief.CauseDead, 0.8, verdict.ClassNone},
		"nothing_was_said_yet": {belief.CauseHealthy, 0.8, verdict.ClassNone},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParted()
			n := p.beyond
			n.heldCause = x.held
			if x.held != belief.CauseHealthy {
				n.verdict = &verdict.Verdict{Class: verdict.ClassCrash}
			}
			n.episode.note(belief.EvExplainedByCut, x.explained, p.e.now, "nothing gets through")
			b := belief.Posterior{}
			b.P[belief.CauseVictim], b.P[belief.CauseHang] = 0.6, 0.4
			if got := p.e.decide(n, n.episode, &b); got != x.class {
				t.Errorf("it is %q", got)
			}
		})
	}
}
