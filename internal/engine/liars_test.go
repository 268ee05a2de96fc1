// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func (z *zones) told(kind string) (n int) {
	for _, ev := range z.events {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

func (z *zones) stampOf(agent int) report.Stamp {
	a := z.agents[agent]
	a.seq++
	return report.Stamp{Observer: a.id, At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: a.seq}
}

func TestObserverThatSaysThatAllAreDownLosesItsCredit(t *testing.T) {
	for name, outcome := range map[string]report.Outcome{"refused": report.OutcomeRefused, "no answer": report.OutcomeNoAnswer, "cut off": report.OutcomeConnectTimeout} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			lying := false
			z.more = func(b *report.Batch) {
				if (z.now/1e8)%20 != 0 {
					return
				}
				for _, n := range z.instances {
					for agent := range z.agents {
						o := report.OutcomeOK
						if lying && agent == 0 {
							o = outcome
						}
						b.Probes = append(b.Probes, report.Probe{Stamp: z.stampOf(agent), Source: n.src, Target: "http://" + n.addr, Outcome: o, Interval: 2 * time.Second, Direct: true})
					}
				}
			}
			z.run(60 * time.Second)
			lying = true
			z.run(60 * time.Second)
			z.expect(t, verdict.ClassNone)
			if z.told(contract.EventObserverDegraded) == 0 {
				t.Error("nobody said that the observer is not to be believed")
			}
		})
	}
}

func TestForgedAnnouncementHidesNoKill(t *testing.T) {
	z := newZones()
	z.run(60 * time.Second)
	n := z.who("svc1-b0")
	beat := report.Beat{Stamp: z.stampOf(1), Source: n.src, Interval: time.Second, Incarnation: n.inc, Status: report.StatusStopping, Remote: "10.6.6.6:1"}
	z.e.Observe(&report.Batch{Arrived: z.now, Beats: []report.Beat{beat}})
	z.run(2 * time.Second)
	n.next = z.now.Add(time.Hour)
	z.answer = func(_, to *zoned) report.Outcome {
		if to == n {
			return report.OutcomeRefused
		}
		return report.OutcomeOK
	}
	z.e.Observe(&report.Batch{Arrived: z.now, Facts: []report.Fact{{Source: n.src, Kind: report.FactExit, Value: 139, At: z.now}}})
	z.run(20 * time.Second)
	z.expect(t, verdict.ClassCrash, "instance svc1-b0")
}

func TestHourOldBacklogAccusesNobody(t *testing.T) {
	z := newZones()
	z.run(60 * time.Second)
	then := z.now.Add(-time.Hour)
	b := &report.Batch{Arrived: z.now}
	for _, n := range z.instances {
		b.Calls = append(b.Calls, report.Calls{Caller: z.instances[0].src, Callee: report.Callee{Address: n.addr, Direct: true}, Outcome: report.OutcomeRefused, Count: 30, First: then, Last: then})
		st := z.stampOf(0)
		st.At, st.Uptime = then, st.Uptime-time.Hour
		b.Probes = append(b.Probes, report.Probe{Stamp: st, Source: n.src, Target: "x", Outcome: report.OutcomeRefused, Interval: time.Second, Direct: true})
	}
	z.e.Observe(b)
	z.run(30 * time.Second)
	z.expect(t, verdict.ClassNone)
}

// liars of which the lies come one by one, as probes do.
func TestObserverThatLiesOneByOneLosesItsCreditBeforeItConvicts(t *testing.T) {
	for _, outcome := range []report.Outcome{report.OutcomeRefused, report.OutcomeNoAnswer, report.OutcomeConnectTimeout, report.OutcomeUnreachable, report.OutcomeReset, report.OutcomeTLS, report.OutcomeDNS, report.OutcomeDown} {
		for _, called := range []bool{true, false} {
			t.Run(outcome.String(), func(t *testing.T) {
				z := newZones()
				lying := false
				z.more = func(b *report.Batch) {
					for i, n := range z.instances {
						if (int64(z.now/1e8)+int64(i))%20 != 0 {
							continue
						}
						for agent := range z.agents {
							o := report.OutcomeOK
							if lying && agent == 0 {
								o = outcome
							}
							b.Probes = append(b.Probes, report.Probe{Stamp: z.stampOf(agent), Source: n.src, Target: "http://" + n.addr, Outcome: o, Interval: 2 * time.Second, Direct: true})
						}
					}
				}
				if !called {
					z.times = 0
				}
				z.run(60 * time.Second)
				lying = true
				z.run(2 * time.Minute)
				z.expect(t, verdict.ClassNone)
				if z.told(contract.EventObserverDegraded) == 0 {
					t.Error("nobody said that the observer is not to be believed")
				}
			})
		}
	}
}

// A caller's own host is sick: all that it calls looks bad to it, and to nobody
// else.
func TestSickCallersHostAccusesNoneOfThoseThatItCalls(t *testing.T) {
	for name, o := range map[string]report.Outcome{
		"runs_out_of_time": report.OutcomeTimeout, "cannot_look_up_names": report.OutcomeDNS, "has_no_certificates": report.OutcomeTLS, "cannot_read_answers": report.OutcomeWrongAnswer,
		"is_refused": report.OutcomeRefused, "is_reset": report.OutcomeReset,
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			z.answer = func(from, to *zoned) report.Outcome {
				if from.at.name == "zone-a-h1" && to.at != from.at {
					return o
				}
				return report.OutcomeOK
			}
			z.run(60 * time.Second)
			for who, v := range z.verdicts() {
				if v.Class != verdict.ClassUnknown && who != "node zone-a-h1" {
					t.Errorf("%s: %s %.2f: %s", who, classWords(v), v.Confidence, v.Reason)
				}
			}
		})
	}
}
