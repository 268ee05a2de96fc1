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

func TestNameThatIsNotFoundIsNoHangOfThoseBehindIt(t *testing.T) {
	for outcome, subclass := range map[report.Outcome]string{report.OutcomeDNS: "dns", report.OutcomeTLS: "tls"} {
		t.Run(subclass, func(t *testing.T) {
			f := newBehind(3)
			f.run(60 * time.Second)
			for _, r := range f.instances {
				r.outcome = outcome
			}
			f.run(40 * time.Second)
			f.expect(t, "service api", verdict.ClassPartition, subclass)
			for _, r := range f.instances {
				if n := f.e.instance(r.src); n.episode != nil && n.episode.stalls {
					t.Errorf("%s is taken to answer nobody, and nobody reaches it", n.name())
				}
			}
		})
	}
}

// One that answers nobody hangs, if its machine is heard; if nobody there is, it may
// be cut off as well.
func TestHangNeedsAMachineThatIsHeard(t *testing.T) {
	for name, c := range map[string]struct {
		state string
		alone bool
		class verdict.Class
	}{
		"its neighbour goes on":               {"deadlock", false, verdict.ClassCrash},
		"its neighbour fell silent with it":   {"paused", false, verdict.ClassNone},
		"there never was anybody but the one": {"deadlock", true, verdict.ClassCrash},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBehind(3)
			f.instances[0].alone = c.alone
			f.run(60 * time.Second)
			f.instances[0].state = c.state
			f.run(60 * time.Second)
			culprit := "instance api-0"
			if c.class == verdict.ClassNone {
				culprit = ""
			}
			f.expect(t, culprit, c.class, "hang")
		})
	}
}

// Who cannot set up connections to any instance of one service, and is content with
// another, is no sick observer: that service is what fails.
func TestComplaintsOfOneServiceAloneAreHeard(t *testing.T) {
	for name, c := range map[string]struct {
		beside report.Outcome
		class  verdict.Class
	}{
		"another service answers it well": {report.OutcomeOK, verdict.ClassPartition},
		"nobody answers it at all":        {report.OutcomeTLS, verdict.ClassNone},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			now := clock.Time(1_800_000_000_000_000_000)
			client := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "web-1", Host: "w"})
			said := map[string]verdict.Class{}
			for second := range 100 {
				now = now.Add(time.Second)
				b := &report.Batch{Arrived: now}
				call := func(service string, i int, o report.Outcome) {
					callee := report.Callee{Address: fmt.Sprintf("%s-%d:80", service, i), Direct: true}
					b.Calls = append(b.Calls, report.Calls{Caller: client, Callee: callee, Outcome: o, Count: 2, First: now.Add(-time.Second), Last: now})
					if o == report.OutcomeOK {
						server := report.NewSource(report.Source{Service: report.ServiceID{Name: service}, Instance: fmt.Sprint(service, i), Host: fmt.Sprint("host-", service, i)})
						id := uint64(second)<<20 + uint64(len(b.Hops)) + 1
						b.Served = append(b.Served, report.Served{Source: server, OK: 2, Last: now})
						b.Hops = append(b.Hops, report.Hop{Span: id, Source: client, Callee: callee}, report.Hop{Span: id, Server: true, Source: server})
					}
				}
				api, beside := report.OutcomeOK, report.OutcomeOK
				if second >= 60 {
					api, beside = report.OutcomeTLS, c.beside
				}
				for i := range 4 {
					call("api", i, api)
				}
				call("cache", 0, beside)
				e.Observe(b)
				e.Tick(now)
				for _, ev := range e.Events() {
					if v := ev.Verdict; v != nil && v.Class != verdict.ClassUnknown {
						said[v.Culprit.Service.Name] = v.Class
					}
				}
			}
			if said["api"] != c.class || len(said) > 1 {
				t.Errorf("want %q of api, got %v", c.class, said)
			}
		})
	}
}
