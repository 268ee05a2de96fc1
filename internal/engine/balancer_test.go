// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// TestTheAgentTellsOfABalancerThatEnds: its callers mean who stands behind it, and are
// not asked themselves while it is gone.
func TestTheAgentTellsOfABalancerThatEnds(t *testing.T) {
	for name, c := range map[string]struct {
		exit    int
		host    string // of its process
		behind  []string
		accused bool
	}{
		"killed":                             {137, "lb", []string{"h1", "h2"}, true},
		"by a fault":                         {139, "lb", []string{"h1", "h2"}, true},
		"ended in order":                     {143, "lb", []string{"h1", "h2"}, false},
		"one of those who share its address": {137, "h1", []string{"h1", "h2"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			d.host, d.at = c.host, []string{"10.0.0.3:80", "lb:80", "10.0.0.3:8081", "lb:8081"}
			d.callee = report.Callee{Address: "lb:8081"}
			calls := func(b *report.Batch) {
				for _, h := range c.behind {
					to := report.NewSource(report.Source{Service: report.ServiceID{Name: "catalog"}, Instance: "catalog-" + h, Host: h})
					d.hopID++
					b.Hops = append(b.Hops, report.Hop{Span: d.hopID, Source: d.caller, Callee: d.callee, At: b.Arrived}, report.Hop{Span: d.hopID, Server: true, Source: to, At: b.Arrived})
					b.Served = append(b.Served, report.Served{Source: to, OK: 4, Last: b.Arrived})
				}
				d.call(b)
			}
			both := func(b *report.Batch) { d.look(b); calls(b) }
			d.tell(2*time.Second, 2*time.Minute, both)
			up, at := d.process, d.now
			d.process = report.Process{State: report.ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: c.exit, OOMKills: -1}
			d.tell(2*time.Second, 20*time.Second, d.look)
			if !c.accused {
				d.nobodyAccused(false)
				return
			}
			d.accused(at, 4*time.Second, verdict.ClassCrash, "process_exit", "lb:8081")
			d.process = up
			d.process.PID, d.process.StartTime = 18, d.now
			d.tell(2*time.Second, 30*time.Second, both)
			if said := fmt.Sprint(d.verdicts()); !strings.Contains(said, "failure.cleared") {
				t.Errorf("said %s, want it cleared", said)
			}
		})
	}
}
