// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// injection is what is done to the fleet in one episode, and what is right to
// say of it.
type injection struct {
	scenario   *scenario
	start, end time.Duration // end: the fault was taken back
	exact      func(c verdict.Culprit) bool
	near       func(c verdict.Culprit) bool // right, less specific or one of several
	hidden     bool                         // nothing observable gives the class away
	oneSided   bool                         // nobody behind the cut can report meanwhile
	hurt       int                          // calls that it made fail
	hurtFrom   time.Duration                // when the first of them ended,
	hurtTill   time.Duration                // and the last
	ends       bool                         // a process ends
	runsOn     bool                         // its process runs on: the kernel has nothing to tell of a lock or a closed port
	asked      int                          // requests that came to the culprit meanwhile
	felt       bool                         // only those who ask it can feel it
	passes     verdict.Class                // what a hidden fault may be called as well: all that can be seen of it
	byCallers  bool                         // only those who call it can see it
	culprit    *proc                        // a process that is the only culprit
	cuts       func(a, b *proc) bool        // the calls that a broken network touches
	what       string

	down         *host // the machine that went down
	comesBackNew bool  // and it can be told, when it is back, that it started anew
}

// seenFrom is the number of failed calls from which on a fault can be seen by
// callers alone; fewer are like the noise of any day.
const seenFrom = 4

// hurts counts calls that the fault made fail, as their callers tell it.
func (i *injection) hurts(begin time.Duration, told answer, p, to *proc, direct bool) {
	if told.at < i.start || begin >= i.end+4*time.Second {
		return
	}
	if i.down != nil && to.host == i.down && told.outcome == report.OutcomeRefused && direct {
		i.comesBackNew = true
	}
	switch {
	case begin >= i.end:
		return
	case i.culprit == to || i.down != nil && to.host == i.down:
	case i.cuts != nil && i.cuts(p, to) && told.outcome != report.OutcomeUnavailable: // which says nothing of the network
	default:
		return
	}
	if i.hurt++; i.hurt == 1 {
		i.hurtFrom = told.at
	}
	i.hurtTill = max(i.hurtTill, told.at)
}

// momentary is how long callers may be refused by one that stops in order, until
// they are sent elsewhere.
const momentary = 4 * time.Second

// likeAStop says whether the end of p looks like one in order that nobody
// announced: it is gone, and whoever called it was soon sent elsewhere.
func (i *injection) likeAStop(w *world, p *proc) bool {
	return i.ends && !w.habits.Exits && !(w.habits.Announces && p.svc.beats) && i.hurtTill-i.hurtFrom < momentary
}

// settle finds out whether anything of the fault could be seen.
func (i *injection) settle(w *world) {
	p := i.culprit
	if p != nil && i.likeAStop(w, p) || i.down != nil && !i.comesBackNew {
		i.hidden = true // it may have been stopped, or cut off, as well
	}
	if i.hurt >= seenFrom || i.hidden {
		return
	}
	switch {
	case i.felt && i.asked < seenFrom:
		i.hidden = true
	case i.cuts != nil:
		i.hidden = true
	case i.down != nil:
		for _, q := range i.down.procs {
			if q.svc.beats || w.looked(q) {
				return
			}
		}
		i.hidden = true
	case p == nil || i.scenario.class != verdict.ClassCrash && !i.byCallers:
	case !i.byCallers && (w.habits.Exits && p.exits() || w.probed(p) || w.looked(p) && !i.runsOn):
	default:
		i.hidden = true
	}
}

// exits says whether p has ended by itself in this episode.
func (p *proc) exits() bool { return len(p.ends) > 0 }

// scenario is a kind of injection.
type scenario struct {
	name  string
	class verdict.Class // ClassNone: a confounder
	apart bool          // only by its name: it needs fleets such as few are
	can   func(w *world) bool
	do    func(w *world, i *injection) bool // false: this fleet has nobody to whom it can happen
}

func nobody(verdict.Culprit) bool { return false }

// isProc says whether a culprit is p.
func isProc(p *proc) func(verdict.Culprit) bool {
	return func(c verdict.Culprit) bool {
		switch c.Type {
		case verdict.CulpritExternal:
			return p.svc.kind != application && namesService(c.Name, p.svc) || c.Name == p.address
		case verdict.CulpritService:
			return c.Service.Name == p.svc.name && len(p.svc.procs) == 1
		case verdict.CulpritInstance:
			if c.Service.Name != p.svc.name {
				return false
			}
			if c.Instance == p.id || strings.HasSuffix(c.Name, "@"+p.host.name) || c.Name == p.host.name {
				return true
			}
			for _, s := range p.sources {
				if s.Instance == c.Instance {
					return true
				}
			}
		}
		return false
	}
}

func namesService(address string, s *service) bool {
	if address == s.name || address == s.name+":"+itoa(s.port) {
		return true
	}
	for _, p := range s.procs {
		if p.address == address {
			return true
		}
	}
	return false
}

// isService says whether a culprit is the service as a whole, or one of its
// addresses of which nothing else is known.
func isService(s *service) func(verdict.Culprit) bool {
	return func(c verdict.Culprit) bool {
		switch c.Type {
		case verdict.CulpritService, verdict.CulpritVersion:
			return c.Service.Name == s.name
		case verdict.CulpritExternal:
			return namesService(c.Name, s)
		}
		return false
	}
}

func anyOf(fs ...func(verdict.Culprit) bool) func(verdict.Culprit) bool {
	return func(c verdict.Culprit) bool {
		for _, f := range fs {
			if f(c) {
				return true
			}
		}
		return false
	}
}

