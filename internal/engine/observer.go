// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// observer is a process that sees others' signs of life: the engine's own, or a
// heartbeat receiver somewhere. Silence is measured on its clock, and only
// while it was awake, so a sleeping observer accuses nobody.
type observer struct {
	id       string
	host     string
	interval time.Duration // of its own beats; 0 while it sent none
	clock    time.Duration // its monotonic clock at its latest record
	seq      uint64        // its count then
	paused   time.Duration // total time that it slept, and what its clock showed when it was first heard
	naps     int           // times that it slept
	wokeAt   time.Duration // awake clock when it last woke
	wall     clock.Time    // the latest that its wall clock showed
	date     clock.Time    // what that showed at its latest record: it may have been set back
	leapt    clock.Time    // and after it last ran ahead of the monotonic one; 0 if it never did
	starts   int           // times that its uptime began anew
	born     clock.Time    // engine time of its first record
	seen     clock.Time    // engine time of its latest record
	ownBeat  bool          // it sends beats of its own
	absence  absence       // absence.go: the latest, while how it came back is not known

	backFrom  time.Duration // its clock at the first of the records that lie behind it
	backSince clock.Time    // engine time of that; 0 if none does

	// Counted at each tick, of those who were heard often enough to be known: who
	// fell silent of late, who is not overdue, and who was heard since overdueAt.
	fell, hears, heardSince int

	behind time.Duration // least time between its seeing and our hearing, of late
	heard  clock.Time    // when behind was last brought up to date
	lived  clock.Time    // engine time at which it made the latest of its own beats

	doubted     clock.Time // when all others last contradicted it; 0 if never
	doubtedFrom clock.Time // since when it is on end, as far as that went
	misses      int        // 0-7, local health (Lifeguard): 0 is well
	degraded    bool
	degradedAt,
	overdueAt clock.Time // when most of its streams fell silent together; 0 if not
	overdueAwake time.Duration // its awake clock then
}

// awake is the observer's clock less the time that it slept.
func (o *observer) awake() time.Duration { return o.clock - o.paused }

// grace is how long after waking an observer's bad news is not believed: what
// it began before it slept has run into its time-outs.
const wakeGrace = 5 * time.Second

func (o *observer) justWoke() bool { return o.wokeAt > 0 && o.awake()-o.wokeAt < wakeGrace }

// credible says whether its bad word counts at all.
func (o *observer) credible(now clock.Time) bool {
	return o.overdueAt == 0 && o.misses < maxMisses && (o.doubted == 0 || now.Sub(o.doubted) > doubtedFor)
}

// doubtedFor is how long an observer that was contradicted by all is not believed.
const doubtedFor = time.Minute

// silent says whether nothing has come from it for several of its intervals.
func (o *observer) silent(now clock.Time) bool {
	return o.ownBeat && now.Sub(o.seen) > observerSilence*o.interval
}

// health is 1 for a reliable observer, 1/8 for the worst.
func (o *observer) health() float64 { return 1 / float64(1+o.misses) }

// at places a stamp on the observer's awake clock and moves the clock on. A
// jump much longer than its own interval means that it slept, or after an absence
// that its records were lost; an uptime that falls while its wall clock rises, that
// it was started anew.
func (o *observer) at(st *report.Stamp, now clock.Time) time.Duration {
	o.wasAway(now)
	t := st.Uptime
	if t <= 0 {
		t = time.Duration(st.At)
	}
	if o.clock == 0 || t < o.clock-restartedBy && (st.At > o.wall || o.goesOn(t, now)) {
		o.paused = t - o.awake() // the awake clock goes on where it was
		o.clock, o.wall, o.date, o.seq = t, st.At, st.At, st.Seq
		o.starts++
		o.heard = 0
	}
	if t >= o.clock-restartedBy {
		o.backSince = 0
	}
	if t >= o.clock {
		o.dated(st)
	}
	if step := t - o.clock; step > 0 {
		if o.ownBeat && step > 2*o.interval+time.Second {
			if o.absence.lasted >= step/2 {
				o.paused += step - o.interval // it may have been awake: what it saw meanwhile is lost
			} else {
				o.slept(step - o.interval)
			}
			o.clock = t
			o.wokeAt = o.awake()
		}
		o.clock = t
	}
	o.wall, o.seq = max(o.wall, st.At), max(o.seq, st.Seq)
	o.seen = max(o.seen, now)
	return t - o.paused
}

// dated takes in what its wall clock showed at its latest record. That may have been set
// since the one before, or the machine have slept, which only the wall clock counts.
func (o *observer) dated(st *report.Stamp) {
	if st.Uptime > 0 {
		switch step := st.At.Sub(o.date) - (st.Uptime - o.clock); {
		case step >= stepFrom:
			o.leapt = st.At
		case step <= -stepFrom && o.leapt != 0:
			o.leapt = o.leapt.Add(step)
		}
	}
	o.date = st.At
}

// awoke is what its wall clock showed when it last woke, or may have; 0 if it never did.
func (o *observer) awoke() clock.Time {
	if o.wokeAt == 0 {
		return o.leapt
	}
	return max(o.leapt, o.date.Add(o.wokeAt-o.awake()))
}

