// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// followCuts brings what each cut explains up to date and forgets those that
// are over.
func (e *Engine) followCuts(all, slow []sight) {
	kept := e.cuts[:0]
	for _, c := range e.cuts {
		sights := all
		if c.slow {
			sights = slow
		}
		var bad, n float64
		c.waits = false
		for i := range sights {
			s := &sights[i]
			c.waits = c.waits || c.heals(e.now) && c.waitsFor(s, e.now)
			if !c.predicts(s) || s.share < silentFrom && s.good <= c.began {
				continue // or it was seen before and says nothing of now
			}
			bad += s.share * s.weight
			n += s.weight
		}
		e.lookForSplits(c)
		mute, spoke := c.mute(e)
		if c.slow {
			c.losing = c.loses(slow, all)
		}
		if from, to, ok := c.oneWay(sights); ok && !c.oneway {
			c.oneway = true
			c.entity.address = c.nameOf(from) + "→" + c.nameOf(to)
			e.mark(c.entity)
		}
		open := (n > 0 && bad/n < silentFrom || n == 0 && spoke && !mute) && !c.toldAcross(sights)
		if c.near.place() && c.far.place() && !c.slow && n >= callsFull && bad/n >= oneWayShare {
			c.at = e.now // whatever else may explain it: nothing has got through since
		}
		if !open && n >= callsFull/2 && bad/n >= oneWayShare && c.bothLive(e) {
			c.at = e.now // that others do not reach its end either makes it no failure of that
		}
		if !open && mute && c.goneAt < c.at && e.now.Sub(c.found.bad) < e.params.LeaveFor {
			c.at = e.now // those who were sent elsewhere meanwhile say nothing of it
		}
		if open && c.goneAt < c.at {
			c.goneAt = e.now
		}
		e.nobodyLivedOn(c)
		c.explain(e, sights, !open && e.now.Sub(c.at) < cutStands)
		c.hide(e)
		c.keepApart(e)
		if c.entity.episode == nil && e.now.Sub(c.at) > flapsWithin {
			c.entity.cut = nil
			continue
		}
		kept = append(kept, c)
	}
	clear(e.cuts[len(kept):])
	e.cuts = kept
}

// bothLive says whether a link that ends in one entity was told, for want of connections,
// and both of its ends have been heard of lately: nobody there is gone with his machine.
func (c *cutState) bothLive(e *Engine) bool {
	lately := e.now.Add(-cutStands)
	return !c.far.anywhere() && !c.slow && c.found.broken && c.entity.verdict != nil && c.goneAt < c.at &&
		e.heardAfter(&c.near, lately) && e.heardAfter(&c.far, lately)
}

// waitsFor says whether a way across a cut that healed has been silent since it held: what
// was sent into it on a connection that stood is sent again late, the later the longer
// that was, and all calls on that connection wait for it.
func (c *cutState) waitsFor(s *sight, now clock.Time) bool {
	return s.caller != nil && s.target != nil && !s.late && s.share >= silentFrom && c.predicts(s) &&
		s.good <= s.since && s.since < c.endedAt() && now.Sub(s.bad) < waitsStill
}

// waitsStill is how long after the last call that got no answer a way is still silent.
const waitsStill = 3 * time.Second

// standing lists the cuts that hold now, or did lately, and were told, of what is slow or
// of what is silent: who flaps is cut again sooner than another begins to be. One that is
// only suspected has to show itself against others each time.
func (e *Engine) standing(slow bool) (out []*cutState) {
	for _, c := range e.cuts {
		if told := c.entity.verdict != nil || c.entity.cleared > c.began; c.slow == slow && told {
			out = append(out, c)
		}
	}
	return out
}

// loses says whether a slow way rather loses packets: what is sent again is late
// by the time that takes, what was not lost is not, and some gets no answer.
func (c *cutState) loses(slow, all []sight) bool {
	var late, n, lost, whole float64
	for i := range slow {
		if s := &slow[i]; s.to != nil && s.share >= silentFrom && s.weight > 0.5 && c.predicts(s) {
			late += 2*s.share*s.weight - 1 // it began with one that was late
			n += 2*s.weight - 1
		}
	}
	for i := range all {
		if s := &all[i]; s.to != nil && c.predicts(s) {
			lost += s.share * s.weight
			whole += s.weight
		}
	}
	if n >= losingEnough {
		c.late = max(c.late, late/n) // it falls when the way is well again
	}
	c.lost = c.lost || lost >= lostFrom*max(whole, 1)
	return c.lost || c.late > 0 && c.late < lateIfSlow
}

const (
	losingEnough = 20.0 // calls on the slow ways that tell how many of them are late
	lateIfSlow   = 0.85 // share of late calls on a way that is slow and loses nothing
	lostFrom     = 0.05 // share that gets no answer, which slowness alone does not explain
)

// mute says whether nobody has been heard from a place that is cut off since the
// latest silence, and spoke whether anybody ever was.
func (c *cutState) mute(e *Engine) (mute, spoke bool) {
	if !c.far.anywhere() {
		return false, false
	}
	last := clock.Time(0)
	if c.near.host != nil {
		last = c.near.host.heardLast()
	} else {
		for _, h := range e.hosts {
			if c.near.has(h, nil) {
				last = max(last, h.heardLast())
			}
		}
	}
	return last != 0 && last <= c.found.bad, last != 0
}

// explain tells those behind the cut why nobody hears them.
func (c *cutState) explain(e *Engine, sights []sight, stands bool) {
	for i := range sights {
		s := &sights[i]
		for _, n := range [...]*entity{s.target, s.caller, s.named} {
			if n == nil {
				continue
			}
			if !stands {
				if n.cutOff == c && n.cut == nil && !c.heals(e.now) {
					n.cutOff = nil
					e.mark(n)
				}
				continue
			}
			if s.share >= silentFrom && c.predicts(s) && (n != s.caller || s.target == nil) && n.cutOff != c && !n.cutOff.outranks(c, e.now) {
				n.cutOff = c
				e.mark(n)
			}
		}
	}
}

// outranks says whether somebody was told of c, which holds or has just healed, and
// nobody of the other: that is what is left of c until it is told by itself.
func (c *cutState) outranks(other *cutState, now clock.Time) bool {
	return c != nil && c.entity.verdict != nil && other.entity.verdict == nil && (c.stands(now) || c.heals(now))
}

// hide tells those who stand in a place that is cut off from all, and whose trouble
// began with that, why nobody hears them: a silence that is no sight, because its
// observer is behind the cut as well, is the same silence.
func (c *cutState) hide(e *Engine) {
	if !c.far.anywhere() || c.near.here != nil || c.slow || c.lossy || !c.stands(e.now) {
		return
	}
	for _, n := range e.suspects {
		if n.cutOff == nil && n.cut == nil && n.host != nil && c.near.has(n.host, n) && n.episode.onset >= c.began.Add(-hidesFrom) && n.episode.silent() {
			n.cutOff = c
			e.mark(n)
		}
	}
}

// hidesFrom is how long before the first silence across a cut the trouble of one
// behind it may seem to begin: with the last that was heard of it.
const hidesFrom = 5 * time.Second
