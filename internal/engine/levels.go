// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// levels is what is known of how full an entity's, or a host's, resources are.
type levels [NumLevels]levelState

type levelState struct {
	share   float64
	waiting float64
	at      Time
	every   time.Duration // between the last two that were told
}

// levelFrom is the share from which on a resource may be what is short.
var levelFrom = [NumLevels]float64{
	LevelMemory: 0.95, LevelHeap: 0.97, LevelCPU: 0.97, LevelThrottled: throttledFrom, LevelDisk: 0.985,
	LevelDescriptors: limitFrom, LevelThreads: limitFrom, LevelPool: 0.999,
}

// absurdShare of a limit is not used: somebody divided by a limit that is none.
const absurdShare = 100

// level takes in how full something is.
func (e *Engine) level(l *Level) {
	if l.Source == nil || l.Kind >= NumLevels || !(l.Share <= absurdShare) || !(l.Waiting >= 0) {
		return // NaN too
	}
	if n := e.instance(l.Source); n != nil {
		if n.levels == nil {
			n.levels = &levels{}
		}
		n.levels[l.Kind].set(l, e.now)
		if n.levels.short(l.Kind, e.now) {
			e.mark(n)
		}
		return
	}
	if h := e.host(l.Source.Host); h != nil {
		if h.levels == nil {
			h.levels = &levels{}
		}
		h.levels[l.Kind].set(l, e.now)
	}
}

func (s *levelState) set(l *Level, now Time) {
	if s.at != 0 && now > s.at {
		s.every = now.Sub(s.at)
	}
	s.share, s.waiting, s.at = l.Share, l.Waiting, now
}

// short says whether what was told last still stands and is at its limit.
func (ls *levels) short(kind LevelKind, now Time) bool {
	if ls == nil {
		return false
	}
	s := &ls[kind]
	if s.at == 0 || now.Sub(s.at) > 3*s.every+levelFresh {
		return false
	}
	return s.share >= levelFrom[kind] || kind == LevelPool && s.waiting > 0 && (s.share < 0 || s.share >= 0.9)
}

// levelFresh is how long a level stands that was told once.
const levelFresh = 20 * time.Second
