// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// dies kills somebody with a code and lets it come back.
func dies(code int, panics bool) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		p := w.someone(nil)
		if p == nil {
			return false
		}
		i.blame(p)
		i.hidden = !w.watched(p) && !(panics && p.svc.logs)
		i.ends = !(panics && p.svc.logs)
		if panics {
			w.say(p, report.FactPanic, i.start-time.Millisecond, "panic: runtime error: invalid memory address or nil pointer dereference")
		}
		w.ends(p, i.start, code, false)
		back := i.start + w.downFor()
		i.end = back + w.span(300*time.Millisecond, 4*time.Second)
		w.returns(p, back, i.end)
		return true
	}
}

func crashLoop(w *world, i *injection) bool {
	p := w.someone(app)
	if p == nil {
		return false
	}
	i.blame(p)
	i.hidden, i.ends = !w.watched(p), true
	at, pause := i.start, 2*time.Second
	for n := range w.number(3, 5) {
		w.ends(p, at, pick(w.dice, 1, 2, 139), false)
		back := at + pause
		w.returns(p, back, back+500*time.Millisecond)
		if n >= 2 && w.habits.Orchestra && w.habits.Exits {
			w.tell(p, report.FactCrashLoop, 0, at, "back-off restarting failed container")
		}
		at = back + w.span(2*time.Second, 5*time.Second)
		i.end = back + time.Second
		pause *= 2
	}
	return true
}

func nodeDown(w *world, i *injection) bool {
	p := w.someone(app)
	if p == nil || p.host == w.gateway {
		return false
	}
	h := p.host
	i.exact, i.near = isNode(h), onHosts(h)
	if len(h.procs) == 1 {
		i.exact = anyOf(isNode(h), isProc(p))
	}
	i.what = h.name
	i.end = i.start + w.span(40*time.Second, 80*time.Second)
	h.life.set(0, running, 1)
	h.life.set(i.start, dead, 1)
	h.life.set(i.end, running, 2)
	for _, q := range h.procs {
		q.life.set(i.start, dead, q.life.at(i.start).inc)
		w.returns(q, i.end, i.end+w.span(time.Second, 4*time.Second))
	}
	if w.habits.Agents == "host" {
		h.agent.life.set(i.start, dead, 1)
		h.agent.life.set(i.end, running, 2)
		w.agenda.plan(i.end, func(now time.Duration) { h.agent.born = now })
	}
	if w.habits.Orchestra && w.habits.Exits {
		at := i.start + w.span(20*time.Second, 40*time.Second)
		w.agenda.plan(at, func(now time.Duration) {
			src := report.NewSource(report.Source{Host: h.name})
			w.ship(now, end{host: w.gateway}, nil, &report.Batch{Facts: []report.Fact{{Source: src, Kind: report.FactNodeDown, At: wall(now), Text: "Node is not ready"}}}, 0)
		})
	}
	// A cut of the node looks the same, to those who say that it is not ready
	// too, until somebody on it comes back and tells that he started anew.
	i.oneSided = true
	i.down = h
	i.comesBackNew = w.habits.Drawn || w.habits.Agents == "host"
	for _, q := range h.procs {
		i.comesBackNew = i.comesBackNew || q.svc.beats
	}
	return true
}

// becomes puts somebody into a state for a time.
func becomes(s state) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		p := w.someone(func(p *proc) bool { return s == deaf || inner(p) })
		if p == nil {
			return false
		}
		i.blame(p)
		i.hidden = p.svc.layer == 0 && !w.looked(p)
		i.ends = s == deaf && !p.svc.beats && !p.svc.signs
		i.runsOn = s != stopped
		i.end = i.start + w.span(25*time.Second, 70*time.Second)
		p.life.pause(i.start, i.end, s)
		return true
	}
}

var crashes = []scenario{
	{name: "kill", class: verdict.ClassCrash, do: dies(137, false)},
	{name: "panic", class: verdict.ClassCrash, do: dies(2, true)},
	{name: "segfault", class: verdict.ClassCrash, do: dies(139, false)},
	{name: "exit_1", class: verdict.ClassCrash, do: dies(1, false)},
	{name: "crash_loop", class: verdict.ClassCrash, do: crashLoop},
	{name: "node_down", class: verdict.ClassCrash, do: nodeDown},
	{name: "listener_closed", class: verdict.ClassCrash, do: becomes(deaf)},
	{name: "hang_stopped", class: verdict.ClassCrash, do: becomes(stopped)},
	{name: "deadlock", class: verdict.ClassCrash, do: becomes(stuck)},
	{name: "external_gone", class: verdict.ClassCrash, can: hasExternal, do: externalGone},
}

func hasExternal(w *world) bool {
	for _, s := range w.all {
		if s.kind == external {
			return true
		}
	}
	return false
}

func externalGone(w *world, i *injection) bool {
	for _, p := range w.procs {
		if p.svc.kind == external && p.arrivals > int(w.time/(4*time.Second)) {
			i.blame(p)
			i.end = i.start + w.span(25*time.Second, 70*time.Second)
			p.life.pause(i.start, i.end, dead)
			return true
		}
	}
	return false
}
