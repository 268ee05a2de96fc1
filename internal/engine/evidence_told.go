// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// toldRow is which evidence an answer is in which a callee names a resource of
// its own that is used up.
var toldRow = [report.NumOutcomes]struct {
	kind belief.Evidence
	says string
}{
	report.OutcomeDiskFull:   {belief.EvToldDiskFull, "its disk is full"},
	report.OutcomeMemoryFull: {belief.EvToldMemoryFull, "its memory is used up"},
}

// toldMany is how many such answers say all: a database that is out of space says
// so to those who write only, so their share says nothing.
const toldMany = 2.0

// detectTold: it told its callers that a resource of its own is used up. A
// database or a cache has no other voice: it sends no spans.
func detectTold(e *Engine, n *entity, p *episode) {
	s := n.calls
	if s == nil || s.lastTold == 0 || e.now.Sub(s.lastTold) > e.params.CallWindow+s.told.Slack() {
		return
	}
	for o := range toldRow {
		r := &toldRow[o]
		count := s.byOutcome[o].Value(e.now, e.params.CallWindow)
		if r.kind == 0 || count < 0.5 {
			continue
		}
		p.blame(r.kind, min(count/toldMany, 1), s.lastTold, s.text("it told its callers that "+r.says, report.Outcome(o), e))
		p.startedBy(s.toldSince)
	}
}
