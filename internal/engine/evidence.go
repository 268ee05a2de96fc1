// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// detector reads what is known of an entity and notes what it says in the
// episode. It keeps no state of its own.
type detector func(e *Engine, n *entity, p *episode)

// detectors run in this order at each evaluation of an entity under suspicion. A new kind of
// evidence is one file with its detector, named here, and its rows in the table
// of weights.
var detectors = []detector{
	detectSilence,
	detectDependence,
	detectTies,
	detectProbes,
	detectProcess,
	detectStall,
	detectCallers,
	detectTakesNone,
	detectProgress,
	detectMissed,
	detectProxies,
	detectFacts,
	detectSaturation,
	detectFlowTable,
	detectTold,
	detectWants,
	detectQueue,
	detectStop,
	detectSurroundings,
	detectReach,
	detectIntegrity,
	detectPeers,
	detectConserved,
	detectErrorLines,
	detectOneVoice,
}

// find runs the detectors and weighs what they found.
func (e *Engine) find(n *entity) belief.Posterior {
	p := n.episode
	for i := range p.found {
		p.found[i].now = false
	}
	p.stalls, p.direct, p.limited, p.unread, p.untold, p.oneVoice, p.contested = false, false, false, false, false, false, false
	for _, detect := range detectors {
		detect(e, n, p)
	}
	if p.past != 0 {
		p.forgetReturn()
	}
	if p.dead = n.dead(p); p.dead {
		p.forgetItsLife()
	}
	held := belief.CauseHealthy
	if n.verdict != nil {
		held = n.heldCause
	}
	b := belief.Weigh(p.strengths(e.now), held, e.params.Temperature)
	p.failing = b.Failure()
	return b
}

// blame notes evidence against the entity: it keeps the episode alive, and the
// group must be seen to be good again before the failure is over.
func (p *episode) blame(kind belief.Evidence, strength float64, now clock.Time, text string) {
	p.note(kind, strength, now, text)
	if strength > 0 {
		p.bad[kind.Group()] = true
		p.latest = now
	}
}

// startedBy moves the onset of the failure back to t.
func (p *episode) startedBy(t clock.Time) {
	if t != 0 && (p.onset == 0 || t < p.onset) {
		p.onset = t
	}
}
