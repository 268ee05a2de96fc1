// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

func TestNameThatIsNotFoundIsNoHangOfThoseBehindIt(t *testing.T) {
	for outcome, subclass := range map[Outcome]string{OutcomeDNS: "dns", OutcomeTLS: "tls"} {
		t.Run(subclass, func(t *testing.T) {
			f := newBehind(3)
			f.run(60 * time.Second)
			for _, r := range f.instances {
				r.outcome = outcome
			}
			f.run(40 * time.Second)
			f.expect(t, "service api", ClassPartition, subclass)
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
		class Class
	}{
		"its neighbour goes on":               {"deadlock", false, ClassCrash},
		"its neighbour fell silent with it":   {"paused", false, ClassNone},
		"there never was anybody but the one": {"deadlock", true, ClassCrash},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBehind(3)
			f.instances[0].alone = c.alone
			f.run(60 * time.Second)
			f.instances[0].state = c.state
			f.run(60 * time.Second)
			culprit := "instance api-0"
			if c.class == ClassNone {
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
		beside Outcome
		class  Class
	}{
		"another service answers it well": {OutcomeOK, ClassPartition},
		"nobody answers it at all":        {OutcomeTLS, ClassNone},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			now := clock.Time(1_800_000_000_000_000_000)
			client := NewSource(Source{Service: ServiceID{Name: "web"}, Instance: "web-1", Host: "w"})
			said := map[string]Class{}
			for second := range 100 {
				now = now.Add(time.Second)
				b := &Batch{Arrived: now}
				call := func(service string, i int, o Outcome) {
					callee := Callee{Address: fmt.Sprintf("%s-%d:80", service, i), Direct: true}
					b.Calls = append(b.Calls, Calls{Caller: client, Callee: callee, Outcome: o, Count: 2, First: now.Add(-time.Second), Last: now})
					if o == OutcomeOK {
						server := NewSource(Source{Service: ServiceID{Name: service}, Instance: fmt.Sprint(service, i), Host: fmt.Sprint("host-", service, i)})
						id := uint64(second)<<20 + uint64(len(b.Hops)) + 1
						b.Served = append(b.Served, Served{Source: server, OK: 2, Last: now})
						b.Hops = append(b.Hops, Hop{Span: id, Source: client, Callee: callee}, Hop{Span: id, Server: true, Source: server})
					}
				}
				api, beside := OutcomeOK, OutcomeOK
				if second >= 60 {
					api, beside = OutcomeTLS, c.beside
				}
				for i := range 4 {
					call("api", i, api)
				}
				call("cache", 0, beside)
				e.Observe(b)
				e.Tick(now)
				for _, ev := range e.Events() {
					if v := ev.Verdict; v != nil && v.Class != ClassUnknown {
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
