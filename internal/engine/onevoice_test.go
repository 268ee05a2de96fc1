// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// liked is a fleet in which five callers are happy with one callee, and a sixth
// may say what it likes.
func liked(t *testing.T, told bool) (f *fleet, callee, liar *proc) {
	f = newFleet(t)
	callee = f.add("store", "store-1")
	callee.beats, callee.mute = told, !told
	for i := range 5 {
		f.calls(f.add(fmt.Sprint("app", i), fmt.Sprintf("app%d-1", i)), callee)
	}
	liar = f.add("liar", "liar-1")
	f.calls(liar, callee)
	return f, callee, liar
}

// says has one caller tell of count calls each half second for d, which ended in
// one way.
func (f *fleet) claims(caller, callee *proc, o report.Outcome, count int, d time.Duration) {
	for end := f.now.Add(d); f.now < end; {
		f.e.Observe(&report.Batch{Arrived: f.now, Calls: []report.Calls{{
			Caller: caller.src, Callee: report.Callee{Address: callee.addr, Direct: true}, Outcome: o, Count: count,
			First: f.now.Add(-1500 * time.Millisecond), Last: f.now,
		}}})
		f.run(500 * time.Millisecond)
	}
}

func TestOneCallersWordConvictsNobodyWithWhomOthersAreHappy(t *testing.T) {
	for _, o := range []report.Outcome{
		report.OutcomeRefused, report.OutcomeReset, report.OutcomeConnectTimeout, report.OutcomeTimeout, report.OutcomeNoAnswer, report.OutcomeUnreachable, report.OutcomeUnavailable,
		report.OutcomeDNS, report.OutcomeTLS, report.OutcomeServerError, report.OutcomeWrongAnswer,
	} {
		for _, told := range []bool{true, false} {
			for _, count := range []int{1, 100, 2000} {
				t.Run(fmt.Sprintf("%v/told=%v/%d", o, told, count), func(t *testing.T) {
					f, callee, liar := liked(t, told)
					f.run(time.Minute)
					liar.state = "quiet"
					f.claims(liar, callee, o, count, 30*time.Second)
					for _, ev := range f.events {
						if v := ev.Verdict; v != nil && v.Class != verdict.ClassUnknown && v.Culprit.Type != verdict.CulpritLink && ev.Kind != "failure.cleared" {
							t.Errorf("after %v said %s", ev.At.Sub(f.began), ev.Body)
						}
					}
				})
			}
		}
	}
}

func TestWhatSeveralCallersSayIsBelieved(t *testing.T) {
	for name, c := range map[string]struct {
		outcome report.Outcome
		callers int // of five who complain; the others are content
		want    verdict.Class
	}{
		"all_are_refused":                 {report.OutcomeRefused, 6, verdict.ClassCrash},
		"two_cannot_use_the_answers":      {report.OutcomeWrongAnswer, 2, verdict.ClassByzantine},
		"two_get_failures_of_its_making":  {report.OutcomeServerError, 2, verdict.ClassByzantine},
		"all_cannot_look_up_its_name":     {report.OutcomeDNS, 6, verdict.ClassPartition},
		"nobody_but_one_calls_and_is_hit": {report.OutcomeWrongAnswer, 1, verdict.ClassByzantine},
	} {
		t.Run(name, func(t *testing.T) {
			f, callee, _ := liked(t, false)
			f.run(time.Minute)
			if c.callers == 1 {
				for _, other := range callee.callers[1:] {
					other.state = "quiet"
				}
			}
			for at := f.now; f.now.Sub(at) < 30*time.Second; f.run(500 * time.Millisecond) {
				for _, who := range callee.callers[:c.callers] {
					who.state = "quiet"
					f.e.Observe(&report.Batch{Arrived: f.now, Calls: []report.Calls{{Caller: who.src, Callee: report.Callee{Address: callee.addr, Direct: true}, Outcome: c.outcome, Count: 5, First: f.now, Last: f.now}}})
				}
			}
			for _, ev := range f.events {
				if ev.Verdict != nil && ev.Verdict.Class == c.want && ev.Verdict.Culprit.Name == callee.addr {
					return
				}
			}
			t.Errorf("want %s, got %v %s", c.want, f.verdicts(), f.dump())
		})
	}
}

func TestCallThatWasOpenForHoursDatesNoFailureBack(t *testing.T) {
	f, callee, caller := liked(t, false)
	f.run(time.Minute)
	at := f.now
	for _, c := range callee.callers {
		c.state = "quiet"
	}
	for range 40 {
		f.e.Observe(&report.Batch{Arrived: f.now, Calls: []report.Calls{{Caller: caller.src, Callee: report.Callee{Address: callee.addr, Direct: true},
			Outcome: report.OutcomeRefused, Count: 5, First: f.now.Add(-3 * time.Hour), Last: f.now}}})
		f.run(500 * time.Millisecond)
	}
	ev := f.first("failure.detected")
	if ev == nil {
		t.Fatal("nothing was said")
	}
	if early := at.Sub(ev.Verdict.Since); early > longestCall+time.Second {
		t.Errorf("began %v before anything failed", early)
	}
}

func TestCallersThatCameLastAreKnown(t *testing.T) {
	e := New(DefaultParams())
	for i := range 3 * maxCallers {
		e.advance(clock.Time(1e18).Add(time.Duration(i) * time.Second))
		src := report.NewSource(report.Source{Service: report.ServiceID{Name: fmt.Sprint("c", i)}, Instance: "1"})
		e.called(&report.Calls{Caller: src, Callee: report.Callee{Address: "10.0.0.1:80", Direct: true}, Outcome: report.OutcomeOK, Count: 1, First: e.now, Last: e.now})
	}
	n := e.external("10.0.0.1:80")
	if len(n.calledBy) != maxCallers {
		t.Fatalf("%d callers", len(n.calledBy))
	}
	for _, ed := range n.calledBy {
		if e.now.Sub(ed.used) > maxCallers*time.Second {
			t.Errorf("%s is kept", ed.caller.src.Service.Name)
		}
	}
	if e.Stats().ForgottenEdges != 2*maxCallers {
		t.Errorf("%d are counted", e.Stats().ForgottenEdges)
	}
}
