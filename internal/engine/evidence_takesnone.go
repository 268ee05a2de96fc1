// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// The kernel takes connections for a process that hangs until the backlog of its port is
// full. Where nobody gets a connection any more, before so many can wait in it, the port
// is cut off from those who call it. That its signs of life go on does not contradict
// that: they may be heard by an agent beside it, or take another network.

// backlogLeast is what the backlogs of servers hold, few of them less.
const backlogLeast = 50.0

// detectTakesNone: it lives, nobody gets a connection to it, and its backlog is not full.
func detectTakesNone(e *Engine, n *entity, p *episode) {
	f := &p.found[belief.EvCallersConnectTimeout]
	s := p.complaints(n)
	if s == nil || !f.now || !p.found[belief.EvBeating].now || n.answersNobody(e) ||
		p.found[belief.EvPortOpen].now || p.found[belief.EvProbeOK].now || p.found[belief.EvProcessStopped].now {
		return
	}
	in := s.byOutcome[report.OutcomeConnectTimeout].Value(e.now, window(e))
	waits := s.byOutcome[report.OutcomeTimeout].Value(e.now, window(e)) + s.byOutcome[report.OutcomeNoAnswer].Value(e.now, window(e))
	if answered := max(s.okEnd, n.served.last); answered > s.firstFail.Add(inFlight) || s.waited >= backlogLeast || in < waits {
		return
	}
	p.note(belief.EvTakesNone, stat.Clamp(in/e.params.BurstCalls, 0, 1), e.now, fmt.Sprintf("it lives, and takes no connection, though no more than %.0f calls can wait for it", s.waited))
}
