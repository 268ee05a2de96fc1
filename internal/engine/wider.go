// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Several of one zone that fall silent within moments, each told by itself, are one
// cut of the zone or of a link of it as soon as that is found. And what is told late,
// once a cut has healed, is of the time before: it accuses nobody anew.

// absorbed says whether a wider cut, or one that has just healed, explains what was
// found so well that the rest would not do; a narrower one that is followed already
// is from then on the wider one's doing.
func (e *Engine) absorbed(f *foundCut, sights []sight) bool {
	var known *cutState
	for _, c := range e.cuts {
		if !c.slow && c.sameAs(&f.cut) {
			known = c
		}
	}
	if w := e.widerThan(&f.cut, known, sights); w != nil {
		if known != nil {
			e.isInside(known, w)
		}
		return true
	}
	return known == nil && (e.past(&f.cut, sights) || e.pastOfItsEnd(&f.cut, sights)) || (known == nil || known.entity.verdict == nil) && e.beyond(&f.cut, sights)
}

// beyond says whether a place would not be accused but for the ways to others that are
// cut off themselves, as somebody was told.
func (e *Engine) beyond(c *cut, sights []sight) bool {
	if !c.far.anywhere() || c.near.host == nil {
		return false
	}
	var told []*cutState
	for _, w := range e.cuts {
		if !w.slow && w.entity.verdict != nil && w.far.anywhere() && !w.sameAs(c) && w.lately(e.now) {
			told = append(told, w)
		}
	}
	return len(told) > 0 && !c.standsWithout(func(s *sight) bool {
		return slices.ContainsFunc(told, func(w *cutState) bool { return w.explainsSight(s, e.now) && !w.near.within(&c.near) })
	}, sights)
}

// lately says whether the cut stands, or healed a short while ago.
func (c *cutState) lately(now clock.Time) bool {
	return c.stands(now) || now.Sub(c.endedAt()) < remnant
}

// explainsSight says whether the cut, which stands or has healed, silences a sight.
func (c *cutState) explainsSight(s *sight, now clock.Time) bool {
	return (c.stands(now) || s.tried <= c.endedAt()) && (c.predicts(s) || c.mayCross(s))
}

// absorb gives the cuts that are followed to wider ones that explain all they do: the
// solver no longer finds them by then.
func (e *Engine) absorb(sights []sight) {
	for _, c := range e.cuts {
		if c.slow || c.isInside(e.now) || !c.stands(e.now) {
			continue
		}
		if w := e.widerThan(&c.cut, c, sights); w != nil {
			e.isInside(c, w)
		}
	}
}

// isInside notes that the wider cut explains the narrower one.
func (e *Engine) isInside(c, wider *cutState) {
	if c.entity.cutOff != wider {
		c.entity.cutOff = wider
		e.mark(c.entity)
	}
}

// isInside says whether a wider cut explains that of a place, or did until a short
// while ago: how those behind it come back is that one's matter.
func (c *cutState) isInside(now clock.Time) bool {
	w := c.entity.cutOff
	return w != nil && c.far.anywhere() && (w.stands(now) || w.heals(now))
}

// isPart says the same of a link, too, of which nobody was told.
func (c *cutState) isPart(now clock.Time) bool {
	w := c.entity.cutOff
	return w != nil && (c.far.anywhere() || c.entity.verdict == nil) && (w.stands(now) || w.heals(now))
}

// widerThan is the wider cut, standing or just healed, without which c would not be
// believed; nil if there is none. known is c itself, if it is followed.
func (e *Engine) widerThan(c *cut, known *cutState, sights []sight) *cutState {
	if !c.near.place() || !c.far.place() {
		return nil
	}
	for _, w := range e.cuts {
		if w == known || w.slow || !w.widerSides(c) || w.isInside(e.now) || !w.lately(e.now) {
			continue
		}
		if c.near.zone != "" && (w.entity.verdict == nil || known != nil && known.entity.verdict != nil) {
			continue // which of the two is told first stands
		}
		if !c.standsWithout(func(s *sight) bool { return w.explainsSight(s, e.now) }, sights) {
			return w
		}
	}
	return nil
}

