// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Who is called, and what the caller makes of it.

// named is how the caller's telemetry names whom it called.
func (w *world) named(u *dependency, to *proc) report.Callee {
	name := u.on.name + ":" + itoa(u.on.port)
	switch {
	case u.addressing == "instance" && to != nil:
		c := report.Callee{Address: to.address, Direct: true}
		if w.namesToo {
			c.Named = name
		}
		return c
	case u.addressing == "virtual":
		return report.Callee{Address: name}
	case u.addressing == "name" && (u.on.kind == database || u.on.kind == external):
		return report.Callee{Address: name, Service: u.on.name}
	case u.addressing == "name":
		return report.Callee{Address: name}
	}
	return report.Callee{Address: name}
}

// told is what the caller's library makes of it.
func (w *world) told(p *proc, a answer) answer {
	switch a.outcome {
	case report.OutcomeRefused, report.OutcomeReset, report.OutcomeUnreachable:
		if p.svc.bare {
			a.outcome = report.OutcomeUnavailable
		}
	case report.OutcomeConnectTimeout:
		if p.svc.bare {
			a.outcome = report.OutcomeUnavailable
		} else if !p.svc.phases {
			a.outcome = report.OutcomeTimeout
		}
	case report.OutcomeNoAnswer:
		a.outcome = report.OutcomeTimeout
	}
	return a
}

// choose is who a balancer sends the call to; nil if nobody is there.
func (w *world) choose(t time.Duration, u *dependency, avoid *proc) *proc {
	ready := w.ready[:0]
	for _, p := range u.on.procs {
		if w.listed(p, u, t) {
			ready = append(ready, p)
		}
	}
	w.ready = ready
	if len(ready) == 0 {
		if w.habits.Orchestra && u.addressing == "virtual" || len(u.on.procs) == 0 {
			return nil
		}
		for _, p := range u.on.procs {
			if t >= p.known {
				ready = append(ready, p)
			}
		}
		if w.ready = ready; len(ready) == 0 {
			return nil
		}
	}
	p := pick(w.dice, ready...)
	if p == avoid && len(ready) > 1 {
		p = pick(w.dice, ready...)
	}
	return p
}

// listed says whether calls are sent to p: readiness follows a process's state
// with a delay, and a drained one is taken off in advance.
func (w *world) listed(p *proc, u *dependency, t time.Duration) bool {
	if t < p.known {
		return false
	}
	for i := range p.off {
		if o := &p.off[i]; t >= o.from && t < o.to {
			return false
		}
	}
	before := p.now(max(0, t-w.readiness))
	if !w.healthChecks && (before.is == stuck || before.is == stopped || before.is == deaf) {
		before.is = running // nobody looks but at whether the process is there
	}
	if before.is == starting && p.now(t).is == starting {
		return false
	}
	if u.addressing == "instance" && !w.habits.Orchestra {
		// The client's own list: only those who left for good are off it.
		return before.is != dead || p.life.next(t) != never
	}
	return before.is == running || before.is == draining && p.now(t).is == running
}
