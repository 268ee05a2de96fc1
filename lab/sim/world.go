// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// world is one episode: a fleet, what is done to it, and the engine that has
// to make sense of what it is told.
type world struct {
	dice
	agenda agenda
	time   time.Duration
	engine *engine.Engine
	habits habits

	zones   []*zone
	hosts   []*host
	all     []*service
	entries []*service
	procs   []*proc
	agents  []*agent
	gateway *host
	outside *host
	proxied *service // is behind a proxy

	gatewayLife timeline
	rules       []rule
	lateFrom    time.Duration // telemetry of this time …
	lateTill    time.Duration
	lateBy      time.Duration // … comes so much later
	quiet       time.Duration // how long nothing happens where that is the scenario
	rate        float64       // requests from outside a second
	rushes      []effect      // times of more of them

	readiness    time.Duration // until a balancer notices
	backlog      time.Duration // until a stopped listener's backlog is full
	arpFails     bool          // neighbours are told that a dead host is gone
	healthChecks bool          // who does not answer is sent nothing
	patience     time.Duration // by which each layer waits longer than the one below
	namesToo     bool          // spans give the configured name beside the address
	lossOfBeats  float64
	secondEar    *agent // hears everybody's heartbeats as well
	ownTargets   []*target

	said     map[saidKey]time.Duration
	ready    []*proc // scratch
	started  int
	incs     uint64
	keys     uint64
	injected bool

	injection *injection
	evidence  time.Duration // when the gateway first could see it
	log       []verdictEvent
	seen      []string // every event, when asked for
	verbose   bool
	trace     bool // and what the engine was told of trouble
}

// verdictEvent is what the engine said of somebody.
type verdictEvent struct {
	at      time.Duration
	cleared bool
	verdict *verdict.Verdict
}

func newWorld(seed uint64) *world {
	w := &world{
		dice: newDice(seed, 0x5eed), engine: engine.New(engine.DefaultParams()),
		quiet: 30 * time.Second,
		said:  map[saidKey]time.Duration{}, evidence: never,
	}
	w.gatewayLife.set(0, running, 1)
	w.incs = uint64(w.number(1000, 9000))
	w.readiness = w.span(time.Second, 8*time.Second)
	w.backlog = w.span(2*time.Second, 20*time.Second)
	w.arpFails = w.chance(0.5)
	w.namesToo = w.chance(0.5)
	w.lossOfBeats = w.real(0, 0.01)
	w.healthChecks = w.chance(0.5)
	w.patience = pick(w.dice, 0, 500*time.Millisecond, time.Second)
	w.rate = w.real(6, 30)
	w.fleet()
	if len(w.agents) > 1 && w.chance(0.6) {
		w.secondEar = pick(w.dice, w.agents...)
	}
	return w
}

func (w *world) incarnation() uint64 {
	w.incs++
	return w.incs
}

func (w *world) key() uint64 {
	w.keys++
	return w.keys * 0x9e3779b97f4a7c15
}

// tickEvery is how often the engine is told that time passes.
const tickEvery = 250 * time.Millisecond

// live starts all timers.
func (w *world) live() {
	for _, p := range w.procs {
		w.launch(p)
	}
	for _, a := range w.agents {
		w.observe(a)
		for _, t := range a.targets {
			w.look(a, t)
		}
	}
	for _, t := range w.ownTargets {
		w.look(nil, t)
	}
	for _, s := range w.entries {
		w.visitors(s, w.rate/float64(len(w.entries)))
	}
	var tick func(time.Duration)
	tick = func(now time.Duration) {
		if up, ok := w.gatewayLife.awake(now); ok && up == now {
			w.engine.Tick(wall(now))
			w.collect()
		} else if ok {
			w.agenda.plan(up, tick)
			return
		}
		w.agenda.plan(now+tickEvery, tick)
	}
	w.agenda.plan(0, tick)
}

// launch starts the timers of a process.
func (w *world) launch(p *proc) {
	if p.svc.kind != application {
		return
	}
	w.export(p)
	if p.svc.beats {
		w.beat(p)
	}
	if p.svc.signs {
		w.sign(p)
	}
	w.pauses(p)
}

