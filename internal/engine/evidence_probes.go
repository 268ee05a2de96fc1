// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What probes say of whom they ask: that it answers, or how it fails them.

// probeRow is which evidence an outcome is, and how sure one such result is.
var probeRow = map[report.Outcome]struct {
	kind belief.Evidence
	once float64
	says string
}{
	report.OutcomeRefused:        {belief.EvProbeRefused, 1, "connection refused"},
	report.OutcomeConnectTimeout: {belief.EvProbeTimeout, 0.6, "connect timed out"},
	report.OutcomeTimeout:        {belief.EvProbeTimeout, 0.6, "timed out"},
	report.OutcomeUnreachable:    {belief.EvProbeUnreachable, 0.8, "no route"},
	report.OutcomeNoAnswer:       {belief.EvProbeNoAnswer, 0.6, "connected, then no answer"},
	report.OutcomeReset:          {belief.EvProbeReset, 0.7, "connection reset"},
	report.OutcomeDown:           {belief.EvProbeDown, 0.7, "scrape failed"},
	report.OutcomeDNS:            {belief.EvProbeName, 0.7, "name look-up failed"},
	report.OutcomeTLS:            {belief.EvProbeTLS, 0.9, "TLS handshake failed"},
	report.OutcomeUnacknowledged: {belief.EvUnacknowledged, 0.6, "nothing is acknowledged"},
}

// detectProbes: what those who look at the entity see.
func detectProbes(e *Engine, n *entity, p *episode) {
	for _, ps := range n.probes {
		if strings.HasPrefix(ps.target, processTarget) || !e.current(ps) || n.backsOff(ps) {
			continue
		}
		health := ps.observer.health()
		if ps.outcome == report.OutcomeOK {
			if ps.at > max(p.began, n.ended()) {
				kind, says := belief.EvProbeOK, fmt.Sprintf("probe of %s is answered", ps.target)
				switch {
				case ps.passive:
					kind, says = belief.EvAcknowledged, fmt.Sprintf("its machine acknowledges what %s sends", ps.observer.name())
				case strings.HasPrefix(ps.target, "tcp://"):
					kind = belief.EvPortOpen
				}
				p.note(kind, health, e.now, says)
			}
			continue
		}
		outcome := ps.outcome
		if ps.latched && (outcome == report.OutcomeConnectTimeout || outcome == report.OutcomeTimeout) {
			outcome = report.OutcomeNoAnswer
		}
		r, ok := probeRow[outcome]
		if !ok || outcome == report.OutcomeRefused && n.stillStarts(ps.at) {
			continue
		}
		strength := r.once
		if ps.run > 1 || ps.latched && outcome != ps.outcome {
			strength = 1
		}
		text := fmt.Sprintf("probe of %s: %s", ps.target, r.says)
		if outcome != ps.outcome && strings.HasPrefix(ps.target, "tcp://") {
			text = fmt.Sprintf("probe of %s: connect timed out, after its port had taken connections while it answered nobody", ps.target)
		}
		if outcome == report.OutcomeUnacknowledged {
			text = fmt.Sprintf("nothing that %s sends to it is acknowledged", ps.observer.name())
		}
		if ps.run > 1 {
			text += fmt.Sprintf(" ×%d", ps.run)
		}
		if p.found[r.kind].now && p.found[r.kind].strength >= strength*health {
			continue
		}
		own := outcome == report.OutcomeTLS || outcome == report.OutcomeDNS // of this observer, if others are content
		if lasted := ps.at.Sub(ps.first); ps.run >= stillRuns && lasted >= stillRefusedFor && (!own || !e.fineElsewhere(n, ps)) {
			p.note(belief.EvProbeStill, health, e.now, fmt.Sprintf("and so for %s on end", inWords(lasted)))
		}
		p.blame(r.kind, strength*health, e.now, text)
		p.startedBy(ps.first)
	}
}

// stillRuns is the number of bad results on end that are more than a moment.
const stillRuns = 3