// goesOn says whether a clock that lies behind what was told once goes on as time
// does: then that was wrong. A backlog comes faster.
func (o *observer) goesOn(t time.Duration, now clock.Time) bool {
	if o.backSince == 0 || t < o.backFrom {
		o.backFrom, o.backSince = t, now
		return false
	}
	lasted := now.Sub(o.backSince)
	return lasted >= goesOnFor && t-o.backFrom >= lasted/2 && t-o.backFrom <= 2*lasted
}

// goesOnFor is how long a clock must go on from where it was set to be believed again.
const goesOnFor = 10 * time.Second

// lateness is how long a record lay somewhere before it came: what comes later than
// lateFrom is history. Clocks may differ, so what counts is how much longer it took
// than the quickest of late.
func (o *observer) lateness(st *report.Stamp, now clock.Time) time.Duration {
	if st.At == 0 || o.id == "" {
		return 0
	}
	took := now.Sub(st.At)
	if st.Uptime > 0 {
		took = now.Sub(clock.Time(st.Uptime)) // no clock that is set
	}
	if o.heard == 0 || took < o.behind {
		o.behind = took
	} else if step := now.Sub(o.heard); step > 0 {
		o.behind += min(step/behindDrift, took-o.behind)
	}
	o.heard = now
	return took - o.behind
}

const (
	lateFrom = 15 * time.Second
	// behindDrift: what is taken for the quickest rises by so much less than
	// time passes, so that clocks may drift and be set.
	behindDrift = 50
)

// restartedBy is by how much the uptime of a restarted observer falls at least.
const restartedBy = 5 * time.Second

func (o *observer) slept(d time.Duration) {
	o.paused += d
	o.naps++
	o.misses = min(o.misses+2, maxMisses)
}

// maxMisses is the worst local health, as of Lifeguard: such an observer is not believed.
const maxMisses = 7

// observer returns the observer with an id, new if need be; nil if there are
// too many.
func (e *Engine) observer(id string) *observer {
	if o := e.observers[id]; o != nil {
		return o
	}
	if len(e.observers) >= e.params.MaxObservers && !e.roomForObserver() {
		e.stats.ForgottenObservers++
		return nil
	}
	o := &observer{id: id, born: e.now, seen: e.now}
	e.observers[id] = o
	e.observerList = append(e.observerList, o)
	return o
}

// roomForObserver forgets the observer that was silent for longest, if it was
// for long: one that came and went at once needs to be for less.
func (e *Engine) roomForObserver() bool {
	if e.now == e.roomMade {
		return false // it takes a look at all of them
	}
	e.roomMade = e.now
	var idlest *observer
	for _, o := range e.observerList {
		if o == e.self || e.now.Sub(o.seen) < forgottenAfter && (o.seen.Sub(o.born) > cameAndWent || e.now.Sub(o.seen) < cameAndWent) {
			continue
		}
		if idlest == nil || o.seen < idlest.seen {
			idlest = o
		}
	}
	if idlest == nil {
		return false
	}
	e.forgetObserver(idlest)
	e.stats.ForgottenObservers++
	return true
}

const (
	forgottenAfter = time.Hour
	cameAndWent    = time.Minute
)

// forgetObserver drops o and what it saw.
func (e *Engine) forgetObserver(o *observer) {
	delete(e.observers, o.id)
	e.observerList = slices.DeleteFunc(e.observerList, func(x *observer) bool { return x == o })
	for i := len(e.watched) - 1; i >= 0; i-- {
		if s := e.watched[i]; s.observer == o {
			s.entity.streams = slices.DeleteFunc(s.entity.streams, func(x *stream) bool { return x == s })
			e.unwatch(s)
		}
	}
}

func (e *Engine) observerBeat(b *report.ObserverBeat) {
	o := e.observer(b.Observer)
	if o == nil || b.Observer == "" {
		return
	}
	paused, naps, starts := o.paused, o.naps, o.starts
	o.at(&b.Stamp, e.now)
	o.lived = max(o.lived, e.now.Add(-o.lateness(&b.Stamp, e.now)))
	if o.starts > starts && starts > 0 && len(e.cuts) > 0 {
		e.startedAnew(e.host(b.Host), b.Observer, fmt.Sprintf("the observer on %s started anew", b.Host))
	}
	o.host = b.Host
	if b.Interval > 0 {
		o.interval = b.Interval
	}
	o.ownBeat = o.interval > 0
	if h := e.host(o.host); h != nil {
		h.observer = o
	}
	e.observerBack(o, b)
	switch {
	case o.naps > naps:
		e.degrade(o, fmt.Sprintf("observer %s slept for %s; silences that it saw do not count", o.id, inWords(o.paused-paused)))
	case b.Late > o.interval/2:
		o.misses = min(o.misses+1, maxMisses)
		if o.misses >= 3 {
			e.degrade(o, fmt.Sprintf("observer %s runs late by %s; its word counts less", o.id, inWords(b.Late)))
		}
	default:
		o.misses = max(o.misses-1, 0)
		if o.misses == 0 && o.credible(e.now) {
			e.recover(o)
		}
	}
}

