// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Machines that have no processor to spare get late to what comes to them, and late
// to what they send: no way is slow for that. They are late to all alike, now and then:
// a way that makes every call late while the others of its machines are as fast as ever
// is slow by itself.

const (
	// breathless is the share of the time from which on a process that waits for a
	// processor is late for it, if that is so much more than usual.
	breathless     = 0.4
	breathlessMore = 0.2
	// lateFor is how long after somebody had to wait for a processor calls are late, or
	// told to have been.
	lateFor = 20 * time.Second
	// everyCall is the share of the calls on a way from which on all of them are late, and
	// hardlyAny the one up to which those on others are not.
	everyCall, hardlyAny = 0.8, 0.1
)

// wantOfBreath says whether most of what is late across a cut is so because somebody at
// one of the two ends had to wait for a processor.
func (e *Engine) wantOfBreath(f *foundCut, sights []sight, machines map[*hostState]bool) bool {
	var late, waits float64
	for i := range sights {
		s := &sights[i]
		if s.share < silentFrom || !f.predicts(s) {
			continue
		}
		late += s.share * s.weight
		if machines[s.from] || machines[s.to] || s.caller.isBreathless(e.now) || s.target.isBreathless(e.now) {
			waits += s.share * s.weight
		}
	}
	return 2*waits > late && !(f.aloneSlow(&f.near, sights) && f.aloneSlow(&f.far, sights))
}

// aloneSlow says whether nearly every call across the cut is late, and hardly any on
// the other ways into and out of its side s.
func (f *foundCut) aloneSlow(s *side, sights []sight) bool {
	if f.share < everyCall {
		return false
	}
	ways, weight, late := 0, 0.0, 0.0
	for i := range sights {
		w := &sights[i]
		if w.to == nil || f.predicts(w) || s.has(w.from, w.caller) == s.has(w.to, w.target) {
			continue
		}
		ways++
		weight += w.weight
		late += w.weight * w.share
	}
	return ways >= 2 && late <= hardlyAny*weight
}

// isBreathless says whether n's process has to wait for a processor for long and longer
// than usual, or had to a moment ago. n may be nil.
func (n *entity) isBreathless(now clock.Time) bool {
	if n == nil || n.levels == nil {
		return false
	}
	l := &n.levels[report.LevelCPUWait]
	share := 0.0
	if l.at != 0 && now.Sub(l.at) <= levelFresh {
		share = l.share
	}
	if l.at != 0 && now.Sub(l.highAt) <= lateFor {
		share = max(share, l.high)
	}
	return share >= breathless && share-l.usual >= breathlessMore
}

// breathes says whether it is told of n's process that it does not wait for a processor.
func (n *entity) breathes(now clock.Time) bool {
	return n.levels != nil && n.levels[report.LevelCPUWait].at != 0 && now.Sub(n.levels[report.LevelCPUWait].at) <= levelFresh && !n.isBreathless(now)
}

// mayCatchBreath says whether n goes on beating and is short of nothing but a processor, and
// neither it nor its machine has been told for breathWait on end to wait for one.
func (n *entity) mayCatchBreath(p *episode, now clock.Time) bool {
	if p.silent() || p.found[belief.EvCPUWait].strength == 0 || p.limits(belief.EvCPUWait, belief.EvCPURose) {
		return false
	}
	told := [2]*levels{n.levels}
	if n.host != nil {
		told[1] = n.host.levels
	}
	for _, ls := range told {
		for _, kind := range [...]report.LevelKind{report.LevelCPUWait, report.LevelRunQueue} {
			if ls != nil && ls[kind].full != 0 && now.Sub(ls[kind].full) >= breathWait {
				return false
			}
		}
	}
	return true
}

// outOfBreath are the machines that have no processor to spare: by what they tell of their
// processors, or by what most of their processes tell.
func (e *Engine) outOfBreath() map[*hostState]bool {
	type count struct{ wait, told int }
	of := map[*hostState]count{}
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil; n = n.next {
			if n.host == nil || n.levels == nil || n.levels[report.LevelCPUWait].at == 0 || e.now.Sub(n.levels[report.LevelCPUWait].at) > levelFresh {
				continue
			}
			c := of[n.host]
			c.told++
			if n.isBreathless(e.now) {
				c.wait++
			}
			of[n.host] = c
		}
	}
	out := map[*hostState]bool{}
	for _, h := range e.hosts {
		if c := of[h]; 2*c.wait > c.told || h.levels.short(report.LevelCPU, e.now) {
			out[h] = true
		}
	}
	return out
}

// gaspsSince says whether an agent that looked at n's process since t, and lately, found
// it to be kept from a processor for most of the time since the look before, and far more
// than usual. That may pass, so that it takes longer to be a shortage; until then it
// explains that n stands still.
func (n *entity) gaspsSince(e *Engine, t clock.Time) bool {
	return n.levels != nil && slices.ContainsFunc(n.probes, func(ps *probeState) bool {
		q := ps.process
		return q != nil && q.State == report.ProcessRunning && ps.at > t && e.current(ps) &&
			(n.levels[report.LevelCPUWait].gasps(max(q.CPUWait, q.PressureCPU)) || n.levels[report.LevelThrottled].gasps(q.Throttled))
	})
}

// gasps says whether a share of the time, 0-1, spent kept from a processor is most of it,
// and news.
func (s *levelState) gasps(share float64) bool {
	return share >= waitsFrom && share-s.usual >= roseBy
}

// breathesFreely says whether it is told of n that it hardly waits for a processor, and no
// more than usual: however busy its machine is, others leave it all that it wants.
func (n *entity) breathesFreely(now clock.Time) bool {
	if n.levels == nil {
		return false
	}
	s := &n.levels[report.LevelCPUWait]
	return s.told(now) && s.share < hardlyWaits && s.share-s.usual < hardlyMore
}

const (
	hardlyWaits = 0.10 // of the time
	hardlyMore  = 0.05 // than usual
)
