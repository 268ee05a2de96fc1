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
