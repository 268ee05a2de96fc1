// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// leaves drives two services of whose calls nothing is known, and returns what was said;
// bad is how many of ten answers of each fail, and lines what api writes of others
// meanwhile, second by second since the first failed.
func leaves(t *testing.T, bad func(second int) (api, mail int), lines int) *fleet {
	f := newFleet(t)
	api := report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: "api-1", Host: "h1"})
	mail := report.NewSource(report.Source{Service: report.ServiceID{Name: "mail"}, Instance: "mail-1", Host: "h2"})
	for second := -90; second < 40; second++ {
		f.tell(time.Second, time.Second, func(b *report.Batch) {
			x, y := 0, 0
			if second >= 0 {
				x, y = bad(second)
			}
			b.Served = append(b.Served, report.Served{Source: api, OK: 10 - x, Failed: x, Faults: x, Last: b.Arrived},
				report.Served{Source: mail, OK: 10 - y, Failed: y, Faults: y, Last: b.Arrived})
			if x > 0 && lines > 0 {
				b.Errors = append(b.Errors, report.ErrorLine{Source: api, Kind: 7, Count: lines, Quoted: true, At: b.Arrived})
			}
		})
	}
	return f
}

func TestFailuresOfOneWhoseCallsNobodyTells(t *testing.T) {
	alone := func(int) (int, int) { return 6, 0 }
	t.Run("alone_they_are_its_own", func(t *testing.T) {
		f := leaves(t, alone, 0)
		f.accused(f.began.Add(90*time.Second), 20*time.Second, verdict.ClassByzantine, "error_response", "api-1")
	})
	t.Run("a_line_now_and_then_of_others_excuses_nobody", func(t *testing.T) {
		f := leaves(t, alone, 1)
		f.accused(f.began.Add(90*time.Second), 20*time.Second, verdict.ClassByzantine, "error_response", "api-1")
	})
	t.Run("its_log_tells_of_calls_that_failed", func(t *testing.T) {
		leaves(t, alone, 6).nobodyAccused(true)
	})
	t.Run("another_who_does_not_call_it_fails_since_the_same_seconds", func(t *testing.T) {
		leaves(t, func(second int) (int, int) { return 6, 6 * min(second/3, 1) }, 0).nobodyAccused(true)
	})
	t.Run("another_failed_half_a_minute_before", func(t *testing.T) {
		f := leaves(t, func(second int) (int, int) { return 6 * min(second/28, 1), 6 }, 0)
		f.accused(f.began.Add(90*time.Second), 20*time.Second, verdict.ClassByzantine, "error_response", "mail-1")
	})
}
