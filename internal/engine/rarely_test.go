// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// rarely lets the instances be called in turn, one every other second.
func (f *behind) rarely() {
	f.perSecond = 0
	n := 0
	f.each = func(b *report.Batch) {
		n++
		if n%2 == 0 {
			f.call(f.instances[n/2%len(f.instances)], b)
		}
	}
}

func TestOneThatIsCalledRarelyAndHangs(t *testing.T) {
	t.Run("is_told_though_its_siblings_answer_in_between", func(t *testing.T) {
		f := newBehind(3)
		f.rarely()
		f.run(5 * time.Minute)
		f.instances[1].state = "deadlock"
		f.run(70 * time.Second)
		f.expect(t, "instance api-1", verdict.ClassCrash, "hang")
		for _, ev := range f.events {
			if ev.Verdict != nil && ev.Verdict.Until != 0 {
				t.Errorf("it hangs on, and was cleared: %s", ev.Body)
			}
		}
	})
	t.Run("is_not_one_that_is_asked_no_more_while_a_few_calls_to_others_fail", func(t *testing.T) {
		f := newBehind(3)
		f.run(2 * time.Minute)
		f.instances[1].state = "unsent"
		n := 0
		f.each = func(b *report.Batch) {
			if n++; n%5 == 0 {
				b.Calls = append(b.Calls, report.Calls{Caller: f.client, Callee: report.Callee{Address: "api:80"}, Outcome: report.OutcomeTimeout, Count: 1, First: f.now, Last: f.now})
			}
		}
		f.run(2 * time.Minute)
		f.expect(t, "", verdict.ClassNone, "")
	})
}

func TestSiblingsDoNotHideThatAPortWasClosedForAMomentOnly(t *testing.T) {
	f := newBehind(3)
	f.instances[1].beats = true
	f.run(2 * time.Minute)
	for _, state := range [...]string{"deadlock", "closed"} {
		f.instances[1].state = state
		f.run(map[string]time.Duration{"deadlock": 30 * time.Second, "closed": 2 * time.Second}[state])
	}
	f.expect(t, "instance api-1", verdict.ClassCrash, "hang")
	if p := f.e.instance(f.instances[1].src).episode; p == nil || p.found[belief.EvStillRefused].strength > 0 {
		t.Error("it is taken to have refused all the time")
	}
}

func TestWhatMayPassAndDoesNotIsUnknown(t *testing.T) {
	unknown := func(f *behind) (n int) {
		for _, ev := range f.events {
			if ev.Kind == contract.EventFailureDetected && ev.Verdict.Class == verdict.ClassUnknown {
				n++
			}
		}
		return n
	}
	for name, tc := range map[string]struct {
		then string
		want int
	}{
		"when_it_is_not_heard_again":       {"unsent", 1},
		"but_not_when_it_answers_as_usual": {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBehind(3)
			f.instances[1].alone = true
			f.run(2 * time.Minute)
			f.instances[1].state = "paused"
			f.run(5 * time.Second)
			f.instances[1].state = tc.then
			f.run(40 * time.Second)
			f.expect(t, "", verdict.ClassNone, "")
			if got := unknown(f); got != tc.want {
				t.Errorf("%d unknown, want %d", got, tc.want)
			}
		})
	}
}

func TestCrashIsNotTakenBackWhenWhatShowedItFades(t *testing.T) {
	e := New(DefaultParams())
	p := &episode{}
	p.note(belief.EvProbeRefused, 1, e.now, "connection refused")
	var b belief.Posterior
	b.P[belief.CauseDead] = 0.9
	n := &entity{kind: kindInstance, alive: true, answered: true, episode: p}
	if got := e.decide(n, p, &b); got != verdict.ClassUnknown {
		t.Errorf("an end that may be a stop is %q, want unknown", got)
	}
	n.verdict = &verdict.Verdict{Class: verdict.ClassCrash}
	if got := e.decide(n, p, &b); got != verdict.ClassCrash {
		t.Errorf("one that was seen to crash is %q", got)
	}
}

func TestPortThatTookConnectionsAtFirst(t *testing.T) {
	const began = clock.Time(100 * time.Second)
	at := began.Add
	for name, tc := range map[string]struct {
		target         string
		tookLast, told clock.Time // when it took a connection last, and answered a caller last
		want           bool
	}{
		"hangs_when_its_backlog_is_full":     {"tcp://cart:80", at(12 * time.Second), at(-time.Second), true},
		"is_not_one_that_is_blocked_at_once": {"tcp://cart:80", at(-time.Second), at(-time.Second), false},
		"is_not_one_that_answers_others":     {"tcp://cart:80", at(12 * time.Second), at(11 * time.Second), false},
		"is_not_one_that_answered_a_request": {"http://cart/health", at(12 * time.Second), at(-time.Second), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := &callStats{firstFail: began, okEnd: tc.told}
			s.byOutcome[report.OutcomeTimeout].Add(3, at(5*time.Second), time.Minute)
			n := &entity{kind: kindInstance, service: &service{}, calls: s, episode: &episode{}}
			if got := n.acceptedFirst(&probeState{target: tc.target, lastOK: tc.tookLast}); got != tc.want {
				t.Errorf("accepted first: %v", got)
			}
		})
	}
}

