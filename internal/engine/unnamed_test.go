// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// newMembers is a cluster whose members are all connected to each other, and a caller
// that calls the first of them.
func newMembers(t *testing.T) *brokers {
	c := newBrokers(t)
	c.ties = map[string][]string{"app1": {"10.0.0.1:4222"}, "s1": {"10.0.0.2:6222", "10.0.0.3:6222"}, "s2": {"10.0.0.1:6222", "10.0.0.3:6222"}, "s3": {"10.0.0.1:6222", "10.0.0.2:6222"}}
	c.callee, c.calls, c.deaf = report.Callee{Address: "10.0.0.1:4222", Direct: true}, true, map[tie]bool{}
	c.pass(2*time.Minute, 6, 0, 0)
	return c
}

func (c *brokers) apart(a, b string) {
	c.deaf[tie{"s" + a, "10.0.0." + b + ":6222"}], c.deaf[tie{"s" + b, "10.0.0." + a + ":6222"}] = true, true
}

// A member that is cut off from the others has no leader, and answers its clients late or
// not at all: it is no hang.
func TestAMemberThatIsCutOffFromTheOthersDoesNotHang(t *testing.T) {
	c := newMembers(t)
	from := c.now
	c.apart("1", "2")
	c.apart("1", "3")
	c.outcome = report.OutcomeTimeout
	c.pass(30*time.Second, 0, 6, 0)
	if v := c.accused(from, 15*time.Second, verdict.ClassPartition, "partial", "s1→s2"); v == nil || v.Confidence < 0.75 {
		t.Errorf("said %v: %s", v, c.dump())
	}
	c.deaf, c.outcome = map[tie]bool{}, report.OutcomeOK
	c.pass(time.Minute, 6, 0, 0)
	for _, said := range c.verdicts() {
		if !strings.Contains(said, "network_partition") {
			t.Errorf("said %s", said)
		}
	}
	if len(c.e.suspects) != 0 {
		t.Errorf("a minute later: %s", c.dump())
	}
}

func TestAWayThatNoSpanNamesIsCut(t *testing.T) {
	c := newBrokers(t)
	c.ties["app1"] = []string{"10.0.0.1:4222"}
	c.deaf = map[tie]bool{{"app1", "10.0.0.1:4222"}: true}
	from := c.now
	c.pass(20*time.Second, 0, 6, 2)
	c.accused(from, 12*time.Second, verdict.ClassPartition, "partial", "app1→s1")
	c.deaf = nil
	c.pass(time.Minute, 6, 0, 0)
	if got := c.verdicts(); len(got) != 2 {
		t.Errorf("said %v", got)
	}
}

// Who hears nothing for some seconds closes the connection and opens another, in vain.
func TestAWayIsCutThoughConnectionsAreOpenedAnew(t *testing.T) {
	for name, first := range map[string]time.Duration{"after_a_moment": 4 * time.Second, "at_once_as_to_one_that_hangs": 0} {
		t.Run(name, func(t *testing.T) {
			c := newBrokers(t)
			c.ties["app1"] = []string{"10.0.0.1:4222"}
			c.deaf = map[tie]bool{{"app1", "10.0.0.1:4222"}: true}
			from := c.now
			c.pass(first, 0, 6, 2)
			c.anew = true
			c.pass(20*time.Second, 0, 6, 2)
			if first == 0 {
				for _, ev := range c.events {
					if ev.Verdict != nil && ev.Verdict.Culprit.Type == verdict.CulpritLink {
						t.Errorf("said %s", ev.Body)
					}
				}
				return
			}
			c.accused(from, 14*time.Second, verdict.ClassPartition, "partial", "app1→s1")
		})
	}
}

