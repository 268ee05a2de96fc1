// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// played runs the zones for d and delivers what they say as told.
func played(d time.Duration, deliver func(e *Engine, i int, b *report.Batch)) *zones {
	z := newZones()
	i := 0
	z.deliver = func(b *report.Batch) {
		i++
		deliver(z.e, i, b)
	}
	z.run(d)
	return z
}

func TestDisorderInTransportAccusesNobody(t *testing.T) {
	for name, deliver := range map[string]func() func(e *Engine, i int, b *report.Batch){
		"each_batch_five_times": func() func(e *Engine, i int, b *report.Batch) {
			return func(e *Engine, _ int, b *report.Batch) {
				for range 5 {
					e.Observe(b)
				}
			}
		},
		"each_third_batch_half_a_minute_late": func() func(e *Engine, i int, b *report.Batch) {
			var late []*report.Batch
			return func(e *Engine, i int, b *report.Batch) {
				if i%3 == 0 {
					late = append(late, b)
				} else {
					e.Observe(b)
				}
				if len(late) > 100 {
					old := late[0]
					late = late[1:]
					old.Arrived = b.Arrived
					e.Observe(old)
				}
			}
		},
		"a_minute_of_batches_backwards": func() func(e *Engine, i int, b *report.Batch) {
			var held []*report.Batch
			return func(e *Engine, i int, b *report.Batch) {
				if i < 600 || i >= 1200 {
					e.Observe(b)
					return
				}
				if held = append(held, b); len(held) == 50 {
					for k := len(held) - 1; k >= 0; k-- {
						held[k].Arrived = b.Arrived
						e.Observe(held[k])
					}
					held = nil
				}
			}
		},
		"in_batches_of_five_seconds": func() func(e *Engine, i int, b *report.Batch) {
			var held []*report.Batch
			return func(e *Engine, _ int, b *report.Batch) {
				if held = append(held, b); len(held) == 50 {
					for _, h := range held {
						h.Arrived = b.Arrived
						e.Observe(h)
					}
					held = nil
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			z := played(3*time.Minute, deliver())
			z.expect(t, verdict.ClassNone)
			if t.Failed() {
				z.dump(t)
			}
		})
	}
}

func TestOneAbsurdStampBlindsNoObserver(t *testing.T) {
	for name, forge := range map[string]func(st *report.Stamp){
		"a_count_at_the_very_end":   func(st *report.Stamp) { st.Seq = 1<<63 - 1 },
		"a_hundred_years_of_uptime": func(st *report.Stamp) { st.Uptime = 100 * 366 * 24 * time.Hour },
		"a_clock_of_tomorrow":       func(st *report.Stamp) { st.At += clock.Time(24 * time.Hour) },
		"a_clock_of_1970":           func(st *report.Stamp) { st.At = 1 },
		"all_of_it": func(st *report.Stamp) {
			st.Seq, st.Uptime, st.At = 1<<63-1, 100*366*24*time.Hour, st.At+clock.Time(24*time.Hour)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			for _, p := range s.procs {
				p.probe = 2 * time.Second
				p.callers = nil
			}
			s.run(time.Minute)
			for _, p := range s.procs {
				b := &report.Batch{Arrived: s.now}
				st := s.stamp()
				forge(&st)
				b.Beats = append(b.Beats, report.Beat{Stamp: st, Source: p.src, Interval: time.Second, Incarnation: p.incarnation, Seq: p.seq})
				b.Probes = append(b.Probes, report.Probe{Stamp: st, Source: p.src, Target: "http://" + p.addr, Outcome: report.OutcomeOK, Interval: 2 * time.Second, Direct: true})
				b.Observers = append(b.Observers, report.ObserverBeat{Stamp: st, Interval: time.Second, Host: "agent-host"})
				s.e.Observe(b)
			}
			s.run(3 * time.Minute)
			s.nobodyAccused(false)
			s.announce(s.ledger, report.StatusReady) // it would say that it stops
			s.run(3 * time.Second)
			s.ledger.state = "dead"
			at := s.now
			s.run(20 * time.Second)
			s.accused(at, 10*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
		})
	}
}

func TestObserverWhoseClockIsSetBackIsNotLate(t *testing.T) {
	s := newShop(t)
	s.ahead = time.Hour
	for _, p := range s.procs {
		p.probe = 2 * time.Second
		p.callers, p.beats = nil, false
	}
	s.run(time.Minute)
	s.ahead = 0
	s.run(time.Minute)
	s.nobodyAccused(false)
	s.ledger.state = "dead"
	at := s.now
	s.run(20 * time.Second)
	if ev := s.first("failure.detected"); ev == nil || ev.At.Sub(at) > 10*time.Second {
		t.Errorf("what it sees is taken for history: %v", s.verdicts())
	}
}

// What many short-lived senders leave behind must not cost the others their
// observer.
func TestManyWhoFellSilentDoNotDiscreditTheirObserver(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	for i := range 100 { // they beat for a moment, one after the other
		p := &proc{src: report.NewSource(report.Source{Service: report.ServiceID{Name: "job"}, Instance: string(rune('A' + i))}), interval: 100 * time.Millisecond, incarnation: 7}
		for range 20 {
			s.beatAs(p, func(b *report.Beat) {})
			p.seq++
			s.run(50 * time.Millisecond)
		}
	}
	s.run(2 * time.Minute)
	s.events = nil
	s.ledger.state = "dead"
	at := s.now
	s.run(20 * time.Second)
	s.accused(at, 10*time.Second, verdict.ClassCrash, "process_exit", "ledger-1")
}

func TestOneWhoBreaksItsWordDelaysNobodyElse(t *testing.T) {
	f := newFleet(t)
	for _, n := range []string{"a", "b", "c", "d", "e", "f"} {
		f.add("device", n)
	}
	lax := f.add("lax", "lax-1") // says each second, and beats each minute
	lax.beats = false
	for range 20 {
		f.beatAs(lax, func(b *report.Beat) {})
		lax.seq++
		f.run(time.Minute)
	}
	f.events = nil
	f.procs[0].state = "dead"
	at := f.now
	f.run(30 * time.Second)
	ev := f.first("failure.detected")
	if ev == nil {
		t.Fatalf("nobody misses it: overdue after %v", f.e.instance(f.procs[0].src).streams[0].due)
	}
	if d := ev.At.Sub(at); d > 15*time.Second {
		t.Errorf("missed after %v only", d)
	}
}

func TestForgottenStreamsAreNotOverdue(t *testing.T) {
	params := DefaultParams()
	params.MaxInstances = 20
	s := newShop(t)
	s.e = New(params)
	s.run(time.Minute)
	for i := range 200 {
		p := &proc{src: report.NewSource(report.Source{Service: report.ServiceID{Name: "job"}, Instance: string(rune('A' + i))}), interval: 10 * time.Millisecond, incarnation: 7}
		s.beatAs(p, func(b *report.Beat) {})
		s.run(300 * time.Millisecond)
	}
	if o := s.e.observer(observer1); o.overdueAt != 0 || o.fell > len(s.e.watched) {
		t.Errorf("%d are counted as silent, of %d that are watched", o.fell, len(s.e.watched))
	}
	s.nobodyAccused(true)
}

func TestOneThatIsSlowerThanItSaysIsMissedAllTheSame(t *testing.T) {
	f := newFleet(t)
	for _, n := range []string{"a", "b", "c"} {
		f.add("device", n)
	}
	lax := f.add("lax", "lax-1") // says each second, and beats every three
	lax.beats = false
	for range 60 {
		f.beatAs(lax, func(b *report.Beat) {})
		lax.seq++
		f.run(3 * time.Second)
	}
	f.nobodyAccused(false)
	f.run(time.Minute)
	if ev := f.first("failure.detected"); ev == nil || ev.Entity != "lax-1" {
		t.Errorf("it is not missed: %v", f.verdicts())
	}
}
