// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// newPooled is a caller that is connected to a pooler on a host of its own, and that to a
// database. No span names either. instrumented is whether whoever stands between tells
// of what it answers, as a service does.
func newPooled(t *testing.T, instrumented bool) *brokers {
	c := newBrokers(t)
	c.ties = map[string][]string{"app1": {"10.0.0.40:6432"}, "inf": {"10.0.0.2:4222"}, "s2": {}}
	between := report.NewSource(report.Source{Service: report.ServiceID{Name: "between"}, Instance: "between-1", Host: "inf"})
	c.more = func(b *report.Batch) {
		stamp := c.stamp()
		stamp.Observer = "inf"
		b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp, Interval: 2 * time.Second, Host: "inf"})
		stamp.Seq++
		c.obsSeq++
		p := report.Process{State: report.ProcessRunning, PID: 40, StartTime: 5, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
		b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Target: "process:pgbouncer:6432", Outcome: report.OutcomeOK, Interval: 2 * time.Second, Process: &p, Host: "inf", Addresses: []string{"10.0.0.40:6432"}})
		if instrumented {
			b.Served = append(b.Served, report.Served{Source: between, OK: 12, Coded: 12, Last: b.Arrived})
		}
	}
	if instrumented {
		c.e.book.put("10.0.0.40:6432", c.e.instance(between), c.now)
	}
	c.pass(2*time.Minute, 6, 0, 0)
	return c
}

func TestADatabaseBehindAPoolerIsMissedByThoseInFrontOfIt(t *testing.T) {
	c := newPooled(t, false)
	fell := c.now
	c.killed(1, 137)
	c.pass(30*time.Second, 3, 3, 3)
	if c.accused(fell, 20*time.Second, verdict.ClassCrash, "process_exit", "10.0.0.2:4222") == nil {
		t.Errorf("said %v", c.verdicts())
	}
	c.neverAccuses(verdict.ClassByzantine, "orders-1")
}

func TestADatabaseIsNotMissedBecauseOfOneWhoIsServedByWhoIsWell(t *testing.T) {
	c := newPooled(t, true)
	fell := c.now
	c.killed(1, 137)
	c.pass(40*time.Second, 3, 3, 3)
	if c.accused(fell, 40*time.Second, verdict.ClassByzantine, "error_response", "orders-1") == nil {
		t.Errorf("said %v", c.verdicts())
	}
	c.neverAccuses(verdict.ClassCrash, "10.0.0.2:4222")
}

// The agent on a database's host is cut off together with it: that the host is up shows
// in what another server there goes on answering.
func TestAWayThatNoSpanNamesIsCutThoughTheAgentBeyondIsSilent(t *testing.T) {
	for name, answers := range map[string]bool{"while_another_server_there_answers": true, "while_nobody_there_does": false} {
		t.Run(name, func(t *testing.T) {
			c := newBrokers(t)
			c.ties["app1"] = []string{"10.0.0.1:4222"}
			cache := report.Callee{Address: "10.0.0.1:6379", Direct: true}
			web := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "web-1", Host: "app2"})
			asks := func(b *report.Batch) {
				first := b.Arrived.Add(-2 * time.Second)
				b.Calls = append(b.Calls, report.Calls{Caller: web, Callee: cache, Outcome: report.OutcomeOK, Count: 8, First: first, Started: first, Last: b.Arrived, Done: first})
			}
			c.more = func(b *report.Batch) {
				asks(b)
				c.lookAt(b, "s1", "10.0.0.1:6379")
			}
			c.pass(time.Minute, 6, 0, 0)
			c.deaf, c.unseen = map[tie]bool{{"app1", "10.0.0.1:4222"}: true}, "s1"
			c.more = nil
			if answers {
				c.more = asks
			}
			from := c.now
			c.pass(20*time.Second, 0, 6, 0)
			if answers {
				c.accused(from, 14*time.Second, verdict.ClassPartition, "partial", "app1→s1")
				return
			}
			for _, ev := range c.events {
				if ev.Verdict != nil && ev.Verdict.Culprit.Type == verdict.CulpritLink {
					t.Errorf("said %s", ev.Body)
				}
			}
		})
	}
}
