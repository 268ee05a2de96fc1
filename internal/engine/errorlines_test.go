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

// scribe is a fleet of which spans tell only that calls were answered, and logs the
// rest: nobody tells an address or a status.
type scribe struct {
	e      *Engine
	now    clock.Time
	trace  uint64
	every  time.Duration                                         // between two requests
	writes func(trace uint64, back, front *report.Source) []line // lines of a request
	coded  int                                                   // answers with a status code of success, of one
	events []verdict.Event
	also   func(b *report.Batch)
}

type line struct {
	who    *report.Source
	words  string
	after  time.Duration
	quoted bool
}

var (
	backend  = report.NewSource(report.Source{Service: report.ServiceID{Name: "stock"}, Instance: "stock-1"})
	frontend = report.NewSource(report.Source{Service: report.ServiceID{Name: "shop"}, Instance: "shop-1"})
	other    = report.NewSource(report.Source{Service: report.ServiceID{Name: "mail"}, Instance: "mail-1"})
)

func newScribe() *scribe {
	return &scribe{e: New(DefaultParams()), now: clock.Time(1_800_000_000e9), every: time.Second}
}

func (s *scribe) run(d time.Duration) {
	for end := s.now.Add(d); s.now < end; {
		s.now = s.now.Add(s.every)
		s.trace++
		b := &report.Batch{Arrived: s.now}
		for _, who := range []*report.Source{backend, frontend} {
			b.Served = append(b.Served, report.Served{Source: who, OK: 1, Coded: s.coded, Last: s.now})
		}
		if s.writes != nil {
			for _, l := range s.writes(s.trace, backend, frontend) {
				b.Errors = append(b.Errors, report.ErrorLine{Source: l.who, Kind: report.Hash(1, l.words), Trace: s.trace,
					Quoted: l.quoted, At: s.now.Add(l.after - 50*time.Millisecond), Text: l.words})
			}
		}
		if s.also != nil {
			s.also(b)
		}
		s.e.Observe(b)
		s.e.Tick(s.now)
		s.events = append(s.events, s.e.Events()...)
	}
}

// accused are those with a verdict that names a class.
func (s *scribe) accused() (out []string) {
	for _, n := range s.e.suspects {
		if v := n.verdict; v != nil && v.Class != verdict.ClassUnknown {
			out = append(out, fmt.Sprintf("%s %s %s", v.Culprit.Name, v.Class, v.Subclass))
		}
	}
	return out
}

func (s *scribe) expect(t *testing.T, want ...string) {
	t.Helper()
	if got := fmt.Sprint(s.accused()); got != fmt.Sprint(want) {
		t.Errorf("accused: %s, want %v", got, want)
	}
}

const guilty = "stock-1 byzantine error_response"

func TestErrorsOfRequestAfterRequestThatAreNewAreByzantine(t *testing.T) {
	for name, after := range map[string]func(trace uint64, back, front *report.Source) []line{
		"one_that_answers_well_by_its_spans": func(_ uint64, back, _ *report.Source) []line {
			return []line{{who: back, words: "no stock of that item"}}
		},
		"its_caller_says_so_after_it_in_other_words": func(_ uint64, back, front *report.Source) []line {
			return []line{{front, "order failed", 20 * time.Millisecond, false}, {back, "no stock of that item", 0, false}}
		},
		"beside_a_line_that_it_always_writes": func(_ uint64, back, _ *report.Source) []line {
			return []line{{who: back, words: "cache is cold"}, {who: back, words: "no stock of that item"}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScribe()
			if name[:6] == "beside" {
				s.writes = func(_ uint64, back, _ *report.Source) []line { return []line{{who: back, words: "cache is cold"}} }
			}
			s.run(3 * time.Minute)
			s.expect(t)
			s.writes = after
			s.run(15 * time.Second)
			s.expect(t, guilty)
			s.writes = nil
			s.run(40 * time.Second)
			s.expect(t)
		})
	}
	t.Run("asked_once_in_eight_seconds", func(t *testing.T) {
		s := newScribe()
		s.every = 8 * time.Second
		s.run(10 * time.Minute)
		s.writes = func(_ uint64, back, _ *report.Source) []line {
			return []line{{who: back, words: "no stock of that item"}}
		}
		s.run(time.Minute)
		s.expect(t, guilty)
	})
}

