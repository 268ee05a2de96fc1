// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What the agents on a host say of a process there: that it is gone, stopped or runs.

// detectProcess: what the kernel says of the process itself.
func detectProcess(e *Engine, n *entity, p *episode) {
	if p.onset != 0 && n.seenRun > p.onset.Add(time.Second) && e.now.Sub(n.seenRun) < seenRunFor {
		p.note(belief.EvProcessRuns, 1, e.now, "its host's agent sees the process run")
	}
	for _, ps := range n.probes {
		if ps.process == nil || !e.current(ps) || e.another(n, ps) {
			continue
		}
		switch ps.process.State {
		case report.ProcessGone, report.ProcessZombie:
			if e.endCounts(n, ps) {
				e.exitSeen(n, ps.target, ps.process) // it may be missed only since the agent told
				p.blame(belief.EvProcessGone, 1, e.now, fmt.Sprintf("process %s is gone", ps.processName()))
				p.startedBy(ps.first)
			}
		case report.ProcessStopped:
			if ps.uncertain() && !e.endMissed(n, ps) {
				continue
			}
			p.stopped = true
			p.blame(belief.EvProcessStopped, 1, e.now, fmt.Sprintf("process %s is stopped by a signal", ps.processName()))
			p.startedBy(ps.first)
		case report.ProcessRunning:
			if ps.at > e.hurtSince(n, p) && !n.supposed { // else it is a sight from before, or may be of another
				p.note(belief.EvProcessRuns, 1, e.now, fmt.Sprintf("process %s runs", ps.processName()))
			}
		}
	}
}

// endCounts says whether the end that ps tells of is held against n: it is known to have
// lived, the process is its own or it is missed since, and has not come back by then.
func (e *Engine) endCounts(n *entity, ps *probeState) bool {
	switch {
	case !n.alive, n.supposed && !e.missedSince(n, ps.first), ps.uncertain() && !e.endMissed(n, ps):
		return false
	}
	return n.returned == 0 || ps.at > n.returned.Add(stillThere)
}

// seenRunFor is how long it counts that a process was seen to run.
const seenRunFor = 30 * time.Second

func (ps *probeState) processName() string {
	name := strings.TrimPrefix(ps.target, processTarget)
	if ps.process != nil && ps.process.PID > 0 {
		return fmt.Sprintf("%s (pid %d)", name, ps.process.PID)
	}
	return name
}