func TestWhoHasNotTriedSinceAFailureIsNotCutOff(t *testing.T) {
	f := newFleet(t)
	cart := f.add("cart", "cart-0")
	often, idle := f.add("shop", "shop-0"), f.add("mail", "mail-0")
	f.calls(often, cart)
	f.calls(idle, cart)
	f.run(60 * time.Second)
	from := f.now
	cart.state = "deadlock"
	f.run(6 * time.Second)
	cart.state = "full"
	f.run(20 * time.Second)
	f.accused(from, 20*time.Second, verdict.ClassCrash, "hang", "cart-0")
	cart.state, cart.callers = "up", cart.callers[:1]
	f.run(time.Second)
	silent := func() (n int) {
		for _, s := range f.e.sights() {
			if s.caller != nil && s.caller.name() == "mail-0" && s.share >= silentFrom {
				n++
			}
		}
		return n
	}
	if silent() > 0 {
		t.Error("one that has not called it since is taken to be cut off from it")
	}
	f.run(10 * time.Second)
	f.e.Observe(&report.Batch{Arrived: f.now, Calls: []report.Calls{{Caller: idle.src, Callee: report.Callee{Address: cart.addr, Direct: true}, Outcome: report.OutcomeConnectTimeout, Count: 5, First: f.now.Add(-time.Second), Last: f.now}}})
	if silent() == 0 {
		t.Error("one that calls it in vain since may be cut off from it")
	}
}

func TestSiblingOfOneThatCrashedNeedsMoreToBeMissed(t *testing.T) {
	for name, tc := range map[string]struct {
		crashed bool
		quiet   time.Duration
		want    bool
	}{
		"none_has_crashed":                 {false, 20 * time.Second, true},
		"another_fails_the_callers":        {true, 20 * time.Second, false},
		"and_it_is_missed_for_long_itself": {true, 70 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.now = clock.Time(1000 * time.Second)
			svc := &service{}
			n, other := &entity{kind: kindInstance, service: svc}, &entity{kind: kindInstance, service: svc}
			svc.instances = []*entity{n, other}
			calls := &callStats{firstFail: e.now.Add(-tc.quiet), lastFail: e.now, failEnd: e.now, run: 12}
			calls.byOutcome[report.OutcomeTimeout].Add(5, e.now, e.params.CallWindow)
			svc.whole = &entity{kind: kindService, service: svc, calls: calls}
			n.served = servedStats{total: 1000, last: e.now.Add(-tc.quiet), seen: e.now.Add(-tc.quiet)}
			n.rate.Known, n.rate.Usual = stat.RateKnown, 0.2
			if tc.crashed {
				other.verdict = &verdict.Verdict{Class: verdict.ClassCrash}
			}
			p := &episode{}
			if detectStall(e, n, p); p.stalls != tc.want {
				t.Errorf("stalls: %v", p.stalls)
			}
		})
	}
}

// A call that fails otherwise a while after a database refused for a moment does not make
// the moment longer: nothing is known of the time between.
func TestRefusalsLastAsLongAsCallsAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		refused int // seconds
		class   verdict.Class
	}{
		"for a moment": {2, verdict.ClassNone},
		"on end":       {8, verdict.ClassCrash},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBehind(2)
			db := func(b *report.Batch, outcome report.Outcome, count int) {
				b.Calls = append(b.Calls, report.Calls{Caller: f.client, Callee: report.Callee{Address: "db:5432"}, Outcome: outcome, Count: count, First: f.now, Last: f.now})
			}
			f.each = func(b *report.Batch) { db(b, report.OutcomeOK, 3) }
			f.run(2 * time.Minute)
			began := f.now
			f.each = func(b *report.Batch) {
				switch sec := int(f.now.Sub(began) / time.Second); {
				case sec <= c.refused:
					db(b, report.OutcomeRefused, 8)
				case sec == c.refused+4:
					db(b, report.OutcomeUnavailable, 1)
				}
			}
			f.run(time.Duration(c.refused+6) * time.Second)
			if p := f.e.external("db:5432").episode; p == nil || p.found[belief.EvStillRefused].strength > 0 != (c.class != verdict.ClassNone) {
				t.Error("it is taken to have refused for another time than it did")
			}
			f.each = func(b *report.Batch) { db(b, report.OutcomeOK, 3) }
			f.run(30 * time.Second)
			culprit, subclass := "", ""
			if c.class != verdict.ClassNone {
				culprit, subclass = "external db:5432", "process_exit"
			}
			f.expect(t, culprit, c.class, subclass)
		})
	}
}
