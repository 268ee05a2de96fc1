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

// edgeProxy is a proxy that writes no spans, before a search of one instance: it
// answers 503 while that is gone. An agent connects to its port.
type edgeProxy struct {
	e           *Engine
	now         clock.Time
	n           uint64
	web         *report.Source
	itself      *report.Source
	search      *report.Source
	dead, quits bool // the search; the proxy
	said        map[string]*verdict.Verdict
}

const edgeAddress = "10.0.0.9:8089"

func newEdgeProxy() *edgeProxy {
	one := func(name string) *report.Source {
		return report.NewSource(report.Source{Service: report.ServiceID{Name: name}, Instance: name + "-1", Host: "host-of-" + name})
	}
	return &edgeProxy{e: New(DefaultParams()), now: clock.Time(1_800_000_000_000_000_000), web: one("web"), itself: one("proxy"), search: one("search"), said: map[string]*verdict.Verdict{}}
}

func (f *edgeProxy) run(d time.Duration) {
	for end := f.now.Add(d); f.now < end; {
		f.now = f.now.Add(500 * time.Millisecond)
		f.n++
		b := &report.Batch{Arrived: f.now}
		outcome, probed := report.OutcomeOK, report.OutcomeOK
		switch {
		case f.quits:
			outcome, probed = report.OutcomeRefused, report.OutcomeRefused
		case f.dead:
			outcome = report.OutcomeUnavailable
		}
		callee := report.Callee{Address: edgeAddress}
		b.Calls = append(b.Calls, report.Calls{Caller: f.web, Callee: callee, Outcome: outcome, Count: 4, First: f.now.Add(-400 * time.Millisecond), Last: f.now})
		b.Probes = append(b.Probes, report.Probe{Stamp: report.Stamp{Observer: "agent-a", Seq: f.n}, Source: f.itself, Target: "tcp://" + edgeAddress, Outcome: probed, Interval: time.Second, Direct: true})
		if !f.dead {
			b.Beats = append(b.Beats, report.Beat{Source: f.search, Interval: 500 * time.Millisecond, Incarnation: 1, Seq: f.n})
		}
		if outcome == report.OutcomeOK {
			b.Served = append(b.Served, report.Served{Source: f.search, OK: 4, Last: f.now}, report.Served{Source: f.web, OK: 4, Last: f.now})
			b.Hops = append(b.Hops, report.Hop{Span: f.n << 20, Source: f.web, Callee: callee, At: f.now}, report.Hop{Span: f.n << 20, Server: true, Source: f.search, At: f.now})
		} else {
			b.Served = append(b.Served, report.Served{Source: f.web, Failed: 4, Last: f.now})
		}
		f.e.Observe(b)
		f.e.Tick(f.now)
		for _, ev := range f.e.Events() {
			if v := ev.Verdict; v != nil && v.Until == 0 {
				f.said[string(v.Culprit.Type)+" "+v.Culprit.Name] = v
			}
		}
	}
}

// killSearch ends the search with SIGKILL, which its machine tells.
func (f *edgeProxy) killSearch() {
	f.dead = true
	f.e.Observe(&report.Batch{Arrived: f.now, Facts: []report.Fact{{Source: f.search, Kind: report.FactExit, Value: 137, At: f.now}}})
}

func TestProxyThatHandsOnWhatFailsBehindItIsLeftAlone(t *testing.T) {
	f := newEdgeProxy()
	f.run(90 * time.Second)
	f.killSearch()
	f.run(25 * time.Second)
	if v := f.said["instance search-1"]; v == nil || v.Class != verdict.ClassCrash {
		t.Errorf("of the search: %v", v)
	}
	f.dead = false
	f.run(20 * time.Second)
	for who, v := range f.said {
		if who != "instance search-1" {
			t.Errorf("%s: %s: %s", who, v.Class, v.Reason)
		}
	}
}

func TestProxyThatFailsByItselfIsTold(t *testing.T) {
	f := newEdgeProxy()
	f.run(90 * time.Second)
	f.quits = true
	f.run(25 * time.Second)
	for who, v := range f.said {
		if v.Class == verdict.ClassCrash && who != "instance search-1" {
			return
		}
	}
	t.Errorf("nothing of the proxy: %v", f.said)
}
