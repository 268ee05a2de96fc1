// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What looks like a failure and is none.

func rollingDeploy(w *world, i *injection) bool {
	s := w.group()
	if s == nil {
		return false
	}
	at := i.start
	for _, p := range s.procs {
		at = w.replace(p, at, "1.5.0") + w.span(0, 3*time.Second)
	}
	i.end, i.what = at, s.name
	return true
}

func scaleDown(w *world, i *injection) bool {
	s := w.group()
	if s == nil {
		return false
	}
	i.end, i.what = w.stops(s.procs[len(s.procs)-1], i.start)+40*time.Second, s.name
	return true
}

// stopAlone stops the only replica, in order and announced, while calls go on.
func stopAlone(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return app(p) && len(p.svc.procs) == 1 && w.tells(p) })
	if p == nil {
		return false
	}
	gone := w.stops(p, i.start)
	i.end = gone + w.span(5*time.Second, 60*time.Second)
	w.returns(p, i.end-2*time.Second, i.end)
	i.what = p.id
	return true
}

// quickRestart: new calls are still sent while the old process has gone.
func quickRestart(w *world, i *injection) bool {
	s := w.group()
	if s == nil {
		return false
	}
	p := s.procs[0]
	inc := p.life.at(i.start).inc
	w.announces(p, i.start)
	gone := i.start + w.span(500*time.Millisecond, 2*time.Second)
	p.life.set(i.start, draining, inc)
	p.life.set(gone, dead, inc)
	p.ends = append(p.ends, ending{gone, 143, false})
	if w.habits.Exits {
		w.tell(p, report.FactExit, 143, gone, "container exited with status 143")
	}
	back := gone + w.span(500*time.Millisecond, 3*time.Second)
	i.end = back + w.span(500*time.Millisecond, 3*time.Second)
	w.returns(p, back, i.end)
	i.what = p.id
	return true
}

func nodeDrain(w *world, i *injection) bool {
	p := w.someone(app)
	if p == nil {
		return false
	}
	at := i.start
	for _, q := range append([]*proc(nil), p.host.procs...) {
		if !app(q) || !w.tells(q) {
			continue
		}
		gone := w.stops(q, at)
		other := pick(w.dice, w.hosts...)
		if other == p.host {
			other = w.hosts[(w.IntN(len(w.hosts)-1)+1)%len(w.hosts)]
		}
		n := w.proc(q.svc, other, len(q.svc.procs)+10)
		n.life, n.known = nil, at+5*time.Second
		n.life.set(0, dead, 0)
		w.returns(n, at+time.Second, n.known)
		w.launch(n)
		at = gone + w.span(0, 2*time.Second)
	}
	i.end, i.what = at+20*time.Second, p.host.name
	return true
}

func failover(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return p.svc.kind == database })
	if p == nil {
		return false
	}
	i.end = i.start + w.span(300*time.Millisecond, 2*time.Second)
	inc := w.incarnation()
	p.life.set(i.start, dead, inc-1)
	p.life.set(i.end, running, inc)
	i.what = p.id
	return true
}

func spike(w *world, i *injection) bool {
	w.lasts(i)
	w.rushes = append(w.rushes, effect{from: i.start, to: i.end, x: w.real(1.5, 3)})
	return true
}

func affects(kind effectKind, least, most, slower float64) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		p := w.someone(app)
		if p == nil {
			return false
		}
		w.lasts(i)
		p.suffers(i.start, i.end, kind, w.real(least, most))
		if slower > 0 {
			p.suffers(i.start, i.end, slow, slower)
		}
		i.what = p.id
		return true
	}
}

func slowStart(w *world, i *injection) bool {
	s := w.group()
	if s == nil {
		return false
	}
	p := s.procs[0]
	gone := w.stops(p, i.start)
	i.end = gone + w.span(20*time.Second, 50*time.Second)
	w.returns(p, gone+time.Second, i.end)
	p.suffers(i.end, i.end+10*time.Second, slow, 4)
	i.what = p.id
	return true
}

