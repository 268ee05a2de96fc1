// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "slices"

// Where all that goes into and out of one machine is late, wherever to, of whichever process,
// while none of these waits for a processor, its card is slow, or what it hangs on. The solver
// takes that for the failure of the process that most of it concerns: what one machine sees is
// one witness to it.

const (
	// slowTowards are the machines or servers to and from which ways must be slow, and slowOf
	// the processes there that feel it: what one process does late may be its own doing.
	slowTowards = 3
	slowOf      = 2
	// slowCard is the share of the calls there that must be late, and slowWays that of the ways.
	slowCard, slowWays = 0.5, 0.8
	slowCardLasts      = 2 * slowLasts
)

// ofMachine is what is late into and out of one machine.
type ofMachine struct {
	others   []string
	zones    []string // of others, as far as they are known
	own      []*entity
	ways, of int
}

// lookForSlowCards believes of at most one machine that it is cut off slowly, and says whether
// it does.
func (e *Engine) lookForSlowCards(sights []sight) bool {
	var slow *foundCut
	for h, m := range machinesOf(sights) {
		if len(m.own) < slowOf || len(m.others) < slowTowards || len(m.zones) == 1 && m.zones[0] != h.zone || float64(m.ways) < slowWays*float64(m.of) ||
			slices.ContainsFunc(m.own, func(n *entity) bool { return !n.breathes(e.now) }) {
			continue
		}
		f := foundCut{cut: cut{near: side{host: h}}, score: linkScoreFull, sure: 1}
		f.take(sights)
		for i := range sights {
			sights[i].taken = false
		}
		if f.share < slowCard || f.bad.Sub(f.since) < slowCardLasts || f.elsewhere(sights) >= f.share*slowElsewhere {
			continue
		}
		if slow != nil {
			return false // two: what they share is late
		}
		slow = &f
	}
	if slow == nil {
		return false
	}
	e.believe(*slow, true)
	return true
}

// machinesOf sorts what is late by the machines that it goes into or out of.
func machinesOf(sights []sight) map[*hostState]*ofMachine {
	out := map[*hostState]*ofMachine{}
	at := func(h *hostState, own *entity, other, zone string, late bool) {
		if h == nil || own == nil {
			return
		}
		m := out[h]
		if m == nil {
			m = &ofMachine{}
			out[h] = m
		}
		m.of++
		if !late {
			return
		}
		m.ways++
		if !slices.Contains(m.others, other) {
			m.others = append(m.others, other)
		}
		if zone != "" && !slices.Contains(m.zones, zone) {
			m.zones = append(m.zones, zone)
		}
		if !slices.Contains(m.own, own) {
			m.own = append(m.own, own)
		}
	}
	for i := range sights {
		s := &sights[i]
		if s.caller == nil || s.target == nil {
			continue
		}
		to, zone, late := s.target.name(), "", s.share >= silentFrom
		if s.to != nil {
			to, zone = s.to.name, s.to.zone
		}
		at(s.from, s.caller, to, zone, late)
		if s.from != nil {
			at(s.to, s.target, s.from.name, s.from.zone, late)
		}
	}
	return out
}
