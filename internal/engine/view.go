// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// view is how an entity is seen by one of those who call it, or by an observer's
// probes from one host. What counts is not whether the answer was good but
// whether one came: a refusal or a reset has crossed the network both ways.
// Times are those of the calls, so that it does not matter when they are told.
type view struct {
	from     *hostState
	caller   *entity     // nil of probes
	replies  stat.Fading // calls to which something came back
	silent   stat.Fading // calls to which nothing came back
	run      float64     // of them those of the current run without a reply
	firstBad clock.Time  // start of the current run without a reply
	trouble  clock.Time  // start of the time in which calls get no reply now and then
	backAt   clock.Time  // when a call was first answered that began in it
	lastBad  clock.Time
	triedAt  clock.Time // when the latest call without a reply began, at the earliest
	brokenAt clock.Time // when somebody last could not even connect
	unacked  clock.Time // when a kernel last told that nothing is acknowledged
	lastGood clock.Time
	goodFrom clock.Time    // start of the current run of replies, without a silence or a long break
	told     clock.Time    // engine time at which it was last told
	every    time.Duration // usual time between two batches that tell of it
	lastMet  clock.Time    // when the latest answered call ended of which both ends are known, event time
	metEvery time.Duration // usual time between two such calls
	net      netTime       // crossing.go
	byName   bool          // the latest call that failed named no address of its own
	unheard  [2]clock.Time // crossing.go: starts of the latest calls that were answered in vain
	worked   clock.Time    // crossing.go: start of the latest call that got no reply, and on which the callee worked for long
	arrived  clock.Time    // crossing.go: when the callee last got to a call whose caller had given up
	begun    [2]clock.Time // starts of the latest call without a reply, and of the latest with one
}

const (
	maxViewsEach = 64 // hosts from which one entity is seen
	// viewWindow is the half-life of what a view counts.
	viewWindow = 8 * time.Second
	// viewFresh is how long a view says something of now at most; else
	// shortView and three times as long as it usually takes to be told anew.
	viewFresh   = 20 * time.Second
	shortView   = 2 * time.Second
	everyMemory = 8 // batches
)

// seenFrom notes that n was called by caller, or probed from a host if caller is
// nil, count times between first and last.
func (e *Engine) seenFrom(n *entity, from *hostState, caller *entity, o report.Outcome, count int, first, last clock.Time) {
	crossed, silent := o.Crossed(caller == nil)
	if crossed+silent == 0 || n.host == from || silent > 0 && e.self.justWoke() {
		return
	}
	w := n.view(from, caller)
	if w.told != 0 && e.now > w.told {
		w.every += (min(e.now.Sub(w.told), viewFresh) - w.every) / everyMemory
	}
	w.told = e.now
	if last == 0 || last > e.now {
		last = e.now
	}
	if first == 0 || first > last {
		first = last
	}
	if crossed > 0 {
		if first > w.trouble && w.backAt <= w.trouble {
			w.backAt = last
		}
		w.replies.Add(crossed*float64(count), e.now, viewWindow)
		if w.goodFrom == 0 || w.lastBad > w.lastGood || first.Sub(w.lastGood) > goodBreak {
			w.goodFrom = first
		}
		w.lastGood = max(w.lastGood, last)
		return
	}
	if n.kind == kindService && caller != nil {
		w.reachedBehind(n.service, e.now)
	}
	if w.lastBad == 0 || first.Sub(w.lastBad) > troubleOver {
		w.trouble = first
	}
	if w.firstBad == 0 || w.lastGood > w.firstBad {
		w.firstBad = max(first, w.lastGood)
		w.run = 0
	}
	w.run += silent * float64(count)
	w.silent.Add(silent*float64(count), e.now, viewWindow)
	w.lastBad = max(w.lastBad, last)
	if caller == nil {
		first = last.Add(-underWay) // a probe is told when it gave up
	}
	w.triedAt = max(w.triedAt, first)
	if o != report.OutcomeTimeout && o != report.OutcomeNoAnswer {
		w.brokenAt = max(w.brokenAt, last)
	}
	if o == report.OutcomeUnacknowledged {
		w.unacked = last
	}
	e.cutSuspected = true
}

