// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// handshakes drives callers of a bank that is restarted with a certificate that has expired: they
// are refused for a moment, and then try again and again. refused says whether they go on to be.
func handshakes(t *testing.T, refused bool) *fleet {
	f := newFleet(t)
	callers := []*proc{f.add("payment", "payment-1"), f.add("payment", "payment-2")}
	calls := func(o report.Outcome, count int) func(*report.Batch) {
		return func(b *report.Batch) {
			for _, c := range callers {
				b.Calls = append(b.Calls, report.Calls{Caller: c.src, Callee: report.Callee{Address: "bank:443"}, Outcome: o, Count: count, First: b.Arrived.Add(-200 * time.Millisecond), Last: b.Arrived, Done: b.Arrived})
			}
		}
	}
	f.tell(time.Second, 2*time.Minute, calls(report.OutcomeOK, 2))
	f.tell(time.Second, time.Second, calls(report.OutcomeRefused, 4))
	for range 20 {
		f.tell(time.Second, time.Second, func(b *report.Batch) {
			calls(report.OutcomeTLS, 12)(b)
			if refused {
				calls(report.OutcomeRefused, 12)(b)
			}
		})
	}
	return f
}

func TestOneThatIsBackWithABadCertificateIsNotGone(t *testing.T) {
	t.Run("refused_while_it_was_restarted", func(t *testing.T) {
		f := handshakes(t, false)
		f.accused(f.began.Add(2*time.Minute), 8*time.Second, verdict.ClassPartition, "tls", "bank:443")
	})
	t.Run("refused_all_the_while", func(t *testing.T) {
		f := handshakes(t, true)
		for _, ev := range f.events {
			if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassPartition && ev.Verdict.Confidence > 0.75 {
				t.Errorf("said %s", ev.Body)
			}
		}
	})
}
