// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// A cut of one machine heals, and a caller's connection across it stays silent until what
// was sent into the cut is sent again.
func TestCutHoldsWhileCallsWaitForWhatWasSentIntoIt(t *testing.T) {
	for name, c := range map[string]struct {
		from, until time.Duration // after it healed, that calls get no answer
		at          time.Duration // after it healed, that is looked at
		holds       bool
	}{
		"they still wait":               {0, time.Minute, 20 * time.Second, true},
		"they are answered again":       {0, 7 * time.Second, 20 * time.Second, false},
		"they wait for half a minute":   {0, time.Minute, 40 * time.Second, false},
		"nobody waits":                  {0, 0, 15 * time.Second, false},
		"they began to wait afterwards": {10 * time.Second, time.Minute, 20 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			z.blocked = func(from, to zoneHost) bool { return (from.name == "zone-b-h1") != (to.name == "zone-b-h1") }
			z.run(20 * time.Second)
			healed := z.now
			z.blocked = func(_, _ zoneHost) bool { return false }
			z.answer = func(from, to *zoned) report.Outcome {
				if d := z.now.Sub(healed); d > c.from && d <= c.until && from.at.name == "zone-a-h0" && to.src.Instance == "svc1-b1" {
					return report.OutcomeTimeout
				}
				return report.OutcomeOK
			}
			z.run(c.at)
			holds := false
			for _, ev := range z.events {
				if ev.Verdict != nil && ev.Verdict.Culprit.Name == "zone-b-h1" {
					holds = ev.Kind != contract.EventFailureCleared
				}
			}
			if holds != c.holds {
				t.Errorf("%v after it healed: it holds: %v", c.at, holds)
				z.dump(t)
			}
		})
	}
}

// A port that is closed when its machine comes back tells that it was down; one that has
// answered since it came back tells nothing of that time.
func TestPortThatIsClosedAfterItAnsweredAgainTellsNothingOfTheCut(t *testing.T) {
	for answered, want := range map[clock.Time]string{0: "the port of store was closed when zone-a came back", 25e9: ""} {
		c := &cutState{cut: cut{near: side{zone: "zone-a"}}, found: foundCut{bad: 20e9}, at: 20e9, began: 10e9}
		e := told(30e9, c)
		n := machine("", "zone-a")
		n.src = report.NewSource(report.Source{Service: report.ServiceID{Name: "store"}, Instance: "store"})
		n.cutOff, n.served.last = c, answered
		if e.refused(n); c.anewHow != want {
			t.Errorf("an answer at %d: %q, want %q", answered, c.anewHow, want)
		}
	}
}

// A machine is taken away. That is nobody's failure if all on it had stopped in order.
func TestMachineThatIsTakenAwayOnceAllOnItHaveStoppedIsMissedByNobody(t *testing.T) {
	for name, stop := range map[string]bool{"all had stopped": true, "nobody had": false} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			const taken = "zone-a-h1"
			exits, seq := false, uint64(1<<40)
			z.never = func(_, to *zoned) bool { return to.at.name == taken } // a balancer sends it nothing
			z.more = func(b *report.Batch) {
				for _, n := range z.instances {
					if exits && n.at.name == taken {
						b.Facts = append(b.Facts, report.Fact{Source: n.src, Kind: report.FactExit, At: z.now})
					}
				}
				exits = false
				if (z.now/1e8)%10 != 0 {
					return
				}
				for _, a := range z.agents {
					for _, n := range z.instances {
						if n.at.zone == a.at.zone {
							continue
						}
						outcome := report.OutcomeOK
						if z.cut(a.at, n.at) {
							outcome = report.OutcomeConnectTimeout
						}
						seq++
						b.Probes = append(b.Probes, report.Probe{Stamp: report.Stamp{Observer: a.id, At: z.now, Uptime: time.Duration(z.now - 1_800_000_000_000_000_000 + 1e12), Seq: seq},
							Source: n.src, Target: "http://" + n.addr, Outcome: outcome, Interval: time.Second, Direct: true})
					}
				}
			}
			z.run(60 * time.Second)
			exits = stop
			z.dead[taken] = true
			z.run(30 * time.Second)
			if said := z.verdicts(); (len(said) == 0) != stop {
				z.dump(t)
				t.Errorf("%d verdicts", len(said))
			}
		})
	}
}
