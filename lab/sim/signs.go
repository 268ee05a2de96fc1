// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// beat is a process's heartbeat timer.
func (w *world) beat(p *proc) {
	every := w.habits.BeatEvery
	var tick func(time.Duration)
	tick = func(now time.Duration) {
		p.clock++
		ph := p.now(now)
		if ph.is == stopped {
			// A stopped process's timer does not run; it goes on when it may.
			p.clock--
			next := p.life.next(now)
			if len(p.host.life) > 0 {
				next = min(next, p.host.life.next(now))
			}
			if next != never {
				w.agenda.plan(max(next, now)+w.span(0, 50*time.Millisecond), tick)
			}
			return
		}
		w.agenda.plan(now+w.span(every*97/100, every*103/100), tick)
		if ph.is == dead {
			p.clock = 0
			if w.injected && now >= w.injection.start {
				w.shows(now)
			}
			return
		}
		if w.chance(w.lossOfBeats) {
			return
		}
		seq := p.clock
		if p.has(backwards, now) > 0 && w.chance(0.3) {
			seq -= min(seq-1, uint64(w.number(3, 30)))
		}
		b := report.Beat{Source: w.source(p, ph.inc), Interval: every, Incarnation: ph.inc, Seq: seq, SentAt: wall(now + p.host.skew(now)), Remote: p.address, Authenticated: w.habits.Signed}
		switch ph.is {
		case starting:
			b.Status = report.StatusStarting
		case draining:
			if w.habits.Announces {
				b.Status = report.StatusStopping
			}
		default:
			if w.habits.Announces {
				b.Status = report.StatusReady
			}
		}
		if w.habits.Digests {
			// What replicas hold in common; each gets a change a little later.
			b.Digest = "d" + itoa(int((now-w.span(0, time.Second))/(20*time.Second)))
			if p.has(parted, now) > 0 {
				b.Digest += p.host.zone.name // each side has written what the other has not
			}
		}
		w.push(now, p, b)
		if p.has(duplicateSend, now) > 0 {
			w.push(now+w.span(time.Millisecond, time.Second), p, b)
		}
	}
	w.agenda.plan(w.span(0, every), tick)
}

// push sends a heartbeat to the agent, or to the gateway itself.
func (w *world) push(now time.Duration, p *proc, b report.Beat) {
	a := p.host.agent
	if a == nil {
		net := w.way(end{p.host, p}, end{host: w.gateway}, now)
		if at := w.packets(now, net); at < now+3*time.Second {
			w.agenda.plan(at, func(now time.Duration) {
				w.arrive(now, &report.Batch{Beats: []report.Beat{b}})
			})
		}
		return
	}
	net := w.way(end{p.host, p}, end{host: a.host}, now)
	if at := w.packets(now, net); at < now+3*time.Second {
		w.heard(at, a, &b)
	}
	if w.secondEar != nil && w.secondEar != a && w.habits.Digests {
		other := b
		if p.has(badDigest, now) > 0 {
			other.Digest = "x" + other.Digest
		}
		net := w.way(end{p.host, p}, end{host: w.secondEar.host}, now)
		if at := w.packets(now, net); at < now+3*time.Second {
			w.heard(at, w.secondEar, &other)
		}
	}
}

// heard is a heartbeat's arrival at an agent, which stamps and passes it on.
func (w *world) heard(at time.Duration, a *agent, b *report.Beat) {
	beat := *b
	w.agenda.plan(at, func(now time.Duration) {
		up, ok := a.life.awake(now)
		if !ok {
			return
		}
		w.agenda.plan(up, func(now time.Duration) {
			beat.Stamp = a.stamp(now)
			a.pending.Beats = append(a.pending.Beats, beat)
		})
	})
}

func (a *agent) stamp(now time.Duration) report.Stamp {
	a.seq++
	return report.Stamp{Observer: a.id, At: wall(now + a.host.skew(now)), Uptime: a.uptime(now), Seq: a.seq}
}

// observe is an agent's own timer: it tells that it lives and passes on what it
// heard.
func (w *world) observe(a *agent) {
	const every = time.Second
	due := time.Duration(0)
	var tick func(time.Duration)
	tick = func(now time.Duration) {
		ph := a.life.at(now)
		if len(a.host.life) > 0 && a.host.life.at(now).is != running {
			ph.is = a.host.life.at(now).is
		}
		if ph.is == dead {
			a.pending = &report.Batch{}
			w.agenda.plan(now+every, tick)
			return
		}
		if ph.is == stopped {
			next := a.life.next(now)
			if len(a.host.life) > 0 {
				next = min(next, a.host.life.next(now))
			}
			if next != never {
				w.agenda.plan(next, tick)
			}
			return
		}
		late := max(0, now-due)
		if due == 0 {
			late = 0
		}
		due = now + every
		w.agenda.plan(due+w.span(0, 10*time.Millisecond), tick)
		b := a.pending
		a.pending = &report.Batch{}
		b.Observers = append(b.Observers, report.ObserverBeat{Stamp: a.stamp(now), Host: a.host.name, Interval: every, Late: late})
		w.send(now, end{host: a.host}, b, 5*time.Minute, 0)
	}
	w.agenda.plan(w.span(0, every), tick)
}

