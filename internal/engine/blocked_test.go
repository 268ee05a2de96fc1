// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// blocked is a fleet of which only spans are known: callers that ask three replicas
// of one service in turn, each ten times a second. Spans are told once a second.
type blocked struct {
	e        *Engine
	now      clock.Time
	began    clock.Time // of what went wrong
	callers  []*report.Source
	replicas []*report.Source
	name     string // what callers call; "": the replica by its address
	named    bool   // calls that are answered tell the address, too
	ends     func(from, to int) (report.Outcome, arrives)
	asks     func(from, to int) bool // whether it is on the caller's list
	later    []func(b *report.Batch) bool
	events   []verdict.Event
	turn     int
	hops     uint64
}

// arrives is what becomes of a call that gets no answer.
type arrives uint8

const (
	never   arrives = iota
	late            // it is worked on for five seconds
	forever         // the server never comes to an end with it
)

const callTimeout = 2 * time.Second

func newBlocked(callers ...string) *blocked {
	f := &blocked{e: New(DefaultParams()), now: clock.Time(1_800_000_000_000_000_000), asks: func(int, int) bool { return true },
		ends: func(int, int) (report.Outcome, arrives) { return report.OutcomeOK, never }}
	at := map[string]int{}
	for _, service := range callers {
		at[service]++
		f.callers = append(f.callers, report.NewSource(report.Source{Service: report.ServiceID{Name: service}, Instance: fmt.Sprintf("%s-%d", service, at[service]), Host: fmt.Sprintf("host-%s-%d", service, at[service])}))
	}
	for i := range 3 {
		f.replicas = append(f.replicas, report.NewSource(report.Source{Service: report.ServiceID{Name: "price"}, Instance: fmt.Sprintf("price-%d", i+1), Host: fmt.Sprintf("host-price-%d", i+1)}))
	}
	return f
}

func (f *blocked) run(d time.Duration) {
	for end := f.now.Add(d); f.now < end; {
		f.now = f.now.Add(100 * time.Millisecond)
		f.turn++
		for i := range f.callers {
			if to := (f.turn + i) % len(f.replicas); f.asks(i, to) {
				f.call(i, to)
			}
		}
		if f.turn%10 != 0 {
			continue
		}
		b := &report.Batch{Arrived: f.now}
		kept := f.later[:0]
		for _, tell := range f.later {
			if !tell(b) {
				kept = append(kept, tell)
			}
		}
		f.later = kept
		f.e.Observe(b)
		for range 4 {
			f.e.Tick(f.now)
		}
		f.events = append(f.events, f.e.Events()...)
	}
}

// call makes one call, which is told when it is over.
func (f *blocked) call(from, to int) {
	caller, server, begins := f.callers[from], f.replicas[to], f.now
	outcome, what := f.ends(from, to)
	took := 5 * time.Millisecond
	if outcome.Failed() {
		took = callTimeout
	}
	callee := report.Callee{Address: fmt.Sprintf("10.0.0.%d:8085", to+1), Direct: true}
	switch {
	case f.named && outcome == report.OutcomeOK:
		callee.Named = f.name
	case f.name != "":
		callee = report.Callee{Address: f.name}
	}
	f.hops++
	id, ends := f.hops, begins.Add(took)
	f.after(took, func(b *report.Batch) {
		served := report.Served{Source: caller, OK: 1, Last: ends}
		if outcome.Failed() {
			served.OK, served.Failed, served.Waited = 0, 1, 1
		}
		b.Served = append(b.Served, served)
		b.Calls = append(b.Calls, report.Calls{Caller: caller, Callee: callee, Outcome: outcome, Count: 1, First: begins, Started: begins, Last: ends})
		b.Hops = append(b.Hops, report.Hop{Span: id, Source: caller, Callee: callee, Lost: outcome == report.OutcomeTimeout, Duration: took, At: ends})
	})
	served := took - time.Millisecond
	switch {
	case outcome == report.OutcomeOK:
	case what == late:
		served = 5 * time.Second
	default:
		return
	}
	f.after(served, func(b *report.Batch) {
		b.Served = append(b.Served, report.Served{Source: server, OK: 1, Last: begins.Add(served)})
		b.Hops = append(b.Hops, report.Hop{Span: id, Server: true, Source: server, Duration: served, At: begins.Add(served)})
	})
}

func (f *blocked) after(d time.Duration, tell func(b *report.Batch)) {
	due := f.now.Add(d)
	f.later = append(f.later, func(b *report.Batch) bool {
		if f.now < due {
			return false
		}
		tell(b)
		return true
	})
}

// fails lets calls between one caller and one replica end so from now on.
func (f *blocked) fails(o report.Outcome, what arrives, these func(from, to int) bool) {
	f.began = f.now
	f.ends = func(from, to int) (report.Outcome, arrives) {
		if these(from, to) {
			return o, what
		}
		return report.OutcomeOK, never
	}
}

