// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "slices"

// A database or an outside server sends no telemetry, so nobody tells where it
// stands. Each cut that is considered puts it where that explains most: behind
// the cut with the rest, or beyond it. One that dies with its machine is then no
// failure of its own.

// placing says on which side of a cut those stand of whom nobody tells.
type placing map[placeless]whichSide

// placeless is somebody who may stand anywhere: an outside server, or for a cut
// between zones an observer's host of which nobody tells the zone.
type placeless struct {
	target *entity
	host   *hostState
}

type whichSide uint8

const (
	elsewhere whichSide = iota // of a link neither; of a place outside
	nearSide
	farSide
)

// leadsTo says to whom the sight leads who may stand anywhere, if to such a one, or
// from which observer it comes that may.
func (s *sight) leadsTo() (p placeless, ok bool) {
	switch {
	case s.startsNowhere():
		return placeless{host: s.from}, true
	case s.to == nil && s.target != nil && s.target.kind == kindExternal:
		return placeless{target: s.target}, true
	case s.to != nil && s.target == nil && s.to.zone == "":
		return placeless{host: s.to}, true
	}
	return p, false
}

// startsNowhere says whether it is what an observer sees of whose host nobody tells the
// zone, of somebody of whom it is known.
func (s *sight) startsNowhere() bool {
	return s.caller == nil && s.target != nil && s.from != nil && s.from.zone == "" && s.to != nil && s.to.zone != ""
}

// predictsAt says whether the cut silences a sight of somebody on a side.
func (c *cut) predictsAt(s *sight, where whichSide) bool {
	host, entity := s.from, s.caller
	if s.startsNowhere() {
		host, entity = s.to, s.target
	}
	from := c.near.has(host, entity)
	switch {
	case s.target != nil && (c.near.entity == s.target || c.far.entity == s.target):
		if c.far.entity == s.target {
			return from
		}
		return true
	case c.far.anywhere():
		return from != (where == nearSide)
	case where == farSide:
		return from
	case where == nearSide:
		return c.far.has(host, entity)
	}
	return false
}

// placelessIn lists the sights of each of whom nobody tells where it stands, if
// one of them is silent.
func placelessIn(sights []sight) map[placeless][]int {
	var out map[placeless][]int
	for i := range sights {
		if p, ok := sights[i].leadsTo(); ok {
			if out == nil {
				out = map[placeless][]int{}
			}
			out[p] = append(out[p], i)
		}
	}
	for p, at := range out {
		if !slices.ContainsFunc(at, func(i int) bool { return sights[i].share >= silentFrom }) {
			delete(out, p)
		}
	}
	return out
}

// place puts each of them where the cut explains most. That the engine itself
// stands in a zone that is cut off is a hypothesis of its own.
func (c *cut) place(sights []sight, nowhere map[placeless][]int, here *hostState) {
	if c.near.entity != nil || c.far.entity != nil {
		return // it is about one entity, wherever it stands
	}
	for p, at := range nowhere {
		if p.host != nil && (c.near.zone == "" || p.host == here && c.far.anywhere()) {
			continue
		}
		best, most := elsewhere, c.saysOf(sights, at, elsewhere)
		for _, where := range [...]whichSide{nearSide, farSide} {
			if x := c.saysOf(sights, at, where) + priorPlaced; x > most {
				best, most = where, x
			}
		}
		if best != elsewhere {
			if c.placed == nil {
				c.placed = placing{}
			}
			c.placed[p] = best
		}
	}
}

// saysOf is what the sights at some indices say for the cut, in nats, if their
// target stands on a side.
func (c *cut) saysOf(sights []sight, at []int, where whichSide) float64 {
	var whole, part float64
	for _, i := range at {
		if s := &sights[i]; !s.taken && c.predictsAt(s, where) {
			whole += s.cut
			part += s.lossy
		}
	}
	return max(whole, part)
}

// betweenUnreached shows add each pair of zones that observers do not reach of whose
// hosts nobody tells the zone: these may stand in the one and in the other.
func betweenUnreached(sights []sight, add func(a, b string)) {
	var zones []string
	for i := range sights {
		s := &sights[i]
		if s.taken || s.share < silentFrom || !s.startsNowhere() || slices.Contains(zones, s.to.zone) {
			continue
		}
		for _, other := range zones {
			add(other, s.to.zone)
		}
		if zones = append(zones, s.to.zone); len(zones) == maxUnreached {
			return
		}
	}
}

// maxUnreached bounds the zones of which each pair is a hypothesis.
const maxUnreached = 8
