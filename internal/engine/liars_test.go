// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

func (z *zones) told(kind string) (n int) {
	for _, ev := range z.events {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

func (z *zones) stampOf(agent int) Stamp {
	a := z.agents[agent]
	a.seq++
	return Stamp{Observer: a.id, At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: a.seq}
}

func TestObserverThatSaysThatAllAreDownLosesItsCredit(t *testing.T) {
	for name, outcome := range map[string]Outcome{"refused": OutcomeRefused, "no answer": OutcomeNoAnswer, "cut off": OutcomeConnectTimeout} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			lying := false
			z.more = func(b *Batch) {
				if (z.now/1e8)%20 != 0 {
					return
				}
				for _, n := range z.instances {
					for agent := range z.agents {
						o := OutcomeOK
						if lying && agent == 0 {
							o = outcome
						}
						b.Probes = append(b.Probes, Probe{Stamp: z.stampOf(agent), Source: n.src, Target: "http://" + n.addr, Outcome: o, Interval: 2 * time.Second, Direct: true})
					}
				}
			}
			z.run(60 * time.Second)
			lying = true
			z.run(60 * time.Second)
			z.expect(t, ClassNone)
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
	beat := Beat{Stamp: z.stampOf(1), Source: n.src, Interval: time.Second, Incarnation: n.inc, Status: StatusStopping, Remote: "10.6.6.6:1"}
	z.e.Observe(&Batch{Arrived: z.now, Beats: []Beat{beat}})
	z.run(2 * time.Second)
	n.next = z.now.Add(time.Hour)
	z.answer = func(_, to *zoned) Outcome {
		if to == n {
			return OutcomeRefused
		}
		return OutcomeOK
	}
	z.e.Observe(&Batch{Arrived: z.now, Facts: []Fact{{Source: n.src, Kind: FactExit, Value: 139, At: z.now}}})
	z.run(20 * time.Second)
	z.expect(t, ClassCrash, "instance svc1-b0")
}

func TestHourOldBacklogAccusesNobody(t *testing.T) {
	z := newZones()
	z.run(60 * time.Second)
	then := z.now.Add(-time.Hour)
	b := &Batch{Arrived: z.now}
	for _, n := range z.instances {
		b.Calls = append(b.Calls, Calls{Caller: z.instances[0].src, Callee: Callee{Address: n.addr, Direct: true}, Outcome: OutcomeRefused, Count: 30, First: then, Last: then})
		st := z.stampOf(0)
		st.At, st.Uptime = then, st.Uptime-time.Hour
		b.Probes = append(b.Probes, Probe{Stamp: st, Source: n.src, Target: "x", Outcome: OutcomeRefused, Interval: time.Second, Direct: true})
	}
	z.e.Observe(b)
	z.run(30 * time.Second)
	z.expect(t, ClassNone)
}

// liars of which the lies come one by one, as probes do.
func TestObserverThatLiesOneByOneLosesItsCreditBeforeItConvicts(t *testing.T) {
	for _, outcome := range []Outcome{OutcomeRefused, OutcomeNoAnswer, OutcomeConnectTimeout, OutcomeUnreachable, OutcomeReset, OutcomeTLS, OutcomeDNS, OutcomeDown} {
		for _, called := range []bool{true, false} {
			t.Run(outcome.String(), func(t *testing.T) {
				z := newZones()
				lying := false
				z.more = func(b *Batch) {
					for i, n := range z.instances {
						if (int64(z.now/1e8)+int64(i))%20 != 0 {
							continue
						}
						for agent := range z.agents {
							o := OutcomeOK
							if lying && agent == 0 {
								o = outcome
							}
							b.Probes = append(b.Probes, Probe{Stamp: z.stampOf(agent), Source: n.src, Target: "http://" + n.addr, Outcome: o, Interval: 2 * time.Second, Direct: true})
						}
					}
				}
				if !called {
					z.times = 0
				}
				z.run(60 * time.Second)
				lying = true
				z.run(2 * time.Minute)
				z.expect(t, ClassNone)
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
	for name, o := range map[string]Outcome{
		"runs_out_of_time": OutcomeTimeout, "cannot_look_up_names": OutcomeDNS, "has_no_certificates": OutcomeTLS, "cannot_read_answers": OutcomeWrongAnswer,
		"is_refused": OutcomeRefused, "is_reset": OutcomeReset,
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			z.answer = func(from, to *zoned) Outcome {
				if from.at.name == "zone-a-h1" && to.at != from.at {
					return o
				}
				return OutcomeOK
			}
			z.run(60 * time.Second)
			for who, v := range z.verdicts() {
				if v.Class != ClassUnknown && who != "node zone-a-h1" {
					t.Errorf("%s: %s %.2f: %s", who, classWords(v), v.Confidence, v.Reason)
				}
			}
		})
	}
}
