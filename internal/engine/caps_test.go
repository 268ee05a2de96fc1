// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A flood of one kind of name costs a counter: what was there before goes on to be
// known.
func TestFloodOfEachKindIsBounded(t *testing.T) {
	params := DefaultParams()
	params.MaxInstances, params.MaxAddresses, params.MaxObservers, params.MaxIncidents, params.MaxSpanKinds, params.MaxHops = 200, 200, 20, 20, 50, 64
	each, rounds := 200, 50
	for name, flood := range map[string]func(s *shop, b *report.Batch, i int){
		"hosts_of_levels": func(_ *shop, b *report.Batch, i int) {
			b.Levels = append(b.Levels, report.Level{Source: &report.Source{Host: fmt.Sprint("h", i)}, Kind: report.LevelMemory, Share: 0.99})
		},
		"hosts_and_zones_of_instances": func(s *shop, b *report.Batch, i int) {
			src := report.NewSource(report.Source{Service: report.ServiceID{Name: "x"}, Instance: fmt.Sprint(i), Host: fmt.Sprint("h", i), Zone: fmt.Sprint("z", i)})
			b.Signs = append(b.Signs, report.Sign{Source: src, At: s.now})
		},
		"queues": func(_ *shop, b *report.Batch, i int) {
			b.Queues = append(b.Queues, report.Queue{Source: report.NewSource(report.Source{Service: report.ServiceID{Name: "x"}}), Name: fmt.Sprint("q", i), Waiting: float64(i), Read: -1})
		},
		"queues_that_one_reads": func(s *shop, b *report.Batch, i int) {
			b.Consumed = append(b.Consumed, report.Consumed{Source: s.ledger.src, Queue: fmt.Sprint("q", i), Count: 1, Last: s.now})
		},
		"versions": func(s *shop, b *report.Batch, i int) {
			src := *s.ledger.src
			src.Version = fmt.Sprint("v", i)
			b.Signs = append(b.Signs, report.Sign{Source: report.NewSource(src), At: s.now})
		},
		"facts_about_one": func(s *shop, b *report.Batch, i int) {
			b.Facts = append(b.Facts, report.Fact{Source: s.ledger.src, Kind: report.FactAlive, At: s.now, Text: fmt.Sprint(i)})
		},
		"errors_of_one": func(s *shop, b *report.Batch, i int) {
			b.Served = append(b.Served, report.Served{Source: s.ledger.src, OK: 1, Last: s.now})
			b.Errors = append(b.Errors, report.ErrorLine{Source: s.ledger.src, Kind: uint64(i), Trace: uint64(i + 1), At: s.now, Text: fmt.Sprint("x", i)})
		},
		"starts": func(s *shop, b *report.Batch, i int) {
			b.Beats = append(b.Beats, report.Beat{Stamp: s.stamp(), Source: s.ledger.src, Interval: time.Second, Incarnation: uint64(i + 100), Seq: 1})
		},
		"observers": func(s *shop, b *report.Batch, i int) {
			st := report.Stamp{Observer: fmt.Sprint("o", i), At: s.now, Seq: 1}
			b.Observers = append(b.Observers, report.ObserverBeat{Stamp: st, Interval: time.Second, Host: "x"})
			b.Beats = append(b.Beats, report.Beat{Stamp: st, Source: s.ledger.src, Interval: time.Second, Incarnation: s.ledger.incarnation, Seq: s.ledger.seq})
		},
		"callers_of_one": func(s *shop, b *report.Batch, i int) {
			src := report.NewSource(report.Source{Service: report.ServiceID{Name: fmt.Sprint("x", i)}, Instance: "1"})
			b.Calls = append(b.Calls, report.Calls{Caller: src, Callee: report.Callee{Address: s.ledger.addr, Direct: true}, Outcome: report.OutcomeOK, Count: 1, First: s.now, Last: s.now})
		},
		"callees_of_one": func(s *shop, b *report.Batch, i int) {
			b.Calls = append(b.Calls, report.Calls{Caller: s.ledger.src, Callee: report.Callee{Address: fmt.Sprint("10.9.0.0:", i), Direct: true}, Outcome: report.OutcomeRefused, Count: 1, First: s.now, Last: s.now})
		},
		"targets_of_one": func(s *shop, b *report.Batch, i int) {
			b.Probes = append(b.Probes, report.Probe{Stamp: s.stamp(), Source: s.ledger.src, Target: fmt.Sprint("t", i), Outcome: report.OutcomeOK, Interval: time.Second})
		},
		"addresses_of_one": func(s *shop, b *report.Batch, i int) {
			c := report.Callee{Address: fmt.Sprint("10.8.0.0:", i), Named: fmt.Sprint("n:", i)}
			b.Hops = append(b.Hops, report.Hop{Span: uint64(i), Source: s.gateway.src, Callee: c}, report.Hop{Span: uint64(i), Server: true, Source: s.ledger.src})
		},
		"failures_of_made_up_jobs": func(s *shop, b *report.Batch, i int) {
			src := report.NewSource(report.Source{Service: report.ServiceID{Name: fmt.Sprint("x", i)}, Instance: "1"})
			b.Beats = append(b.Beats, report.Beat{Stamp: s.stamp(), Source: src, Interval: time.Second, Incarnation: 1, Seq: 1, HasExitCode: true, ExitCode: 139, Status: report.StatusFailed})
		},
		"less_said_names": func(_ *shop, b *report.Batch, i int) {
			b.Signs = append(b.Signs, report.Sign{Source: report.NewSource(report.Source{Service: report.ServiceID{Name: "ledger"}, Host: fmt.Sprint("h", i)})})
		},
		"spans": func(_ *shop, b *report.Batch, i int) {
			b.Spans = append(b.Spans, report.SpanSample{Key: uint64(i), Duration: time.Duration(i)})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShop(t)
			s.e = New(params)
			s.run(30 * time.Second)
			for r := range rounds {
				b := &report.Batch{Arrived: s.now}
				for i := range each {
					flood(s, b, r*each+i)
				}
				s.e.Observe(b)
				s.run(100 * time.Millisecond)
			}
			if over := s.e.overCaps(); over != "" {
				t.Error(over)
			}
			if name == "starts" || name == "less_said_names" || name == "failures_of_made_up_jobs" {
				return // they speak in the name of the one who is watched below, or need a look below
			}
			s.run(time.Minute)
			s.events = nil
			s.payment1.state = "dead"
			at := s.now
			s.run(15 * time.Second)
			for _, ev := range s.events {
				if ev.Kind == contract.EventFailureDetected && ev.Verdict.Culprit.Name == "payment-1" && ev.Verdict.Class == verdict.ClassCrash && ev.At.Sub(at) < 8*time.Second {
					return
				}
			}
			t.Errorf("a real crash after the flood was missed: %v %s", s.verdicts(), s.dump())
		})
	}
}

