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

// Two services stand on h1 and h2. Both are asked more, and some are slow.
func TestWhatIsSlowOnOneMachineOnlyIsTheMachine(t *testing.T) {
	for name, c := range map[string]struct {
		slow  map[string]bool
		calls bool // fraud calls catalog
		node  bool
	}{
		"both on one machine":             {map[string]bool{"fraud h1": true, "catalog h1": true}, false, true},
		"one service":                     {map[string]bool{"fraud h1": true}, false, false},
		"each on another machine":         {map[string]bool{"fraud h1": true, "catalog h2": true}, false, false},
		"one waits for the other":         {map[string]bool{"fraud h1": true, "catalog h1": true}, true, false},
		"one of them elsewhere, too":      {map[string]bool{"fraud h1": true, "catalog h1": true, "catalog h2": true}, false, false},
		"both of both, wherever they are": {map[string]bool{"fraud h1": true, "catalog h1": true, "fraud h2": true, "catalog h2": true}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			src := func(service, host string) *report.Source {
				return report.NewSource(report.Source{Service: report.ServiceID{Name: service}, Instance: service + "-" + host, Host: host})
			}
			web := src("web", "h3")
			for second := -120; second < 40; second++ {
				f.tell(time.Second, time.Second, func(b *report.Batch) {
					asked := 5
					if second >= 0 {
						asked = 20
					}
					call := func(from, to *report.Source, slow int) {
						callee := report.Callee{Address: to.Instance + ":80", Direct: true}
						f.hopID++
						b.Hops = append(b.Hops, report.Hop{Span: f.hopID, Source: from, Callee: callee, At: b.Arrived}, report.Hop{Span: f.hopID, Server: true, Source: to, At: b.Arrived})
						b.Calls = append(b.Calls, report.Calls{Caller: from, Callee: callee, Outcome: report.OutcomeOK, Count: asked, Slow: slow,
							First: b.Arrived.Add(-time.Second), Started: b.Arrived, Last: b.Arrived, Done: b.Arrived.Add(-time.Second)})
						if slow > 0 {
							b.Calls = append(b.Calls, report.Calls{Caller: from, Callee: callee, Outcome: report.OutcomeTimeout, Count: 4, First: b.Arrived.Add(-time.Second), Last: b.Arrived})
						}
					}
					for _, service := range []string{"fraud", "catalog"} {
						for _, host := range []string{"h1", "h2"} {
							to, slow := src(service, host), 0
							if second >= 0 && c.slow[service+" "+host] {
								slow = asked * 9 / 10
							}
							b.Served = append(b.Served, report.Served{Source: to, OK: asked, Slow: slow, Last: b.Arrived})
							call(web, to, slow)
							if c.calls && service == "fraud" {
								call(to, src("catalog", host), slow)
							}
						}
					}
				})
			}
			node := false
			for _, ev := range f.events {
				if v := ev.Verdict; v != nil && v.Culprit.Type == verdict.CulpritNode {
					node = true
					if v.Class != verdict.ClassUnknown || v.Culprit.Name != "h1" {
						t.Errorf("said %s", ev.Body)
					}
				} else if c.node && v != nil && ev.Kind == contract.EventFailureDetected && v.Class != verdict.ClassUnknown {
					t.Errorf("said %s", ev.Body)
				}
			}
			if node != c.node {
				t.Errorf("the machine was named: %v; %v", node, f.verdicts())
			}
		})
	}
}
