// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// levels is what is known of how full an entity's, or a host's, resources are.
type levels [report.NumLevels]levelState

type levelState struct {
	share   float64
	waiting float64
	slope   float64 // by how much the share rose a second, over the last two
	at      clock.Time
	every   time.Duration // between the last two that were told
	stands  time.Duration // how long it stands by itself; 0 if it is told again and again
	full    clock.Time    // since when it is told to be at its limit, on end; 0 if it is not
	high    float64       // the highest share of late, when, and by how much it rose a second
	highAt  clock.Time
	rising  float64

	usual float64       // 0-1, share that it usually has while nothing is wrong
	known time.Duration // over which that was learned
}

// levelRules is what a level means: from which share on it may be what is short,
// what that is evidence of, whether all on a host share it, and over which time
// the usual is learned. What fills up may take hours for it; a rate changes within
// minutes.
var levelRules = [report.NumLevels]struct {
	from   float64
	row    belief.Evidence
	ofHost bool
	memory time.Duration
}{
	report.LevelMemory:      {0.95, belief.EvMemoryFull, true, stockMemory},
	report.LevelHeap:        {0.97, belief.EvMemoryFull, false, stockMemory},
	report.LevelGC:          {0.40, belief.EvMemoryFull, false, rateMemory},
	report.LevelCPU:         {0.97, belief.EvBusy, true, rateMemory},
	report.LevelThrottled:   {throttledFrom, belief.EvThrottled, false, rateMemory},
	report.LevelCPUWait:     {waitsFrom, belief.EvCPUWait, true, rateMemory},
	report.LevelDisk:        {0.985, belief.EvVolumeFull, true, stockMemory},
	report.LevelDiskIO:      {0.95, belief.EvIOPressure, true, rateMemory},
	report.LevelDescriptors: {limitFrom, belief.EvDescriptorsFull, true, stockMemory},
	report.LevelThreads:     {limitFrom, belief.EvThreadsFull, true, stockMemory},
	report.LevelPool:        {0.999, belief.EvPoolFull, false, rateMemory},
	report.LevelConnections: {limitFrom, belief.EvPoolFull, false, stockMemory},
	report.LevelFlows:       {limitFrom, belief.EvFlowsFull, true, stockMemory},
	report.LevelMemoryStall: {pressureFrom, belief.EvMemoryPressure, true, rateMemory},
	report.LevelIOStall:     {pressureIOFrom, belief.EvIOPressure, true, rateMemory},
	report.LevelNodeMemory:  {1, belief.EvMemoryPressure, true, stockMemory},
	report.LevelNodeDisk:    {1, belief.EvVolumeFull, true, stockMemory},
	report.LevelNodeThreads: {1, belief.EvThreadsFull, true, stockMemory},
	report.LevelRunQueue:    {queuesFrom, belief.EvCPUWait, true, rateMemory},
}

const (
	// What is stored fills over hours, what is spent changes within minutes: over so
	// long is taken what is usual of either.
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
func (e *Engine) level(l *report.Level) {
	if l.Kind >= report.NumLevels || !(l.Share <= absurdShare) || !(l.Waiting >= 0) {
		return // NaN too
	}
	var n *entity
	switch {
	case l.Source != nil:
		n = e.instance(l.Source)
	case l.Address != "":
		n = e.callee(report.Callee{Address: l.Address})
	default:
		return
	}
	if n != nil {
		if n.host != nil {
			n.host.levelsAt = e.now
		}
		e.levelOf(n, l)
		return
	}
	if h := e.host(l.Source.Host); h != nil {
		if levelRules[l.Kind].from < 1 { // what is told of a node's conditions comes from elsewhere
			h.levelsAt = e.now
		}
		if h.levels == nil {
			h.levels = &levels{}
		}
		h.levels[l.Kind].set(l, e.now, e.now.Sub(h.born), true)
	}
}

// levelOf takes in how full something of n is.
func (e *Engine) levelOf(n *entity, l *report.Level) {
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
func (s *levelState) set(l *report.Level, now clock.Time, since time.Duration, learn bool) {
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
	switch full := s.share >= levelRules[l.Kind].from || l.Kind == report.LevelCPU && s.rose(); {
	case !full:
		s.full = 0
	case s.full == 0:
		s.full = now
	}
	if s.share >= s.high || now.Sub(s.highAt) > highFor {
		s.high, s.highAt, s.rising = s.share, now, max(s.slope, 0)
	}
}

// ofProcessors says whether a level tells how busy the processors of a machine are.
func ofProcessors(kind report.LevelKind) bool {
	return kind == report.LevelCPU || kind == report.LevelCPUWait || kind == report.LevelRunQueue
}

// startsAnew forgets how fast the process before used something: that says nothing of
// the one that took its place. Since when it is short stays, for who goes on to be.
func (ls *levels) startsAnew() {
	if ls == nil {
		return
	}
	for kind := range ls {
		if levelRules[kind].memory == rateMemory {
			ls[kind].share, ls[kind].waiting = 0, 0
		}
	}
}

// short says whether what was told last still stands and is at its limit.
func (ls *levels) short(kind report.LevelKind, now clock.Time) bool {
	if ls == nil {
		return false
	}
	s := &ls[kind]
	if !s.told(now) {
		return false
	}
	return s.share >= levelRules[kind].from || kind == report.LevelCPU && s.rose() || kind == report.LevelPool && s.waiting > 0 && (s.share < 0 || s.share >= 0.9)
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
	roseTo = 0.8 // of the limit
	roseBy = 0.5 // of it more than usual
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

const (
	// restartedFrom is the same of one that a supervisor started again, of which is told
	// neither how it ended nor how full it was just then: a kubelet tells every 15 s.
	restartedFrom = 0.9
	// highFor is how long before that it may have been told: one interval for the level,
	// another for the count of starts.
	highFor = time.Minute
	// risenFrom is the share from which on one that rose so fast that it had to come to its
	// limit before it was told again most likely did.
	risenFrom = 0.8
	// restartedLow is what a new process has of that at most.
	restartedLow = 0.75
)

// filledBefore says whether it was full shortly before t, and unusually, and what came
// after, if that was told, is not.
func (s *levelState) filledBefore(t clock.Time) bool {
	full := s.high >= restartedFrom || s.high >= risenFrom && s.high+s.rising*s.every.Seconds() >= 1
	return full && s.high > s.usual+filledOver && t.Sub(s.highAt) <= highFor &&
		(s.highAt == s.at || s.share < restartedLow*s.high)
}

// filledAt is how full it must have been at t, if it went on as it was told last;
// 0 where nobody told shortly before.
func (s *levelState) filledAt(t clock.Time) float64 {
	since := t.Sub(s.at)
	if s.at == 0 || s.every == 0 || since > s.every+2*time.Second {
		return 0
	}
	return s.share + max(s.slope, 0)*max(since, 0).Seconds()
}
