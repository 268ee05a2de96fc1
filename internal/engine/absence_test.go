// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// tier is two servers without telemetry on a host with an agent, and those who call
// them from two other hosts.
type tier struct {
	*fleet
	uptime  time.Duration // of the agent
	seq     uint64
	asked   bool // the callers are
	refused bool // they are by the servers
	stood   bool // the agent did
}

func newTier(t *testing.T) *tier {
	c := &tier{fleet: newFleet(t), uptime: time.Hour, asked: true}
	c.seconds(120, true, true)
	return c
}

// seconds lets time pass in which the agent is heard or not, and counts on or not.
func (c *tier) seconds(n int, heard, counts bool) {
	late := time.Duration(0)
	if heard && c.stood {
		late = 20 * time.Second
	}
	c.stood = !counts
	c.tell(time.Second, time.Duration(n)*time.Second, func(b *report.Batch) {
		if counts {
			c.uptime += time.Second
			c.seq += 3
		}
		stamp := report.Stamp{Observer: "data1", At: c.now, Uptime: c.uptime, Seq: c.seq}
		if heard {
			b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp, Interval: time.Second, Late: late, Host: "data1"})
			late = 0
		}
		for i, caller := range [2]string{"orders", "billing"} {
			src := report.NewSource(report.Source{Service: report.ServiceID{Name: caller}, Instance: caller + "-1", Host: caller + "-host"})
			address := [2]string{"10.0.0.31:3306", "10.0.0.31:5672"}[i]
			if heard {
				stamp.Seq++
				b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Target: "process:server:" + address, Outcome: report.OutcomeOK, Interval: 2 * time.Second,
					Host: "data1", Addresses: []string{address}, Process: &report.Process{State: report.ProcessRunning, PID: int64(10 + i), StartTime: 5, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}})
				b.Calls = append(b.Calls, report.Calls{Caller: src, Callee: report.Callee{Address: address, Direct: true}, Outcome: report.OutcomeOK, Count: 5, First: c.now.Add(-time.Second), Last: c.now, Started: c.now, Done: c.now})
			}
			if c.refused {
				b.Calls = append(b.Calls, report.Calls{Caller: src, Callee: report.Callee{Address: address, Direct: true}, Outcome: report.OutcomeRefused, Count: 5, First: c.now.Add(-time.Second), Last: c.now, Started: c.now, Done: c.now})
			}
			if c.asked {
				b.Served = append(b.Served, report.Served{Source: src, OK: 5, Coded: 5, Last: c.now})
			}
		}
	})
}

func TestHostIsCutOffToWhoseServersCallsHang(t *testing.T) {
	c := newTier(t)
	c.seconds(25, false, true)
	v := c.first("failure.detected")
	if v == nil || v.Verdict.Culprit.Name != "data1" || v.Verdict.Class != verdict.ClassUnknown {
		t.Fatalf("said %v, want unknown of data1", c.verdicts())
	}
	c.seconds(10, true, true)
	last := c.first("failure.revised")
	if last == nil || last.Verdict.Class != verdict.ClassPartition || last.Verdict.Subclass != "complete" {
		t.Errorf("said %v, want a partition when it is back", c.verdicts())
	}
}

func TestSilentAgentAloneIsNoCut(t *testing.T) {
	t.Run("nobody_wants_its_host", func(t *testing.T) {
		c := newTier(t)
		c.asked = false
		c.seconds(60, false, true)
		c.nobodyAccused(false)
	})
	t.Run("what_it_looked_at_refuses", func(t *testing.T) {
		c := newTier(t)
		c.refused = true
		c.seconds(25, false, true)
		for _, ev := range c.events {
			if ev.Verdict != nil && ev.Verdict.Culprit.Name == "data1" {
				t.Errorf("said %s", ev.Body)
			}
		}
	})
	t.Run("it_stands_still_and_goes_on", func(t *testing.T) {
		c := newTier(t)
		c.seconds(25, false, false)
		c.uptime += 25 * time.Second // its clock does not stand still
		c.seq += 20                  // and what it made since overtook its own beat
		c.seconds(10, true, true)
		for _, ev := range c.events {
			if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassPartition {
				t.Errorf("said %s", ev.Body)
			}
		}
	})
}

