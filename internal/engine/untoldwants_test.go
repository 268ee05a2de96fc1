// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Three sell by way of a broker to which no library writes a span, and ask a cache by one
// that does.
type sellers struct {
	*fleet
	who []*proc
}

func newSellers(t *testing.T, many int) *sellers {
	s := &sellers{fleet: newFleet(t)}
	for i := range many {
		s.who = append(s.who, s.add("shop", "shop-"+string(rune('1'+i))))
	}
	return s
}

// sells has each answer ten calls a second for some seconds; so many of them fail, in the
// words of a client, and so many calls to the cache do. The first in are only those, if told.
func (s *sellers) sells(seconds, failed, cacheFails, in int) {
	s.tell(time.Second, time.Duration(seconds)*time.Second, func(b *report.Batch) {
		for i, p := range s.who {
			failed := failed
			if in != 0 && i >= in {
				failed = 0
			}
			b.Served = append(b.Served, report.Served{Source: p.src, OK: 10 - failed, Failed: failed, Passed: failed, Wants: failed, Says: "kombu: connection refused", Last: b.Arrived})
			for o, n := range map[report.Outcome]int{report.OutcomeOK: 10 - cacheFails, report.OutcomeTimeout: cacheFails} {
				if n > 0 {
					b.Calls = append(b.Calls, report.Calls{Caller: p.src, Callee: report.Callee{Address: "cache:6379"}, Outcome: o, Count: n, First: b.Arrived - 1e7, Last: b.Arrived, Done: b.Arrived})
				}
			}
		}
	})
}

func TestFailuresForWantOfOneWhomNothingNames(t *testing.T) {
	for name, c := range map[string]struct {
		many   int
		during func(s *sellers)
		want   []string // who is unknown, at first
	}{
		"half_of_its_answers":            {1, func(s *sellers) { s.sells(40, 5, 0, 0) }, []string{"shop-1"}},
		"of_all_of_a_service":            {3, func(s *sellers) { s.sells(40, 5, 0, 0) }, []string{"shop"}},
		"of_one_of_three":                {3, func(s *sellers) { s.sells(40, 5, 0, 1) }, []string{"shop-1"}},
		"for_as_long_as_a_restart_takes": {1, func(s *sellers) { s.sells(12, 10, 0, 0) }, nil},
		"again_and_again_for_a_moment": {1, func(s *sellers) {
			for range 6 {
				s.sells(5, 8, 0, 0)
				s.sells(25, 0, 0, 0)
			}
		}, nil},
		"a_few":                    {1, func(s *sellers) { s.sells(60, 1, 0, 0) }, nil},
		"and_another_fails_it":     {1, func(s *sellers) { s.sells(40, 5, 5, 0) }, nil},
		"and_another_did_just_now": {1, func(s *sellers) { s.sells(14, 5, 9, 0); s.sells(20, 5, 0, 0) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSellers(t, c.many)
			s.sells(90, 0, 0, 0)
			c.during(s)
			var got []string
			for _, ev := range s.events {
				if ev.Kind != contract.EventFailureDetected {
					continue
				}
				got = append(got, ev.Entity)
				t.Log(ev.Body)
				if strings.HasPrefix(ev.Entity, "shop") && (ev.Verdict.Class != verdict.ClassUnknown || !strings.Contains(ev.Body, "kombu: connection refused")) {
					t.Errorf("said %s", ev.Body)
				}
			}
			if strings.Join(got, " ") != strings.Join(c.want, " ") {
				t.Errorf("named %v, want %v; %s", got, c.want, s.dump())
			}
			s.sells(40, 0, 0, 0)
			for _, n := range s.e.suspects {
				if n.verdict != nil {
					t.Errorf("%s is well again: %s", n.name(), n.verdict.Reason)
				}
			}
		})
	}
}

func TestUsualWantsAreNoFailure(t *testing.T) {
	s := newSellers(t, 1)
	s.sells(600, 4, 0, 0)
	s.nobodyAccused(false)
}
