// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Who answers nobody while a cut goes on between it and those who ask it, or those whom
// it asks itself, may just not be reached, or wait for what does not come. That it hangs
// is told only by what the cut does not explain: somebody who asks it on another way, or
// who got through to it.

const (
	// besideFrom is how long before a cut the trouble of one beside it may seem to begin.
	besideFrom = 10 * time.Second
	// besideUntil is how long after it began the trouble of one may begin that nothing but
	// the time joins with it.
	besideUntil = 15 * time.Second
	// lostFor is how long an observer that has fallen silent may be behind a cut that is
	// not found yet.
	lostFor = 30 * time.Second
)

// besideCut says whether a cut that stands, has just healed or is about to be found may
// be why n answers nobody.
func (e *Engine) besideCut(n *entity, p *episode) bool {
	if p.found[belief.EvProcessStopped].strength > 0 || p.found[belief.EvReturnFrozen].strength > 0 {
		return false
	}
	asking, since := p.asking(n)
	cuts := e.cutsBeside(n, since)
	if len(cuts) > 0 && !e.connectsInVain(n, cuts) &&
		(slices.ContainsFunc(cuts, func(c wayCut) bool { return e.asksAcross(n, c, since) }) || e.askedAcross(n, asking, cuts, since)) {
		p.besideAt = e.now
		return true
	}
	// What was asked until then is told when it has run out of time.
	s := p.complaints(n)
	return p.besideAt != 0 && s != nil && s.failBegan < p.besideAt.Add(insideFrom)
}

// asking are the views of those who have had no answer lately, of n or of the service that
// they named, and when the first of them, and n's trouble, had begun.
func (p *episode) asking(n *entity) (asking []*view, since clock.Time) {
	views := n.views
	if n.kind == kindInstance && p.stalls {
		views = slices.Concat(views, n.service.whole.views)
	}
	for _, w := range views {
		if w.lastBad == 0 || w.lastBad < p.onset.Add(-insideFrom) || w.lastGood > w.lastBad {
			continue
		}
		if asking = append(asking, w); since == 0 || w.firstBad < since {
			since = w.firstBad
		}
	}
	return asking, max(since, p.onset)
}

// wayCut is a cut as wide as it may be: of a machine all of its zone may be cut off, and
// a link between two machines may be that between their zones.
type wayCut struct {
	cut
	wide   cut
	began  clock.Time
	losing bool // some gets through
}

// cutsBeside lists the cuts that trouble of n since then is not older than: an observer
// that has just fallen silent, or lost some of its records, may be behind one.
func (e *Engine) cutsBeside(n *entity, since clock.Time) (out []wayCut) {
	add := func(c cut, began clock.Time, losing bool) {
		if since < began.Add(-besideFrom) {
			return
		}
		w := wayCut{cut: c, wide: cut{near: c.near.widest(), far: c.far.widest()}, began: began, losing: losing}
		if w.wide.near == w.wide.far {
			w.wide = w.cut
		}
		out = append(out, w)
	}
	for _, c := range e.cuts {
		if c != n.cut && (c.stands(e.now) || c.heals(e.now) && since < c.endedAt()) {
			add(c.cut, c.began, c.slow || c.lossy)
		}
	}
	for _, o := range e.observerList {
		if h := e.host(o.host); h == nil || !o.ownBeat || o == e.self {
			continue
		} else if o.justWoke() {
			add(cut{near: side{host: h}}, since, true)
		} else if quiet := e.now.Sub(o.seen); quiet > 2*o.interval+time.Second && quiet < lostFor {
			add(cut{near: side{host: h}}, o.seen, true)
		}
	}
	return out
}

// widest is the zone in which the side lies, if it is known, else its host, else itself.
func (s *side) widest() side {
	h := s.host
	if s.entity != nil {
		h = s.entity.host
	}
	switch {
	case h == nil || h.name == "":
		return *s
	case h.zone == "":
		return side{host: h}
	}
	return side{zone: h.zone}
}

// parts says whether the way between two crosses the cut.
func (c *cut) parts(from *hostState, caller *entity, to *hostState, target *entity) bool {
	if c.far.anywhere() {
		return c.near.has(from, caller) != c.near.has(to, target)
	}
	return c.near.has(from, caller) && c.far.has(to, target) || c.near.has(to, target) && c.far.has(from, caller)
}

// endsAt says whether n stands at an end of the cut. Nobody knows how far a link between
// machines reaches of which nobody tells the zones.
func (c *wayCut) endsAt(n *entity, since clock.Time) bool {
	if !c.far.anywhere() && c.wide.near.zone == "" && since < c.began.Add(besideUntil) {
		return true
	}
	return c.wide.near.has(n.host, n) || !c.far.anywhere() && c.wide.far.has(n.host, n)
}

// connectsInVain says whether somebody's probe gets through to n, and no further, on a
// way that no cut lies on: where some of all packets are lost, it may be its answer.
func (e *Engine) connectsInVain(n *entity, cuts []wayCut) bool {
	return slices.ContainsFunc(n.probes, func(ps *probeState) bool {
		if !ps.latched || ps.outcome != report.OutcomeNoAnswer || ps.run < 2 || !e.current(ps) {
			return false
		}
		from := e.standsOn(ps.observer)
		return !slices.ContainsFunc(cuts, func(c wayCut) bool { return c.losing && c.wide.parts(from, nil, n.host, n) })
	})
}

// asksAcross says whether n asks somebody beyond the cut who has not answered it since
// that began: it may wait. Of a balancer, or a database, nobody tells where it stands.
func (e *Engine) asksAcross(n *entity, c wayCut, since clock.Time) bool {
	way := c.cut
	if !way.far.anywhere() {
		way = c.wide
	}
	return n.eachCallee(func(ed *edge) bool {
		if e.now.Sub(ed.used) > e.params.LeaveFor || ed.okEnd > c.began.Add(stallLeast) && !c.losing {
			return false
		}
		switch {
		case ed.callee.kind == kindService:
			return slices.ContainsFunc(ed.callee.service.instances, func(i *entity) bool {
				return !i.left && way.parts(n.host, n, i.host, i)
			})
		case ed.callee.host == nil:
			return since < c.began.Add(besideUntil)
		}
		return way.parts(n.host, n, ed.callee.host, ed.callee)
	})
}

// askedAcross says whether cuts may lie on the ways of all those who ask. Who goes by a
// name may be sent on by somebody of whom nobody tells where he stands: between him and
// n, and if no other of the service goes on either, between them and him. Where nobody is
// known to ask, a cut that ends where n stands may.
func (e *Engine) askedAcross(n *entity, asking []*view, cuts []wayCut, since clock.Time) bool {
	named := false
	for _, w := range asking {
		if slices.ContainsFunc(cuts, func(c wayCut) bool { return c.wide.parts(w.from, w.caller, n.host, n) }) {
			continue
		}
		if named = true; !w.byName {
			return false
		}
	}
	if len(asking) > 0 && !named {
		return true
	}
	alone := named && n.kind == kindInstance && e.siblings(n).goOn(n, since.Add(insideFrom)) == 0
	return slices.ContainsFunc(cuts, func(c wayCut) bool {
		return c.endsAt(n, since) || alone && since < c.began.Add(besideUntil)
	})
}
