// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// A place that is met with silence from some others and reached from the rest is
// not cut off: as many links are. What is cut off, or loses packets, is so for all.

// placeCap is the nats that all that is seen between two places may add up to.
const placeCap = 3 * sightCap

// isManyLinks says whether links between the place and single others explain more
// than that it is cut off from all, nats against nats. Each other place has one
// voice, and counts only so much.
func (c *cut) isManyLinks(sights []sight) bool {
	if !c.far.anywhere() || c.near.entity != nil {
		return false
	}
	type gain struct{ whole, part float64 }
	others := map[any]gain{}
	for i := range sights {
		s := &sights[i]
		if s.taken || !c.predicts(s) {
			continue
		}
		other := s.from
		if c.near.has(s.from, s.caller) {
			other = s.to
		}
		if other == nil {
			continue // nobody knows where it stands
		}
		var place any = other
		if c.near.zone != "" && other.zone != "" {
			place = other.zone
		}
		g := others[place]
		others[place] = gain{g.whole + s.cut, g.part + s.lossy}
	}
	prior := priorHostToHost
	if c.near.zone != "" {
		prior = priorZoneToZone
	}
	one, many := c.prior, 0.0
	if c.lossy {
		one += priorLossy
	}
	for _, g := range others {
		whole, part := stat.Clamp(g.whole, -placeCap, placeCap), stat.Clamp(g.part, -placeCap, placeCap)
		if c.lossy {
			one += part
		} else {
			one += whole
		}
		many += max(0, prior+max(whole, part+priorLossy))
	}
	return many > one
}

// losesApart says whether what is silent across the cut is silent on some ways
// altogether, more than it is now and then, while others are open: that is no loss
// of packets, which all that cross it share.
func (c *cut) losesApart(sights []sight) bool {
	if !c.near.place() || !c.far.place() {
		return false
	}
	var all, some, open float64
	latest := clock.Time(0) // when the last of them fell silent
	for i := range sights {
		s := &sights[i]
		switch {
		case s.taken || s.share < silentFrom || s.weight < 1 || !c.predicts(s):
		case s.share >= nobodyBehind:
			all += s.weight
			latest = max(latest, s.since)
		default:
			some += s.weight
		}
	}
	if all <= some {
		return false
	}
	for i := range sights {
		if s := &sights[i]; !s.taken && s.share < silentFrom && s.good > latest && c.predicts(s) {
			open += s.weight
		}
	}
	return open >= 1
}