// overCaps says what is larger than it may be, "" if nothing is.
func (e *Engine) overCaps() string {
	p := &e.params
	over := ""
	check := func(what string, n, most int) {
		if n > most {
			over += fmt.Sprintf("%d %s of at most %d; ", n, what, most)
		}
	}
	check("entities", len(e.reg.byKey), p.MaxInstances)
	check("services", len(e.reg.services), p.MaxInstances+1)
	check("names", len(e.reg.byName), p.MaxInstances+1)
	check("aliases", len(e.reg.aliases), p.MaxInstances)
	check("hosts", len(e.hosts), 2*p.MaxInstances)
	check("observers", len(e.observers), p.MaxObservers)
	check("listed observers", len(e.observerList), p.MaxObservers)
	check("addresses", len(e.book.entries), p.MaxAddresses)
	check("hops", len(e.book.hops), p.MaxHops)
	check("kinds of spans", len(e.kinds), p.MaxSpanKinds)
	check("places of kinds", len(e.kindRing), p.MaxSpanKinds)
	check("incidents", len(e.incidents), p.MaxIncidents)
	check("readings", len(e.readings), p.MaxIncidents)
	check("queues", len(e.queues), maxQueues)
	check("cuts", len(e.cuts), maxCutStates)
	check("suspects", len(e.suspects), p.MaxInstances)
	check("settled verdicts", len(e.settled), maxSettled)
	check("long gaps", len(e.longGaps), maxLongGaps)
	check("clock pairs", max(len(e.clockPairs.list), len(e.clockPairs.at)), maxClockPairs)
	check("compared services", len(e.compared), 2*p.MaxInstances) // some are forgotten, until a window ends
	watched := 0
	for _, n := range e.reg.byKey {
		watched += len(n.streams)
		check("streams of "+n.name(), len(n.streams), maxStreamsEach)
		check("probes of "+n.name(), len(n.probes), maxProbesEach)
		check("callees of "+n.name(), len(n.callees), maxCallees)
		check("callers of "+n.name(), len(n.calledBy), maxCallers)
		check("views of "+n.name(), len(n.views), maxViewsEach)
		check("facts of "+n.name(), len(n.facts), maxFactsEach)
		check("readings of "+n.name(), len(n.reads), maxReadings)
		check("addresses of "+n.name(), len(n.addresses), maxAddressesEach)
		if n.errors != nil {
			check("kinds of errors of "+n.name(), len(n.errors.kinds), maxErring)
		}
		if n.calls != nil {
			check("callers named of "+n.name(), len(n.calls.callers), maxCallersNamed)
		}
		if n.service != nil {
			check("versions of "+n.service.id.Name, len(n.service.versions), maxVersions)
		}
	}
	check("streams that are watched", len(e.watched), watched)
	for _, inc := range e.incidents {
		check("members", len(inc.Members), maxMembers)
		check("open verdicts of an incident", len(inc.open), p.MaxInstances)
	}
	for _, entry := range e.book.entries {
		check("behind an address", len(entry.behind), maxBehind)
	}
	return over
}