func TestNoWayIsCutBecauseNothingIsAcknowledged(t *testing.T) {
	deaf := map[tie]bool{{"app1", "10.0.0.1:4222"}: true}
	for name, what := range map[string]func(c *brokers){
		"for_a_moment": func(c *brokers) { c.deaf = deaf; c.pass(4*time.Second, 0, 6, 0) },
		"by_a_machine_that_is_paused": func(c *brokers) {
			c.deaf, c.unseen = deaf, "s1"
			c.pass(8*time.Second, 0, 6, 0)
			c.unseen = ""
			c.pass(4*time.Second, 0, 6, 0)
		},
		"by_a_machine_of_which_nobody_tells": func(c *brokers) {
			c.unseen = "s1"
			c.deaf = deaf
			c.pass(20*time.Second, 6, 0, 0)
		},
		"at_an_address_that_two_have": func(c *brokers) {
			c.e.servers.ports["10.0.0.1:4222"].others = c.now
			c.deaf = deaf
			c.pass(20*time.Second, 6, 0, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newBrokers(t)
			what(c)
			c.deaf, c.unseen = nil, ""
			c.pass(time.Minute, 6, 0, 0)
			for i := range c.events {
				if ev := &c.events[i]; ev.Verdict != nil && ev.Verdict.Culprit.Type == verdict.CulpritLink {
					t.Errorf("said %s", ev.Body)
				}
			}
		})
	}
}

// What has no room on the way is lost, and its sender's kernel alone tells: here the
// server's, of answers to a machine whose small packets come.
func TestAWayOnWhichLargeAnswersAreLostIsCut(t *testing.T) {
	for name, x := range map[string]struct {
		from  string
		lasts time.Duration
		said  bool
	}{
		"to_a_machine_with_an_agent":  {"10.0.0.11", 24 * time.Second, true},
		"for_a_moment":                {"10.0.0.11", 4 * time.Second, false},
		"to_one_of_whom_nobody_tells": {"10.0.0.99", 24 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newMembers(t)
			from := c.now
			lost := func(b *report.Batch) {
				stamp := c.stamp()
				stamp.Observer = "s1"
				b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Target: "connections:10.0.0.1:4222", Outcome: report.OutcomeUnacknowledged, Interval: 2 * time.Second,
					Passive: true, Host: "s1", Addresses: []string{"10.0.0.1:4222"}, From: x.from, Direct: true})
				// Of three calls one asks for much.
				first := b.Arrived.Add(-2 * time.Second)
				b.Calls = append(b.Calls, report.Calls{Caller: c.caller, Callee: c.callee, Outcome: report.OutcomeTimeout, Count: 3, First: first, Started: first, Last: b.Arrived, Done: first})
			}
			c.more = lost
			c.pass(x.lasts, 6, 3, 0)
			c.more = nil
			c.pass(time.Minute, 6, 0, 0)
			if !x.said {
				for i := range c.events {
					if v := c.events[i].Verdict; v != nil && v.Culprit.Type == verdict.CulpritLink {
						t.Errorf("said %s", c.events[i].Body)
					}
				}
				return
			}
			v := c.accused(from, 14*time.Second, verdict.ClassPartition, "partial", "app1→s1")
			t.Log(v.Reason, c.verdicts())
		})
	}
}

// A member that stands still hangs, though it is connected to others.
func TestAMemberHangsThoughTheOthersAreReached(t *testing.T) {
	c := newMembers(t)
	from := c.now
	c.outcome = report.OutcomeTimeout
	c.pass(40*time.Second, 0, 6, 0)
	c.accused(from, 30*time.Second, verdict.ClassCrash, "hang", "10.0.0.1:4222")
}

// A broker that no span names stands still for a few seconds: who writes to it fails.
func TestAServerThatNoSpanNamesIsToldToHangWhileItDoes(t *testing.T) {
	c := newBrokers(t)
	from := c.now
	c.states[0].State = report.ProcessStopped
	c.pass(6*time.Second, 3, 3, 0)
	c.states[0].State = report.ProcessRunning
	c.accused(from, 6*time.Second, verdict.ClassCrash, "hang", "10.0.0.1:4222")
	c.pass(time.Minute, 6, 0, 0)
	if got := c.verdicts(); len(got) != 2 {
		t.Errorf("said %v", got)
	}
}