func collectorPauses(w *world, i *injection) bool {
	p := w.someone(app)
	if p == nil {
		return false
	}
	at := i.start
	for range w.number(2, 6) {
		long := w.span(300*time.Millisecond, 1900*time.Millisecond)
		p.life.pause(at, at+long, stopped)
		at += long + w.span(3*time.Second, 10*time.Second)
	}
	i.end, i.what = at, p.id
	return true
}

func machinePause(w *world, i *injection) bool {
	p := w.someone(app)
	if p == nil {
		return false
	}
	h := p.host
	i.end = i.start + w.span(2*time.Second, 8*time.Second)
	h.life.set(0, running, 1)
	h.life.set(i.start, stopped, 1)
	h.life.set(i.end, running, 1)
	if w.habits.Agents == "host" {
		h.agent.life.pause(i.start, i.end, stopped)
	}
	i.what = h.name
	return true
}

func observerGone(is state) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		a := pick(w.dice, w.agents...)
		i.end = i.start + w.span(8*time.Second, 60*time.Second)
		a.life.pause(i.start, i.end, is)
		if is == dead {
			w.agenda.plan(i.end, func(now time.Duration) { a.born, a.seq = now-time.Millisecond, 0 })
		}
		i.what = a.id
		return true
	}
}

func observerCut(w *world, i *injection) bool {
	a := pick(w.dice, w.agents...)
	w.lasts(i)
	w.cut(i, func(e end) bool { return e.proc == nil && e.host == a.host }, func(e end) bool { return e.host != a.host }, true, rule{loss: 1})
	i.what = a.id
	return true
}

func gatewayPause(w *world, i *injection) bool {
	i.end = i.start + w.span(3*time.Second, 40*time.Second)
	w.gatewayLife.pause(i.start, i.end, stopped)
	return true
}

func lateTelemetry(w *world, i *injection) bool {
	w.lasts(i)
	w.lateFrom, w.lateTill, w.lateBy = i.start, i.end, w.span(10*time.Second, 30*time.Second)
	return true
}

func idTwice(w *world, i *injection) bool {
	s := w.group()
	if s == nil || w.habits.Drawn {
		return false
	}
	w.lasts(i)
	a, b := s.procs[0], s.procs[1]
	w.agenda.plan(i.start, func(time.Duration) {
		b.id = a.id
		clear(b.sources)
	})
	i.what = a.id
	return true
}

func clockStep(w *world, i *injection) bool {
	p := w.someone(app)
	if p == nil {
		return false
	}
	w.lasts(i)
	p.host.clock = append(p.host.clock, effect{i.start, i.end, clockOff, 0})
	x := w.real(5, 3600)
	e := &p.host.clock[len(p.host.clock)-1]
	e.x = x
	i.what = p.host.name
	return true
}

// sleeper is a device: it beats, nobody calls it, and it sleeps.
func sleeper(w *world, i *injection) bool {
	s := w.service("device", application, 0)
	s.signs, s.logs, s.beats = false, false, true
	for n, p := range s.procs {
		p.host = &host{name: fmt.Sprintf("device-%d", n), zone: p.host.zone, agent: p.host.agent}
		p.host.procs = []*proc{p}
		p.life.pause(i.start, i.start+20*time.Second, stopped)
		w.launch(p)
	}
	i.end = i.start + 30*time.Second
	return true
}

// passerBy is a test service that comes and goes without a word.
func passerBy(w *world, i *injection) bool {
	s := w.service("smoke-test", application, 0)
	s.beats, s.signs = w.habits.Beats, w.habits.Signs
	i.end = i.start + w.span(15*time.Second, 40*time.Second)
	for _, p := range s.procs {
		p.life = nil
		p.life.set(0, dead, 0)
		p.life.set(i.start, running, w.incarnation())
		p.life.set(i.end, dead, 0)
		w.launch(p)
	}
	return true
}

// poisoned is one bad request that is tried again and again.
func poisoned(w *world, i *injection) bool {
	p := w.someone(inner)
	if p == nil {
		return false
	}
	i.end = i.start + 20*time.Second
	at := i.start
	for range w.number(2, 4) {
		p.suffers(at, at+w.span(20*time.Millisecond, 60*time.Millisecond), failing, 1)
		at += w.span(500*time.Millisecond, 2*time.Second)
	}
	i.what = p.id
	return true
}

