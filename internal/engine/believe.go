// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Which cuts are followed: those that were found, once each, and none that a wider
// one explains.

// believe notes a cut against the link, node or zone that it names. One that
// ends in a single entity is that entity's own affair.
func (e *Engine) believe(f foundCut, slow bool) {
	if f.near.entity != nil && f.far.anywhere() || f.near.host == e.here || f.far.host == e.here {
		return
	}
	for _, c := range e.cuts {
		if slow && !c.slow && e.now.Sub(c.at) < cutStands && (f.within(&c.cut) || c.within(&f.cut)) {
			return // what gets through late
		}
		sameZone := c.near.zone != "" && c.near.zone == f.near.zone && c.far.anywhere() && f.far.anywhere()
		if sameZone || c.sameAs(&f.cut) {
			if c.entity.verdict == nil && !c.stands(e.now) && e.isRemnant(&f.cut, c) {
				return
			}
			c.near, c.far, c.placed, c.slow = f.near, f.far, f.placed, slow
			if !e.knows(c.entity) { // it made room meanwhile
				c.entity = e.cutEntity(c)
				c.entity.cut = c
			}
			if c.goneAt <= c.at { // who could not connect once makes it no more doubtful later
				f.beside = f.beside && (c.found.beside || c.found.vain)
				f.vain = f.vain && c.found.vain
				f.sure = max(f.sure, c.found.sure) // what told it from others may age while it lasts
			} else {
				c.opened++
				c.began = f.since
				c.anew, c.othersServe = "", false
			}
			c.at = e.now
			f.asked = f.asked || c.found.asked
			if f.share >= c.found.share-healing { // less only means that it heals
				c.found, c.lossy = f, f.lossy
			}
			c.found.sure = f.sure
			e.suspect(c.entity)
			return
		}
	}
	if f.near.host != nil && f.far.anywhere() && (f.paths < 2 || e.onlyWatches(f.near.host)) {
		return // one silence more than a failed target would do; and nobody misses who only looks
	}
	if len(e.cuts) >= maxCutStates {
		e.stats.ForgottenCuts++
		return
	}
	c := &cutState{cut: f.cut, slow: slow, found: f, at: e.now, began: f.since}
	if e.isRemnant(&c.cut, nil) {
		return
	}
	c.entity = e.cutEntity(c)
	c.entity.cut = c
	for _, narrow := range e.cuts {
		if narrow.within(&c.cut) || narrow.maybeWithin(&c.cut) {
			narrow.entity.cutOff = c
		}
	}
	e.cuts = append(e.cuts, c)
	e.suspect(c.entity)
}

// isRemnant says whether a cut, known as one that is over or not at all, is what is left of
// a wider one while that heals.
func (e *Engine) isRemnant(c *cut, known *cutState) bool {
	return slices.ContainsFunc(e.cuts, func(wide *cutState) bool {
		return wide != known && (c.within(&wide.cut) || c.maybeWithin(&wide.cut)) && e.now.Sub(wide.at) < remnant
	})
}

// onlyWatches says whether nobody but an observer is known on a host: that it is cut off
// is its own misfortune, and no failure of those whom it watches.
func (e *Engine) onlyWatches(h *hostState) bool {
	if h.observer == nil {
		return false
	}
	for k := range e.ties.vain {
		if p := e.standsAt(k); p != nil && p.host == h.name {
			return false // somebody there is sent to in vain, though no span names him
		}
	}
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil; n = n.next {
			if n.kind <= kindExternal && n.host == h {
				return false
			}
		}
	}
	return true
}

// within says whether the wider cut explains all that c does.
func (c *cut) within(wider *cut) bool {
	inside := func(a, b *side) bool { return a.within(b) || b.anywhere() }
	return inside(&c.near, &wider.near) && inside(&c.far, &wider.far) || inside(&c.far, &wider.near) && inside(&c.near, &wider.far)
}

// maybeWithin says whether the wider link would explain c if a host of which nobody
// tells the zone, such as an observer's, stands on its other side.
func (c *cut) maybeWithin(wider *cut) bool {
	if wider.near.zone == "" || wider.far.zone == "" {
		return false
	}
	placeless := func(s *side) bool { return s.host != nil && s.host.zone == "" }
	inside := func(s *side) bool { return s.within(&wider.near) || s.within(&wider.far) }
	return placeless(&c.near) && inside(&c.far) || placeless(&c.far) && inside(&c.near)
}

// cutEntity returns the entity that stands for what is cut.
func (e *Engine) cutEntity(c *cutState) *entity {
	kind, src, name := kindLink, &report.Source{}, ""
	switch {
	case c.far.anywhere() && c.near.zone != "":
		kind, src = kindZone, &report.Source{Zone: c.near.zone}
	case c.far.anywhere():
		kind, src = kindNode, &report.Source{Host: c.near.host.name}
	default:
		name = c.linkName()
	}
	key := report.Hash(report.Hash(report.Hash(report.Hash(report.HashSeed, "cut"), name), src.Zone), src.Host)
	n := e.reg.byKey[key]
	if n == nil {
		n = &entity{kind: kind, key: key, src: src, address: name, born: e.now, touched: e.now, alive: true}
		e.add(n)
	}
	if kind == kindLink {
		n.address = name
	}
	e.reg.touch(n, e.now)
	return n
}

// linkName is "a→b", from those who call to those who are called; where packets
// get through one way, from where to where they do not.
func (c *cutState) linkName() string { return c.nameOf(&c.near) + "→" + c.nameOf(&c.far) }

// nameOf is the name of one end. A link that ends in one entity is named by who
// talks over it.
func (c *cutState) nameOf(s *side) string {
	if s == &c.near && c.far.entity != nil && c.near.host != nil {
		name := c.near.name()
		for _, w := range c.far.entity.views {
			if w.from == c.near.host && w.caller != nil {
				name = w.caller.name()
			}
		}
		return name
	}
	return s.name()
}
