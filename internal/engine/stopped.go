// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Somebody may stop a process for a moment: to move its machine, or to look into
// it. An agent on its machine sees that it is stopped.

// stoppedWait is for how long.
const stoppedWait = 2 * time.Second

// stopMayPass says whether n, which is seen to be stopped, is not known to be so for
// longer than that takes. Where another on its machine is stopped as well, or goes on
// since, it may be the machine.
func (e *Engine) stopMayPass(n *entity, p *episode) bool {
	wait := stoppedWait
	for _, m := range e.suspects {
		if m == n || m.host != n.host {
			continue
		}
		for _, ps := range m.probes {
			if ps.process != nil && (ps.process.State == report.ProcessStopped || ps.first > p.onset) {
				wait = asleepWait
			}
		}
	}
	return n.stoppedFor(e.now) < wait
}

// stoppedFor is for how long n is known to be stopped: from the first look that
// found it so, or the first heartbeat that it owed and did not send, to the last.
func (n *entity) stoppedFor(now clock.Time) time.Duration {
	var from, until clock.Time
	look := func(first, last clock.Time) {
		if from == 0 || first < from {
			from = first
		}
		until = max(until, last)
	}
	for _, ps := range n.probes {
		if ps.process != nil && ps.process.State == report.ProcessStopped {
			look(ps.first, ps.at)
		}
	}
	for _, s := range n.streams {
		interval := s.gaps.Interval
		if s.kind != signBeat || interval <= 0 {
			continue
		}
		late := interval / 4
		if owed := (now.Sub(s.heardAt()) - late) / interval; owed > 0 {
			look(s.heardAt().Add(interval+late), s.heardAt().Add(owed*interval))
		}
	}
	return until.Sub(from)
}
