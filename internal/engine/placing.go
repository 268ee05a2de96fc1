// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "slices"

// A database or an outside server sends no telemetry, so nobody tells where it
// stands. Each cut that is considered puts it where that explains most: behind
// the cut with the rest, or beyond it. One that dies with its machine is then no
// failure of its own.

// placing says on which side of a cut those stand of whom nobody tells.
type placing map[*entity]whichSide

type whichSide uint8

const (
	elsewhere whichSide = iota // of a link neither; of a place outside
	nearSide
	farSide
)

// placeless says whether the sight is of somebody who may stand anywhere.
func (s *sight) placeless() bool {
	return s.to == nil && s.target != nil && s.target.kind == kindExternal
}

// predictsAt says whether the cut silences a sight of somebody on a side.
func (c *cut) predictsAt(s *sight, where whichSide) bool {
	from := c.near.has(s.from, s.caller)
	switch {
	case c.near.entity == s.target || c.far.entity == s.target:
		if c.far.entity == s.target {
			return from
		}
		return true
	case c.far.anywhere():
		return from != (where == nearSide)
	case where == farSide:
		return from
	case where == nearSide:
		return c.far.has(s.from, s.caller)
	}
	return false
}

// placelessIn lists the sights of each of whom nobody tells where it stands, if
// one of them is silent.
func placelessIn(sights []sight) map[*entity][]int {
	var out map[*entity][]int
	for i := range sights {
		if s := &sights[i]; s.placeless() {
			if out == nil {
				out = map[*entity][]int{}
			}
			out[s.target] = append(out[s.target], i)
		}
	}
	for n, at := range out {
		if !slices.ContainsFunc(at, func(i int) bool { return sights[i].share >= silentFrom }) {
			delete(out, n)
		}
	}
	return out
}

// place puts each of them where the cut explains most.
func (c *cut) place(sights []sight, nowhere map[*entity][]int) {
	if c.near.entity != nil || c.far.entity != nil {
		return // it is about one entity, wherever it stands
	}
	for n, at := range nowhere {
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
			c.placed[n] = best
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
