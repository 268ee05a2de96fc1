// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// stops lets a process end in order at a time: it is told, drains, and goes.
// It returns when it is gone.
func (w *world) stops(p *proc, at time.Duration) time.Duration {
	gone := at + w.span(2*time.Second, 8*time.Second)
	inc := p.life.at(at).inc
	p.life.set(at, draining, inc)
	p.off = append(p.off, effect{from: at, to: never})
	p.life.set(gone, dead, inc)
	code := pick(w.dice, 0, 0, 143)
	p.ends = append(p.ends, ending{gone, code, false})
	w.announces(p, at)
	if w.habits.Exits {
		w.tell(p, report.FactExit, int64(code), gone, fmt.Sprintf("container exited with status %d", code))
	}
	return gone
}

// announces lets a process say that it was told to stop.
func (w *world) announces(p *proc, at time.Duration) {
	if !w.habits.Announces {
		return
	}
	w.say(p, report.FactStopping, at, "received SIGTERM, shutting down")
	if p.svc.beats {
		w.agenda.plan(at, func(now time.Duration) {
			p.clock++
			inc := p.now(now).inc
			w.push(now, p, report.Beat{
				Source: w.source(p, inc), Interval: w.habits.BeatEvery, Incarnation: inc, Seq: p.clock,
				SentAt: wall(now + p.host.skew(now)), Status: report.StatusStopping, Remote: p.address, Authenticated: w.habits.Signed,
			})
		})
	}
}

// replace stops a process and starts its next version; it returns when that
// listens.
func (w *world) replace(p *proc, at time.Duration, version string) time.Duration {
	gone := w.stops(p, at)
	back := gone + w.span(500*time.Millisecond, 4*time.Second)
	ready := back + w.span(500*time.Millisecond, 5*time.Second)
	w.returns(p, back, ready)
	w.agenda.plan(back, func(now time.Duration) {
		p.version = version
		if w.habits.Orchestra && w.habits.Exits {
			w.tell(p, report.FactDeploy, 0, now, "Scaled up replica set")
		}
	})
	return ready
}

// tells says whether anything tells of a stop of p in order.
func (w *world) tells(p *proc) bool {
	return w.habits.Exits || w.habits.Announces && (p.svc.beats || p.svc.logs)
}

// group is somebody's service with several replicas.
func (w *world) group() *service {
	told := w.habits.Exits || w.habits.Announces
	p := w.someone(func(p *proc) bool { return app(p) && len(p.svc.procs) >= 2 && w.tells(p) == told })
	if p == nil {
		return nil
	}
	return p.svc
}
