// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// A kernel whose table of connections is full drops each packet of a new one, and lets those
// that stand go on. Who connects from there, or to there, then waits in vain: that looks like a
// cut of some ways and is none.

const (
	// flowsLostFrom is how many connections that touch a host must have been waited for in
	// vain for that to be why, and flowsLostStill how many must be left of them.
	flowsLostFrom, flowsLostStill = 3, 0.5
	// flowsExplain is how long after it was seen full the table explains what was silent.
	flowsExplain = viewFresh
)

// flowTable is what is known of a host's.
type flowTable struct {
	lost   stat.Fading // connections that were waited for in vain, from the host or to it
	fullAt clock.Time  // when it was last seen to be full, and usually is not
}

// flowsFull says whether the table of a host is full, or was a moment ago.
func (e *Engine) flowsFull(h *hostState) bool {
	if h == nil || h.levels == nil {
		return false
	}
	if s := &h.levels[report.LevelFlows]; h.levels.short(report.LevelFlows, e.now) && s.news() > oldNews {
		h.flows.fullAt = e.now
	}
	return h.flows.fullAt != 0 && e.now.Sub(h.flows.fullAt) < flowsExplain
}

// flowLost notes that a caller waited for a connection in vain, and says whether that tells
// nothing of the callee, as the caller's own kernel may have dropped what it sent.
func (e *Engine) flowLost(caller, n *entity, count int) bool {
	dropped := false
	for _, end := range [...]*entity{caller, n} {
		if end == nil || end.kind != kindInstance || end.host == nil {
			continue
		}
		end.host.flows.lost.Add(float64(count), e.now, viewWindow)
		if !e.flowsFull(end.host) {
			continue
		}
		dropped = dropped || end == caller
		if end.host.flows.lost.Value(e.now, viewWindow) >= flowsLostFrom {
			e.suspect(end)
		}
	}
	return dropped
}

// detectFlowTable notes that connections from n's host or to it are not made while its table is full.
func detectFlowTable(e *Engine, n *entity, p *episode) {
	if n.kind != kindInstance || !e.flowsFull(n.host) || n.host.flows.fullAt != e.now {
		return
	}
	least := float64(flowsLostFrom)
	if n.verdict != nil {
		least = flowsLostStill
	}
	if lost := n.host.flows.lost.Value(e.now, viewWindow); lost >= least {
		p.blame(belief.EvFlowsLost, 1, e.now, fmt.Sprintf("and %.0f connections from there or to there were waited for in vain", max(lost, 1)))
		p.limited = true
	}
}

// flowsAcross says whether a full table at one of its ends explains what seems to be cut.
func (e *Engine) flowsAcross(c *cut) bool {
	return e.flowsFull(c.near.at()) || e.flowsFull(c.far.at())
}

// at is the host at which a side of a cut is, nil if it is none.
func (s *side) at() *hostState {
	if s.entity != nil {
		return s.entity.host
	}
	return s.host
}
