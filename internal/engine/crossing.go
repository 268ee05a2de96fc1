// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// What a call takes for its client and does not take for its server it spent on
// the way. Both durations are of one clock each, so that clocks need not agree.
// A full accept queue and a machine without breath lengthen it, too: the solver
// asks who else is slow.

// netTime is the usual time on one way, and the run of late that took longer.
type netTime struct {
	usual  float64     // s, of a call
	spread float64     // s, usual distance from it
	n      uint32      // calls learned from
	late   uint32      // calls that took far longer
	seen   stat.Fading // calls of late
	ahead  float64     // s, by which answers end later by the server's clock than by the client's: its skew
	used   clock.Time
	run    slowRun
}

const (
	netEnough = 8     // calls before the usual is known
	netMemory = 32    // calls that the usual remembers
	netFar    = 5     // spreads from which on it is far longer …
	netLeast  = 0.040 // … but by no less than so many s: a machine that is busy takes as long to get to it
)

// add notes how long one call spent on the way.
func (t *netTime) add(e *Engine, took time.Duration) {
	d := max(took.Seconds(), 0)
	off := d - t.usual
	far := t.n >= netEnough && off > max(netFar*t.spread, 2*t.usual, netLeast)
	slow := 0
	if far {
		slow = 1
	}
	t.used = e.now
	t.seen.Add(1, e.now, e.params.CallWindow)
	t.run.add(e, 1, slow)
	if far {
		if t.late++; t.late%stat.LearnSlow != 0 {
			return
		}
	}
	t.n++
	step := 1 / float64(min(t.n, netMemory))
	t.usual += off * step
	if off < 0 {
		off = -off
	}
	t.spread += (off - t.spread) * step
}

// joined is called when both ends of a call are known.
func (e *Engine) joined(client, server *pendingHop) {
	caller, n := e.instance(client.source), e.instance(server.source)
	if caller == nil || n == nil || caller.host == nil || n.host == nil || caller.host == n.host || e.self.justWoke() {
		return
	}
	e.clockPairs.met(e, caller.host, n.host, client, server)
	w := n.view(caller.host, caller)
	ahead := server.at.Sub(client.at).Seconds()
	if client.lost {
		// One without breath answers quickly once it gets to it: when nobody waits any more.
		if server.took < client.took/2 && ahead < w.net.ahead-sentAgain.Seconds() && n.verdict == nil { // else it is late by what ails it
			w.unheard[0], w.unheard[1] = w.unheard[1], client.at.Add(-client.took)
		} else {
			w.worked = max(w.worked, client.at.Add(-client.took))
			if got := server.at.Add(-server.took - time.Duration(w.net.ahead*float64(time.Second))); w.lastMet != 0 && got > client.at {
				w.arrived = max(w.arrived, got) // what a cut held up would have come when it was over
			}
		}
		return
	}
	if gap := client.at.Sub(w.lastMet); gap > 0 {
		switch {
		case w.metEvery == 0 && w.lastMet != 0:
			w.metEvery = gap
		case w.lastMet != 0:
			w.metEvery += (min(gap, viewFresh) - w.metEvery) / everyMemory
		}
		w.lastMet = client.at
	}
	if w.net.ahead == 0 {
		w.net.ahead = ahead
	}
	w.net.ahead += (ahead - w.net.ahead) / netMemory
	if client.took > 0 && server.took > 0 {
		w.net.add(e, client.took-server.took)
	}
}

// oneWay finds out whether a cut lets packets through in one direction: requests
// arrive and are answered in time, by what the callee says, and no answer comes
// back. It says from which side to which nothing gets.
func (c *cutState) oneWay(sights []sight) (from, to *side, ok bool) {
	if c.slow || c.far.anywhere() || c.found.share < oneWayShare {
		return nil, nil, false
	}
	var out, in int // calls from the near side that were not heard again, and from the far side
	since := c.began.Add(inFlight)
	for i := range sights {
		s := &sights[i]
		if s.target == nil || s.caller == nil || s.share < silentFrom || !c.predicts(s) {
			continue
		}
		count := &in
		if c.near.has(s.from, s.caller) {
			count = &out
		}
		for _, at := range s.target.view(s.from, s.caller).unheard {
			if at > since {
				*count++
			}
		}
	}
	switch {
	case out >= unheardFrom && in == 0:
		return &c.far, &c.near, true
	case in >= unheardFrom && out == 0:
		return &c.near, &c.far, true
	}
	return nil, nil, false
}

const (
	// unheardFrom is the number of calls that were answered in vain from which on
	// only the answers are cut off.
	unheardFrom = 2
	// sentAgain is how long before the caller gave up it must have been answered: an
	// answer that is lost is sent again after 0.2 s, and after 0.4 s more. Who waits no
	// longer than that, or is late to look, was not cut off for all that it knows.
	sentAgain = 600 * time.Millisecond
	// inFlight: what was asked just before a cut may be answered into it.
	inFlight = time.Second
	// oneWayShare is the share without an answer from which on a cut is whole.
	oneWayShare = 0.85
)
