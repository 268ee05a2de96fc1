// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// proxiedPair are two replicas behind a proxy that sends nothing but its log. Their
// agents tell of what they answer every five seconds.
type proxiedPair struct {
	*fleet
	replicas [2]*report.Source
}

func newProxied(t *testing.T) *proxiedPair {
	p := &proxiedPair{fleet: newFleet(t)}
	for i := range p.replicas {
		p.replicas[i] = p.source(i, "3d1219c7-0000-4404-aaa1-6d2a48adfda4")
	}
	p.five(24, 50, 50, nil)
	return p
}

func (p *proxiedPair) source(i int, id string) *report.Source {
	return report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: id, Host: fmt.Sprintf("h%d", i), Volatile: true})
}

func door(i int) string { return fmt.Sprintf("10.0.0.%d:80", i) }

// five lets so many times five seconds pass, in which the replicas answer so many
// calls, and says what the proxy wrote meanwhile.
func (p *proxiedPair) five(times, first, second int, wrote func(b *report.Batch)) {
	p.tell(5*time.Second, time.Duration(times)*5*time.Second, func(b *report.Batch) {
		for i, n := range [2]int{first, second} {
			if n > 0 {
				b.Served = append(b.Served, report.Served{Source: p.replicas[i], OK: n, Last: b.Arrived})
				b.Doors = append(b.Doors, report.Door{Source: p.replicas[i], Address: door(i)})
			}
		}
		if wrote != nil {
			wrote(b)
		}
	})
}

// wrote is a line of the proxy about the first replica, every ten seconds.
func wrote(o report.Outcome) func(b *report.Batch) {
	lines := 0
	return func(b *report.Batch) {
		if lines++; lines%2 == 1 {
			b.Calls = append(b.Calls, report.Calls{Caller: report.NewSource(report.Source{Host: "edge"}), Callee: report.Callee{Address: door(0), Direct: true},
				Outcome: o, Count: 1, First: b.Arrived - 1e9, Last: b.Arrived - 1e9, Hearsay: true})
		}
	}
}

func TestOneBehindAProxyWithoutTelemetryIsMissed(t *testing.T) {
	t.Run("it_is_gone", func(t *testing.T) {
		p := newProxied(t)
		at := p.now
		p.five(6, 0, 100, wrote(report.OutcomeRefused))
		p.accused(at, 30*time.Second, verdict.ClassCrash, "process_exit", "web@h0")
		p.replicas[0] = p.source(0, "aaaaaaaa-0000-4404-aaa1-6d2a48adfda4")
		p.five(2, 50, 50, nil)
		if said := p.verdicts(); !strings.HasPrefix(said[len(said)-1], "failure.cleared") {
			t.Errorf("it is back: %v", said)
		}
	})
	t.Run("it_hangs", func(t *testing.T) {
		p := newProxied(t)
		at := p.now
		p.five(6, 0, 100, wrote(report.OutcomeNoAnswer))
		p.accused(at, 30*time.Second, verdict.ClassCrash, "hang", "web@h0")
	})
	t.Run("it_is_gone_while_whom_all_call_fails", func(t *testing.T) {
		p := newProxied(t)
		orders := report.NewSource(report.Source{Service: report.ServiceID{Name: "orders"}, Instance: "orders-1", Host: "o"})
		asks := func(b *report.Batch, src *report.Source, failed int) {
			o := report.OutcomeOK
			if failed > 0 {
				o = report.OutcomeServerError
			}
			b.Calls = append(b.Calls, report.Calls{Caller: src, Callee: report.Callee{Address: "orders:80", Service: "orders"}, Outcome: o, Count: 50, First: b.Arrived - 4e9, Last: b.Arrived, Done: b.Arrived})
			b.Served = append(b.Served, report.Served{Source: orders, OK: 50 - failed, Failed: failed, Faults: failed, Last: b.Arrived})
		}
		p.five(12, 50, 50, func(b *report.Batch) { asks(b, p.replicas[0], 0); asks(b, p.replicas[1], 0) })
		p.five(6, 50, 50, func(b *report.Batch) { asks(b, p.replicas[0], 50); asks(b, p.replicas[1], 50) })
		if said := p.verdicts(); len(said) != 1 {
			t.Fatalf("said %v, want orders alone", said)
		}
		p.events = nil
		at, line := p.now, wrote(report.OutcomeRefused)
		p.five(6, 0, 100, func(b *report.Batch) { line(b); asks(b, p.replicas[1], 50) })
		p.accused(at, 30*time.Second, verdict.ClassCrash, "process_exit", "web@h0")
	})
	t.Run("known_by_its_host_alone", func(t *testing.T) {
		p := newProxied(t)
		p.tell(time.Second, time.Second, func(b *report.Batch) {
			b.Doors = append(b.Doors, report.Door{Source: p.replicas[0], Address: "10.9.9.9"})
		})
		at := p.now
		line := wrote(report.OutcomeRefused)
		p.five(6, 0, 100, func(b *report.Batch) {
			line(b)
			for i := range b.Calls {
				b.Calls[i].Callee.Address = "10.9.9.9:80"
			}
		})
		p.accused(at, 30*time.Second, verdict.ClassCrash, "process_exit", "web@h0")
	})
}

