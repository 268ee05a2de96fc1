// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// levels is what is known of how full an entity's, or a host's, resources are.
type levels [NumLevels]levelState

type levelState struct {
	share   float64
	waiting float64
	slope   float64 // by how much the share rose a second, over the last two
	at      clock.Time
	every   time.Duration // between the last two that were told
	stands  time.Duration // how long it stands by itself; 0 if it is told again and again

	usual float64       // 0-1, share that it usually has while nothing is wrong
	known time.Duration // over which that was learned
}

// levelRules is what a level means: from which share on it may be what is short,
// what that is evidence of, whether all on a host share it, and over which time
// the usual is learned. What fills up may take hours for it; a rate changes within
// minutes.
var levelRules = [NumLevels]struct {
	from   float64
	row    evidence
	ofHost bool
	memory time.Duration
}{
	LevelMemory:      {0.95, evMemoryFull, true, stockMemory},
	LevelHeap:        {0.97, evMemoryFull, false, stockMemory},
	LevelGC:          {0.40, evMemoryFull, false, rateMemory},
	LevelCPU:         {0.97, evBusy, true, rateMemory},
	LevelThrottled:   {throttledFrom, evThrottled, false, rateMemory},
	LevelCPUWait:     {waitsFrom, evCPUWait, true, rateMemory},
	LevelDisk:        {0.985, evVolumeFull, true, stockMemory},
	LevelDiskIO:      {0.95, evIOPressure, true, rateMemory},
	LevelDescriptors: {limitFrom, evDescriptorsFull, true, stockMemory},
	LevelThreads:     {limitFrom, evThreadsFull, true, stockMemory},
	LevelPool:        {0.999, evPoolFull, false, rateMemory},
	LevelConnections: {limitFrom, evPoolFull, false, stockMemory},
	LevelFlows:       {limitFrom, evFlowsFull, true, stockMemory},
	LevelMemoryStall: {pressureFrom, evMemoryPressure, true, rateMemory},
	LevelIOStall:     {pressureIOFrom, evIOPressure, true, rateMemory},
	LevelNodeMemory:  {1, evMemoryPressure, true, stockMemory},
	LevelNodeDisk:    {1, evVolumeFull, true, stockMemory},
	LevelNodeThreads: {1, evThreadsFull, true, stockMemory},
	LevelRunQueue:    {queuesFrom, evCPUWait, true, rateMemory},
}

const (
	stockMemory = 6 * time.Hour
	rateMemory  = 10 * time.Minute
	// leastMemory is over how long a level is smoothed at least.
	leastMemory = 2 * time.Minute
	// waitsFrom is the share of the time that one waits for a processor from which on
	// that explains answers that take far longer than usual: five times as long.
	waitsFrom = 0.8
	// queuesFrom is the share of the tasks that want a processor and wait for one, on
	// a machine of which no processor is idle: three for each.
	queuesFrom = 0.66
	// newcomer: of whom less than this is known, nobody knows what is usual.
	newcomer = 50 * time.Second
	// newsFull is how much of the usual headroom must be gone to count in full,
	// and oldNews what a limit counts that is as usual: it was so when all was
	// well.
	newsFull = 0.3
	oldNews  = 0.3
	// levelFresh is how long a level stands that was told once.
	levelFresh = 20 * time.Second
	// absurdShare of a limit is not used: somebody divided by a limit that is none.
	absurdShare = 100
)

// level takes in how full something is.
func (e *Engine) level(l *Level) {
	if l.Kind >= NumLevels || !(l.Share <= absurdShare) || !(l.Waiting >= 0) {
		return // NaN too
	}
	var n *entity
	switch {
	case l.Source != nil:
		n = e.instance(l.Source)
	case l.Address != "":
		n = e.callee(Callee{Address: l.Address})
	default:
		return
	}
	if n != nil {
		e.levelOf(n, l)
		return
	}
	if h := e.host(l.Source.Host); h != nil {
		if h.levels == nil {
			h.levels = &levels{}
		}
		h.levels[l.Kind].set(l, e.now, e.now.Sub(h.born), true)
	}
}

// levelOf takes in how full something of n is.
func (e *Engine) levelOf(n *entity, l *Level) {
	if n.levels == nil {
		n.levels = &levels{}
	}
	n.levels[l.Kind].set(l, e.now, e.now.Sub(n.born), n.episode == nil)
	if n.levels.short(l.Kind, e.now) {
		e.mark(n)
	}
}

// set takes in what was told of somebody who has been known for a while. learn
// is false while something speaks against them.
func (s *levelState) set(l *Level, now clock.Time, since time.Duration, learn bool) {
	if s.at != 0 && now.Sub(s.at) <= stat.OneBatch { // of several, the fullest
		s.share, s.waiting = max(s.share, l.Share), max(s.waiting, l.Waiting)
		return
	}
	switch {
	case s.at == 0 && since < newcomer:
		s.usual = stat.Clamp(l.Share, 0, 1)
	case s.at == 0: // nobody had to tell it before
		s.known = levelRules[l.Kind].memory
	case now > s.at:
		s.every = now.Sub(s.at)
		s.slope = (l.Share - s.share) / s.every.Seconds()
		if learn {
			over := max(min(s.known, levelRules[l.Kind].memory), leastMemory)
			s.usual += (stat.Clamp(s.share, 0, 1) - s.usual) * stat.Clamp(float64(s.every)/float64(over), 0, 1)
			s.known += s.every
		}
	}
	s.share, s.waiting, s.at, s.stands = l.Share, l.Waiting, now, l.Stands
}

// short says whether what was told last still stands and is at its limit.
func (ls *levels) short(kind LevelKind, now clock.Time) bool {
	if ls == nil {
		return false
	}
	s := &ls[kind]
	if !s.told(now) {
		return false
	}
	return s.share >= levelRules[kind].from || kind == LevelCPU && s.rose() || kind == LevelPool && s.waiting > 0 && (s.share < 0 || s.share >= 0.9)
}

// told says whether what was told last still stands.
func (s *levelState) told(now clock.Time) bool {
	stands := s.stands
	if stands == 0 {
		stands = 3*s.every + levelFresh
	}
	return s.at != 0 && now.Sub(s.at) <= stands
}

// rose says whether a share, of the CPU, is far above what is usual and close to
// its limit. It is a mean, often over a minute: who was throttled for most of it has
// not used all of it.
func (s *levelState) rose() bool {
	return s.known >= stat.RateKnown && s.share >= roseTo && s.share-s.usual >= roseBy
}

const (
	roseTo = 0.8
	roseBy = 0.5
)

// news is how much a limit that is reached says, 0-1: one that was usually
// reached before, and hurt nobody, explains little.
func (s *levelState) news() float64 {
	if s.share < 0 {
		return 1
	}
	return stat.Clamp((s.share-s.usual)/max(1-s.usual, 1e-3)/newsFull, oldNews, 1)
}

const (
	// filledFrom is the share at which a process that is ended by force has most
	// likely met its limit, and filledOver by how much that must exceed what is
	// usual for it: many fill their memory as a matter of course.
	filledFrom = 0.95
	filledOver = 0.10
)

// filledAt is how full it must have been at t, if it went on as it was told last;
// 0 where nobody told shortly before.
func (s *levelState) filledAt(t clock.Time) float64 {
	since := t.Sub(s.at)
	if s.at == 0 || s.every == 0 || since > s.every+2*time.Second {
		return 0
	}
	return s.share + max(s.slope, 0)*max(since, 0).Seconds()
}