// pauses gives a process its everyday halts: a collector of garbage, a noisy
// host. Their length has a heavy tail.
func (w *world) pauses(p *proc) {
	if !w.chance(0.4) {
		return
	}
	var next func(time.Duration)
	next = func(now time.Duration) {
		if now > 0 && p.now(now).is == running && p.life.next(now) == never {
			long := min(w.around(60*time.Millisecond, 1), 1200*time.Millisecond)
			p.life.pause(now, now+long, stopped)
		}
		w.agenda.plan(now+w.wait(1.0/60), next)
	}
	next(0)
}

// visitors are requests from outside to an entry service.
func (w *world) visitors(s *service, rate float64) {
	door := &dependency{on: s}
	var next func(time.Duration)
	next = func(now time.Duration) {
		w.time = now
		if p := w.choose(now, door, nil); p != nil {
			w.request(now, p)
		}
		x := 1.0
		for i := range w.rushes {
			if r := &w.rushes[i]; now >= r.from && now < r.to {
				x *= r.x
			}
		}
		w.agenda.plan(now+w.wait(rate*x), next)
	}
	w.agenda.plan(w.span(0, time.Second), next)
}

// late is by how much telemetry that is sent now is held up.
func (w *world) late(now time.Duration) time.Duration {
	if now >= w.lateFrom && now < w.lateTill {
		return w.lateBy
	}
	return 0
}

// shows notes that something of the injected fault is on its way to the
// gateway: the first piece that arrives after that is its first evidence.
func (w *world) shows(at time.Duration) {
	if w.injected && w.evidence == never && at >= w.injection.start {
		w.evidence = -1 // the next arrival
	}
}

func (w *world) noteArrival(now time.Duration, b *report.Batch) {
	if w.evidence == -1 {
		w.evidence = now
	}
	if w.trace && w.injected && now > w.injection.start-2*time.Second {
		w.tellOf(now, b)
	}
}

// tellOf writes down what in a batch speaks of trouble, for people.
func (w *world) tellOf(now time.Duration, b *report.Batch) {
	put := func(format string, args ...any) {
		w.seen = append(w.seen, fmt.Sprintf("%8.2f    ", now.Seconds())+fmt.Sprintf(format, args...))
	}
	for i := range b.Calls {
		if c := &b.Calls[i]; c.Outcome.Failed() || c.Slow > 0 {
			put("%s called %s %s: %s ×%d, %d slow, %.1f–%.1f", c.Caller.Name(), c.Callee.Address, c.Callee.Named, c.Outcome, c.Count, c.Slow, c.First.Sub(epoch).Seconds(), c.Last.Sub(epoch).Seconds())
		}
	}
	for i := range b.Served {
		if v := &b.Served[i]; v.Failed > 0 || v.Slow > 0 {
			put("%s served %d, failed %d, of its own %d, slow %d", v.Source.Name(), v.OK, v.Failed, v.Faults, v.Slow)
		}
	}
	for i := range b.Probes {
		if p := &b.Probes[i]; p.Outcome != report.OutcomeOK {
			put("%s probed %s: %s", p.Observer, p.Target, p.Outcome)
		}
	}
	for i := range b.Facts {
		put("fact %d of %s: %d %s", b.Facts[i].Kind, b.Facts[i].Source.Name(), b.Facts[i].Value, b.Facts[i].Text)
	}
	for i := range b.Beats {
		if x := &b.Beats[i]; x.Status == report.StatusStarting || x.Status == report.StatusStopping {
			put("%s beats: status %d", x.Source.Name(), x.Status)
		}
	}
}

// collect takes what the engine says.
func (w *world) collect() {
	for _, ev := range w.engine.Events() {
		at := ev.At.Sub(epoch)
		if w.verbose {
			line := fmt.Sprintf("%8.2f  %-18s %s", at.Seconds(), ev.Kind, ev.Body)
			if ev.Verdict != nil && ev.Kind != contract.EventFailureCleared {
				line += fmt.Sprintf("  [%.2f, %s %q]", ev.Verdict.Confidence, ev.Verdict.Culprit.Type, ev.Verdict.Culprit.Name)
			}
			w.seen = append(w.seen, line)
		}
		switch ev.Kind {
		case contract.EventFailureDetected, contract.EventFailureRevised:
			w.log = append(w.log, verdictEvent{at: at, verdict: ev.Verdict})
		case contract.EventFailureCleared:
			w.log = append(w.log, verdictEvent{at: at, cleared: true, verdict: ev.Verdict})
		}
	}
}
