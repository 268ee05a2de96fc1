// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// detectSilence: the regular signs of life stay away, or go on.
func detectSilence(e *Engine, n *entity, p *episode) {
	var worst, telemetry *stream
	var silent, total int
	strongest, strongestTelemetry := 0.0, 0.0
	var fresh *stream
	for _, s := range n.streams {
		if !e.trusted(s) {
			continue
		}
		v := s.strength(e)
		if s.kind == signTelemetry {
			if v > strongestTelemetry {
				telemetry, strongestTelemetry = s, v
			}
			if s.fresh() && (fresh == nil || fresh.kind == signTelemetry) {
				fresh = s
			}
			continue
		}
		total++
		if v > 0 {
			silent++
		}
		if v > strongest {
			worst, strongest = s, v
		}
		if s.fresh() {
			fresh = s
		}
	}
	// Of several observers of the same heartbeat those who hear it are right.
	if fresh != nil && fresh.kind == signBeat {
		strongest = 0
	}
	if fresh != nil && p.backAt == 0 && fresh.heardAt() > e.hurtSince(n, p).Add(stillThere) {
		what := "heartbeats go on"
		if fresh.kind == signTelemetry {
			what = "its own telemetry goes on"
		}
		p.note(belief.EvBeating, fresh.observer.health(), e.now, fmt.Sprintf("%s (last %s ago)", what, inWords(fresh.silence())))
	}
	if strongest > 0 {
		text := fmt.Sprintf("no heartbeat for %s (usual %s)", inWords(worst.silence()), inWords(worst.gaps.Interval))
		if worst.dueAt != 0 {
			text = fmt.Sprintf("it has not come, %s after it was due", inWords(worst.observer.date.Sub(worst.dueAt)))
		}
		if total > 1 {
			text += fmt.Sprintf(" at %d of %d observers", silent, total)
		}
		p.blame(belief.EvSilent, strongest*worst.observer.health(), e.now, text)
		p.startedBy(e.now.Add(-worst.silence()))
	}
	if strongestTelemetry > 0 && (fresh == nil || fresh.kind == signTelemetry) {
		p.blame(belief.EvTelemetrySilent, strongestTelemetry, e.now,
			fmt.Sprintf("no telemetry of its own for %s (usual %s)", inWords(telemetry.silence()), inWords(telemetry.gaps.Interval)))
	}
}

// fresh says whether the sign came within its usual time.
func (s *stream) fresh() bool {
	if s.dueAt != 0 {
		return !s.overdue
	}
	return s.gaps.Interval > 0 && s.observer.awake()-s.real < time.Duration(freshWithin*float64(s.gaps.Interval))
}

const freshWithin = 2.0 // intervals

// hurtSince is when n ended, or those who ask it began to fail, if they do, else
// when the episode began: a sign of life from before says nothing of what hurts
// them.
func (e *Engine) hurtSince(n *entity, p *episode) clock.Time {
	since := max(p.began, n.ended())
	if s := n.calls; s != nil && s.lastFail != 0 && e.now.Sub(s.lastFail) < e.params.CallWindow {
		since = max(since, min(s.firstFail, e.now))
	}
	for _, ps := range n.probes {
		if ps.process == nil && ps.outcome.Failed() && e.current(ps) {
			since = max(since, ps.first)
		}
	}
	return since
}

// stillThere: what was under way when the process ended may still arrive.
const stillThere = 500 * time.Millisecond

// trusted says whether the observer of a stream is in a state to judge.
func (e *Engine) trusted(s *stream) bool {
	o := s.observer
	return o.overdueAt == 0 && !o.justWoke() && o.misses < maxMisses
}
