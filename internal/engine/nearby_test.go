// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// nearby is a web server without telemetry on a host, which is called by an
// instrumented service, and another process that the agent there sees.
type nearby struct {
	*database
	other report.Process
	named string
	at    []string
}

func newNearby(t *testing.T, named string, at ...string) *nearby {
	d := newDatabase(t)
	d.callee, d.at = report.Callee{Address: "legacy:80"}, []string{"10.0.0.31:80", "data1:80"}
	n := &nearby{database: d, other: d.process, named: named, at: at}
	n.other.PID = 90
	n.wait(2 * time.Minute)
	return n
}

func (n *nearby) wait(t time.Duration) {
	n.pass(t, func(b *report.Batch) {
		p, outcome := n.other, report.OutcomeOK
		if p.State != report.ProcessRunning {
			outcome = report.OutcomeOther
		}
		stamp := n.stamp()
		stamp.Observer = "data1"
		b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Target: n.named, Outcome: outcome, Interval: 2 * time.Second, Process: &p, Host: "data1", Addresses: n.at})
	})
}

func (n *nearby) kill(status int) {
	n.other.State, n.other.HasExitCode, n.other.ExitCode = report.ProcessGone, true, status
}

var onlyThere = []string{"127.0.0.1:9000@data1", "data1:9000", "localhost:9000@data1"}

func TestAnApplicationBehindTheWebServerOnItsMachineIsMissed(t *testing.T) {
	n := newNearby(t, "process:php-fpm:9000", onlyThere...)
	fell := n.now
	n.kill(137)
	n.outcome = report.OutcomeUnavailable
	n.wait(20 * time.Second)
	n.accused(fell, 10*time.Second, verdict.ClassCrash, "process_exit", "127.0.0.1:9000@data1")
	n.neverAccuses(verdict.ClassCrash, "legacy:80")
	n.outcome = report.OutcomeOK
	n.other = report.Process{State: report.ProcessRunning, PID: 91, StartTime: n.now, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
	n.wait(time.Minute)
	if len(n.e.suspects) != 0 {
		t.Errorf("a minute later: %s", n.dump())
	}
}

func TestAProcessOnTheMachineOfAWebServerIsNotBlamed(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		outcome report.Outcome
		at      []string
	}{
		"while_that_is_well":     {137, report.OutcomeOK, onlyThere},
		"if_it_ended_in_order":   {0, report.OutcomeUnavailable, onlyThere},
		"if_others_can_reach_it": {137, report.OutcomeUnavailable, []string{"10.0.0.31:9000", "data1:9000"}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNearby(t, "process:php-fpm:9000", c.at...)
			n.kill(c.status)
			n.outcome = c.outcome
			n.wait(20 * time.Second)
			n.neverAccuses(verdict.ClassCrash, "127.0.0.1:9000@data1")
			n.neverAccuses(verdict.ClassCrash, "10.0.0.31:9000")
		})
	}
}

func TestANameServerIsMissedByThoseWhoFindNoNames(t *testing.T) {
	n := newNearby(t, "process:dnsmasq:53", "10.0.0.31:53", "data1:53")
	fell := n.now
	n.kill(137)
	n.outcome = report.OutcomeDNS
	n.wait(20 * time.Second)
	n.accused(fell, 10*time.Second, verdict.ClassCrash, "process_exit", "10.0.0.31:53")
	n.neverAccuses(verdict.ClassPartition, "legacy:80")
}

func TestANameServerIsNotBlamed(t *testing.T) {
	for name, c := range map[string]struct {
		status  int
		outcome report.Outcome
	}{
		"while_names_are_found":       {137, report.OutcomeOK},
		"if_it_ended_in_order":        {0, report.OutcomeDNS},
		"for_calls_that_fail_so_else": {137, report.OutcomeUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNearby(t, "process:dnsmasq:53", "10.0.0.31:53", "data1:53")
			n.kill(c.status)
			n.outcome = c.outcome
			n.wait(20 * time.Second)
			n.neverAccuses(verdict.ClassCrash, "10.0.0.31:53")
		})
	}
}

// Clients that tell the kind of a server and no address: it may be the one on the other
// side of a cut.
func TestAServerWithoutAnAddressDoesNotHangWhileItsCallersMachineIsUnheard(t *testing.T) {
	for name, unheard := range map[string]bool{"unheard": true, "heard": false} {
		t.Run(name, func(t *testing.T) {
			c := newBrokers(t)
			c.ties["app1"] = []string{"10.0.0.1:6379"}
			c.callee, c.calls = report.Callee{Service: "redis"}, true
			c.pass(time.Minute, 6, 0, 0)
			if unheard {
				c.deaf, c.unseen = map[tie]bool{{"app1", "10.0.0.1:6379"}: true}, "s1"
			}
			from := c.now
			c.outcome = report.OutcomeTimeout
			c.pass(30*time.Second, 0, 6, 0)
			if !unheard {
				c.accused(from, 25*time.Second, verdict.ClassCrash, "hang", "redis")
				return
			}
			c.neverAccuses(verdict.ClassCrash, "redis")
		})
	}
}
