// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Engine judges. See the package comment for who may call what.
type Engine struct {
	params Params
	now    clock.Time
	frozen bool

	reg           registry
	book          addressBook
	doors         doors
	servers       servers
	ties          ties
	lookups       lookups
	hosts         map[string]*hostState
	hostNames     map[string]*hostState // hostnames.go: nil for several
	here          *hostState            // where the engine itself stands
	cutSuspected  bool                  // a view went silent since cuts were last looked for
	slowSuspected bool                  // slow.go: some calls are far slower than usual
	solvedAt      clock.Time
	cuts          []*cutState
	splits        []split       // split.go
	queues        []*queueState // queue.go: at most maxQueues
	flows         []*flow       // flow.go
	clockPairs    clockPairs    // pairclocks.go
	conducted
	observers    map[string]*observer
	observerList []*observer
	self         *observer  // the engine's own process
	roomMade     clock.Time // observer.go: when room for observers was last looked for
	watched      []*stream
	fleet        stat.Accrual    // gaps of all heartbeats, in intervals
	longGaps     []longGap       // outages.go: of which it is not known yet whether the fleet learns
	intervals    []time.Duration // ballot.go: room to sort
	lone         loneGap

	few       siblings  // siblings.go: of the one who asked last
	suspects  []*entity // those with an episode
	pending   []*entity // those of them to be evaluated now
	troubled  []*entity // services whose callers get no answer: evidence_stall.go
	settled   []settledVerdict
	incidents []*incident
	readings  map[readingKey]*readingState
	allHold   clock.Time // publish.go: when all readings were last seen to hold

	erred []firstErred // errorlines.go: by trace, maxErred slots; nil until the first

	kinds        map[uint64]*spanKind
	kindRing     []uint64 // keys of kinds, for eviction
	kindHand     int
	kindsChanged bool

	events      []verdict.Event
	changed     bool
	publishedAt clock.Time
	swept       clock.Time
	stats       Stats

	snapshot  atomic.Pointer[verdict.Snapshot]
	baselines atomic.Pointer[Baselines]
}

// New returns an engine that has seen nothing.
func New(p Params) *Engine {
	e := &Engine{
		params:    p,
		reg:       newRegistry(p.MaxInstances),
		book:      newAddressBook(p.MaxAddresses, p.MaxHops),
		doors:     doors{at: map[string][]*entity{}, cap: p.MaxAddresses},
		servers:   newServers(p.MaxAddresses),
		ties:      ties{at: map[tie]clock.Time{}, vain: map[tie]*vain{}, cap: p.MaxAddresses},
		hosts:     map[string]*hostState{},
		hostNames: map[string]*hostState{},
		here:      &hostState{name: "the Collector"},
		observers: map[string]*observer{},
		readings:  map[readingKey]*readingState{},
		kinds:     map[uint64]*spanKind{},
		fleet:     stat.Accrual{Interval: time.Second, Memory: fleetMemory},
	}
	e.self = e.observer("")
	return e
}

// Observe takes in what a batch showed and evaluates whom it touches. It does
// not keep b.
func (e *Engine) Observe(b *report.Batch) {
	e.advance(b.Arrived)
	for i := range b.Observers {
		e.observerBeat(&b.Observers[i])
	}
	for i := range b.Hops {
		e.hop(&b.Hops[i])
	}
	for i := range b.Passing { // after the calls' own ends, which say more
		e.passing(&b.Passing[i])
	}
	for i := range b.Doors {
		e.door(&b.Doors[i])
	}
	for i := range b.Places {
		e.placed(&b.Places[i])
	}
	for i := range b.Facts {
		e.fact(&b.Facts[i])
	}
	for i := range b.Beats {
		e.beat(&b.Beats[i])
	}
	for i := range b.Signs {
		e.telemetry(&b.Signs[i])
	}
	for i := range b.Served {
		e.serving(&b.Served[i])
	}
	for i := range b.Calls {
		e.called(&b.Calls[i])
	}
	for i := range b.Errors {
		e.errorLine(&b.Errors[i])
	}
	for i := range b.Probes {
		e.probed(&b.Probes[i])
	}
	for i := range b.Levels {
		e.level(&b.Levels[i])
	}
	for i := range b.Sent {
		e.sent(&b.Sent[i])
	}
	for i := range b.Consumed {
		e.consumed(&b.Consumed[i])
	}
	for i := range b.Queues {
		e.queue(&b.Queues[i])
	}
	for i := range b.Spans {
		e.span(&b.Spans[i])
	}
	e.lookForCuts()
	e.settle()
}

// Tick lets time pass: deadlines run out, evidence fades. Call it every 250 ms
// or so; a now that lies before the last one is taken as the last one.
func (e *Engine) Tick(now clock.Time) {
	e.advance(now)
	e.checkSilence()
	e.checkObservers()
	e.doubtObservers()
	e.doubtHosts()
	e.lookForCuts()
	e.lookForStalled()
	e.compareConduct()
	e.compareClocks()
	for _, n := range e.suspects {
		e.mark(n)
	}
	e.resolveIncidents()
	e.settle()
	e.publishBaselines()
	if e.now.Sub(e.swept) > sweepEvery {
		e.sweep()
	}
}

