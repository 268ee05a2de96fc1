// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestFloodOfNamesDisplacesItself(t *testing.T) {
	params := DefaultParams()
	params.MaxInstances, params.MaxAddresses, params.MaxSpanKinds, params.MaxHops = 1000, 500, 200, 256
	s := newShop(t)
	s.e = New(params)
	s.run(time.Minute)
	made, each := 0, 5000
	if underRace {
		each = 500
	}
	for range 200 { // 200 × 50 ms with 5,000 new names each: a million identities while the shop lives on
		b := &report.Batch{Arrived: s.now}
		for range each {
			made++
			src := report.NewSource(report.Source{Service: report.ServiceID{Name: fmt.Sprint("made-up-", made)}, Instance: fmt.Sprint(made)})
			b.Beats = append(b.Beats, report.Beat{Stamp: s.stamp(), Source: src, Interval: time.Second, Seq: 1})
			b.Calls = append(b.Calls, report.Calls{Caller: src, Callee: report.Callee{Address: fmt.Sprint("10.0.0.1:", made)}, Outcome: report.OutcomeRefused, Count: 1, First: s.now, Last: s.now})
			b.Hops = append(b.Hops, report.Hop{Span: uint64(made), Source: src, Callee: report.Callee{Address: fmt.Sprint("x:", made)}}, report.Hop{Span: uint64(made), Server: true, Source: src})
			b.Spans = append(b.Spans, report.SpanSample{Key: uint64(made), Duration: time.Millisecond})
		}
		s.e.Observe(b)
		s.run(step)
	}
	st := s.e.Stats()
	if st.Instances > params.MaxInstances || st.Addresses > params.MaxAddresses || st.SpanKinds > params.MaxSpanKinds || len(s.e.book.hops) > params.MaxHops {
		t.Errorf("grew beyond its caps: %+v, %d hops", st, len(s.e.book.hops))
	}
	if st.ForgottenInstances == 0 || st.ForgottenSpanKinds == 0 {
		t.Errorf("what was dropped is not counted: %+v", st)
	}
	if n := len(s.e.watched); n > params.MaxInstances*maxStreamsEach {
		t.Errorf("%d streams", n)
	}
	s.events = nil
	s.payment1.state = "dead"
	at := s.now
	s.run(15 * time.Second)
	found := false
	for _, ev := range s.events {
		if ev.Kind == contract.EventFailureDetected && ev.Verdict.Culprit.Name == "payment-1" && ev.Verdict.Class == verdict.ClassCrash {
			found = ev.At.Sub(at) < 6*time.Second
		}
	}
	if !found {
		t.Errorf("a real crash after the flood was missed: %v", s.verdicts())
	}
}

func TestStateSurvivesARestart(t *testing.T) {
	s := newShop(t)
	s.run(2 * time.Minute)
	s.payment1.state = "dead"
	s.run(10 * time.Second)
	state, err := s.e.Save()
	if err != nil {
		t.Fatal(err)
	}
	held := s.first(contract.EventFailureDetected)

	s.events = nil
	s.e = New(DefaultParams())
	s.now = s.now.Add(20 * time.Second)
	if err := s.e.Restore(state, s.now); err != nil {
		t.Fatal(err)
	}
	s.e.Thaw(s.now)
	if v := s.e.Snapshot().Verdict(s.payment1.src, s.now); v == nil || v.Class != verdict.ClassCrash || v.Incident != held.Verdict.Incident {
		t.Fatalf("the open verdict was lost: %+v", v)
	}
	if e := s.e.callee(report.Callee{Address: s.ledger.addr, Direct: true}); e == nil || e.name() != "ledger-1" {
		t.Errorf("the address of ledger was forgotten: %v", e)
	}
	s.run(4 * time.Second)
	for _, ev := range s.events {
		if ev.Kind == contract.EventFailureDetected {
			t.Errorf("accused anew after the restart: %s", ev.Body)
		}
	}
	s.payment1.restart()
	s.run(20 * time.Second)
	if s.first(contract.EventFailureCleared) == nil {
		t.Errorf("not cleared after the restart: %v %s", s.verdicts(), s.dump())
	}
}

func TestRestoreRefusesWhatItCannotRead(t *testing.T) {
	for _, state := range []string{"", "{", "[]", `{"version":99}`, `{"version":1,"instances":[{"source":7}]}`} {
		e := New(DefaultParams())
		if err := e.Restore([]byte(state), 1); err == nil {
			t.Errorf("took %q", state)
		}
		if e.Stats().Instances != 0 {
			t.Errorf("%q changed the engine", state)
		}
	}
}

func TestLessSpecificIdentityStandsForTheOnlyOneThatAgrees(t *testing.T) {
	full := report.NewSource(report.Source{Service: report.ServiceID{Name: "payment", Namespace: "shop", Environment: "prod"}, Instance: "p-1"})
	bare := report.NewSource(report.Source{Service: report.ServiceID{Name: "payment"}, Instance: "p-1"})
	staging := report.NewSource(report.Source{Service: report.ServiceID{Name: "payment", Namespace: "shop", Environment: "staging"}, Instance: "p-1"})

	e := New(DefaultParams())
	e.advance(1)
	before := e.instance(bare)
	if e.instance(full) == before {
		t.Fatal("the full identity was taken for the bare one")
	}
	if e.instance(bare) != e.instance(full) {
		t.Error("the bare identity does not stand for the only full one")
	}
	if e.instance(staging) == e.instance(full) {
		t.Error("staging is taken for production")
	}
	other := report.NewSource(report.Source{Service: report.ServiceID{Name: "payment"}, Instance: "p-2"})
	if n := e.instance(other); n.service.id != other.Service {
		t.Error("an ambiguous identity was guessed")
	}
}

