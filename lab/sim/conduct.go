// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// What spans tell of answers besides how they ended, and processes that give others
// than their siblings.

// answers adds what a server's span tells of its answer.
func (p *proc) answers(v *report.Served, s serveSpan) {
	v.Asked[s.key>>40%report.Mixes]++
	switch {
	case s.outcome == report.OutcomeClientError:
		v.Rejected++
	case p.svc.port%3 > 0: // its library tells how large they are
		size := 6 + 8*float64(s.key>>20%1024)/1024
		if x := p.has(hollow, s.begin); x > 0 {
			size *= x
		}
		size = math.Round(size*16) / 16
		v.Sized++
		v.Size += size
		v.SizeSquare += size * size
	}
}

// crowd finds somebody with three siblings at least, and work enough to compare.
func (w *world) crowd() *proc {
	return w.someone(func(p *proc) bool { return p.svc.crowded() })
}

func (s *service) crowded() bool {
	return s.kind == application && len(s.procs) > 3 && s.port%3 > 0 && len(s.uses) > 0 && s.asked > 3
}

// differs lets one do other things than its siblings do, or all of them.
func differs(all bool, kinds ...effectKind) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		p := w.crowd()
		if p == nil {
			return false
		}
		w.lasts(i)
		i.end += afterwards // such a thing goes on until somebody sees it
		if i.scenario.class != verdict.ClassNone {
			i.blame(p)
		}
		for _, q := range p.svc.procs {
			if q != p && !all {
				continue
			}
			for _, k := range kinds {
				q.suffers(i.start, i.end, k, 0.3)
			}
		}
		i.what = p.id
		return true
	}
}

func crowded(w *world) bool { return slices.ContainsFunc(w.all, (*service).crowded) }

var conducts = []scenario{
	{name: "conduct_does_nothing", class: verdict.ClassByzantine, apart: true, can: crowded, do: differs(false, idling, hollow)},
	{name: "conduct_cache", apart: true, can: crowded, do: differs(false, idling)},
	{name: "conduct_other_contents", apart: true, can: crowded, do: differs(false, hollow)},
	{name: "conduct_switch_for_all", apart: true, can: crowded, do: differs(true, idling, hollow)},
}