func TestAServerThatStandsStillForAMomentDoesNotHang(t *testing.T) {
	c := newBrokers(t)
	c.states[0].State = report.ProcessStopped
	c.pass(2*time.Second, 1, 3, 0)
	c.states[0].State = report.ProcessRunning
	c.pass(time.Minute, 6, 0, 0)
	c.nobodyAccused(false)
}

// A standby takes over from a database: who ended it in order has not failed, who killed
// it has, though its callers are served elsewhere within seconds.
func TestADatabaseWhoseStandbyTakesOver(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		fails  bool
	}{"it_was_asked_to_end": {143, false}, "it_ended_by_itself": {0, false}, "it_was_killed": {137, true}, "it_failed": {1, true}} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			d.callee = report.Callee{Address: "10.0.0.31:3306", Direct: true}
			d.pass(2 * time.Minute)
			at := d.now
			d.process, d.outcome = report.Process{State: report.ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: c.status, OOMKills: -1}, report.OutcomeRefused
			d.pass(6 * time.Second)
			d.callee, d.outcome = report.Callee{Address: "10.0.0.32:3306", Direct: true}, report.OutcomeOK
			d.pass(time.Minute)
			if !c.fails {
				d.nobodyAccused(false)
				return
			}
			d.accused(at, 6*time.Second, verdict.ClassCrash, "process_exit", "10.0.0.31:3306")
		})
	}
}

// Of a server whom spans name, its callers' kernel tells what is lost of all that is
// answered.
func TestAWayOnWhichLargeRequestsAreLostIsCut(t *testing.T) {
	for name, lasts := range map[string]time.Duration{"for_long": 24 * time.Second, "for_a_moment": 4 * time.Second} {
		t.Run(name, func(t *testing.T) {
			w := newWired(t)
			from := w.now
			w.acked = report.OutcomeUnacknowledged
			for range lasts / (2 * time.Second) {
				w.large = 3
				w.pass(2 * time.Second)
			}
			w.acked, w.large = report.OutcomeOK, 0
			w.pass(time.Minute)
			if lasts < 10*time.Second {
				w.nobodyAccused(false)
				return
			}
			w.accused(from, 16*time.Second, verdict.ClassPartition, "partial", "app1→data1")
			for _, said := range w.verdicts() {
				if !strings.Contains(said, "network_partition") && !strings.Contains(said, "unknown") {
					t.Errorf("said %s", said)
				}
			}
		})
	}
}

// A machine with servers that no span names, and an agent, is gone from the sight of all.
func TestAMachineOfWhichNothingIsHeardIsNotWell(t *testing.T) {
	for name, x := range map[string]struct {
		deaf  bool
		lasts time.Duration
		said  bool
	}{
		"for_long":              {true, 25 * time.Second, true},
		"for_a_moment":          {true, 6 * time.Second, false},
		"its_agent_alone_is_so": {false, 25 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := newBrokers(t)
			c.ties["app1"] = []string{"10.0.0.1:4222"}
			c.pass(time.Minute, 6, 0, 0)
			c.unseen = "s1"
			if x.deaf {
				c.deaf = map[tie]bool{{"app1", "10.0.0.1:4222"}: true, {"s2", "10.0.0.1:6222"}: true}
			}
			c.pass(x.lasts, 3, 3, 0)
			said := false
			for i := range c.events {
				v := c.events[i].Verdict
				if v == nil {
					continue
				}
				if said = v.Culprit.Type == verdict.CulpritNode && v.Culprit.Name == "s1"; !said {
					t.Errorf("said %s", c.events[i].Body)
				}
			}
			if said != x.said {
				t.Errorf("said %v: %s", c.verdicts(), c.dump())
			}
		})
	}
}
