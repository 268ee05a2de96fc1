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
