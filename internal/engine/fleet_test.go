// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// fleet drives an engine in virtual time: processes that beat, probes that look
// at them and callers that call them, at one observer beside the engine.
type fleet struct {
	t       *testing.T
	e       *Engine
	now     clock.Time
	began   clock.Time
	procs   []*proc
	events  []verdict.Event
	rand    *rand.Rand
	loss    float64
	obsSeq  uint64
	signed  bool          // heartbeats carry a MAC
	asleep  bool          // the Collector's process is stopped
	ahead   time.Duration // of the observer's clock
	backlog []func(*report.Batch)
	hopID   uint64
}

const (
	step      = 50 * time.Millisecond
	tickEvery = 250 * time.Millisecond
	observer1 = "node-1"
)

// proc is one process of the fleet.
type proc struct {
	src         *report.Source
	addr        string
	beats       bool
	interval    time.Duration
	probe       time.Duration // interval of a TCP-and-HTTP probe; 0 for none
	watch       bool          // a process target looks at it
	callers     []*proc
	callEvery   time.Duration
	timeout     time.Duration
	phase       time.Duration
	incarnation uint64
	seq         uint64
	state       string        // up, dead, frozen, deadlock, full: hung, and its backlog is full, closed, cut, unlisted: gone or paused, and its balancer refuses for it
	tells       time.Duration // how long after their end it tells of calls that it made; 0: half a second
	drawn       bool          // draws a new id at each start
	mute        bool          // sends no telemetry
	remote      string        // address that its heartbeats come from
	files       int64         // descriptors that it has open, of 100
	waits       float64       // share of the time, 0-1, in which it waits for a processor
}

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{t: t, e: New(DefaultParams()), rand: rand.New(rand.NewPCG(1, 2))}
	f.now = clock.Time(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC).UnixNano())
	f.began = f.now
	return f
}

func (f *fleet) add(service, instance string) *proc {
	p := &proc{
		src:  report.NewSource(report.Source{Service: report.ServiceID{Name: service, Namespace: "shop"}, Instance: instance, Host: "host-" + instance}),
		addr: instance + ":8080", beats: true, interval: time.Second, callEvery: 100 * time.Millisecond, timeout: 1500 * time.Millisecond,
		incarnation: uint64(len(f.procs) + 1), state: "up", phase: time.Duration(f.rand.Int64N(int64(time.Second))),
	}
	f.procs = append(f.procs, p)
	return p
}

func (f *fleet) calls(caller, callee *proc) { callee.callers = append(callee.callers, caller) }

// due says whether something with a period happens in this step.
func (f *fleet) due(period, phase time.Duration) bool {
	at := f.now.Sub(f.began)
	return (at+phase)/period != (at+phase-step)/period
}

func (f *fleet) stamp() report.Stamp {
	f.obsSeq++
	return report.Stamp{Observer: observer1, At: f.now.Add(f.ahead), Uptime: f.now.Sub(f.began) + time.Hour, Seq: f.obsSeq}
}

func (f *fleet) run(d time.Duration) {
	f.t.Helper()
	for end := f.now.Add(d); f.now < end; {
		f.now = f.now.Add(step)
		b := &report.Batch{Arrived: f.now}
		for _, p := range f.procs {
			f.live(p, b)
		}
		if f.asleep {
			continue
		}
		if f.due(time.Second, 0) {
			b.Observers = append(b.Observers, report.ObserverBeat{Stamp: f.stamp(), Interval: time.Second, Host: "agent-host"})
		}
		waiting := f.backlog
		f.backlog = nil
		for _, deliver := range waiting {
			deliver(b)
		}
		if !b.Empty() {
			f.e.Observe(b)
		}
		if f.due(tickEvery, 0) {
			f.e.Tick(f.now)
		}
		f.events = append(f.events, f.e.Events()...)
	}
}

func (f *fleet) live(p *proc, b *report.Batch) {
	if f.due(p.interval, p.phase) && p.state != "dead" && p.state != "frozen" && p.state != "unlisted" {
		p.seq++
		if p.beats && p.state != "cut" && !f.asleep && f.rand.Float64() >= f.loss {
			b.Beats = append(b.Beats, report.Beat{Stamp: f.stamp(), Source: p.src, Interval: p.interval, Incarnation: p.incarnation, Seq: p.seq, SentAt: f.now, Authenticated: f.signed, Remote: p.remote})
		}
		if !p.beats && p.drawn && p.state != "cut" && !f.asleep {
			b.Signs = append(b.Signs, report.Sign{Source: p.src, At: f.now})
		}
	}
	if p.probe > 0 && f.due(p.probe, p.phase) && !f.asleep {
		outcome := map[string]report.Outcome{
			"up": report.OutcomeOK, "dead": report.OutcomeRefused, "closed": report.OutcomeRefused, "cut": report.OutcomeConnectTimeout, "frozen": report.OutcomeNoAnswer, "deadlock": report.OutcomeNoAnswer,
		}[p.state]
		b.Probes = append(b.Probes, report.Probe{Stamp: f.stamp(), Source: p.src, Target: "http://" + p.addr, Outcome: outcome, Interval: p.probe, Direct: true})
	}
	if p.watch && f.due(2*time.Second, p.phase) && !f.asleep {
		state, outcome := report.ProcessRunning, report.OutcomeOK
		switch p.state {
		case "dead":
			state, outcome = report.ProcessGone, report.OutcomeOther
		case "frozen":
			state, outcome = report.ProcessStopped, report.OutcomeOther
		}
		b.Probes = append(b.Probes, report.Probe{Stamp: f.stamp(), Source: p.src, Target: "process:" + p.src.Instance, Outcome: outcome, Interval: 2 * time.Second,
			Process: &report.Process{State: state, PID: int64(p.incarnation), OOMKills: -1, CPUWait: p.waits, FDs: p.files, FDLimit: 100}})
	}
	for _, c := range p.callers {
		if f.due(p.callEvery, p.phase) && c.state == "up" {
			f.call(c, p)
		}
	}
}