func firstToFirst(from, to int) bool { return from == 0 && to == 0 }

// firstClass is the first class given, and how long after the beginning.
func (f *blocked) firstClass() (v *verdict.Verdict, after time.Duration) {
	for _, ev := range f.events {
		if ev.Verdict != nil && ev.Verdict.Class != verdict.ClassUnknown && ev.Verdict.Class != verdict.ClassNone && ev.Verdict.Until == 0 {
			return ev.Verdict, ev.At.Sub(f.began)
		}
	}
	return nil, 0
}

func (f *blocked) bodies() (out []string) {
	for _, ev := range f.events {
		out = append(out, fmt.Sprintf("%s %s %s", ev.At.Sub(f.began), ev.Kind, ev.Body))
	}
	return out
}

// Whom its neighbours on the same machine reach is not to blame for a caller elsewhere.
func TestPortBlockedForTheOnlyCallerFromElsewhereIsACut(t *testing.T) {
	f := newBlocked("order", "order")
	f.callers[1] = report.NewSource(report.Source{Service: report.ServiceID{Name: "order"}, Instance: "order-2", Host: "host-price-1"})
	f.run(90 * time.Second)
	f.fails(report.OutcomeTimeout, never, firstToFirst)
	f.run(20 * time.Second)
	if v, after := f.firstClass(); v == nil || v.Culprit.Name != "order-1→price-1" || v.Class != verdict.ClassPartition {
		t.Errorf("after %v said %v; %q", after, v, f.bodies())
	}
}

// Where each call may get lost, that one of several is not met for a while tells
// nothing of it.
func TestCallsLostByANameAccuseNoneBehindIt(t *testing.T) {
	for seed := range uint64(10) {
		dice := rand.New(rand.NewPCG(seed, 4))
		f := newBlocked("order", "web", "mail")
		f.name = "price:8085"
		f.asks = func(from, _ int) bool { return from != 0 || dice.Float64() < 0.2 }
		f.run(90 * time.Second)
		f.fails(report.OutcomeConnectTimeout, never, func(from, _ int) bool { return from == 0 && dice.Float64() < 0.6 })
		f.run(60 * time.Second)
		f.fails(report.OutcomeOK, never, firstToFirst)
		f.run(20 * time.Second)
		for _, ev := range f.events {
			if v := ev.Verdict; v != nil && v.Class == verdict.ClassPartition && v.Culprit.Type == verdict.CulpritLink && strings.Contains(v.Culprit.Name, "price-") {
				t.Errorf("%d: after %v said %s", seed, ev.At.Sub(f.began), ev.Body)
			}
		}
	}
}

// One call more that gets no reply makes no whole cut of a way that loses some.
func TestWayThatLosesSomeIsNotCutByOneMore(t *testing.T) {
	f := newFleet(t)
	api, web := f.add("api", "api-1"), f.add("web", "web-1")
	f.calls(web, api)
	f.run(20 * time.Second)
	n, from := f.e.instance(api.src), f.e.host("elsewhere")
	end := func(o report.Outcome, count int) *view {
		f.now = f.now.Add(500 * time.Millisecond)
		f.e.Tick(f.now)
		f.e.seenFrom(n, from, f.e.instance(web.src), o, count, f.now.Add(-100*time.Millisecond), f.now)
		return n.view(from, f.e.instance(web.src))
	}
	for range 10 {
		end(report.OutcomeConnectTimeout, 2)
		end(report.OutcomeOK, 8)
	}
	if share, _ := end(report.OutcomeConnectTimeout, 1).bad(f.e.now, 0); share > 0.5 {
		t.Errorf("a share of %.2f is taken to be lost, want what it was", share)
	}
	if share, _ := end(report.OutcomeConnectTimeout, 5).bad(f.e.now, 0); share < 1 {
		t.Errorf("a share of %.2f is taken to be lost, want all", share)
	}
}

