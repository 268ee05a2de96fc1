// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// What the fleet learns from long gaps. A pause that one sender makes, any may make; an
// outage that takes several away at once is nobody's habit, and would make the engine
// deaf to everybody else's silence for days.

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
	// outageFrom is how many others must have fallen silent with one.
	outageFrom = 2
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
	if len(e.longGaps) >= maxLongGaps {
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
			e.fleetLearns(g.stream, g.gap)
		}
	}
	clear(e.longGaps[len(kept):])
	e.longGaps = kept
}

func (e *Engine) fleetLearns(s *stream, gap time.Duration) {
	e.fleet.Add(time.Duration(float64(gap) / float64(s.gaps.Interval) * float64(e.fleet.Interval)))
}