// degrade and recover tell once.
func (e *Engine) degrade(o *observer, why string) {
	if o.degraded {
		return
	}
	o.degraded, o.degradedAt = true, e.now
	e.emit(verdict.Event{Kind: contract.EventObserverDegraded, Entity: o.name(), Body: why})
}

func (e *Engine) recover(o *observer) {
	if !o.degraded {
		return
	}
	o.degraded = false
	e.emit(verdict.Event{Kind: contract.EventObserverRecovered, Entity: o.name(),
		Body: fmt.Sprintf("observer %s is well again after %s", o.name(), inWords(e.now.Sub(o.degradedAt)))})
}

func (o *observer) name() string {
	if o.id == "" {
		return "the Collector itself"
	}
	return o.id
}

// checkObservers notices observers that fell silent themselves, and those for
// whom nearly everybody fell silent at once: then it is they who are cut off or
// asleep. Nobody is judged by the word of such an observer.
func (e *Engine) checkObservers() {
	for _, o := range e.observerList {
		if o.absence.counted {
			e.heardMeanwhile(o)
		}
		if o.id != "" && o.ownBeat && !o.degraded && e.now.Sub(o.seen) > observerSilence*o.interval+time.Second {
			o.misses = min(o.misses+2, maxMisses)
			e.cutSuspected = true // it may be its host
			e.degrade(o, fmt.Sprintf("no word from observer %s for %s; whom only it watches cannot be judged", o.id, inWords(e.now.Sub(o.seen))))
		}
		known := o.fell + o.hears
		most := known >= commonModeStreams && float64(o.fell) >= commonModeShare*float64(known)
		switch {
		case most && o.overdueAt == 0:
			o.overdueAt, o.overdueAwake = e.now, o.awake()
			e.degrade(o, fmt.Sprintf("%d of %d fell silent at once at observer %s: taken as its own fault", o.fell, known, o.name()))
		case most && e.now.Sub(o.overdueAt) > commonModeFor && o.heardSince >= commonModeStreams:
			// It has heard others for long: the silent ones are gone.
			for _, s := range e.watched {
				s.gone = s.gone || s.observer == o && s.overdue
			}
			o.overdueAt = 0
			e.recover(o)
		case !most && o.overdueAt != 0:
			o.overdueAt = 0
			e.recover(o)
		}
	}
}

// doubtObservers looks for observers whose bad word is contradicted by all
// others: one that says that everybody is down is sick itself, or lies.
func (e *Engine) doubtObservers() {
	said, contradicted, in := map[*observer]int{}, map[*observer]int{}, map[*observer]onePlace{}
	for _, n := range e.suspects {
		for _, ps := range n.probes {
			if ps.outcome == report.OutcomeOK || ps.process != nil || ps.passive || !e.recent(ps) {
				continue
			}
			said[ps.observer]++
			if e.fineElsewhere(n, ps) {
				contradicted[ps.observer]++
				place := in[ps.observer]
				place.add(n.host)
				in[ps.observer] = place
			}
		}
	}
	for _, o := range e.observerList {
		place := in[o]
		if c := contradicted[o]; c >= doubtFrom && float64(c) >= commonModeShare*float64(said[o]) && !place.away(e.standsOn(o)) {
			if o.doubted == 0 || e.now.Sub(o.doubted) > doubtedFor {
				o.doubtedFrom = e.now
			}
			o.misses, o.doubted = maxMisses, e.now
			e.degrade(o, fmt.Sprintf("observer %s finds fault with %d that all others find well: its word does not count", o.name(), c))
		} else if c < doubtFrom && o.doubted != 0 && o.doubted.Sub(o.doubtedFrom) < looksAgain {
			o.misses, o.doubted = 0, 0 // a cut healed, and it was the last to look again
		}
	}
}

const (
	// doubtFrom is the number of contradicted words from which on an observer is
	// doubted.
	doubtFrom = 3
	// looksAgain is how long it may take an observer to look again at those to whom the
	// way was cut, when others that were behind the cut are heard again.
	looksAgain = 5 * time.Second
)

// fineElsewhere says whether others than the observer of a bad probe find n
// well: their probes, its callers, or its own heartbeats and answers.
func (e *Engine) fineElsewhere(n *entity, bad *probeState) bool {
	for _, ps := range n.probes {
		if ps.observer != bad.observer && ps.process == nil && ps.outcome == report.OutcomeOK && e.current(ps) && ps.at > bad.first {
			return true
		}
	}
	s := n.calls
	return s != nil && s.lastOK > bad.first && s.okEnd > s.failEnd && e.now.Sub(s.lastOK) < e.params.CallWindow
}

const (
	observerSilence   = 5   // own intervals without a record
	commonModeStreams = 3   // fewer cannot outvote
	commonModeShare   = 0.6 // of the streams that an observer watches
	// commonModeFor is how long after they fell silent the silent may be so by the
	// fault of an observer that hears others.
	commonModeFor = time.Minute
)
