// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func (p *proc) suffers(from, to time.Duration, kind effectKind, x float64) {
	p.effects = append(p.effects, effect{from, to, kind, x})
}

// outOfMemory grows to the limit, and the kernel ends it. leaks: the growth is
// slow and hurts before.
func outOfMemory(leaks bool) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		p := w.someone(app)
		if p == nil {
			return false
		}
		i.blame(p)
		kill := i.start
		if leaks {
			kill += w.span(30*time.Second, 60*time.Second)
			p.suffers(i.start, kill, filling, 1)
			late := kill - 10*time.Second
			p.suffers(late, kill, slow, w.real(5, 60))
			if w.examined(p) {
				p.suffers(late, kill, lowMemory, w.real(0.15, 0.6))
			}
			if w.chance(0.4) {
				w.say(p, report.FactOutOfMemory, late+time.Second, "java.lang.OutOfMemoryError: Java heap space")
			}
		}
		w.ends(p, kill, 137, true)
		back := kill + w.downFor()
		i.end = back + w.span(time.Second, 4*time.Second)
		w.returns(p, back, i.end)
		// The kernel's word is the only difference from any other kill, unless
		// somebody saw its memory grow.
		i.hidden = !w.habits.Kernel && !(leaks && w.habits.Exits && (w.habits.Levels && p.svc.signs || w.examined(p)))
		i.passes = verdict.ClassCrash
		return true
	}
}

func throttle(w *world, i *injection) bool {
	p := w.someone(inner)
	if p == nil {
		return false
	}
	i.blame(p)
	w.lasts(i)
	p.suffers(i.start, i.end, throttled, w.real(0.4, 0.95))
	p.suffers(i.start, i.end, slow, w.slowEnough(p))
	i.hidden = !w.examined(p) && !(w.habits.Levels && p.svc.signs)
	i.felt = true // a process that is throttled and asked for nothing is none's concern
	return true
}

// slowEnough makes a process take longer than its callers wait, often.
func (w *world) slowEnough(p *proc) float64 {
	return float64(w.span(800*time.Millisecond, 5*time.Second)) / float64(p.svc.median)
}

// full is a limit that refuses, and a process that says so in its log.
func full(kind effectKind) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		p := w.someone(func(p *proc) bool {
			return app(p) && p.svc.logs && (kind != noDescriptor && kind != poolDry || len(p.svc.uses) > 0)
		})
		if p == nil {
			return false
		}
		i.blame(p)
		w.lasts(i)
		p.suffers(i.start, i.end, kind, w.real(0.4, 1))
		return true
	}
}

// overload brings more requests than one service can serve.
func overload(w *world, i *injection) bool {
	p := w.someone(inner)
	if p == nil {
		return false
	}
	s := p.svc
	i.exact, i.near = isService(s), procsOf(s)
	if len(s.procs) == 1 {
		i.exact = anyOf(i.exact, isProc(p))
	}
	w.lasts(i)
	times := w.real(3, 8)
	w.rushes = append(w.rushes, effect{from: i.start, to: i.end, x: times})
	// Its capacity is what leaves it well at the usual load.
	work := time.Duration(0)
	for _, q := range s.procs {
		work += q.work
	}
	s.capacity = max(0.01, work.Seconds()/w.time.Seconds()/float64(len(s.procs))*times*w.real(0.3, 0.7))
	for _, other := range w.all {
		if other != s {
			other.capacity *= 10
		}
	}
	i.what = s.name
	return true
}

// quota: a callee turns calls away; its clients did not change.
func quota(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return p.svc.layer > 0 && p.svc.kind != proxy })
	if p == nil {
		return false
	}
	s := p.svc
	i.exact, i.near = isService(s), procsOf(s)
	if len(s.procs) == 1 {
		i.exact = anyOf(i.exact, isProc(p))
	}
	w.lasts(i)
	x := w.real(0.4, 1)
	for _, q := range s.procs {
		q.suffers(i.start, i.end, turningAway, x)
	}
	i.what = s.name
	return true
}

// hammer: one client asks far more than it used to, and its quota ends.
func hammer(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return app(p) && len(p.svc.uses) > 0 })
	if p == nil {
		return false
	}
	i.exact = func(c verdict.Culprit) bool {
		return c.Type == verdict.CulpritClient && c.Service.Name == p.svc.name
	}
	i.near = procsOf(p.svc)
	w.lasts(i)
	x := w.real(4, 8)
	for _, q := range p.svc.procs {
		q.suffers(i.start, i.end, hammering, x)
	}
	i.what = p.svc.name
	return true
}

var exhaustions = []scenario{
	{name: "oom_kill", class: verdict.ClassExhaustion, do: outOfMemory(false)},
	{name: "memory_leak", class: verdict.ClassExhaustion, do: outOfMemory(true)},
	{name: "cpu_throttle", class: verdict.ClassExhaustion, do: throttle},
	{name: "disk_full", class: verdict.ClassExhaustion, can: hasLogs, do: full(diskFull)},
	{name: "descriptors", class: verdict.ClassExhaustion, can: hasLogs, do: full(noDescriptor)},
	{name: "threads", class: verdict.ClassExhaustion, can: hasLogs, do: full(noThread)},
	{name: "pool_drained", class: verdict.ClassExhaustion, can: hasLogs, do: full(poolDry)},
	{name: "overload", class: verdict.ClassExhaustion, do: overload},
	{name: "quota_429", class: verdict.ClassExhaustion, do: quota},
	{name: "quota_429_client", class: verdict.ClassExhaustion, do: hammer},
}

func hasLogs(w *world) bool { return w.habits.Logs }