func TestRepeatedBeatsCountOnce(t *testing.T) {
	f := newFleet(t)
	a := f.add("device", "a")
	f.run(10 * time.Second)
	st := report.Stamp{Observer: observer1, At: f.now, Uptime: f.now.Sub(f.began) + time.Hour, Seq: f.obsSeq + 1}
	seen := f.e.instance(a.src).streams[0].seen
	for range 5 {
		f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: st, Source: a.src, Interval: time.Second, Incarnation: a.incarnation, Seq: 99}}})
	}
	if got := f.e.instance(a.src).streams[0].seen; got != seen+1 {
		t.Errorf("five copies of a beat counted %d times", got-seen)
	}
}

func TestRestartedObserverAccusesNobody(t *testing.T) {
	s := newShop(t)
	s.run(time.Minute)
	s.asleep = true
	s.run(20 * time.Second)
	s.asleep = false
	s.began = s.now.Add(-2 * time.Second).Add(time.Hour) // its uptime starts anew, see stamp
	s.obsSeq = 0
	s.run(time.Minute)
	s.nobodyAccused(false)
	for _, p := range s.procs {
		if n := s.e.instance(p.src); !n.streams[0].fresh() {
			t.Errorf("%s is not followed after the observer's restart", n.name())
		}
	}
}

func TestTwoProcessesWithOneIdentityAreAConflict(t *testing.T) {
	f := newFleet(t)
	a := f.add("device", "a")
	twin := f.add("device", "b")
	twin.src = a.src
	f.add("device", "c")
	f.run(time.Minute)
	if f.first(contract.EventIdentityConflict) == nil {
		t.Error("no identity.conflict")
	}
	f.nobodyAccused(false)
}

func TestBeatsAndTelemetryOfOneProcessAreOneInstance(t *testing.T) {
	for name, beat := range map[string]report.Source{
		"same_drawn_id":    {Service: report.ServiceID{Name: "a"}, Host: "h", Instance: "u-1", Volatile: true},
		"service_and_host": {Service: report.ServiceID{Name: "a"}, Host: "h"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.add("other", "x")
			telemetry := report.NewSource(report.Source{Service: report.ServiceID{Name: "a", Namespace: "n"}, Host: "h", Instance: "u-1", Volatile: true})
			src := report.NewSource(beat)
			for i := range 60 {
				b := &report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: f.stamp(), Source: src, Interval: time.Second, Incarnation: 77, Seq: uint64(i + 1)}}}
				if i%5 == 0 {
					b.Signs = []report.Sign{{Source: telemetry, At: f.now}}
				}
				f.e.Observe(b)
				f.run(time.Second)
			}
			if n := len(f.e.reg.byKey); n != 2 {
				t.Errorf("%d entities, want the process and the other", n)
			}
			if ev := f.first(contract.EventIdentityConflict); ev != nil {
				t.Error(ev.Body)
			}
			f.nobodyAccused(false)
		})
	}
}

func TestProxyOfSeveralServicesIsNoneOfThem(t *testing.T) {
	e := New(DefaultParams())
	e.advance(1)
	a, b := report.NewSource(report.Source{Service: report.ServiceID{Name: "a"}, Instance: "a-1"}), report.NewSource(report.Source{Service: report.ServiceID{Name: "b"}, Instance: "b-1"})
	proxy := report.Callee{Address: "10.0.0.1:80"}
	e.learn(proxy, a)
	e.learn(proxy, b)
	if n := e.callee(proxy); n.kind != kindExternal {
		t.Errorf("a proxy was taken for %s", n.name())
	}
	e.learn(report.Callee{Address: "10.0.0.1:80", Named: "a:80"}, a)
	if n := e.callee(report.Callee{Address: "10.0.0.1:80", Named: "a:80"}); n.name() != "a-1" {
		t.Errorf("the name was not preferred: %s", n.name())
	}
}

func TestWhoOffersAnInterfaceIsKnownByItsCalls(t *testing.T) {
	e := New(DefaultParams())
	e.advance(1)
	a, b := report.NewSource(report.Source{Service: report.ServiceID{Name: "a"}, Instance: "a-1"}), report.NewSource(report.Source{Service: report.ServiceID{Name: "b"}, Instance: "b-1"})
	ledger, health := report.Callee{Service: "shop.Ledger"}, report.Callee{Service: "grpc.health.v1.Health"}
	e.learn(ledger, a)
	e.learn(health, a)
	e.learn(health, b)
	e.learn(report.Callee{Address: "10.0.0.1:80", Service: "shop.Cart"}, a)
	for name, c := range map[string]struct {
		callee report.Callee
		want   string
	}{
		"one offers it":                     {ledger, "a-1"},
		"several services do":               {health, "grpc.health.v1.Health"},
		"its address is told and not known": {report.Callee{Address: "10.0.0.9:80", Service: "shop.Ledger"}, "10.0.0.9:80"},
		"calls to it told an address":       {report.Callee{Service: "shop.Cart"}, "shop.Cart"},
		"a service is called that":          {report.Callee{Service: "b"}, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			if n := e.callee(c.callee); n.name() != c.want {
				t.Errorf("%s was taken for %s", c.callee.Service, n.name())
			}
		})
	}
	e.learn(ledger, report.NewSource(report.Source{Service: report.ServiceID{Name: "a"}, Instance: "a-2"}))
	if n := e.callee(ledger); n.kind != kindService || n.service.id.Name != "a" {
		t.Errorf("two instances that offer it were taken for %s", n.name())
	}
}
