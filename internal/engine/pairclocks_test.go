// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Of a fleet without heartbeats the ends of its calls tell whose clock was set. It
// accuses nobody.
func TestClockThatStepsIsToldByTheEndsOfCalls(t *testing.T) {
	const host = "zone-b-h0"
	on := func(n *zoned) bool { return n.at.name == host }
	// steps says by how much the clock that n goes by is ahead at a time.
	for name, c := range map[string]struct {
		ahead func(n *zoned, at time.Duration) time.Duration
		steps int
	}{
		"forward": {func(n *zoned, at time.Duration) time.Duration {
			if on(n) && at > 65*time.Second {
				return 3 * time.Second
			}
			return 0
		}, 1},
		"back, after it was always an hour ahead": {func(n *zoned, at time.Duration) time.Duration {
			if on(n) && at < 65*time.Second {
				return time.Hour
			}
			return 0
		}, 1},
		"it was always wrong": {func(n *zoned, _ time.Duration) time.Duration {
			if on(n) {
				return time.Minute
			}
			return 0
		}, 0},
		"it drifts": {func(n *zoned, at time.Duration) time.Duration {
			if on(n) {
				return at / 400
			}
			return 0
		}, 0},
		"it is set by a little": {func(n *zoned, at time.Duration) time.Duration {
			if on(n) && at > 65*time.Second {
				return 100 * time.Millisecond
			}
			return 0
		}, 0},
		"one process goes by a clock of its own": {func(n *zoned, at time.Duration) time.Duration {
			if n.src.Instance == "svc1-b0" && at > 65*time.Second {
				return 3 * time.Second
			}
			return 0
		}, 0},
		"all clocks are set at once": {func(_ *zoned, at time.Duration) time.Duration {
			if at > 65*time.Second {
				return time.Hour
			}
			return 0
		}, 0},
		"its stamps are at odds all the time": {func(n *zoned, at time.Duration) time.Duration {
			if on(n) {
				return at % (2 * time.Second)
			}
			return 0
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.beatless = true
			start := z.now
			z.began = func(client, server *zoned, at clock.Time) (clock.Time, clock.Time) {
				d := at.Sub(start)
				return at.Add(c.ahead(client, d)), at.Add(300*time.Microsecond + c.ahead(server, d))
			}
			z.run(2 * time.Minute)
			got := 0
			for _, ev := range z.events {
				if ev.Kind == contract.EventClockStepped {
					t.Log(ev.Body)
					if got++; ev.Entity != host {
						t.Errorf("said %s", ev.Body)
					}
				}
			}
			if got != c.steps {
				t.Errorf("told %d times, want %d", got, c.steps)
			}
			z.expect(t, verdict.ClassNone)
		})
	}
}

// What heartbeats have told already is not told again.
func TestClockStepIsToldOnce(t *testing.T) {
	z := newZones()
	start := z.now
	ahead := func(n *zoned) time.Duration {
		if n.at.name == "zone-b-h0" && z.now.Sub(start) > 65*time.Second {
			return time.Minute
		}
		return 0
	}
	z.beating = func(n *zoned, b *report.Beat) { b.SentAt = z.now.Add(ahead(n)) }
	z.began = func(client, server *zoned, at clock.Time) (clock.Time, clock.Time) {
		return at.Add(ahead(client)), at.Add(300*time.Microsecond + ahead(server))
	}
	z.run(2 * time.Minute)
	told := 0
	for _, ev := range z.events {
		if ev.Kind == contract.EventClockStepped {
			if told++; ev.Entity == "zone-b-h0" {
				t.Errorf("told again: %s", ev.Body)
			}
		}
	}
	if told == 0 {
		t.Error("nobody told it")
	}
}

