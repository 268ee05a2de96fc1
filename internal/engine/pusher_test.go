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

// TestWhoAsksMoreAfterItWasTurnedAwayIsNotToBlame: a server turns its caller away, and
// only after long the caller asks for more, to catch up.
func TestWhoAsksMoreAfterItWasTurnedAwayIsNotToBlame(t *testing.T) {
	for name, c := range map[string]struct {
		first int // calls a second at the beginning
		want  bool
	}{
		"its rate rose first":           {24, true},
		"its rate rose long afterwards": {6, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			second := func(ok, full int) {
				d.tell(time.Second, time.Second, func(b *report.Batch) {
					first := b.Arrived.Add(-time.Second)
					for o, count := range map[report.Outcome]int{report.OutcomeOK: ok, report.OutcomeOverloaded: full} {
						if count > 0 {
							b.Calls = append(b.Calls, report.Calls{Caller: d.caller, Callee: d.callee, Outcome: o, Count: count, First: first, Started: first, Last: b.Arrived, Done: first})
						}
					}
				})
			}
			for range 120 {
				second(6, 0)
			}
			for range 30 {
				second(c.first/3, c.first*2/3)
			}
			for range 15 {
				second(8, 16)
			}
			blamed := false
			for _, ev := range d.events {
				blamed = blamed || ev.Verdict != nil && ev.Verdict.Culprit.Type == verdict.CulpritClient
			}
			if said := strings.Join(d.verdicts(), "; "); blamed != c.want || !strings.Contains(said, "resource_exhaustion") {
				t.Errorf("client blamed: %v, want %v; said %s", blamed, c.want, said)
			}
		})
	}
}

// Who exceeds what it alone is allowed is named at once, and not first who turns it away.
func TestWhoAloneIsTurnedAwayIsGivenTheTimeToBeCounted(t *testing.T) {
	for name, c := range map[string]struct {
		asks, others int // calls a second of the one that is turned away, and those of another that are turned away
		client       bool
		within       time.Duration
	}{
		"it_asks_for_more":     {24, 0, true, 12 * time.Second},
		"it_asks_as_ever":      {6, 0, false, 26 * time.Second},
		"all_are_turned_away":  {6, 4, false, 9 * time.Second},
		"all_are_and_it_asks_": {24, 4, true, 12 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			other := report.NewSource(report.Source{Service: report.ServiceID{Name: "billing"}, Instance: "billing-1", Host: "app2"})
			second := func(asks, full, others int) {
				d.tell(time.Second, time.Second, func(b *report.Batch) {
					first := b.Arrived.Add(-time.Second)
					call := func(who *report.Source, o report.Outcome, count int) {
						if count > 0 {
							b.Calls = append(b.Calls, report.Calls{Caller: who, Callee: d.callee, Outcome: o, Count: count, First: first, Started: first, Last: b.Arrived, Done: first})
						}
					}
					call(d.caller, report.OutcomeOK, asks-full)
					call(d.caller, report.OutcomeOverloaded, full)
					call(other, report.OutcomeOK, 6-others)
					call(other, report.OutcomeOverloaded, others)
				})
			}
			for range 120 {
				second(6, 0, 0)
			}
			from := d.now
			for range 30 {
				second(c.asks, c.asks*3/4, c.others)
			}
			for i := range d.events {
				ev := &d.events[i]
				if ev.Verdict == nil || ev.Verdict.Class == verdict.ClassUnknown {
					continue
				}
				client := ev.Verdict.Culprit.Type == verdict.CulpritClient
				if client != c.client && (c.others == 0 || !c.client) || ev.At.Sub(from) > c.within {
					t.Errorf("first said after %v: %s of %v", ev.At.Sub(from), ev.Body, ev.Verdict.Culprit)
				}
				t.Logf("after %v: %s of %v", ev.At.Sub(from), ev.Body, ev.Verdict.Culprit)
				return
			}
			t.Errorf("nothing said: %s", d.dump())
		})
	}
}

// What one member of a cluster turns away its client tries at another: that other is not
// asked for more by the client's own doing. A client that asks all of them for more is.
func TestWhoTriesAnotherMemberOfAClusterDoesNotPush(t *testing.T) {
	for name, c := range map[string]struct {
		asks, full [2]int // calls a second to each of two members, and how many are turned away
		client     bool
	}{
		"it tries the other":         {[2]int{16, 30}, [2]int{16, 10}, false},
		"it asks both for much more": {[2]int{60, 60}, [2]int{30, 30}, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			client := report.NewSource(report.Source{Service: report.ServiceID{Name: "leases"}, Instance: "leases-1", Host: "h1"})
			second := func(asks, full [2]int) {
				f.tell(time.Second, time.Second, func(b *report.Batch) {
					first := b.Arrived.Add(-time.Second)
					for i, address := range []string{"etcd-0:2379", "etcd-1:2379"} {
						call := func(o report.Outcome, count int) {
							b.Calls = append(b.Calls, report.Calls{Caller: client, Callee: report.Callee{Address: address, Direct: true}, Outcome: o, Count: count, First: first, Started: first, Last: b.Arrived, Done: first})
						}
						call(report.OutcomeOK, asks[i]-full[i])
						if full[i] > 0 {
							call(report.OutcomeOverloaded, full[i])
						}
					}
				})
			}
			for range 120 {
				second([2]int{12, 12}, [2]int{})
			}
			for range 30 {
				second(c.asks, c.full)
			}
			blamed := false
			for _, ev := range f.events {
				blamed = blamed || ev.Verdict != nil && ev.Verdict.Culprit.Type == verdict.CulpritClient
			}
			if said := strings.Join(f.verdicts(), "; "); blamed != c.client || !strings.Contains(said, "resource_exhaustion") {
				t.Errorf("client blamed: %v, want %v; said %s", blamed, c.client, said)
			}
		})
	}
}
