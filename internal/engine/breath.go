// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/faultline-otel/faultline/internal/engine/report"

// Machines that have no processor to spare get late to what comes to them, and late
// to what they send: no way is slow for that.

const (
	// breathless is the share of the time from which on a process that waits for a
	// processor is late for it, if it waits so many times longer than usual.
	breathless     = 0.4
	breathlessMore = 3.0
)

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
