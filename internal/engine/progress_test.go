// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// jams drives a service that tells of its answers every five seconds. Some of its threads stop
// first, and calls run out of time, while the others go on for so long; then they answer as
// many of ten calls as given.
func jams(t *testing.T, goesOn time.Duration, then int) *fleet {
	f := newFleet(t)
	api := report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: "api-1", Host: "h1"})
	sessions := report.NewSource(report.Source{Service: report.ServiceID{Name: "sessions"}, Instance: "sessions-1", Host: "h2"})
	callee := report.Callee{Address: "10.0.0.2:7000", Direct: true}
	ended, last := 0, f.now
	for second := time.Duration(0); second < 2*time.Minute; second += time.Second {
		good := 10
		switch into := second - 90*time.Second; {
		case into >= goesOn:
			good = then
		case into >= 0:
			good = 5
		}
		f.tell(time.Second, time.Second, func(b *report.Batch) {
			began := b.Arrived.Add(-100 * time.Millisecond)
			f.hopID++
			if good > 0 {
				b.Calls = append(b.Calls, report.Calls{Caller: api, Callee: callee, Outcome: report.OutcomeOK, Count: good, First: began, Started: began, Last: b.Arrived, Done: b.Arrived})
				b.Hops = append(b.Hops, report.Hop{Span: f.hopID, Source: api, Callee: callee, At: b.Arrived}, report.Hop{Span: f.hopID, Server: true, Source: sessions, At: b.Arrived})
				ended, last = ended+good, b.Arrived
			}
			if good < 10 {
				began = b.Arrived.Add(-900 * time.Millisecond)
				b.Calls = append(b.Calls, report.Calls{Caller: api, Callee: callee, Outcome: report.OutcomeTimeout, Count: 10 - good, First: began, Started: began, Last: b.Arrived, Done: b.Arrived})
			}
			if second%(5*time.Second) == 0 && ended > 0 {
				b.Served = append(b.Served, report.Served{Source: sessions, OK: ended, Last: last})
				ended = 0
			}
		})
	}
	return f
}

func TestOneThatJamsBitByBitHangs(t *testing.T) {
	t.Run("once_nothing_is_answered", func(t *testing.T) {
		f := jams(t, 4*time.Second, 0)
		f.accused(f.began.Add(90*time.Second), 20*time.Second, verdict.ClassCrash, "hang", "sessions-1")
	})
	t.Run("not_while_some_is", func(t *testing.T) {
		jams(t, 4*time.Second, 3).neverAccuses(verdict.ClassCrash, "sessions-1")
	})
}

// stuck drives a service that beats, and from then on answers nobody, and returns when it was
// called hung; its caller stands in a zone.
func stuck(t *testing.T, zone string) (after time.Duration) {
	f := newFleet(t)
	api := report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: "api-1", Host: "h1", Zone: zone})
	p := f.add("sessions", "sessions-1")
	src := *p.src
	src.Zone = "zone-b"
	p.src, p.beats, p.interval = report.NewSource(src), true, time.Second
	callee := report.Callee{Address: "10.0.0.2:7000", Direct: true}
	for second := time.Duration(0); second < 2*time.Minute; second += time.Second {
		b := &report.Batch{Arrived: f.now}
		call := report.Calls{Caller: api, Callee: callee, Outcome: report.OutcomeOK, Count: 4, First: f.now.Add(-100 * time.Millisecond), Last: f.now, Done: f.now}
		if second >= 90*time.Second {
			call.Outcome, call.First = report.OutcomeTimeout, f.now.Add(-900*time.Millisecond)
		} else {
			f.hopID++
			b.Hops = append(b.Hops, report.Hop{Span: f.hopID, Source: api, Callee: callee, At: f.now}, report.Hop{Span: f.hopID, Server: true, Source: p.src, At: f.now})
			b.Served = append(b.Served, report.Served{Source: p.src, OK: 4, Last: f.now})
		}
		b.Calls = append(b.Calls, call)
		f.e.Observe(b)
		f.run(time.Second)
	}
	for _, ev := range f.events {
		if ev.Verdict != nil && ev.Verdict.Subclass == "hang" {
			return ev.At.Sub(f.began) - 90*time.Second
		}
	}
	return 0
}

func TestWhoIsAskedInVainFromAfarAloneIsNotHungYet(t *testing.T) {
	near, far := stuck(t, "zone-b"), stuck(t, "zone-a")
	if near <= 0 || near >= wayShows-time.Second {
		t.Errorf("its neighbours tell after %v", near)
	}
	if far < wayShows-time.Second || far > 2*wayShows {
		t.Errorf("others tell after %v", far)
	}
}