// call makes one call; its spans arrive half a second after its end.
func (f *fleet) call(c, p *proc) {
	start := f.now
	outcome, took := report.OutcomeOK, 5*time.Millisecond
	switch p.state {
	case "dead", "closed", "unlisted":
		outcome, took = report.OutcomeRefused, time.Millisecond
	case "frozen", "deadlock":
		outcome, took = report.OutcomeTimeout, p.timeout
	case "cut", "full":
		outcome, took = report.OutcomeConnectTimeout, p.timeout
	}
	f.hopID++
	id, end := f.hopID, start.Add(took)
	callee, server := report.Callee{Address: p.addr, Direct: p.state != "unlisted"}, p.src
	deliver := func(b *report.Batch) {
		b.Calls = append(b.Calls, report.Calls{Caller: c.src, Callee: callee, Outcome: outcome, Count: 1, First: start, Last: end, Done: end})
		if outcome == report.OutcomeOK && !p.mute {
			b.Hops = append(b.Hops, report.Hop{Span: id, Source: c.src, Callee: callee}, report.Hop{Span: id, Server: true, Source: server})
			b.Served = append(b.Served, report.Served{Source: server, OK: 1, Last: end})
		}
	}
	at := end.Add(cmp.Or(c.tells, 500*time.Millisecond))
	var wait func(b *report.Batch)
	wait = func(b *report.Batch) {
		if f.now < at {
			f.later(wait)
			return
		}
		deliver(b)
	}
	f.later(wait)
}

func (f *fleet) later(d func(*report.Batch)) { f.backlog = append(f.backlog, d) }

func (p *proc) restart() {
	p.state = "up"
	p.incarnation += 1000
	p.seq = 0
	if p.drawn {
		p.draw()
	}
}

// announce sends a last heartbeat that says the process stops.
func (f *fleet) announce(p *proc, s report.Status) {
	p.seq++
	f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: f.stamp(), Source: p.src, Interval: p.interval, Incarnation: p.incarnation, Seq: p.seq, Status: s}}})
}

// verdicts returns the failure events so far, one string each.
func (f *fleet) verdicts() []string {
	var out []string
	for _, ev := range f.events {
		if !strings.HasPrefix(ev.Kind, "failure.") {
			continue
		}
		out = append(out, fmt.Sprintf("%s %s %s/%s", ev.Kind, ev.Verdict.Culprit.Name, ev.Verdict.Class, ev.Verdict.Subclass))
	}
	return out
}

func (f *fleet) first(kind string) *verdict.Event {
	for i := range f.events {
		if f.events[i].Kind == kind {
			return &f.events[i]
		}
	}
	return nil
}

// accused fails the test unless the first verdict is this one, within a time
// after from.
func (f *fleet) accused(from clock.Time, within time.Duration, class verdict.Class, subclass, culprit string) *verdict.Verdict {
	f.t.Helper()
	for i := range f.events {
		ev := &f.events[i]
		if (ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised) && ev.Verdict.Class != verdict.ClassUnknown {
			v := ev.Verdict
			if v.Class != class || string(v.Subclass) != subclass || v.Culprit.Name != culprit {
				f.t.Errorf("said %s/%s of %s (%s), want %s/%s of %s", v.Class, v.Subclass, v.Culprit.Name, v.Reason, class, subclass, culprit)
			}
			if d := ev.At.Sub(from); d > within {
				f.t.Errorf("said after %v, want at most %v", d, within)
			}
			f.t.Logf("after %v, %.2f: %s", ev.At.Sub(from), v.Confidence, ev.Body)
			return v
		}
	}
	f.t.Fatalf("nobody accused, want %s/%s of %s; events %v; beliefs %s", class, subclass, culprit, f.verdicts(), f.dump())
	return nil
}

// nobodyAccused fails the test if any class was given, unknown included unless
// allowed.
func (f *fleet) nobodyAccused(unknownAllowed bool) {
	f.t.Helper()
	for _, ev := range f.events {
		if ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised {
			if ev.Verdict.Class != verdict.ClassUnknown || !unknownAllowed {
				f.t.Errorf("at %v said %s", ev.At.Sub(f.began), ev.Body)
			}
		}
	}
}

// dump shows what is believed of whom, to explain a failed test.
func (f *fleet) dump() string {
	var sb strings.Builder
	for _, n := range f.e.suspects {
		b := f.e.find(n)
		fmt.Fprintf(&sb, "\n%s:", n.name())
		for c, p := range b.P {
			if p >= 0.02 {
				fmt.Fprintf(&sb, " %s %.2f", belief.CauseNames[c], p)
			}
		}
		for k := range n.episode.found {
			if fd := &n.episode.found[k]; fd.strength > 0 {
				fmt.Fprintf(&sb, "\n   %.2f %s", fd.strength, fd.text)
			}
		}
	}
	return sb.String()
}