func TestClockPairsAreBounded(t *testing.T) {
	e := New(DefaultParams())
	e.now = 1e18
	hosts := make([]*hostState, maxClockPairs+10)
	for i := range hosts {
		hosts[i] = &hostState{name: fmt.Sprint("b", i)}
	}
	first := &hostState{name: "a"}
	all := func(hosts []*hostState) {
		for _, h := range hosts {
			e.clockPairs.met(e, first, h, &pendingHop{began: 1e18, took: 2e6}, &pendingHop{began: 1e18, took: 1e6})
		}
	}
	all(hosts)
	all(hosts)
	k := &e.clockPairs
	if len(k.at) != maxClockPairs || len(k.list) != maxClockPairs || e.stats.ForgottenClockPairs != 20 {
		t.Errorf("%d pairs are kept, %d told as forgotten", len(k.at), e.stats.ForgottenClockPairs)
	}
	for _, p := range k.list {
		if p.n != 2 {
			t.Fatalf("%d calls of one that is in use are known", p.n)
		}
	}
	e.now = e.now.Add(2 * clockSoon)
	all(hosts[maxClockPairs:])
	if len(k.at) != maxClockPairs || len(k.list) != maxClockPairs || e.stats.ForgottenClockPairs != 30 {
		t.Errorf("%d pairs are kept, %d told as forgotten", len(k.at), e.stats.ForgottenClockPairs)
	}
}

// Two others that do not call each other cannot tell whose clock it was, nor can calls that went on at the server
// when their clients had gone.
func TestWhoTellsWhoseClockItWas(t *testing.T) {
	for name, c := range map[string]struct {
		peers int
		took  time.Duration // of the server; the client takes 5 ms
		last  time.Duration // the same of another call
		jumps func(peer int) time.Duration
		agree func(window int) time.Duration // of the first two with each other; nil if they do not call each other
		told  bool
	}{
		"three others":                        {3, 4 * time.Millisecond, 4 * time.Millisecond, func(int) time.Duration { return time.Second }, nil, true},
		"some of its work outlasts the calls": {3, 4 * time.Millisecond, 6 * time.Millisecond, func(int) time.Duration { return time.Second }, nil, true},
		"two others":                          {2, 4 * time.Millisecond, 4 * time.Millisecond, func(int) time.Duration { return time.Second }, nil, false},
		"two others that agree":               {2, 4 * time.Millisecond, 4 * time.Millisecond, func(int) time.Duration { return time.Second }, func(int) time.Duration { return 0 }, true},
		"two others that drift apart":         {2, 4 * time.Millisecond, 4 * time.Millisecond, func(int) time.Duration { return time.Second }, func(w int) time.Duration { return time.Duration(w) * time.Second }, false},
		"two others that just met":            {2, 4 * time.Millisecond, 4 * time.Millisecond, func(int) time.Duration { return time.Second }, func(w int) time.Duration { return time.Duration(min(w-2, 0)) }, false},
		"one of four has not noticed":         {4, 4 * time.Millisecond, 4 * time.Millisecond, func(p int) time.Duration { return time.Duration(min(p, 1)) * time.Second }, nil, false},
		"each by another time":                {3, 4 * time.Millisecond, 4 * time.Millisecond, func(p int) time.Duration { return time.Duration(p+1) * time.Second }, nil, false},
		"its work outlasts those calls":       {3, 6 * time.Millisecond, 6 * time.Millisecond, func(int) time.Duration { return time.Second }, nil, false},
	} {
		e := New(DefaultParams())
		host, told := &hostState{name: "h"}, false
		for window := range 6 {
			e.now = clock.Time(1e18).Add(time.Duration(window) * clockWindow)
			for p := range c.peers {
				peer := e.hosts[fmt.Sprint(p)]
				if peer == nil {
					peer = &hostState{name: fmt.Sprint(p)}
					e.hosts[peer.name] = peer
				}
				began := e.now
				if window > 2 {
					began = began.Add(c.jumps(p))
				}
				e.clockPairs.met(e, peer, host, &pendingHop{began: e.now, took: 5 * time.Millisecond}, &pendingHop{began: began, took: c.last})
				for range clockCalls {
					e.clockPairs.met(e, peer, host, &pendingHop{began: e.now, took: 5 * time.Millisecond}, &pendingHop{began: began, took: c.took})
				}
			}
			if c.agree != nil && c.agree(window) >= 0 {
				for range clockCalls {
					e.clockPairs.met(e, e.hosts["0"], e.hosts["1"], &pendingHop{began: e.now, took: 5 * time.Millisecond}, &pendingHop{began: e.now.Add(c.agree(window)), took: c.took})
				}
			}
			e.clockPairs.next = 0
			e.compareClocks()
		}
		for _, ev := range e.Events() {
			told = told || ev.Kind == contract.EventClockStepped
		}
		if told != c.told {
			t.Errorf("%s: told %v", name, told)
		}
	}
}
