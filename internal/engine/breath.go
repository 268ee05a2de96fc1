// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Machines that have no processor to spare get late to what comes to them, and late
// to what they send: no way is slow for that. They are late to all alike, now and then:
// a way that makes every call late while the others of its machines are as fast as ever
// is slow by itself.

const (
	// breathless is the share of the time from which on a process that waits for a
	// processor is late for it, if it waits so many times longer than usual.
	breathless     = 0.4
	breathlessMore = 3.0
	// everyCall is the share of the calls on a way from which on all of them are late, and
	// hardlyAny the one up to which those on others are not.
	everyCall, hardlyAny = 0.8, 0.1
)

// wantOfBreath says whether a cut is slow because its side s has no processor to spare.
func (e *Engine) wantOfBreath(f *foundCut, s *side, sights []sight, processes map[*hostState]breath) bool {
	return e.outOfBreath(s, processes) && !f.aloneSlow(s, sights)
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

// outOfBreath says whether a side is a machine that has no processor to spare, or a
// zone of which most have none: by what the machines tell of their processors, or by
// what their processes tell, as breathing counted them.
func (e *Engine) outOfBreath(s *side, processes map[*hostState]breath) bool {
	if s.host == nil && s.zone == "" {
		return false
	}
	var machines, waiting breath
	for _, h := range e.hosts {
		if s.host != nil && h != s.host || s.host == nil && h.zone != s.zone {
			continue
		}
		if h.levels != nil && h.levels[report.LevelCPU].at != 0 {
			machines.add(h.levels.short(report.LevelCPU, e.now))
		}
		if of := processes[h]; of.told > 0 {
			waiting.add(of.most())
		}
	}
	return machines.most() || waiting.most()
}

// breath is how many tell whether they have to wait for a processor, and how many have
// to.
type breath struct{ wait, told int }

func (b *breath) add(waits bool) {
	b.told++
	if waits {
		b.wait++
	}
}

func (b *breath) most() bool { return 2*b.wait > b.told }

// breathing counts the processes of each machine.
func (e *Engine) breathing() map[*hostState]breath {
	of := map[*hostState]breath{}
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil; n = n.next {
			if n.host == nil || n.levels == nil {
				continue
			}
			l := &n.levels[report.LevelCPUWait]
			if l.at == 0 || e.now.Sub(l.at) > levelFresh {
				continue
			}
			b := of[n.host]
			b.add(l.share >= breathless && l.share >= breathlessMore*l.usual)
			of[n.host] = b
		}
	}
	return of
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