// A port that is blocked for one of several callers shows in nothing but its calls to
// one replica.
func TestPortBlockedForOneCallerIsACutBetweenTheTwo(t *testing.T) {
	for name, c := range map[string]struct {
		callers []string
		name    string
		outcome report.Outcome
		within  time.Duration
	}{
		"kept_connection":                         {[]string{"order", "order", "web"}, "", report.OutcomeTimeout, 10 * time.Second},
		"kept_connection_and_only_a_name":         {[]string{"order", "order", "web"}, "price:8085", report.OutcomeTimeout, 12 * time.Second},
		"new_connections":                         {[]string{"order", "order", "web"}, "", report.OutcomeConnectTimeout, 8 * time.Second},
		"new_connections_and_only_a_name":         {[]string{"order", "order", "web"}, "price:8085", report.OutcomeConnectTimeout, 12 * time.Second},
		"peer_of_answers_only":                    {[]string{"order", "order", "web"}, "price:8085", report.OutcomeTimeout, 12 * time.Second},
		"peer_of_answers_only_cannot_connect":     {[]string{"order", "order", "web"}, "price:8085", report.OutcomeConnectTimeout, 12 * time.Second},
		"no_other_of_its_kind":                    {[]string{"order", "web", "mail"}, "", report.OutcomeTimeout, 15 * time.Second},
		"no_other_of_its_kind_and_only_a_name":    {[]string{"order", "web", "mail"}, "price:8085", report.OutcomeTimeout, 15 * time.Second},
		"no_other_of_its_kind_and_cannot_connect": {[]string{"order", "web", "mail"}, "", report.OutcomeConnectTimeout, 8 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBlocked(c.callers...)
			f.name = c.name
			f.named = strings.HasPrefix(name, "peer_of_answers_only")
			f.run(90 * time.Second)
			f.fails(c.outcome, never, firstToFirst)
			f.run(30 * time.Second)
			v, after := f.firstClass()
			if v == nil {
				t.Fatalf("nothing was said; %q", f.bodies())
			}
			if v.Class != verdict.ClassPartition || v.Culprit.Name != "order-1→price-1" || after > c.within {
				t.Errorf("after %v %s of %s, want a partition of order-1→price-1 within %v", after, v.Class, v.Culprit.Name, c.within)
			}
			t.Logf("after %v, %.2f: %s", after, v.Confidence, v.Reason)
			f.fails(report.OutcomeOK, never, firstToFirst)
			f.run(30 * time.Second)
			if told := f.events[len(f.events)-1]; told.Kind != contract.EventIncidentResolved {
				t.Errorf("it is well again, and last was %s", told.Body)
			}
		})
	}
}

func TestWhatOneCallerMeetsIsNoCutBetweenTheTwo(t *testing.T) {
	sometimes := 0
	for name, c := range map[string]struct {
		callers []string
		inject  func(f *blocked)
	}{
		"replica_that_hangs_for_all": {nil, func(f *blocked) {
			f.fails(report.OutcomeTimeout, forever, func(_, to int) bool { return to == 0 })
		}},
		"replica_that_is_overloaded": {nil, func(f *blocked) {
			f.fails(report.OutcomeTimeout, late, func(_, to int) bool { return to == 0 })
		}},
		"slow_endpoint_of_one_caller": {nil, func(f *blocked) {
			f.fails(report.OutcomeTimeout, late, func(from, _ int) bool { return from == 0 })
		}},
		"endpoint_of_one_caller_that_hangs": {[]string{"order", "web", "mail"}, func(f *blocked) {
			f.fails(report.OutcomeTimeout, forever, func(from, _ int) bool { return from == 0 })
		}},
		"slow_for_one_caller_at_one_replica": {nil, func(f *blocked) { f.fails(report.OutcomeTimeout, late, firstToFirst) }},
		"slow_for_one_kind_of_caller_at_one_replica": {[]string{"order", "web", "mail"}, func(f *blocked) {
			f.fails(report.OutcomeTimeout, late, firstToFirst)
		}},
		"caller_that_starves": {nil, func(f *blocked) {
			f.fails(report.OutcomeTimeout, never, func(from, _ int) bool { return from == 0 })
		}},
		"wrong_credentials": {nil, func(f *blocked) { f.fails(report.OutcomeClientError, never, firstToFirst) }},
		"connection_that_stands_still_for_a_moment": {nil, func(f *blocked) {
			f.fails(report.OutcomeTimeout, never, firstToFirst)
			f.run(3 * time.Second)
			f.ends = func(int, int) (report.Outcome, arrives) { return report.OutcomeOK, never }
		}},
		"deploy": {nil, func(f *blocked) {
			f.fails(report.OutcomeReset, never, firstToFirst)
			f.run(time.Second)
			f.asks = func(_, to int) bool { return to != 0 }
		}},
		"taken_off_the_list_of_one_while_some_calls_run_out_of_time": {nil, func(f *blocked) {
			f.name = "price:8085"
			f.run(30 * time.Second)
			f.asks = func(from, to int) bool { return !firstToFirst(from, to) }
			f.fails(report.OutcomeTimeout, late, func(from, _ int) bool { sometimes++; return from == 0 && sometimes%15 == 0 })
		}},
	} {
		for _, named := range [...]bool{false, true} {
			t.Run(fmt.Sprint(name, "/peer_of_answers_only_", named), func(t *testing.T) {
				if c.callers == nil {
					c.callers = []string{"order", "order", "web"}
				}
				f := newBlocked(c.callers...)
				if f.named = named; named {
					f.name = "price:8085"
				}
				f.run(90 * time.Second)
				c.inject(f)
				f.run(40 * time.Second)
				for _, ev := range f.events {
					if v := ev.Verdict; v != nil && v.Class == verdict.ClassPartition {
						t.Errorf("after %v said %s", ev.At.Sub(f.began), ev.Body)
					}
				}
			})
		}
	}
}
