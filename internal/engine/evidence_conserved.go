// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Who answers has usually made calls of its own to be able to. One that goes on
// answering, all well, and makes none any more has not done what it says. Both ends
// of the comparison are told by one process, by the same way: what is sampled,
// dropped, sent late or twice is so for both. A cache or a switch may be the reason,
// so that it takes another kind of evidence to convict.

const (
	// madeGone is the share of its usual calls that is none.
	madeGone = 0.1
	// madeOn is the share of their own usual ones that its siblings must still make.
	madeOn = 0.5
	// madeLeast is how many calls must be missing in a window.
	madeLeast = 20.0
	// madeMemory is how many windows the usual remembers.
	madeMemory = 8
	// failedTrickle is the share of its calls that may fail without a reason to
	// answer from elsewhere, and failedFor for how long more is a reason.
	failedTrickle = 0.05
	failedFor     = 5 * time.Minute
)

// compareFlow compares what comes out of each instance with what goes in.
func (e *Engine) compareFlow(peers []*entity, asked []bool) {
	e.values, e.off = e.values[:0], e.off[:0]
	for _, n := range peers {
		c := n.conduct
		if c.failed > failedTrickle*c.made {
			c.badAt = e.now
		}
		done := c.answers - c.rejected
		if done < conductAnswers {
			e.values = append(e.values, -1)
			continue
		}
		x := c.made / done
		e.values = append(e.values, x)
		if c.usual > 0 {
			e.off = append(e.off, x/c.usual)
		}
	}
	gone := 0
	for i, n := range peers {
		if x := e.values[i]; x >= 0 && n.conduct.usual > 0 && x < madeGone*n.conduct.usual {
			gone++
		}
	}
	goOn := gone == 1 && len(e.off) > siblingsLeast && stat.Median(e.off) >= madeOn
	for i, n := range peers {
		c, x := n.conduct, e.values[i]
		m := &c.against[measureMade]
		switch gone := c.usual > 0 && x < madeGone*c.usual; {
		case x < 0:
			m.odd <<= 1
		case !gone || m.inStep < inStepEnough:
			if c.usual == 0 {
				c.usual = x
			}
			c.usual += (x - c.usual) / madeMemory
			m.steps()
		case !goOn || !asked[i] || c.usual*(c.answers-c.rejected) < madeLeast || c.badAt != 0 && e.now.Sub(c.badAt) < failedFor || e.unheardOn(n):
			m.odd <<= 1
		default:
			m.strays(e.now, c.made, c.usual*(c.answers-c.rejected), n.verdict != nil)
		}
	}
}

// unheardOn says whether of n's host no calls are told at all any more, though
// others there go on answering: who tells them leaves them out.
func (e *Engine) unheardOn(n *entity) bool {
	if n.host == nil {
		return false
	}
	silent := 0
	for _, m := range e.onHost(n.host.name) {
		switch {
		case m == n || m.spanned == 0 || e.now.Sub(m.served.seen) > conductWindow:
		case e.now.Sub(m.spanned) < conductWindow:
			return false
		default:
			silent++
		}
	}
	return silent > 0
}

// detectConserved: it answers as before and does nothing for it.
func detectConserved(e *Engine, n *entity, p *episode) {
	c := n.conduct
	if c == nil || !c.isOdd(measureMade) || !e.conductTold(n, p) || p.found[belief.EvCalleeFailing].strength > 0 {
		return
	}
	m := &c.against[measureMade]
	p.odd(belief.EvDoesNothing, n.sameVersion(), m.since, e.now,
		fmt.Sprintf("it answers as before and has made %.0f calls for it, where it usually makes %.0f and its siblings go on", m.x, m.med),
		c.isOdd(measureSize) || c.isOdd(measureRejected))
}
