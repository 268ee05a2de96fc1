// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"slices"
)

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
// one of them is silent, or its home is known.
func placelessIn(sights []sight, homes map[*hostState]string) map[placeless][]int {
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
		if homes[p.host] == "" && !slices.ContainsFunc(at, func(i int) bool { return sights[i].share >= silentFrom }) {
			delete(out, p)
		}
	}
	return out
}

// place puts each of them where the cut explains most, an observer rather in the zone
// where those are who beat to it. That the engine itself stands in a zone that is cut off
// is a hypothesis of its own.
func (c *cut) place(sights []sight, nowhere map[placeless][]int, homes map[*hostState]string, here *hostState) {
	if !c.near.place() || !c.far.place() {
		return // it is about one entity, wherever it stands
	}
	for p, at := range nowhere {
		if p.host != nil && (c.near.zone == "" || p.host == here && c.far.anywhere()) {
			continue
		}
		best, most, price := elsewhere, math.Inf(-1), 0.0
		for _, where := range [...]whichSide{elsewhere, nearSide, farSide} {
			prior := c.priorOf(where, homes[p.host])
			if x := c.saysOf(sights, at, where) + prior; x > most {
				best, most, price = where, x, prior
			}
		}
		c.price += price
		if best != elsewhere {
			if c.placed == nil {
				c.placed = placing{}
			}
			c.placed[p] = best
		}
	}
}

// priorOf is what is thought beforehand of one who stands on a side, in nats: home is the
// zone in which all are who beat to it, "" if they are in several, or nobody is known to.
func (c *cut) priorOf(where whichSide, home string) float64 {
	if home == "" {
		if where == elsewhere {
			return 0
		}
		return priorPlaced
	}
	at := elsewhere
	switch home {
	case c.near.zone:
		at = nearSide
	case c.far.zone:
		at = farSide
	}
	if where == at {
		return 0
	}
	return priorAway
}

// homesOf are the zones in which all are who beat to an observer of whose host nobody
// tells the zone: agents stand where those do whom they hear. The engine may stand anywhere.
func homesOf(sights []sight, here *hostState) map[*hostState]string {
	var homes map[*hostState]string
	for i := range sights {
		s := &sights[i]
		if s.caller == nil || s.target != nil || s.to == nil || s.to == here || s.to.zone != "" || s.from == nil {
			continue
		}
		if homes == nil {
			homes = map[*hostState]string{}
		}
		if home, known := homes[s.to]; known && home != s.from.zone {
			homes[s.to] = ""
		} else if !known {
			homes[s.to] = s.from.zone
		}
	}
	return homes
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
