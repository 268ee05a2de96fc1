// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// A machine that is paused answers nobody, and goes on as if nothing had been.
// It is told from a failure by who goes on meanwhile: afterwards everybody does.

const (
	// insideFrom is how long after the beginning of a silence one must be seen to
	// go on to have lived through it: what was under way may still come.
	insideFrom = time.Second
	// wokenWait is how long one must be missed after others on its machine were
	// seen to go on, and wokenCalls how long after that a call must have begun
	// that it does not answer.
	wokenWait  = 1500 * time.Millisecond
	wokenCalls = 500 * time.Millisecond
)

// neighbourWoke is when, after the failure began, somebody or something on n's
// machine, be it n's own timer, was first seen to go on; 0 if that was not seen. Who
// still answers nobody later does not share a pause with it, and is in none that
// lasts since the beginning.
func (e *Engine) neighbourWoke(n *entity, p *episode) clock.Time {
	if p.onset == 0 {
		return 0
	}
	if p.neighbour <= p.onset {
		p.neighbour = 0
		after := p.onset.Add(insideFrom)
		if n.seenRun > after {
			p.neighbour = n.seenRun // its machine's agent is awake
		} else if own := n.awakeSince(after); own != 0 {
			p.neighbour = own
		} else if n.host != nil {
			p.neighbour = n.host.awakeAfter(n, after)
		}
	}
	return p.neighbour
}

// awakeSince is when n itself beat, or was seen to run by an agent on its machine,
// after t; 0 if it was not. Either may have been under way.
func (n *entity) awakeSince(t clock.Time) clock.Time {
	for _, s := range n.streams {
		if at := s.heardAt(); s.kind == signBeat && s.observer.ownBeat && at.Add(-underWay) > t {
			return at
		}
	}
	for _, ps := range n.probes {
		if ps.process != nil && ps.process.State == report.ProcessRunning && ps.at.Add(-underWay) > t {
			return ps.at
		}
	}
	return 0
}

// failsSince says whether n goes on failing after others on its machine were seen
// to go on. A call counts from when it began: what waited for a machine that is
// paused may run out of time while that goes on again.
func (p *episode) failsSince(n *entity, now, woke clock.Time) bool {
	for _, s := range n.streams {
		if s.kind == signBeat && now.Sub(woke)-s.gaps.Interval >= wokenWait && s.silence() >= s.gaps.Interval+wokenWait {
			return true
		}
	}
	for _, ps := range n.probes {
		if ps.outcome != report.OutcomeOK && ps.process == nil && ps.at.Sub(woke) >= underWay {
			return true
		}
	}
	if p.found[belief.EvReadsNothing].now && now.Sub(woke) >= pauseWait {
		return true
	}
	s := p.complaints(n)
	return s != nil && s.lastFail != 0 && s.failBegan.Sub(woke) >= wokenCalls
}

// livesOn notes since when each cut between two places is known to last, and who
// at either end was seen to go on meanwhile, by what crosses it or not.
func (e *Engine) livesOn(sights []sight) {
	for _, c := range e.cuts {
		if c.slow || c.lived() || !c.stands(e.now) {
			continue
		}
		ends := c.silentEnds(sights)
		for end := range c.heard {
			if c.heard[end] <= c.began.Add(insideFrom) {
				c.heard[end] = 0 // that was before it
			}
		}
		if c.found.bad == 0 {
			c.tried = e.now.Add(-underWay) // only signs of life are missed
		}
		for i := range sights {
			s := &sights[i]
			good := s.good
			if s.caller == nil && s.target == nil && !s.told {
				good = s.from.spanEnd // most that comes from there does not tell when it was sent
				if o := s.from.observer; o != nil && !o.justWoke() && o.absence.lasted == 0 {
					good = min(max(good, o.lived), c.tried) // it beats without a break
				}
			}
			if good <= c.began.Add(insideFrom) {
				continue
			}
			for end := range ends {
				if (c.heard[end] == 0 || good < c.heard[end]) && (ends[end].has(s.from, s.caller) || ends[end].has(s.to, s.target)) {
					c.heard[end] = good
				}
			}
		}
		for end, at := range c.heard {
			if at != 0 && at <= c.tried {
				c.lives[end] = at // and a call that began later got no reply
			}
		}
	}
}

// silentEnds are the ends of the cut, each narrowed to the one host of it that
// is met with silence, if it is only one: that others in its zone go on says
// nothing of that. It notes when the cut was last met.
func (c *cutState) silentEnds(sights []sight) (ends [2]side) {
	ends = [2]side{c.near, c.far}
	var met [2][2]*hostState // two different ones, at each end
	for i := range sights {
		s := &sights[i]
		if s.share < silentFrom || !c.predicts(s) {
			continue
		}
		c.tried = max(c.tried, s.tried)
		for end, h := range [...]*hostState{s.from, s.to} {
			if !c.near.has(s.from, s.caller) {
				end = 1 - end
			}
			switch {
			case h == nil || h == met[end][0]:
			case met[end][0] == nil:
				met[end][0] = h
			default:
				met[end][1] = h
			}
		}
	}
	for end := range ends {
		if n := ends[end].entity; n != nil && c.found.unacked && n.host != nil && n.host.name != "" {
			ends[end] = side{host: n.host} // it is machines that acknowledge
		}
		if ends[end].zone != "" && met[end][0] != nil && met[end][1] == nil {
			ends[end] = side{host: met[end][0]}
		}
	}
	return ends
}

// lived says whether both ends are known to have lived through the silence.
func (c *cutState) lived() bool { return c.lives[0] > c.began && c.lives[1] > c.began }

// cutMayPass says whether what looks like a cut between two places may be a
// machine that pauses at one end: it has lasted no longer than that takes, and
// one end was not seen to go on meanwhile.
func (e *Engine) cutMayPass(n *entity, p *episode) bool {
	c := n.cut
	switch {
	case c == nil || c.far.anywhere() || c.slow || c.oneway || p.explained():
		return false
	case !c.found.broken && c.worksFor(c.began):
		return true // what one waits for has arrived, and may be answered yet
	case c.lived():
		return false
	}
	return c.tried.Sub(c.began) < asleepWait
}

// onlyWaited says whether n is asked more often than usual just after it, or
// another on its machine, stood still, and nothing else speaks of a shortage:
// what had waited comes at once.
func (e *Engine) onlyWaited(n *entity, p *episode) bool {
	back := n.back()
	if p.onset == 0 || back <= p.onset || n.rate.Began.Add(-n.rate.Span) >= back.Add(stat.RateSpan) || p.limits() {
		return false
	}
	for _, kind := range [...]belief.Evidence{belief.EvSlow, belief.EvBusy, belief.EvCallersOverloaded, belief.EvBacklog} {
		if p.found[kind].strength > 0 {
			return false
		}
	}
	return true
}
