// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// doubts are what the calls of one who doubts are like: how those that fail end that
// it makes itself, if they do, the name of its other callee, and how many lines it
// writes when so many requests fail.
type doubts struct {
	outcome report.Outcome
	other   string
	lines   func(bad int) int
	kind    report.FactKind
	whom    string
	copes   bool // and answers all the same
}

// doubting drives a service that fails every fourth of the requests that it answers,
// and writes why.
func doubting(t *testing.T, write string, unlike ...func(*doubts)) *fleet {
	f := newFleet(t)
	d := doubts{other: "stock", lines: func(bad int) int { return bad }, kind: report.FactIntegrity}
	for _, u := range unlike {
		u(&d)
	}
	api := report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: "api-1", Host: "h1"})
	catalog := report.NewSource(report.Source{Service: report.ServiceID{Name: "catalog"}, Instance: "catalog-1", Host: "h2"})
	other := report.NewSource(report.Source{Service: report.ServiceID{Name: d.other}, Instance: "stock-1", Host: "h3"})
	second := func(bad int) {
		f.tell(time.Second, time.Second, func(b *report.Batch) {
			first := b.Arrived.Add(-time.Second)
			for i, to := range []*report.Source{catalog, other} {
				callee := report.Callee{Address: fmt.Sprintf("10.0.0.%d:80", 2+i), Direct: true}
				f.hopID++
				b.Hops = append(b.Hops, report.Hop{Span: f.hopID, Source: api, Callee: callee, At: b.Arrived}, report.Hop{Span: f.hopID, Server: true, Source: to, At: b.Arrived})
				b.Calls = append(b.Calls, report.Calls{Caller: api, Callee: callee, Outcome: report.OutcomeOK, Count: 8, First: first, Started: first, Last: b.Arrived, Done: first})
				if bad > 0 && d.outcome != 0 && to == catalog {
					b.Calls = append(b.Calls, report.Calls{Caller: api, Callee: callee, Outcome: d.outcome, Count: bad, First: first, Started: first, Last: b.Arrived, Done: first})
				}
				b.Served = append(b.Served, report.Served{Source: to, OK: 8, Last: b.Arrived})
			}
			failed := bad
			if d.copes {
				failed = 0
			}
			b.Served = append(b.Served, report.Served{Source: api, OK: 12 - failed, Failed: failed, Faults: failed, Last: b.Arrived})
			if n := d.lines(bad); n > 0 {
				b.Facts = append(b.Facts, report.Fact{Source: api, Kind: d.kind, Value: int64(n), At: b.Arrived, Text: write, Whom: d.whom})
			}
		})
	}
	for range 90 {
		second(0)
	}
	for range 40 {
		second(3)
	}
	return f
}

func TestWhoFindsThatAnAnswerDoesNotCheckIsNotWrongItself(t *testing.T) {
	t.Run("its_log_names_whose_answer", func(t *testing.T) {
		f := doubting(t, "catalog: checksum mismatch: got 17, want 4")
		f.accused(f.began.Add(90*time.Second), 20*time.Second, verdict.ClassByzantine, "invalid_response", "catalog-1")
		for _, ev := range f.events {
			if ev.Verdict != nil && ev.Verdict.Culprit.Name == "api-1" {
				t.Errorf("said %s", ev.Body)
			}
		}
	})
	t.Run("its_log_names_nobody", func(t *testing.T) {
		f := doubting(t, "checksum mismatch in my-catalog: got 17, want 4")
		f.nobodyAccused(true)
	})
	t.Run("whom_it_names_passes_on_a_failure", func(t *testing.T) {
		f := doubting(t, "catalog: checksum mismatch: got 17, want 4", func(d *doubts) { d.outcome = report.OutcomeServerError })
		f.neverAccuses(verdict.ClassByzantine, "catalog-1")
	})
	t.Run("two_go_by_that_name", func(t *testing.T) {
		f := doubting(t, "catalog: checksum mismatch: got 17, want 4", func(d *doubts) { d.other = "catalog" })
		f.neverAccuses(verdict.ClassByzantine, "catalog-1")
		f.neverAccuses(verdict.ClassByzantine, "stock-1")
	})
}

// neverAccuses fails if any event blames an instance for a class.
func (f *fleet) neverAccuses(class verdict.Class, instance string) {
	f.t.Helper()
	for _, ev := range f.events {
		if ev.Verdict != nil && ev.Verdict.Class == class && ev.Verdict.Culprit.Name == instance {
			f.t.Errorf("said %s", ev.Body)
		}
	}
}

func TestALineNowAndThenOfWhatDoesNotCheckExcusesNobody(t *testing.T) {
	seconds := 0
	f := doubting(t, "signature mismatch on a webhook", func(d *doubts) {
		d.lines = func(int) int {
			seconds++
			return max(1-seconds%5, 0)
		}
	})
	f.accused(f.began.Add(90*time.Second), 20*time.Second, verdict.ClassByzantine, "error_response", "api-1")
}

func TestWhoFindsFaultWithAnAnswerIsNotWrongItself(t *testing.T) {
	whom := func(words string) func(*doubts) { return func(d *doubts) { d.whom = words } }
	finds := func(d *doubts) { d.kind = report.FactDoubts }
	t.Run("of_one_that_it_calls", func(t *testing.T) {
		f := doubting(t, "invalid price from catalog: below zero", finds, whom("catalog: below zero"))
		f.accused(f.began.Add(90*time.Second), 20*time.Second, verdict.ClassByzantine, "invalid_response", "catalog-1")
		f.neverAccuses(verdict.ClassByzantine, "api-1")
	})
	t.Run("unless_it_calls_nobody_of_that_name", func(t *testing.T) {
		f := doubting(t, "invalid token from catalogue", finds, whom("catalogue"))
		f.accused(f.began.Add(90*time.Second), 20*time.Second, verdict.ClassByzantine, "error_response", "api-1")
		f.neverAccuses(verdict.ClassByzantine, "catalog-1")
	})
	t.Run("unless_that_is_named_for_something_else", func(t *testing.T) {
		f := doubting(t, "catalog: invalid token from header", finds, whom("header"))
		f.neverAccuses(verdict.ClassByzantine, "catalog-1")
	})
	t.Run("unless_it_fails_nobody", func(t *testing.T) {
		doubting(t, "invalid price from catalog: below zero", finds, whom("catalog: below zero"), func(d *doubts) { d.copes = true }).nobodyAccused(false)
	})
	t.Run("one_of_several_that_it_calls_of_a_service", func(t *testing.T) {
		f := doubting(t, "catalog: impossible price", finds, whom("catalog"), func(d *doubts) { d.other = "catalog" })
		f.accused(f.began.Add(90*time.Second), 20*time.Second, verdict.ClassByzantine, "invalid_response", "catalog")
		f.neverAccuses(verdict.ClassByzantine, "api-1")
	})
}
