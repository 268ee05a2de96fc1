// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"math"
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

// slowRun is a run of calls on an edge, some of which were far slower than usual.
type slowRun struct {
	began Time
	last  Time // when one was slow last
	ok    fading
	slow  fading
}

// add notes answered calls, of which some were slow.
func (r *slowRun) add(e *Engine, calls, slow int) {
	w := e.params.CallWindow
	running := r.last != 0 && e.now.Sub(r.last) < e.params.RecoveryCalls
	if slow > 0 {
		if !running {
			*r = slowRun{began: e.now}
			running = true
		}
		r.last = e.now
		r.slow.add(float64(slow), e.now, w)
	}
	if running {
		r.ok.add(float64(calls), e.now, w)
	}
	if r.share(e) >= slowFrom {
		e.slowSuspected = true
	}
}

// share is the share, 0-1, of calls in the run that were slow; 0 if it is over.
func (r *slowRun) share(e *Engine) float64 {
	if r.last == 0 || e.now.Sub(r.last) > slowFresh {
		return 0
	}
	w := e.params.CallWindow
	return min(r.slow.value(e.now, w)/max(r.ok.value(e.now, w), 1), 1)
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
				share := ed.run.share(e)
				if own, many := e.slowness(ed.callee); share >= silentFrom && ed.callee.served.total > 0 && (own >= silentFrom && many >= 1) {
					continue
				}
				s := sight{from: n.host, to: to, caller: n, target: ed.callee, share: share, weight: min(ed.ok.value(e.now, e.params.CallWindow), callsFull) / 2, since: ed.run.began, bad: ed.run.last}
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
	if f, ok := slowLink(sights, e.here); ok && float64(f.paths) >= slowShare*float64(slow) {
		e.believe(f, true)
	}
}

// slowLink is the likeliest link that explains what is slow, if no single entity
// does better. A place that is slow to and from all others is none.
func slowLink(sights []sight, here *hostState) (f foundCut, ok bool) {
	weighSights(sights)
	one := 0.0 // score of the likeliest entity
	for _, c := range propose(sights, here) {
		score := c.score(sights)
		switch {
		case c.far.anywhere() && c.near.entity != nil:
			one = max(one, score)
		case c.far.anywhere() || c.near.entity != nil || c.far.entity != nil:
		case score > f.score:
			f = foundCut{cut: c, score: score}
		}
	}
	f.sure = 1 / (1 + math.Exp(one-f.score))
	if f.score < acceptedFrom || f.sure < surelyCut {
		return f, false
	}
	f.take(sights)
	return f, f.paths >= 2
}