func TestLogOfAProxyAccusesNobodyByItself(t *testing.T) {
	for name, during := range map[string]func(p *proxiedPair){
		"it_answers_others":           func(p *proxiedPair) { p.five(8, 50, 50, wrote(report.OutcomeRefused)) },
		"slow_answers":                func(p *proxiedPair) { p.five(8, 50, 50, wrote(report.OutcomeNoAnswer)) },
		"drained_and_nobody_asks_it":  func(p *proxiedPair) { p.five(8, 0, 100, nil) },
		"restarted_while_it_is_asked": func(p *proxiedPair) { p.five(2, 0, 100, wrote(report.OutcomeRefused)); p.five(4, 50, 50, nil) },
		"all_wait_for_somebody_else":  func(p *proxiedPair) { p.five(8, 0, 0, wrote(report.OutcomeNoAnswer)) },
		"nobody_knows_whose_address": func(p *proxiedPair) {
			p.e.closeDoors(p.e.reg.byKey[p.replicas[0].Key])
			p.five(8, 0, 100, wrote(report.OutcomeRefused))
		},
		"refused_while_it_was_drained": func(p *proxiedPair) {
			p.five(1, 0, 100, func(b *report.Batch) { wrote(report.OutcomeRefused)(b); wrote(report.OutcomeRefused)(b) })
			p.five(8, 0, 100, nil)
		},
		"another_port_of_its_host": func(p *proxiedPair) {
			line := wrote(report.OutcomeRefused)
			p.five(8, 0, 100, func(b *report.Batch) {
				line(b)
				b.Doors = append(b.Doors, report.Door{Source: p.replicas[0], Address: "10.0.0.0"})
				for i := range b.Calls {
					b.Calls[i].Callee.Address = "10.0.0.0:9000"
				}
			})
		},
		"several_say_that_they_are_there": func(p *proxiedPair) {
			p.five(1, 50, 50, func(b *report.Batch) { b.Doors = append(b.Doors, report.Door{Source: p.replicas[0], Address: door(1)}) })
			line := wrote(report.OutcomeRefused)
			p.five(8, 0, 100, func(b *report.Batch) {
				line(b)
				for i := range b.Calls {
					b.Calls[i].Callee.Address = door(1)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxied(t)
			during(p)
			p.nobodyAccused(false)
		})
	}
	t.Run("a_slow_restart", func(t *testing.T) {
		p := newProxied(t)
		p.five(3, 0, 100, wrote(report.OutcomeRefused))
		p.replicas[0] = p.source(0, "aaaaaaaa-0000-4404-aaa1-6d2a48adfda4")
		p.five(8, 50, 50, nil)
		p.nobodyAccused(true)
	})
}

func TestDoorsAreBounded(t *testing.T) {
	e := New(DefaultParams())
	for i := range 3 * maxDoorsEach {
		for one := range 3 * maxBehindDoor {
			src := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: fmt.Sprint(one), Host: "h"})
			e.Observe(&report.Batch{Arrived: clock.Time(i + 1), Doors: []report.Door{{Source: src, Address: fmt.Sprintf("10.0.0.%d:80", i)}}})
		}
	}
	for _, n := range e.reg.byKey {
		if len(n.doors) > maxDoorsEach {
			t.Errorf("%s has %d doors", n.name(), len(n.doors))
		}
		e.closeDoors(n)
	}
	if len(e.doors.at) > 0 {
		t.Errorf("%d doors lead nowhere", len(e.doors.at))
	}
}