func TestWhatIsNoNumberTeachesNothing(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	whole := report.NewSource(report.Source{Service: report.ServiceID{Name: "broker"}})
	for range 20 {
		b := &report.Batch{Arrived: s.now}
		for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1} {
			b.Queues = append(b.Queues, report.Queue{Source: whole, Name: "q", Group: "ledger", Waiting: v, Read: v})
			for kind := range report.NumLevels {
				b.Levels = append(b.Levels, report.Level{Source: s.ledger.src, Kind: kind, Share: v, Waiting: v})
			}
		}
		s.e.Observe(b)
		s.run(time.Second)
	}
	if n := s.e.instance(s.ledger.src); n.levels != nil {
		for kind := range report.NumLevels {
			if n.levels.short(kind, s.now) {
				t.Errorf("%s is taken for short: %+v", kind, n.levels[kind])
			}
		}
	}
	if len(s.e.queues) != 0 {
		t.Errorf("%+v", s.e.queues[0])
	}
	s.nobodyAccused(false)
}

// Names of spans that are made up, each used once, leave those whose usual duration is
// known, though these are rarely used.
func TestMadeUpKindsOfSpansDisplaceEachOther(t *testing.T) {
	params := DefaultParams()
	params.MaxSpanKinds = 200
	e := New(params)
	now := testStart
	b := &report.Batch{Arrived: now}
	for key := range uint64(100) {
		for range 600 {
			b.Spans = append(b.Spans, report.SpanSample{Key: key, Duration: 10 * time.Millisecond})
		}
	}
	e.Observe(b)
	for i := range 100_000 {
		e.Observe(&report.Batch{Arrived: now.Add(time.Duration(i)), Spans: []report.SpanSample{{Key: uint64(1000 + i), Duration: 1}}})
	}
	known := 0
	for key := range uint64(100) {
		if k := e.kinds[key]; k != nil && k.tail.Load() != nil {
			known++
		}
	}
	if known < 95 {
		t.Errorf("%d of 100 kinds are known", known)
	}
	if len(e.kinds) > params.MaxSpanKinds {
		t.Errorf("%d kinds", len(e.kinds))
	}
}