// widerSides says whether c, a cut of zones, may be what is seen as a cut of d's sides.
func (c *cutState) widerSides(d *cut) bool {
	if c.near.zone == "" || c.sameAs(d) {
		return false
	}
	if d.near.host != nil {
		return true
	}
	// Of a link that ends there; or of another zone that it cannot reach either.
	return d.far.anywhere() && (d.near == c.near || d.near == c.far || c.far.anywhere())
}

// mayCross says whether a way crosses the cut if its other end, of which nobody tells
// the zone, stands on the other side.
func (c *cutState) mayCross(s *sight) bool {
	inside := func(h *hostState, n *entity) bool {
		return c.near.has(h, n) || !c.far.anywhere() && c.far.has(h, n)
	}
	placeless := func(h *hostState) bool { return h == nil || h.zone == "" }
	return inside(s.from, s.caller) && placeless(s.to) || inside(s.to, s.target) && placeless(s.from)
}

// past says whether a machine would not be accused but for calls that began before a
// cut that somebody was told of healed, a short while ago. A link that flaps is new
// each time, and one that was not told is told from what comes late.
func (e *Engine) past(c *cut, sights []sight) bool {
	if !c.far.anywhere() || c.near.host == nil {
		return false
	}
	ended := clock.Time(0)
	for _, w := range e.cuts {
		told := w.entity.verdict != nil || w.entity.cleared > w.began
		if !w.slow && told && !w.stands(e.now) && e.now.Sub(w.endedAt()) < remnant {
			ended = max(ended, w.endedAt())
		}
	}
	return ended != 0 && !c.standsWithout(func(s *sight) bool { return s.tried <= ended }, sights)
}

// pastOfItsEnd says whether a link would not be accused but for calls to or from a machine
// at one of its ends that began before that machine, of which somebody was told, was back.
func (e *Engine) pastOfItsEnd(c *cut, sights []sight) bool {
	if c.far.anywhere() || !c.near.place() || !c.far.place() {
		return false
	}
	for _, w := range e.cuts {
		h := w.near.host
		if h == nil || !w.far.anywhere() || w.slow || !c.near.has(h, nil) && !c.far.has(h, nil) || w.entity.verdict == nil && w.entity.cleared <= w.began {
			continue
		}
		back := w.firstBack(sights)
		if back > w.began && e.now.Sub(back) < remnant && !c.standsWithout(func(s *sight) bool { return s.tried <= back && w.predicts(s) }, sights) {
			return true
		}
	}
	return false
}

// firstBack is when something got across the cut again, on any way that is well now; 0 if
// nothing has.
func (c *cutState) firstBack(sights []sight) (at clock.Time) {
	for i := range sights {
		if s := &sights[i]; s.good > max(c.began, s.bad) && s.goodOn != 0 && c.predicts(s) && (at == 0 || s.goodOn < at) {
			at = s.goodOn
		}
	}
	return at
}

// oneOfSeveral says whether others, of which nobody tells the zone either, were cut off
// within moments of a machine: something that they share may be cut, and some of what
// is beyond it still reach it.
func (e *Engine) oneOfSeveral(c *cutState) bool {
	nowhere := func(c *cutState) bool {
		return c.near.host != nil && c.near.host.zone == "" && c.far.anywhere() && !c.slow
	}
	return nowhere(c) && slices.ContainsFunc(e.cuts, func(d *cutState) bool {
		return d != c && nowhere(d) && d.entity.verdict != nil && d.began < c.began.Add(hidesFrom) && c.began < d.began.Add(hidesFrom)
	})
}

// standsWithout says whether the cut would be believed without the silences that are
// explained already.
func (c *cut) standsWithout(explained func(s *sight) bool, sights []sight) bool {
	for i := range sights {
		s := &sights[i]
		s.taken = s.share >= silentFrom && explained(s)
	}
	alone := *c
	switch {
	case !c.far.anywhere():
		alone.prior = priorHostToHost
	case c.near.zone != "":
		alone.prior = priorZone
	default:
		alone.prior = priorHost
	}
	return alone.score(sights) >= acceptedFrom
}
