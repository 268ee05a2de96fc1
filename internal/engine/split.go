// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Replicas that used to agree, stand on both sides of a cut, both go on changing
// their state and no longer agree: a split brain. Nobody of them lies; that they
// differ is the cut's doing, until they have agreed again. A side whose state
// only stands still has stopped in order, and is none.

const (
	// splitFor is how long the sides must differ: replicas get a change one after
	// the other.
	splitFor = 5 * time.Second
	// splitBefore: the states may part before the first call fails.
	splitBefore = 15 * time.Second
	// agreeFor is how long they must agree again.
	agreeFor = 3 * time.Second
	// splitForgotten is how long they may take to.
	splitForgotten = time.Hour
)

// split is a service whose state has parted.
type split struct {
	service *service
	at      clock.Time // when it was found
	agreed  clock.Time // since when they agree again, 0 if they do not
}

// lookForSplits asks whose state parts across a cut that stands.
func (e *Engine) lookForSplits(c *cutState) {
	if c.slow || c.split != nil || !c.stands(e.now) {
		return
	}
	var parted *service
	for _, s := range e.reg.services {
		if len(s.instances) > 1 && e.parted(c, s) && (parted == nil || s.id.Name < parted.id.Name) {
			parted = s
		}
	}
	switch {
	case parted == nil:
		c.partedAt = 0
	case c.partedAt == 0:
		c.partedAt = e.now
	case e.now.Sub(c.partedAt) >= splitFor:
		c.split = parted
		e.mark(c.entity)
		if !e.splitOf(parted) && len(e.splits) < maxCutStates {
			e.splits = append(e.splits, split{service: parted, at: e.now})
		}
	}
}

// parted says whether instances of s on the two sides differ, each side is of one
// mind, and both have moved since the cut began.
func (e *Engine) parted(c *cutState, s *service) bool {
	var near, far uint64 // the digest on each side
	for _, n := range s.instances {
		v := &n.vouching
		mine := &near
		switch {
		case !n.vouches(e.now):
			continue
		case c.near.has(n.host, n):
		case c.far.has(n.host, n):
			mine = &far
		default:
			continue // a third place
		}
		if v.agreed < agreedFull || v.changedAt < c.began.Add(-splitBefore) || *mine != 0 && *mine != v.word.digest {
			return false
		}
		*mine = v.word.digest
	}
	return near != 0 && far != 0 && near != far
}

// vouches says whether the digest in n's latest heartbeat still stands.
func (n *entity) vouches(now clock.Time) bool {
	fresh := vouchedLeast
	for _, s := range n.streams {
		if s.kind == signBeat {
			fresh = max(fresh, time.Duration(vouchedFor*float64(s.gaps.Interval)))
		}
	}
	return n.vouching.word != nil && now.Sub(n.vouching.at) < fresh
}

const (
	vouchedFor   = 2.5             // beats for which a digest stands, …
	vouchedLeast = 3 * time.Second // … at least
)

// splitOf says whether the state of s has parted and not been brought together.
func (e *Engine) splitOf(s *service) bool {
	return slices.ContainsFunc(e.splits, func(x split) bool { return x.service == s })
}

// mayHaveParted says whether a cut lies, or lay of late, where n or one of its siblings
// stands, or an observer there is silent, or their states have not been brought together
// since. Before it is known between whom a cut lies, those it parts differ already.
func (e *Engine) mayHaveParted(n *entity) bool {
	if e.splitOf(n.service) {
		return true
	}
	for _, c := range e.cuts {
		if !c.slow && e.now.Sub(c.at) <= cutStands+vouchedLeast && slices.ContainsFunc(n.service.instances, c.touches) {
			return true
		}
	}
	for _, o := range e.observerList {
		if !o.silent(e.now) {
			continue
		}
		h := e.standsOn(o)
		if h != nil && slices.ContainsFunc(n.service.instances, func(m *entity) bool { return m.host == h || m.host != nil && h.zone != "" && m.host.zone == h.zone }) {
			return true
		}
	}
	return false
}

// touches says whether n stands on one of the sides, or in the zone of one.
func (c *cut) touches(n *entity) bool {
	if c.endsAt(n) {
		return true
	}
	for _, s := range [...]*side{&c.near, &c.far} {
		h := s.host
		if s.entity != nil {
			h = s.entity.host
		}
		if h != nil && n.host != nil && h.zone != "" && h.zone == n.host.zone {
			return true
		}
	}
	return false
}

// endsAt says whether n stands on one of the sides, other than all the rest.
func (c *cut) endsAt(n *entity) bool {
	return !c.near.anywhere() && c.near.has(n.host, n) || !c.far.anywhere() && c.far.has(n.host, n)
}

// reconcile tells when those who had parted agree again.
func (e *Engine) reconcile() {
	e.splits = slices.DeleteFunc(e.splits, func(x split) bool { return e.now.Sub(x.at) > splitForgotten })
	for i := 0; i < len(e.splits); i++ {
		x := &e.splits[i]
		digest, agree, voters := uint64(0), true, 0
		for _, n := range x.service.instances {
			if n.vouches(e.now) {
				d := n.vouching.word.digest
				agree = agree && (voters == 0 || d == digest)
				digest = d
				voters++
			}
		}
		switch {
		case !agree || voters < 2:
			x.agreed = 0
		case x.agreed == 0:
			x.agreed = e.now
		case e.now.Sub(x.agreed) >= agreeFor:
			s := x.service
			e.emit(verdict.Event{Kind: contract.EventPartitionReconciled, Source: s.instances[0].src, Entity: s.id.Name,
				Body: fmt.Sprintf("the states of %s agree again, %s after they had parted", s.id.Name, inWords(x.agreed.Sub(x.at)))})
			e.splits = slices.Delete(e.splits, i, i+1)
			i--
		}
	}
}
