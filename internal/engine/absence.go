// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// absence is a time in which nothing came from an observer. If the same process
// comes back and its clock went on, it was cut off, and its host was not down.
type absence struct {
	lasted       time.Duration // 0: there is none
	back         clock.Time    // engine time of the first record after it
	clock, awake time.Duration // the observer's, before
	seq          uint64        // its count then
	starts, naps int           // then
	counted      bool          // it is over, and the observer had counted on
}

// backFor is how long after an absence the beats of that time may come in.
const backFor = 30 * time.Second

// wasAway notes that o, of which something comes now, was away for long.
func (o *observer) wasAway(now clock.Time) {
	if away := now.Sub(o.seen); o.ownBeat && away > observerSilence*o.interval+time.Second {
		o.absence = absence{lasted: away, back: now, clock: o.clock, awake: o.awake(), seq: o.seq, starts: o.starts, naps: o.naps}
	}
}

// observerBack finds out by an own beat how o comes back from an absence: the beats of
// that time come first, if it kept them. One that slept is late, or has not counted on.
func (e *Engine) observerBack(o *observer, b *report.ObserverBeat) {
	a := &o.absence
	if a.lasted == 0 {
		return
	}
	went := o.clock - a.clock
	counted := b.Seq == 0 || a.seq == 0 || float64(o.seq-a.seq) >= float64(went)/float64(o.interval)/2
	switch {
	case o.starts != a.starts || o.naps != a.naps || e.now.Sub(a.back) > backFor:
		*a = absence{}
	case b.Late >= o.interval/2 || !counted:
		o.slept(0)
		*a = absence{}
	case went >= a.lasted/2:
		e.countedOn(e.host(o.host), fmt.Sprintf("the observer on %s came back after %s and had counted on", o.host, inWords(a.lasted)))
		a.counted = true
	}
}

// heardMeanwhile tells, once all is taken in that came with it, whose beats an observer
// heard while nobody heard of it: they lived on in their zone, whichever is its own.
func (e *Engine) heardMeanwhile(o *observer) {
	a := &o.absence
	for _, s := range e.watched {
		if s.observer == o && s.kind == signBeat && s.last > a.awake+behindAliveFor {
			e.countedOn(s.entity.host, fmt.Sprintf("the observer on %s came back after %s and had heard %s meanwhile", o.host, inWords(a.lasted), s.entity.name()))
		}
	}
	*a = absence{}
}

// countedOn notes for the cuts around a host that it went on meanwhile. Whom nobody asked
// for anything was not missed: what it tells came late, and that is all.
func (e *Engine) countedOn(h *hostState, how string) {
	for _, c := range e.cuts {
		if h == nil || c.slow || !c.found.asked || c.isPart(e.now) || c.entity.episode == nil || !c.near.has(h, nil) && (c.far.anywhere() || !c.far.has(h, nil)) {
			continue
		}
		c.entity.episode.note(belief.EvReturnCounted, 1, e.now, how)
		e.mark(c.entity)
	}
}
