// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Who is beyond what it can do, by how many of its calls end and how long they take:
// see stat.Knee.

const (
	// kneeOthers is which share of what is more under way explains it by those that
	// it waits for.
	kneeOthers = 0.5
	// kneeUnhurt is what it counts at least while no caller fails and nothing else is
	// short; all, if kneeDeep times as many as usual are under way.
	kneeUnhurt = 0.6
	kneeDeep   = 10
)

// answers takes in calls that n ended itself.
func (e *Engine) answers(n *entity, count float64, took time.Duration) {
	whole := n.service.whole
	if n.rate.Add(count, took, e.now, n.episode == nil) {
		n.knee.Learn(&n.rate, e.askedTimes(n.calls), e.now)
	}
	if n.service.rate.Add(count, took, e.now, n.episode == nil && (whole == nil || whole.episode == nil)) {
		asked := 0.0
		if whole != nil {
			asked = e.askedTimes(whole.calls)
		}
		n.service.knee.Learn(&n.service.rate, asked, e.now)
	}
}

// askedOf takes in calls of which only those tell who made them.
func (e *Engine) askedOf(n *entity, answered float64, took time.Duration) {
	if answered == 0 && n.rate.Began == 0 {
		return
	}
	if n.rate.Add(answered, took, e.now, n.episode == nil) {
		n.knee.Learn(&n.rate, 0, e.now)
	}
}

// askedTimes is how many times as often as usual callers ask, what they try again
// counted; 0 if that is not known.
func (e *Engine) askedTimes(s *callStats) float64 {
	if s == nil || s.asked.Known < stat.RateKnown || s.asked.Usual == 0 || !s.asked.Stands(e.now) {
		return 0
	}
	return s.asked.Now / s.asked.Usual
}

// detectKnee: it is asked more than it can do, whatever it is that it is short of.
// That is a matter of those that it waits for, if it holds calls because they do.
func detectKnee(e *Engine, n *entity, p *episode) {
	k, r := &n.knee, &n.rate
	if n.kind == kindService && n.service.rate.Known >= stat.RateKnown {
		k, r = &n.service.knee, &n.service.rate
	}
	if k.Since == 0 || !r.Stands(e.now) || p.found[belief.EvCalleeSlow].strength > 0 || p.found[belief.EvCalleeFailing].strength > 0 || e.waitsForOthers(n, r) {
		return
	}
	strength := stat.Clamp(r.Held/r.UsualHeld/kneeDeep, kneeUnhurt, 1)
	if p.bad[belief.GroupCallers] || p.found[belief.EvServesErrors].now || p.isShortOf() {
		strength = 1
	}
	p.note(belief.EvKnee, strength, e.now, fmt.Sprintf("%.2g calls to it are under way at a time (usually %.2g), and it answers no more for that: %.2g/s (usually %.2g/s)",
		r.Held, r.UsualHeld, r.Now, r.Usual))
	p.latest = e.now
	p.startedBy(k.Since)
}

// isShortOf says whether something else tells that a resource is short.
func (p *episode) isShortOf() bool {
	for kind := range p.found {
		if belief.Evidence(kind).Group() == belief.GroupSaturation && belief.Evidence(kind) != belief.EvKnee && p.found[kind].now && p.found[kind].strength > oldNews {
			return true
		}
	}
	return false
}

// waitsForOthers says whether calls that n itself makes explain what is more than
// usually under way.
func (e *Engine) waitsForOthers(n *entity, r *stat.Rate) bool {
	more := 0.0
	n.eachCallee(func(ed *edge) bool {
		if ed.rate.Known >= stat.RateKnown && ed.rate.Stands(e.now) {
			more += max(ed.rate.Held-ed.rate.UsualHeld, 0)
		}
		return false
	})
	return more >= kneeOthers*(r.Held-r.UsualHeld)
}