// Whom nobody hears for a while, and nobody asked for anything, was not missed: what it
// tells came late.
func TestTelemetryThatComesLateIsNoCut(t *testing.T) {
	for name, asked := range map[string]bool{"nobody asked for anything": false, "somebody asked in vain": true} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			h := e.host("node-c1")
			c := &cutState{cut: cut{near: side{host: h}}, found: foundCut{asked: asked}}
			c.entity = &entity{cut: c, episode: &episode{}}
			e.cuts = append(e.cuts, c)
			e.countedOn(h, "it counted on")
			if got := c.entity.episode.found[belief.EvReturnCounted].strength > 0; got != asked {
				t.Errorf("it was cut off: %v, want %v", got, asked)
			}
		})
	}
}

// An agent that is cut off looks for others in vain, as it tells when it is back: nobody
// asked its machine for anything.
func TestMachineThatNobodyAskedWasNotMissedThoughItsAgentAskedOthers(t *testing.T) {
	h, elsewhere := &hostState{name: "h"}, &hostState{name: "elsewhere"}
	server, caller := &entity{host: elsewhere, src: &report.Source{}}, &entity{host: h, src: &report.Source{}}
	for name, c := range map[string]struct {
		sight sight
		asked bool
	}{
		"its agent looks for a server":       {sight{from: h, to: elsewhere, target: server}, false},
		"somebody on it calls a server":      {sight{from: h, to: elsewhere, target: server, caller: caller}, true},
		"an agent elsewhere looks for it":    {sight{from: elsewhere, to: h, target: caller}, true},
		"its agent is not heard":             {sight{from: h, to: elsewhere}, false},
		"somebody elsewhere calls one on it": {sight{from: elsewhere, to: h, target: caller, caller: server}, true},
	} {
		c.sight.share, c.sight.weight = 1, 1
		f := foundCut{cut: cut{near: side{host: h}}}
		f.take([]sight{c.sight})
		if f.paths != 1 || f.asked != c.asked {
			t.Errorf("%s: asked %v by %d, want %v by one", name, f.asked, f.paths, c.asked)
		}
	}
}

// Nobody in a zone that is cut off calls anybody, and nobody tells where the agent stands
// that hears their heartbeats: whom it heard meanwhile lived on.
func TestWhomAnAgentHeardBehindACutLivedOn(t *testing.T) {
	for name, c := range map[string]struct {
		dead  bool
		class verdict.Class
	}{"cut off": {false, verdict.ClassPartition}, "down": {true, verdict.ClassCrash}} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			for _, a := range z.agents {
				a.at.name = "watch-" + a.at.zone
			}
			within := func(x zoneHost) bool { return x.zone == "zone-a" }
			z.never = func(from, _ *zoned) bool { return within(from.at) }
			z.run(60 * time.Second)
			hosts := []string{"watch-zone-a", "zone-a-h0", "zone-a-h1"}
			if c.dead {
				for _, h := range hosts {
					z.dead[h] = true
				}
			} else {
				z.blocked = func(x, y zoneHost) bool { return within(x) != within(y) }
			}
			z.run(25 * time.Second)
			z.blocked, z.dead = func(_, _ zoneHost) bool { return false }, map[string]bool{}
			for _, n := range z.instances {
				if c.dead && within(n.at) {
					n.inc, n.seq = n.inc+1000, 0
				}
			}
			z.run(30 * time.Second)
			z.expect(t, c.class, "zone zone-a")
			cleared := false
			for _, ev := range z.events {
				if ev.Kind != contract.EventFailureCleared || ev.Verdict.Culprit.Name != "zone-a" {
					continue
				}
				cleared = true
				if heard := strings.Contains(strings.Join(ev.Verdict.Evidence, " "), "had heard svc"); heard == c.dead || heard && ev.Verdict.Confidence <= ceilingOneSided {
					t.Errorf("the agent heard them: %.2f %v", ev.Verdict.Confidence, ev.Verdict.Evidence)
				}
			}
			if !cleared && !c.dead {
				t.Error("it is held though all are heard again")
			}
		})
	}
}
