// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"
	"time"
)

// A link that is slow hurts calls across it and no others: those who are called
// answer as fast as ever by their own account, and others reach them as fast as
// ever. The same solver that tells cuts chooses, with slowness in the place of
// silence.

const (
	// slowFresh is how long an edge says something of now.
	slowFresh = 10 * time.Second
	// slowShare is the share of the slow ways that a link must explain: a machine
	// without breath makes everything slow.
	slowShare = 0.7
)

// slowCall notes slow calls on an edge.
func (e *Engine) slowCall(ed *edge) {
	if e.now.Sub(ed.lastSlow) > e.params.RecoveryCalls {
		ed.slowSince = e.now
	}
	ed.lastSlow = e.now
	if ed.slowness(e) >= slowFrom {
		e.slowSuspected = true
	}
}

// slowness is the share, 0-1, of answered calls that were far slower than usual.
func (ed *edge) slowness(e *Engine) float64 {
	w := e.params.CallWindow
	return min(ed.slow.value(e.now, w)/max(ed.ok.value(e.now, w), 1), 1)
}

// slowSights are the ways between hosts, by how slow calls are on them. Who is
// slow by its own account is no matter of the way.
func (e *Engine) slowSights() []sight {
	var out []sight
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil && len(out) < maxSights; n = n.next {
			for _, ed := range n.callees {
				to := ed.callee.host
				if n.host == nil || to == nil || n.host == to || e.now.Sub(ed.used) > slowFresh {
					continue
				}
				share := ed.slowness(e)
				if own, many := e.slowness(ed.callee); share >= silentFrom && ed.callee.served.total > 0 && (own >= silentFrom && many >= 1) {
					continue
				}
				s := sight{from: n.host, to: to, caller: n, target: ed.callee, share: share, weight: min(ed.ok.value(e.now, e.params.CallWindow), callsFull) / 2, since: ed.slowSince, bad: ed.lastSlow}
				if share < silentFrom {
					s.good = ed.used
				}
				out = append(out, s)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b sight) int { return cmp.Compare(a.from.name, b.from.name) })
	return out
}

// lookForSlowLinks believes in the one link that explains what is slow.
func (e *Engine) lookForSlowLinks(sights []sight) {
	slow := 0
	for i := range sights {
		if sights[i].share >= slowFrom {
			slow++
		}
	}
	e.slowSuspected = slow > 0
	if slow < 2 {
		return
	}
	for _, f := range solve(sights, e.here) {
		if f.far.anywhere() || f.near.entity != nil || f.far.entity != nil || f.sure < surelyCut ||
			f.paths < 2 || float64(f.paths) < slowShare*float64(slow) {
			continue
		}
		e.believe(f, true)
	}
}
