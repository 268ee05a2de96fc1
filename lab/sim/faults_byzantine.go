// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// How a byzantine process shows.

func knownAnswer(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return app(p) && w.asked(p) })
	if p == nil {
		return false
	}
	i.blame(p)
	w.lasts(i)
	p.suffers(i.start, i.end, selfTest, 1)
	p.suffers(i.start, i.end, lying, w.real(0.2, 1))
	return true
}

// asked says whether a probe asks p something over HTTP.
func (w *world) asked(p *proc) bool {
	for _, a := range w.agents {
		for _, t := range a.targets {
			if t.of == p && t.http {
				return true
			}
		}
	}
	for _, t := range w.ownTargets {
		if t.of == p && t.http {
			return true
		}
	}
	return false
}

func twoFaced(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return p.svc.beats && p.host.agent != w.secondEar })
	if p == nil {
		return false
	}
	i.blame(p)
	w.lasts(i)
	p.suffers(i.start, i.end, badDigest, 1)
	i.hidden = !w.habits.Signed // else another may have spoken in its name
	return true
}

func answersBadly(kind effectKind) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		p := w.someone(func(p *proc) bool { return inner(p) && (kind != lying || p.svc.validates) })
		if p == nil {
			return false
		}
		i.blame(p)
		w.lasts(i)
		p.suffers(i.start, i.end, kind, w.real(0.3, 1))
		i.byCallers = true
		return true
	}
}

// badRelease rolls out a version that answers with errors of its own.
func badRelease(w *world, i *injection) bool {
	p := w.someone(inner)
	if p == nil {
		return false
	}
	s := p.svc
	i.exact, i.near = isService(s), procsOf(s)
	w.lasts(i)
	x := w.real(0.3, 1)
	at := i.start
	for _, q := range s.procs {
		ready := w.replace(q, at, "1.5.0")
		q.suffers(ready, i.end, failing, x)
		at = ready + 500*time.Millisecond
	}
	i.end = max(i.end, at+20*time.Second)
	i.what = s.name
	return true
}

func countsBackwards(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return p.svc.beats })
	if p == nil {
		return false
	}
	i.blame(p)
	w.lasts(i)
	if p.svc.signs && w.chance(0.5) {
		for at := i.start; at < i.end; at += w.habits.SignEvery {
			w.agenda.plan(at, func(now time.Duration) {
				w.tell(p, report.FactBackwards, 0, now, "http.server.request.count fell from 81234 to 80110")
			})
		}
		return true
	}
	p.suffers(i.start, i.end, backwards, 1)
	i.hidden = !w.habits.Signed
	return true
}

var byzantines = []scenario{
	{name: "known_answer", class: verdict.ClassByzantine, can: func(w *world) bool { return w.habits.Probes > 0 }, do: knownAnswer},
	{name: "two_digests", class: verdict.ClassByzantine, can: func(w *world) bool {
		return w.habits.Beats && w.habits.Digests && w.secondEar != nil && len(w.agents) > 1
	}, do: twoFaced},
	{name: "own_5xx", class: verdict.ClassByzantine, do: answersBadly(failing)},
	{name: "wrong_answers", class: verdict.ClassByzantine, do: answersBadly(lying)},
	{name: "bad_release", class: verdict.ClassByzantine, do: badRelease},
	{name: "counts_backwards", class: verdict.ClassByzantine, can: func(w *world) bool { return w.habits.Beats }, do: countsBackwards},
}
