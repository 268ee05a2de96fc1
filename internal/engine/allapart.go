// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/faultline-otel/faultline/internal/engine/clock"

// A rule of a firewall, or a policy of a cluster's network, names services and not places:
// of those that it keeps apart no instance can connect to any of the other, wherever they
// stand, while both are well with all others.

// maxPairs is how many pairs of services are looked at in one pass.
const maxPairs = 32

// servicesApart are the service that could not connect, and whom it called: a service, or
// one of whom no more is known than its address.
func (s *sight) servicesApart() (pair [2]side, ok bool) {
	if !s.broken || s.caller == nil || s.target == nil || s.caller.service == nil || s.caller.service == s.target.service {
		return pair, false
	}
	pair = [2]side{{all: s.caller.service}, {entity: s.target}}
	if s.target.service != nil {
		pair[1] = side{all: s.target.service}
	}
	return pair, s.caller.service.several() || s.target.service.several()
}

// several says whether more than one instance of it is there; s may be nil.
func (s *service) several() bool {
	here := 0
	if s != nil {
		for _, i := range s.instances {
			if !i.left {
				here++
			}
		}
	}
	return here > 1
}

// keepsApart says whether for long none of the near service could connect to the far one,
// which has answered others since, while the near one has answered others or they it.
func (c *cut) keepsApart(sights []sight) bool {
	since, bad := clock.Time(0), clock.Time(0)
	for i := range sights {
		s := &sights[i]
		switch {
		case s.caller == nil || !c.near.has(s.from, s.caller) || !c.far.has(s.to, s.target):
		case s.share < aloneFrom || !s.broken:
			return false
		default:
			since, bad = max(since, s.since), max(bad, s.bad)
		}
	}
	if bad.Sub(since) < vainFor {
		return false
	}
	served, reaches := false, false
	for i := range sights {
		s := &sights[i]
		if s.caller == nil || s.target == nil || s.share >= silentFrom || s.weight < goodEnough || s.good < since.Add(vainFor/2) {
			continue
		}
		near, far := c.near.has(s.from, s.caller), c.far.has(s.to, s.target)
		served = served || far && !near
		reaches = reaches || near && !far || c.near.has(s.to, s.target) && !c.far.has(s.from, s.caller)
	}
	return served && reaches
}
