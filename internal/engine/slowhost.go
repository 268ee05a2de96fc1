// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Where instances of several services are slow on one machine, all others of these
// services are as fast as ever elsewhere, and none of them waits for another, what they
// have in common is the machine. Of what it is short its own metrics would tell; without
// them that is not known.

// slowsTogether is how many services must be slow on one machine.
const slowsTogether = 2

// onSlowHost says whether n is slow only on a machine on which others are, too, and
// remembers that for as long as the failure lasts.
func (e *Engine) onSlowHost(n *entity, p *episode) bool {
	if p.slowHost == nil {
		if h := e.slowOnlyOn(n); h != nil && e.slowsAll(h) {
			p.slowHost = h
		}
	}
	return p.slowHost != nil
}

// slowOnlyOn is the only machine on which instances of n's service are slow; nil if there
// are several, or none elsewhere answers as fast as ever.
func (e *Engine) slowOnlyOn(n *entity) *hostState {
	s := n.service
	if s == nil || len(s.instances) > fewSiblings {
		return nil
	}
	var h *hostState
	fast := false
	for _, i := range s.instances {
		switch share, many := e.slowness(i); {
		case i.left || i.host == nil || i.served.total == 0:
		case share >= slowFrom && many >= slowOne || i.knee.Since != 0:
			if h != nil && h != i.host {
				return nil
			}
			h = i.host
		case share < slowShare && i.served.ok.Value(e.now, e.params.CallWindow) >= slowSome:
			fast = true
		}
	}
	if !fast || h == nil || h.name == "" || n.kind == kindInstance && n.host != h {
		return nil
	}
	return h
}

// slowsAll says whether instances of several services are slow on h and nowhere else, of
// which none waits for another that is.
func (e *Engine) slowsAll(h *hostState) bool {
	var slow []*service
	for _, i := range e.onHost(h.name) {
		if i.service != nil && !slices.Contains(slow, i.service) && e.slowOnlyOn(i) == h {
			slow = append(slow, i.service)
		}
	}
	alone := 0
	for _, s := range slow {
		waits := slices.ContainsFunc(s.instances, func(i *entity) bool {
			return slices.ContainsFunc(i.callees, func(ed *edge) bool {
				return ed.callee.service != s && slices.Contains(slow, ed.callee.service)
			})
		})
		if !waits {
			alone++
		}
	}
	return alone >= slowsTogether
}

// untoldShortage says whether all that is known of n's shortage is that it is slow.
func untoldShortage(p *episode) bool {
	return subclass(p, belief.CauseExhaustion) == verdict.SubclassOverload
}
