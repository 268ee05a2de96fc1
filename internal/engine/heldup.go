// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// One that sends no telemetry and answers everybody late fails nobody by itself: its
// callers have more patience than theirs, keep a thread or a connection waiting for each
// call, and in the end answer nobody in time. It is well no more than they are, and why it
// is slow nobody tells.

const (
	// heldUpShare is the share of its answers that must be far slower than usual, and
	// heldUpFor how long that must last.
	heldUpShare = 0.9
	heldUpFor   = 10 * time.Second
	// heldUpMany is how many calls to those who wait for it must have run out of time
	// lately.
	heldUpMany = 5.0
)

// holdsUp notes that those who wait for n are no longer answering in time themselves.
func (e *Engine) holdsUp(n *entity, p *episode, share float64) {
	if n.kind != kindExternal || n.cutOff != nil || share < heldUpShare || e.now.Sub(p.began) < heldUpFor || e.slowForOne(n) {
		return
	}
	for _, ed := range n.calledBy {
		if !e.keepsWaiting(ed) || ed.caller.isHeldBack(e.now) {
			continue
		}
		if late := ed.caller.runsLate(e); late >= heldUpMany {
			p.blame(belief.EvHoldsUp, 1, e.now, fmt.Sprintf("%s waits for it, and %.0f calls to that ran out of time of late", ed.caller.name(), late))
			return
		}
	}
}

// runsLate is how many calls to n, by its name or by its service's, ran out of time
// lately.
func (n *entity) runsLate(e *Engine) (late float64) {
	count := func(s *callStats) {
		if s != nil {
			late += s.byOutcome[report.OutcomeTimeout].Value(e.now, window(e)) + s.byOutcome[report.OutcomeNoAnswer].Value(e.now, window(e))
		}
	}
	count(n.calls)
	if n.service != nil && n.service.whole != nil {
		count(n.service.whole.calls)
	}
	return late
}