// sign is a process's own export of metrics.
func (w *world) sign(p *proc) {
	every := w.habits.SignEvery
	var tick func(time.Duration)
	tick = func(now time.Duration) {
		if ph := p.now(now); ph.is.timersRun() {
			src := w.source(p, ph.inc)
			w.ship(now, end{p.host, p}, p.host.agent, &report.Batch{Signs: []report.Sign{{Source: src}}, Levels: w.levels(p, src, now)}, 20*time.Second)
		}
		w.agenda.plan(now+w.span(every*98/100, every*102/100), tick)
	}
	w.agenda.plan(w.span(0, every), tick)
}

// levels are the gauges in a process's metrics.
func (w *world) levels(p *proc, src *report.Source, now time.Duration) []report.Level {
	if !w.habits.Levels {
		return nil
	}
	used := func(kind effectKind, usual float64) float64 {
		if p.has(kind, now) > 0 {
			return 1
		}
		return usual * w.real(0.9, 1.1)
	}
	waiting := 0.0
	if p.has(poolDry, now) > 0 {
		waiting = float64(w.number(3, 30))
	}
	at := wall(now + p.host.skew(now))
	memory := 0.3 + 0.7*p.filled(now)
	return []report.Level{
		{Source: src, Kind: report.LevelMemory, Share: memory, At: at},
		{Source: src, Kind: report.LevelCPU, Share: max(used(busyCPU, 0.2), used(throttled, 0.2)), At: at},
		{Source: src, Kind: report.LevelThrottled, Share: p.has(throttled, now), At: at},
		{Source: src, Kind: report.LevelDisk, Share: used(diskFull, 0.6), At: at},
		{Source: src, Kind: report.LevelDescriptors, Share: used(noDescriptor, 0.1), At: at},
		{Source: src, Kind: report.LevelThreads, Share: used(noThread, 0.1), At: at},
		{Source: src, Kind: report.LevelPool, Share: used(poolDry, 0.3), Waiting: waiting, At: at},
	}
}

// target is what an agent looks at.
type target struct {
	of      *proc
	process bool
	http    bool
	name    string
	source  *report.Source
	every   time.Duration
	wait    time.Duration
}

// targets shares the processes out among the agents.
func (w *world) targets() {
	for _, p := range w.procs {
		if p.host.agent != nil && w.habits.Process && p.svc.kind == application {
			p.host.agent.targets = append(p.host.agent.targets, &target{of: p, process: true, name: "process:" + p.svc.name, every: w.span(time.Second, 5*time.Second)})
		}
		if !w.chance(w.habits.Probes) {
			continue
		}
		t := &target{of: p, http: w.chance(0.6), every: w.habits.ProbeEvery, wait: w.span(time.Second, 2*time.Second)}
		t.name = "tcp://" + p.address
		if t.http {
			t.name = "http://" + p.address + "/health"
		}
		if p.svc.kind == application {
			src := report.Source{Service: p.svc.id, Instance: p.id, Host: p.host.name}
			if w.habits.Drawn {
				src.Instance = ""
			}
			if w.habits.Zoned {
				src.Zone = p.host.zone.name
			}
			t.source = report.NewSource(src)
		} else {
			t.name = p.svc.name + ":" + itoa(p.svc.port)
		}
		for range w.number(1, 2) {
			if len(w.agents) == 0 {
				w.ownTargets = append(w.ownTargets, t)
				break
			}
			a := pick(w.dice, w.agents...)
			a.targets = append(a.targets, t)
		}
	}
}

// look is an agent's timer for one target; a nil agent is the gateway itself.
func (w *world) look(a *agent, t *target) {
	var tick func(time.Duration)
	tick = func(now time.Duration) {
		w.agenda.plan(now+w.span(t.every*98/100, t.every*102/100), tick)
		if a != nil {
			if a.life.at(now).is != running || len(a.host.life) > 0 && a.host.life.at(now).is != running {
				return
			}
			if t.process {
				a.pending.Probes = append(a.pending.Probes, w.processProbe(a, t, now))
				return
			}
			b := w.probe(a.host, t, now)
			if now >= a.lies.from && now < a.lies.to {
				b.Outcome, b.RTT = report.OutcomeConnectTimeout, t.wait
			}
			w.agenda.plan(now+b.RTT, func(now time.Duration) {
				if a.life.at(now).is != running {
					return
				}
				b.Stamp = a.stamp(now)
				a.pending.Probes = append(a.pending.Probes, b)
			})
			return
		}
		if w.gatewayLife.at(now).is != running {
			return
		}
		b := w.probe(w.gateway, t, now)
		w.agenda.plan(now+b.RTT, func(now time.Duration) {
			b.At = wall(now)
			w.arrive(now, &report.Batch{Probes: []report.Probe{b}})
		})
	}
	w.agenda.plan(w.span(0, t.every), tick)
}