// A flood of made-up instances, each with addresses of its own, leaves room for those
// that come later and stay.
func TestFloodOfAddressesLeavesRoomForThoseWhoStay(t *testing.T) {
	params := DefaultParams()
	params.MaxInstances, params.MaxAddresses = 1000, 100
	e := New(params)
	now := testStart
	tell := func(name string) {
		src := report.NewSource(report.Source{Service: report.ServiceID{Name: name}, Instance: name})
		e.Observe(&report.Batch{Arrived: now, Doors: []report.Door{{Source: src, Address: name + ":80"}}})
		e.learn(report.Callee{Address: name + ":80"}, src)
	}
	for i := range 500 {
		tell(fmt.Sprint("x", i))
	}
	for range 5 {
		for i := range 20 {
			tell(fmt.Sprint("stays", i))
		}
		now = now.Add(2 * time.Second)
	}
	for i := range 20 {
		address := fmt.Sprint("stays", i, ":80")
		if e.book.entries[address] == nil || e.doors.at[address] == nil {
			t.Fatalf("%s is not known", address)
		}
	}
}

const testStart = clock.Time(1_700_000_000_000_000_000)

// More observers than are followed hear one instance and probe it: it is judged by those that
// are, and one that falls silent gives its place to another.
func TestOneThatManyObserversWatchIsJudgedByAsManyAsAreFollowed(t *testing.T) {
	e := New(DefaultParams())
	src := report.NewSource(report.Source{Service: report.ServiceID{Name: "store"}, Instance: "store-1", Host: "h"})
	const watchers = maxProbesEach + 10
	now, seq := clock.Time(1_800_000_000_000_000_000), uint64(0)
	began := now
	second := func(first int, alive bool) {
		now, seq = now.Add(time.Second), seq+1
		b := &report.Batch{Arrived: now}
		for i := first; i < first+watchers; i++ {
			stamp := report.Stamp{Observer: fmt.Sprint("agent-", i), At: now, Uptime: now.Sub(began) + time.Hour, Seq: 3 * seq}
			b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp, Interval: time.Second, Host: fmt.Sprint("w-", i)})
			outcome := report.OutcomeNoAnswer
			if stamp.Seq++; alive {
				outcome = report.OutcomeOK
				b.Beats = append(b.Beats, report.Beat{Stamp: stamp, Source: src, Interval: time.Second, Incarnation: 1, Seq: seq, SentAt: now})
			}
			stamp.Seq++
			b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Source: src, Target: "http://10.0.0.1/", Interval: time.Second, Direct: true, Outcome: outcome})
		}
		e.Observe(b)
		e.Tick(now)
	}
	said := func() (last *verdict.Verdict) {
		for _, ev := range e.Events() {
			if ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised {
				last = ev.Verdict
			}
		}
		return last
	}
	for range 60 {
		second(0, true)
	}
	n := e.reg.byKey[src.Key]
	if n == nil {
		t.Fatal("it is not known")
	}
	for _, ps := range n.probes {
		if ps.run < 30 {
			t.Fatalf("of the probe of %s %d results in a row are known", ps.observer.id, ps.run)
		}
	}
	for range 20 {
		second(0, false)
	}
	if v := said(); v == nil || v.Class != verdict.ClassCrash {
		t.Errorf("said %v, want a crash", v)
	}
	if s := e.Stats(); s.ForgottenStreams == 0 || s.ForgottenProbes == 0 {
		t.Error("nothing tells that there were more")
	}
	for range 100 {
		second(watchers, true)
	}
	if s := n.streams[len(n.streams)-1]; len(n.streams) != maxStreamsEach || s.observer.id < fmt.Sprint("agent-", watchers) {
		t.Errorf("followed by %d, the last of them %s", len(n.streams), s.observer.id)
	}
}