// view returns how n is seen by caller, or by probes from a host, new if need
// be; the one that has been quiet longest makes room.
func (n *entity) view(from *hostState, caller *entity) *view {
	for i, who := range n.viewers {
		if w := n.views[i]; who == caller && (caller != nil || w.from == from) {
			w.from = from
			return w
		}
	}
	w := &view{from: from, caller: caller}
	if len(n.views) < maxViewsEach {
		n.views, n.viewers = append(n.views, w), append(n.viewers, caller)
		return w
	}
	oldest := 0
	for i := range n.views {
		if n.views[i].told < n.views[oldest].told {
			oldest = i
		}
	}
	n.views[oldest], n.viewers[oldest] = w, caller
	return w
}

// seenBy is the view that a caller has of n, or nil.
func (n *entity) seenBy(caller *entity) *view {
	if i := slices.Index(n.viewers, caller); i >= 0 {
		return n.views[i]
	}
	return nil
}

// back says whether the trouble was one silence on end, and whoever asked since it ended
// was answered: what is lost on a way comes and goes.
func (w *view) back() bool {
	return w.trouble != 0 && w.backAt.Sub(w.trouble) >= silentOnEnd && w.backAt >= w.triedAt
}

// begins notes when the latest calls began, with a reply or without.
func (w *view) begins(c *report.Calls) {
	at := max(c.First, min(c.Started, c.Last))
	crossed, silent := c.Outcome.Crossed(false)
	if silent > 0 {
		w.begun[0] = max(w.begun[0], at)
	}
	if crossed > 0 {
		w.begun[1] = max(w.begun[1], at)
	}
}

// over says whether the latest call was answered, by when it began or by when it ended:
// those without a reply are told when they have run out of time, and waited for an open way.
func (w *view) over() bool { return w.lastGood > w.lastBad || w.begun[1] > w.begun[0] }

// arrives says whether calls that got no reply, as s says, have arrived lately.
func (w *view) arrives(s *sight) bool {
	return w.arrived > s.since && s.tried.Sub(w.arrived) < arrivesFor
}

// arrivesFor is how long it says that a way is open that something arrived.
const arrivesFor = 10 * time.Second

// silentOnEnd is how long nothing must have come back: on a way that loses packets that
// happens for a few seconds.
const silentOnEnd = 8 * time.Second

// bad is the share, 0-1, of calls to which nothing came back, and the number of
// calls that says so; 0 of 0 where the view is too old. more are replies that it does
// not count itself.
func (w *view) bad(now clock.Time, more float64) (share, n float64) {
	if now.Sub(w.told) > min(viewFresh, shortView+3*w.every) {
		return 0, 0
	}
	s, r := w.silent.Value(now, viewWindow), w.replies.Value(now, viewWindow)+more
	switch {
	case w.lastGood >= w.firstBad || s == 0:
	case w.lastGood <= w.trouble:
		s, r = max(s, w.run), 0 // since it began nothing has come back at all, however seldom it was tried
	case w.run >= losingRun:
		s, r = w.run, 0 // it lost a part before
	}
	if w.lastGood.Sub(w.lastBad) > recoveredView {
		s = 0
	}
	if s+r == 0 {
		return 0, 0
	}
	return s / (s + r), s + r
}

// losingRun is the number of calls in a row without a reply from which on a way
// that lost only some of them until then loses all.
const losingRun = 3.0

// broken says whether, in the current run, somebody could not even connect.
func (w *view) broken() bool { return w.brokenAt != 0 && w.brokenAt >= w.firstBad }

// goodBreak without a call ends a run of replies: it may have waited meanwhile.
const goodBreak = 3 * time.Second

// troubleOver: a silence so long after the last is another trouble.
const troubleOver = 15 * time.Second

// recoveredView: replies alone for so long mean that the way is open again.
const recoveredView = 3 * time.Second
