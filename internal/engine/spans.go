// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync/atomic"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// spanKind is what is known of one kind of span.
type spanKind struct {
	took stat.Durations
	tail *atomic.Pointer[stat.Tail] // Baselines points to it
	used clock.Time
}

func (e *Engine) span(s *report.SpanSample) {
	k := e.kinds[s.Key]
	if k == nil {
		if len(e.kinds) >= e.params.MaxSpanKinds {
			e.kindRing[e.evictKind()] = s.Key
		} else {
			e.kindRing = append(e.kindRing, s.Key)
		}
		k = &spanKind{tail: &atomic.Pointer[stat.Tail]{}}
		e.kinds[s.Key] = k
		e.kindsChanged = true
	}
	k.used = e.now
	if tail := k.took.Learn(s.Duration, k.tail.Load(), e.now); tail != nil {
		k.tail.Store(tail)
	}
}

// evictKind forgets one kind of span among the next few in a ring, and returns its
// place there: one of which too little is known to be of use, else any, and of these
// the one that was not used for longest. So names that are made up displace each other.
func (e *Engine) evictKind() int {
	victim := e.kindHand
	for i := range min(evictAmong, len(e.kindRing)) {
		at := (e.kindHand + i) % len(e.kindRing)
		if e.kinds[e.kindRing[at]].goesBefore(e.kinds[e.kindRing[victim]]) {
			victim = at
		}
	}
	e.kindHand = (e.kindHand + evictAmong) % len(e.kindRing)
	delete(e.kinds, e.kindRing[victim])
	e.stats.ForgottenSpanKinds++
	return victim
}

func (k *spanKind) goesBefore(other *spanKind) bool {
	if one, two := k.tail.Load() == nil, other.tail.Load() == nil; one != two {
		return one
	}
	return k.used < other.used
}

// evictAmong is among how many kinds the one is looked for that makes room: all would
// take too long.
const evictAmong = 32

// publishBaselines replaces the table that readers use, if kinds came or went.
func (e *Engine) publishBaselines() {
	if !e.kindsChanged {
		return
	}
	e.kindsChanged = false
	tails := make(map[uint64]*atomic.Pointer[stat.Tail], len(e.kinds))
	for key, k := range e.kinds {
		tails[key] = k.tail
	}
	e.baselines.Store(&Baselines{tails: tails})
}