func TestErrorLinesThatAccuseNobody(t *testing.T) {
	const wrong = "no stock of that item"
	every := func(n uint64, words string) func(uint64, *report.Source, *report.Source) []line {
		return func(trace uint64, back, _ *report.Source) []line {
			if trace%n != 0 {
				return nil
			}
			return []line{{who: back, words: words}}
		}
	}
	for name, inject := range map[string]func(s *scribe){
		"what_it_has_always_written": func(s *scribe) { s.writes = every(1, wrong) },
		"what_one_request_in_three_has_always_written": func(s *scribe) {
			s.writes = every(3, wrong)
			s.run(5 * time.Minute)
			s.writes = every(2, wrong)
		},
		"one_request_in_ten": func(s *scribe) {
			s.run(3 * time.Minute)
			s.writes = every(10, wrong)
		},
		"each_in_other_words": func(s *scribe) {
			s.run(3 * time.Minute)
			s.writes = func(trace uint64, back, _ *report.Source) []line {
				return []line{{who: back, words: fmt.Sprint("user ", trace)}}
			}
		},
		"another_quotes_before": func(s *scribe) {
			s.run(3 * time.Minute)
			s.writes = func(_ uint64, back, _ *report.Source) []line {
				return []line{{other, "rpc error", -20 * time.Millisecond, true}, {back, wrong, 0, false}}
			}
		},
		"a_moment": func(s *scribe) {
			s.run(3 * time.Minute)
			s.writes = every(1, wrong)
			s.run(5 * time.Second)
			s.writes = nil
		},
		"one_whose_requests_nobody_counts": func(s *scribe) {
			s.run(3 * time.Minute)
			s.writes = func(uint64, *report.Source, *report.Source) []line { return []line{{who: other, words: wrong}} }
		},
		"one_who_is_short_of_something": func(s *scribe) {
			s.run(3 * time.Minute)
			s.writes = every(1, wrong)
			s.also = func(b *report.Batch) {
				b.Facts = append(b.Facts, report.Fact{Source: backend, Kind: report.FactOutOfMemory, At: s.now, Text: "out of memory"})
			}
		},
		"while_another_fails_whom_it_may_call": func(s *scribe) {
			s.run(3 * time.Minute)
			s.writes = every(1, wrong)
			s.also = func(b *report.Batch) {
				b.Facts = append(b.Facts, report.Fact{Source: other, Kind: report.FactOOMKill, Value: 1, At: s.now, Text: "killed"})
			}
		},
		"one_whose_answers_say_that_they_are_well": func(s *scribe) {
			s.coded = 1
			s.run(3 * time.Minute)
			s.writes = every(1, wrong)
		},
		"a_new_process_that_has_served_little": func(s *scribe) {
			s.run(5 * time.Second)
			s.writes = every(1, wrong)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScribe()
			inject(s)
			for range 60 {
				s.run(s.every)
				for _, who := range s.accused() {
					if who == guilty || who[:4] == "shop" {
						t.Fatalf("accused: %s", who)
					}
				}
			}
		})
	}
}

func TestErrorLinesAreBounded(t *testing.T) {
	s := newScribe()
	s.run(time.Minute)
	for i := range 100 {
		b := &report.Batch{Arrived: s.now}
		for j := range 100 {
			b.Errors = append(b.Errors, report.ErrorLine{Source: backend, Kind: uint64(i*100 + j), Trace: uint64(i*100 + j + 1), At: s.now, Text: "x"})
		}
		s.e.Observe(b)
	}
	if n := len(s.e.instance(backend).errors.kinds); n > maxErring {
		t.Errorf("%d kinds", n)
	}
	if n := len(s.e.erred); n > maxErred {
		t.Errorf("%d traces", n)
	}
	s.expect(t)
}

// cpu tells a CPU share every 40 s, and answers that are slow.
func (s *scribe) cpu(share float64, slow bool) {
	ticks := 0
	s.also = func(b *report.Batch) {
		if ticks++; time.Duration(ticks)*s.every%(40*time.Second) == 0 {
			b.Levels = append(b.Levels, report.Level{Source: backend, Kind: report.LevelCPU, Share: share, At: s.now})
		}
		if slow {
			b.Served[0].Slow = 1
		}
	}
}

func TestCPUThatRoseIsShortOnlyIfAnswersAreLate(t *testing.T) {
	for name, c := range map[string]struct {
		usual, share float64
		slow         bool
		want         []string
	}{
		"rose_and_slow":        {0.02, 0.85, true, []string{"stock-1 resource_exhaustion cpu"}},
		"a_job_hurts_nobody":   {0.02, 1, false, nil},
		"busy_as_usual":        {0.8, 0.85, true, nil},
		"slow_for_no_cpu":      {0.02, 0.3, true, nil},
		"slow_as_nobody_knows": {0.02, 0.02, true, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScribe()
			s.every = 8 * time.Second // it is asked rarely
			s.cpu(c.usual, false)
			s.run(10 * time.Minute)
			s.expect(t)
			s.cpu(c.share, c.slow)
			s.run(2 * time.Minute)
			s.expect(t, c.want...)
		})
	}
}