func isNode(h *host) func(verdict.Culprit) bool {
	return func(c verdict.Culprit) bool { return c.Type == verdict.CulpritNode && c.Name == h.name }
}

func isZone(z *zone) func(verdict.Culprit) bool {
	return func(c verdict.Culprit) bool { return c.Type == verdict.CulpritZone && c.Name == z.name }
}

// onHosts says whether a culprit is a process on one of the hosts.
func onHosts(hosts ...*host) func(verdict.Culprit) bool {
	var fs []func(verdict.Culprit) bool
	for _, h := range hosts {
		for _, p := range h.procs {
			fs = append(fs, isProc(p))
		}
	}
	return anyOf(fs...)
}

// sideOf says whether a name is that of a place, or of somebody there.
func sideOf(name string, hosts []*host) bool {
	for _, h := range hosts {
		if name == h.name || name == h.zone.name {
			return true
		}
		for _, p := range h.procs {
			if isProc(p)(verdict.Culprit{Type: verdict.CulpritInstance, Name: name, Instance: name, Service: p.svc.id}) ||
				name == p.svc.name || namesService(name, p.svc) {
				return true
			}
		}
	}
	return false
}

// isLink says whether a culprit is the way between two groups of hosts; an
// empty group is everywhere.
func isLink(a, b []*host) func(verdict.Culprit) bool {
	return func(c verdict.Culprit) bool {
		x, y, ok := strings.Cut(c.Name, "→")
		if !ok || c.Type != verdict.CulpritLink {
			return false
		}
		in := func(name string, g []*host) bool { return len(g) == 0 || sideOf(name, g) }
		return in(x, a) && in(y, b) || in(x, b) && in(y, a)
	}
}

// blame names a process as the culprit.
func (i *injection) blame(p *proc) {
	i.culprit = p
	i.exact = isProc(p)
	i.near = isService(p.svc)
	i.what += " " + p.id + "@" + p.host.name
}

// ending is how a life of a process ended.
type ending struct {
	at   time.Duration
	code int
	oom  bool
}

func (p *proc) kills(now time.Duration) (n int64) {
	for _, e := range p.ends {
		if e.oom && e.at <= now {
			n++
		}
	}
	return n
}

func (p *proc) exitCode(now time.Duration) (code int, ok bool) {
	for _, e := range p.ends {
		if e.at <= now {
			code, ok = e.code, true
		}
	}
	return code, ok
}

// ends lets a process end; its supervisor tells how if the fleet has one that
// does.
func (w *world) ends(p *proc, at time.Duration, code int, oom bool) {
	p.life.set(at, dead, p.life.at(at).inc)
	p.ends = append(p.ends, ending{at, code, oom})
	if w.habits.Exits {
		w.tell(p, report.FactExit, int64(code), at, fmt.Sprintf("container exited with status %d", code))
	}
	if oom && w.habits.Kernel && !w.habits.Process {
		w.tell(p, report.FactOOMKill, 0, at, "Memory cgroup out of memory: Killed process")
	}
}

// returns lets it start anew.
func (w *world) returns(p *proc, at, listens time.Duration) {
	inc := w.incarnation()
	p.life.set(at, starting, inc)
	p.life.set(listens, running, inc)
	if n := len(p.off); n > 0 && p.off[n-1].to == never {
		p.off[n-1].to = listens
	}
	if w.habits.Exits && w.habits.Orchestra {
		p.restarts++
		w.agenda.plan(at, func(now time.Duration) {
			w.tell(p, report.FactStarted, 0, now, "Started container")
			w.tell(p, report.FactRestarts, int64(p.restarts), now, "")
		})
	}
}

// downFor is how long somebody who crashed stays away: a supervisor starts him
// anew at once, a person later.
func (w *world) downFor() time.Duration {
	if w.habits.Orchestra && w.chance(0.7) {
		return w.span(3*time.Second, 15*time.Second)
	}
	return w.span(20*time.Second, 70*time.Second)
}

// someone returns a process for which calls come, if there is one that fits.
func (w *world) someone(fits func(p *proc) bool) *proc {
	var busy []*proc
	for _, p := range w.procs {
		if p.host != w.outside && p.arrivals > int(w.time/(4*time.Second)) && (fits == nil || fits(p)) {
			busy = append(busy, p)
		}
	}
	if len(busy) == 0 {
		return nil
	}
	return pick(w.dice, busy...)
}

func app(p *proc) bool { return p.svc.kind == application }

// inner says whether instrumented callers see the process.
func inner(p *proc) bool { return p.svc.kind == application && p.svc.layer > 0 }

// watched says whether somebody besides its own heartbeats sees p.
func (w *world) watched(p *proc) bool {
	return p.svc.layer > 0 && w.habits.Level != "" || w.habits.Exits || w.looked(p)
}

// looked says whether p is probed, over the network or by its host's agent.
func (w *world) looked(p *proc) bool {
	for _, a := range w.agents {
		for _, t := range a.targets {
			if t.of == p {
				return true
			}
		}
	}
	for _, t := range w.ownTargets {
		if t.of == p {
			return true
		}
	}
	return false
}

// probed says whether p is asked over the network by somebody who tells of that.
func (w *world) probed(p *proc) bool {
	of := func(t *target) bool { return t.of == p && !t.process }
	return slices.ContainsFunc(w.ownTargets, of) || slices.ContainsFunc(w.agents, func(a *agent) bool { return slices.ContainsFunc(a.targets, of) })
}

// examined says whether an agent reads p's resources from its kernel.
func (w *world) examined(p *proc) bool {
	return w.habits.Process && p.svc.kind == application && p.host.agent != nil
}
