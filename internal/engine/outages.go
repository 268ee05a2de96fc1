// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// What the fleet learns from long gaps. A pause that two senders make, any may make. What
// only one has shown is its own habit: a device that sleeps must not make the engine deaf
// to everybody else's silence. Nor must an outage that takes several away at once, an
// absence that is longer than processes pause, or one that was told as a failure.

// longGap is a silence of many intervals that ended.
type longGap struct {
	stream *stream
	gap    time.Duration
	began  clock.Time
	ended  clock.Time
	alike  int // others that began when it did
}

const (
	// outageShows is how long after one is heard again the others of an outage come.
	outageShows = 30 * time.Second
	// maxLongGaps that are weighed at a time; more are not learned from.
	maxLongGaps = 64
	// Who is silent for longer than pauseIntervals, and than pauseLongest, was away.
	pauseIntervals = 10
	pauseLongest   = 30 * time.Second
	// loneCounts is how many intervals a long gap counts that only one has shown.
	loneCounts = 10
	// outageFrom is how many others must have fallen silent with one.
	outageFrom = 2
	// failureFrom is the length from which on a silence that was told as a failure is
	// taken for one: pauses of a few seconds come again, and shall be known then.
	failureFrom = 10 * time.Second
	// fleetMemory is how many gaps of the fleet are learned until the old count half.
	fleetMemory = 5_000_000
)

// habit takes in a gap of which the fleet may learn: a usual one at once, a long one
// when it is known whether it was alone.
func (e *Engine) habit(s *stream, gap time.Duration) {
	if gap <= time.Duration(e.params.MinSilence*float64(s.gaps.Interval)) {
		e.fleetLearns(s, gap)
		return
	}
	if gap > max(pauseLongest, pauseIntervals*s.gaps.Interval) {
		return
	}
	if len(e.longGaps) >= maxLongGaps {
		e.stats.ForgottenGaps++
		return
	}
	g := longGap{stream: s, gap: gap, began: e.now.Add(-gap), ended: e.now}
	for i := range e.longGaps {
		if o := &e.longGaps[i]; o.stream.entity != s.entity && g.beganWith(o) {
			o.alike++
			g.alike++
		}
	}
	e.longGaps = append(e.longGaps, g)
}

// failedFor says whether a silence that just ended was a failure that hurt somebody, or lay
// behind a cut: that is no habit.
func (n *entity) failedFor(silence time.Duration) bool {
	v, p := n.verdict, n.episode
	if v != nil && v.Class == verdict.ClassExhaustion {
		return true // it beats late for want of a processor
	}
	return silence >= failureFrom && (n.cutOff != nil || v != nil && v.Class != verdict.ClassUnknown && p != nil && p.hurts())
}

// beganWith says whether two were heard for the last time within the usual time
// between two signs.
func (g *longGap) beganWith(o *longGap) bool {
	apart := g.began.Sub(o.began)
	return max(apart, -apart) <= max(g.stream.gaps.Interval, o.stream.gaps.Interval)+deliveredWithin
}

// weighLongGaps learns from those that were alone. Where gaps are so frequent that some
// always begin together, most of them do not.
func (e *Engine) weighLongGaps() {
	kept := e.longGaps[:0]
	for _, g := range e.longGaps {
		switch {
		case e.now.Sub(g.ended) < outageShows:
			kept = append(kept, g)
		case g.alike < outageFrom || 2*g.alike < len(e.longGaps)-1:
			e.shows(g.stream, g.gap)
		}
	}
	clear(e.longGaps[len(kept):])
	e.longGaps = kept
}

// loneGap is the longest gap that one sender has shown and no other, in the fleet's
// intervals.
type loneGap struct {
	who uint64 // entity.key; 0 if there is none
	gap time.Duration
}

// shows takes in a long gap: of two that different senders have shown the fleet learns
// the shorter, and of the first that there are long ones.
func (e *Engine) shows(s *stream, gap time.Duration) {
	one := loneGap{s.entity.key, e.inFleet(s, gap)}
	switch e.lone.who {
	case 0:
		e.lone = one
		e.fleet.Add(min(one.gap, loneCounts*e.fleet.Interval))
	case one.who:
		e.lone.gap = max(e.lone.gap, one.gap)
	default:
		if one.gap > e.lone.gap {
			e.lone, one = one, e.lone
		}
		e.fleet.Add(one.gap)
	}
}

func (e *Engine) fleetLearns(s *stream, gap time.Duration) { e.fleet.Add(e.inFleet(s, gap)) }

// inFleet is a gap in the fleet's intervals.
func (e *Engine) inFleet(s *stream, gap time.Duration) time.Duration {
	return time.Duration(float64(gap) / float64(s.gaps.Interval) * float64(e.fleet.Interval))
}
