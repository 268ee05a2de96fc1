// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// A pool that has nothing left to give keeps calls waiting, and no span tells of that
// wait: stock instrumentation begins where the connection is given. What is left to
// see is what lies around it. Calls fail after a long wait and never made the call
// that they usually make, while others keep that callee's connections busy for longer
// than ever, and are answered.

const (
	// starvedMany is how many calls must have failed so, and starvedPer how many calls
	// of the callee each usually makes.
	starvedMany = 3.0
	starvedPer  = 0.5
	// starvedHeld is how many of its calls must be under way at a time, of one
	// connection that is never free, and starvedLonger how many times the usual each
	// must take.
	starvedHeld   = 0.8
	starvedLonger = 3.0
	// starvedFails is the share of those calls that may fail.
	starvedFails = 0.1
	// starvedGap is for how long none of them may have been answered: what then comes
	// was held up with them, by a cut or by one that hung. starvedAfter is for how long
	// that explains who waited.
	starvedGap   = 6 * time.Second
	starvedAfter = 20 * time.Second
)

// starvesFor returns the way to the callee for whose connections calls to n wait in
// vain, nil if there is none, and how many do.
func (e *Engine) starvesFor(n *entity) (way *edge, many float64) {
	w := e.params.CallWindow
	waited, failed := n.served.waited.Value(e.now, w), n.served.failed.Value(e.now, w)
	if n.kind != kindInstance || waited < max(starvedMany, failed/2) || n.rate.Known < stat.RateKnown || n.rate.Usual == 0 {
		return nil, 0
	}
	if n.stood.Sub(n.stoodFrom) > starvedGap && e.now.Sub(n.stood) < starvedAfter {
		return nil, 0
	}
	n.eachCallee(func(ed *edge) bool {
		ok, bad := ed.ok.Value(e.now, w), ed.failed.Value(e.now, w)
		per := ed.rate.Usual / n.rate.Usual
		switch {
		case per < starvedPer || !ed.heldUp(e.now):
		case ok < starvedMany || bad > starvedFails*ok || n.served.last.Sub(ed.okEnd) > starvedGap || ed.callee.explained():
			// it does not answer
		case ed.run.share(e) >= mostSlow: // it is slow, whoever asks
		case n.served.ok.Value(e.now, w)+failed-(ok+bad)/per < max(starvedMany, waited/2):
			// They did call. Both are told by one process, by the same way: what is
			// lost or late is so for both.
		default:
			way, many = ed, waited
		}
		return way != nil
	})
	return way, many
}

// heldUp says whether calls take far longer than usual, so that at any time one is
// under way.
func (ed *edge) heldUp(now clock.Time) bool {
	r := &ed.rate
	return r.Known >= stat.RateKnown && r.Stands(now) && r.UsualHeld > 0 &&
		r.Held >= starvedHeld && r.Held*r.Usual >= starvedLonger*r.UsualHeld*r.Now
}

// lookForStarved suspects one for which calls wait in vain. A moment in which the
// callee stood still looks the same, so it must be so in more than one span.
func (e *Engine) lookForStarved(n *entity) {
	switch way, _ := e.starvesFor(n); {
	case way == nil:
		n.starved = 0
	case n.starved == 0:
		n.starved = way.rate.Began
	case way.rate.Began > n.starved:
		e.suspect(n)
	}
}

// detectStarved: calls to it wait in vain for what others hold.
func detectStarved(e *Engine, n *entity, p *episode) {
	p.starvedOf = nil
	way, many := e.starvesFor(n)
	if way == nil || n.starved == 0 || way.rate.Began <= n.starved {
		return
	}
	p.starvedOf = way.callee
	p.note(belief.EvStarved, stat.Clamp(many/(2*starvedMany), 0.5, 1), e.now,
		fmt.Sprintf("%.0f calls to it failed after a long wait and never called %s, which answers those that do: they waited for a connection", many, way.callee.name()))
	p.latest = e.now
}
