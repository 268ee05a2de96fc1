// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"
)

// Who cannot connect makes no call, and many drivers and pools write no span of an
// attempt to connect: the last that is seen of a server that went is a call that
// broke off. That it is still not there shows in what is missing. Those who used to
// call it go on being asked, fail, and no longer call it.

const (
	// missedSure is the number of calls that it would usually have got meanwhile
	// from which on their absence is no chance.
	missedSure = 5.0
	// missedLeast is the shortest time without a call that is looked at.
	missedLeast = 4 * time.Second
	// missedFails is the share of its answers that must be failures for a caller
	// to be in want of something.
	missedFails = 0.5
)

// misses says how sure it is, 0-1, that the caller misses the callee: the last call
// broke off, none has been made since, and what the caller itself is asked fails.
func (ed *edge) misses(e *Engine) (quiet time.Duration, sure float64) {
	c := &ed.caller.served
	if ed.lastFail == 0 || ed.lastFail < ed.used || ed.rate.known < rateKnown || e.now.Sub(c.seen) > e.params.CallWindow+c.told.slack() {
		return 0, 0
	}
	quiet = c.seen.Sub(ed.used)
	if quiet < missedLeast+c.told.slack() {
		return 0, 0
	}
	failed, ok := c.failed.value(e.now, e.params.CallWindow), c.ok.value(e.now, e.params.CallWindow)
	if failed < 1 || failed/(failed+ok) < missedFails {
		return 0, 0
	}
	return quiet, clamp(ed.rate.usual*quiet.Seconds()/missedSure-1, 0, 1)
}

// detectMissed: it is missed by those who used to call it, after calls to it broke
// off.
func detectMissed(e *Engine, n *entity, p *episode) {
	if n.calls == nil || n.served.total > 0 || n.calls.lastFail == 0 {
		return // who tells of its own calls is seen to go on, or not
	}
	for _, ed := range n.calledBy {
		quiet, sure := ed.misses(e)
		if sure == 0 || sure < p.found[evMissed].strength && p.found[evMissed].now {
			continue
		}
		p.blame(evMissed, sure, e.now, fmt.Sprintf("the last call of %s to it broke off, and in the %s since it has made none and fails its own callers", ed.caller.name(), inWords(quiet)))
		p.startedBy(n.calls.firstFail)
	}
}