// liar: one of the agents says that all its targets are down.
func liar(w *world, i *injection) bool {
	a := pick(w.dice, w.agents...)
	w.lasts(i)
	a.lies = effect{from: i.start, to: i.end}
	i.what = a.id
	return true
}

// fallback: callers' breakers are open, and they do without.
func fallback(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return app(p) && len(p.svc.uses) > 0 })
	if p == nil {
		return false
	}
	w.lasts(i)
	for _, q := range p.svc.procs {
		q.suffers(i.start, i.end, breakerOpen, 1)
	}
	i.what = p.svc.name
	return true
}

// backlog: telemetry of a bad hour long ago comes in.
func backlog(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return app(p) && len(p.svc.uses) > 0 })
	if p == nil {
		return false
	}
	i.end, i.what = i.start+20*time.Second, p.id
	for n := range 20 {
		w.agenda.plan(i.start+time.Duration(n)*time.Second, func(now time.Duration) {
			src, u := w.source(p, p.now(now).inc), p.svc.uses[0]
			old := wall(now - time.Hour)
			w.arrive(now, &report.Batch{
				Calls:  []report.Calls{{Caller: src, Callee: w.named(u, u.on.procs[0]), Outcome: report.OutcomeRefused, Count: 10, First: old, Last: old.Add(time.Second)}},
				Served: []report.Served{{Source: src, OK: 2, Failed: 10, Faults: 10, Last: old.Add(time.Second)}},
			})
		})
	}
	return true
}

func nothing(w *world, i *injection) bool {
	i.end = i.start + w.quiet
	return true
}

func hasAgents(w *world) bool { return len(w.agents) > 0 }
func announced(w *world) bool { return w.habits.Announces || w.habits.Exits }
func quietly(w *world) bool   { return !announced(w) }
func beats(w *world) bool     { return w.habits.Beats }

var confounders = []scenario{
	{name: "rolling_deploy", can: announced, do: rollingDeploy},
	{name: "rolling_deploy_unannounced", can: quietly, do: rollingDeploy},
	{name: "scale_down", can: announced, do: scaleDown},
	{name: "scale_down_unannounced", can: quietly, do: scaleDown},
	{name: "stop_of_the_only_one", can: announced, do: stopAlone},
	{name: "restart_without_drain", can: announced, do: quickRestart},
	{name: "node_drain", can: announced, do: nodeDrain},
	{name: "database_failover", do: failover},
	{name: "traffic_spike", do: spike},
	{name: "batch_job", do: affects(busyCPU, 0.9, 1, 1.3)},
	{name: "slow_start", can: announced, do: slowStart},
	{name: "gc_pauses", do: collectorPauses},
	{name: "vm_pause", do: machinePause},
	{name: "agent_killed", can: hasAgents, do: observerGone(dead)},
	{name: "agent_paused", can: hasAgents, do: observerGone(stopped)},
	{name: "agent_cut_off", can: func(w *world) bool { return w.habits.Agents == "zone" }, do: observerCut},
	{name: "gateway_paused", do: gatewayPause},
	{name: "late_telemetry", do: lateTelemetry},
	{name: "duplicated", do: affects(duplicateSend, 1, 1, 0)},
	{name: "id_used_twice", can: beats, do: idTwice},
	{name: "clock_step", do: clockStep},
	{name: "sleeping_device", can: beats, do: sleeper},
	{name: "passer_by", can: beats, do: passerBy},
	{name: "client_4xx", do: affects(badRequest, 0.3, 0.9, 0)},
	{name: "bad_request_retried", do: poisoned},
	{name: "breaker_open", do: fallback},
	{name: "old_backlog", do: backlog},
	{name: "lying_agent", can: func(w *world) bool { return len(w.agents) > 1 && w.habits.Probes > 0 }, do: liar},
	{name: "nothing", do: nothing},
}