// probe is one look at a target over the network.
func (w *world) probe(from *host, t *target, now time.Duration) report.Probe {
	p := t.of
	b := report.Probe{Source: t.source, Target: t.name, Interval: t.every, Direct: true}
	net := w.way(end{host: from}, end{p.host, p}, now)
	a, ok := w.connect(now, p, p.now(now), net, t.wait)
	if ok && t.http {
		a = w.health(a.at, p, net, now+t.wait)
	}
	b.Outcome, b.RTT = a.outcome, a.at-now
	if a.outcome != report.OutcomeOK {
		w.shows(now)
	}
	if w.injected && a.outcome == report.OutcomeRefused && w.injection.down == p.host {
		w.injection.comesBackNew = true
	}
	return b
}

// health is the answer of a health page: it waits in the same queue as the rest
// and is wrong only where the known answer is.
func (w *world) health(t time.Duration, p *proc, net way, give time.Duration) answer {
	at := w.packets(t, net)
	if at > give {
		return answer{give, report.OutcomeNoAnswer}
	}
	begin, ok := p.goesOn(at)
	if !ok || begin > give {
		return answer{give, report.OutcomeNoAnswer}
	}
	wait := time.Duration(float64(p.busy) / p.svc.capacity)
	if begin += wait + 2*time.Millisecond; begin > give {
		return answer{give, report.OutcomeNoAnswer}
	}
	if p.has(selfTest, t) > 0 {
		return answer{begin, report.OutcomeWrongAnswer}
	}
	return answer{begin, report.OutcomeOK}
}

// processProbe is what the kernel says of a process.
func (w *world) processProbe(a *agent, t *target, now time.Duration) report.Probe {
	p := t.of
	ph := p.now(now)
	x := &report.Process{
		PID: int64(ph.inc % 30000), StartTime: wall(0) - 1_000_000_000_000 + clock.Time(ph.inc*1_000_003),
		OOMKills: -1, MemoryUsed: 300 << 20, MemoryLimit: 1 << 30, FDs: 80, FDLimit: 1024, Threads: 40, ThreadLimit: 500,
		PressureCPU: w.real(0, 0.05), PressureMem: 0, PressureIO: w.real(0, 0.02), Throttled: w.real(0, 0.02),
	}
	if w.habits.Kernel {
		x.OOMKills = p.kills(now)
	}
	b := report.Probe{Stamp: a.stamp(now), Source: w.source(p, w.lastLife(p, now)), Target: t.name, Interval: t.every, Outcome: report.OutcomeOK, Process: x, Direct: true}
	switch ph.is {
	case dead:
		x.State, b.Outcome = report.ProcessGone, report.OutcomeDown
		x.PID, x.StartTime = 0, 0
		if code, ok := p.exitCode(now); ok && w.habits.Exits {
			x.HasExitCode, x.ExitCode = true, code
		}
		w.shows(now)
	case stopped:
		x.State, b.Outcome = report.ProcessStopped, report.OutcomeDown
		if since := p.life.at(now); since.is == stopped && p.life.next(now)-since.from < 3*time.Second {
			x.State, b.Outcome = report.ProcessRunning, report.OutcomeOK // a pause of its garbage collector
		} else {
			w.shows(now)
		}
	default:
		x.State = report.ProcessRunning
	}
	if v := p.has(throttled, now); v > 0 {
		x.Throttled = v * w.real(0.9, 1.05)
		x.PressureCPU = v
	}
	if v := p.has(busyCPU, now); v > 0 {
		x.PressureCPU = v
	}
	if v := p.has(lowMemory, now); v > 0 {
		x.PressureMem = v
	}
	if p.has(noDescriptor, now) > 0 {
		x.FDs = 1020 + int64(w.IntN(5))
	}
	if p.has(noThread, now) > 0 {
		x.Threads = 498
	}
	x.MemoryUsed += int64(p.filled(now) * float64(x.MemoryLimit-x.MemoryUsed))
	return b
}

// lastLife is the incarnation that lives, or lived last.
func (w *world) lastLife(p *proc, now time.Duration) uint64 { return p.now(now).inc }

// filled is how much of its memory's head-room a leak has eaten.
func (p *proc) filled(now time.Duration) float64 {
	for _, e := range p.effects {
		if e.kind == filling && now >= e.from && now < e.to {
			return min(1, e.x*float64(now-e.from)/float64(e.to-e.from))
		}
	}
	return 0
}