// advance moves the clock on. A jump means that this process itself slept: the
// silences that it did not listen to are nobody's.
func (e *Engine) advance(now clock.Time) {
	if now <= e.now {
		return
	}
	if e.now == 0 {
		e.self.paused = time.Duration(now) // its awake clock begins at 0
	}
	if slept := now.Sub(e.now); e.now != 0 && slept > e.params.PausedTick {
		e.self.clock = time.Duration(now)
		e.self.slept(slept)
		e.self.wokeAt = e.self.awake()
		e.degrade(e.self, fmt.Sprintf("this Collector slept for %s; silences meanwhile do not count", inWords(slept)))
	} else if e.self.degraded && e.self.overdueAt == 0 && !e.self.justWoke() {
		e.self.misses = 0
		e.recover(e.self)
	}
	e.now = now
	e.self.clock, e.self.date, e.self.seen = time.Duration(now), now, now
}

// settle evaluates those who are marked and publishes what changed.
func (e *Engine) settle() {
	for i := 0; i < len(e.pending); i++ { // evaluation may mark more
		n := e.pending[i]
		e.pending[i] = nil
		if n.episode != nil && n.episode.dirty {
			e.evaluate(n)
		}
	}
	e.pending = e.pending[:0]
	if e.changed || e.snapshot.Load() != nil && e.now.Sub(e.publishedAt) >= time.Second {
		e.publish()
	}
}

// sweepEvery is how often those who left or fell idle long ago are forgotten.
const sweepEvery = time.Minute

// replacedFor is how long one whose place was taken is remembered.
const replacedFor = 10 * time.Minute

func (e *Engine) sweep() {
	e.swept = e.now
	for _, q := range [...]*lru{&e.reg.passersBy, &e.reg.settled} {
		for n := q.tail; n != nil; {
			older := n
			n = n.prev
			idle := e.now.Sub(older.touched)
			if idle <= replacedFor {
				break
			}
			if idle > e.params.ForgetAfter || older.left && e.successor(older) != nil {
				e.forget(older)
			}
		}
	}
}

func (e *Engine) emit(ev verdict.Event) {
	if e.frozen {
		return
	}
	ev.At = e.now
	e.events = append(e.events, ev)
}

// Events returns what happened since the last call, in order, and forgets it.
func (e *Engine) Events() []verdict.Event {
	out := e.events
	e.events = nil
	return out
}

// Snapshot returns what holds true now; it may be nil.
func (e *Engine) Snapshot() *verdict.Snapshot { return e.snapshot.Load() }

// Baselines returns the usual durations of spans; it may be nil.
func (e *Engine) Baselines() *Baselines { return e.baselines.Load() }

// Freeze stops judging until Thaw: what arrives is learned from, nobody is
// accused or cleared.
func (e *Engine) Freeze() { e.frozen = true }

// Thaw starts judging. Everybody gets a fresh deadline.
func (e *Engine) Thaw(now clock.Time) {
	e.advance(now)
	e.frozen = false
	for _, s := range e.watched {
		s.last = s.observer.awake() // real stays: a fresh deadline is no sign of life
	}
}

// Stats are gauges of what is kept and counters of what did not fit.
type Stats struct {
	Instances, Services, Observers, Addresses, SpanKinds, Hosts, Queues, Cuts, Incidents int
	// ClockPairs of hosts, LongGaps of heartbeats that are weighed, ComparedServices, Hops
	// whose other end is awaited.
	ClockPairs, LongGaps, ComparedServices, Hops int
	// Forgotten counts what was dropped because a cap was reached, by what.
	ForgottenInstances, ForgottenAddresses, ForgottenEdges, ForgottenSpanKinds, ForgottenObservers,
	ForgottenHosts, ForgottenQueues, ForgottenCuts, ForgottenIncidents, ForgottenVerdicts, ForgottenGaps, ForgottenClockPairs,
	ForgottenStreams, ForgottenProbes uint64
	// Suspects is the number of entities against which something speaks.
	Suspects int
	// Verdicts is the number of verdicts in force.
	Verdicts int
}

// Stats returns the sizes and losses of everything bounded.
func (e *Engine) Stats() Stats {
	s := e.stats
	s.Instances, s.Services = len(e.reg.byKey), len(e.reg.services)
	s.Observers, s.Addresses, s.SpanKinds = len(e.observers), len(e.book.entries), len(e.kinds)
	s.Hosts, s.Queues, s.Cuts, s.Incidents = len(e.hosts), len(e.queues), len(e.cuts), len(e.incidents)
	s.ClockPairs, s.LongGaps, s.ComparedServices, s.Hops = len(e.clockPairs.list), len(e.longGaps), len(e.compared), len(e.book.hops)
	s.ForgottenAddresses, s.Suspects = e.book.dropped+e.doors.dropped+e.servers.dropped+e.ties.dropped, len(e.suspects)
	return s
}
