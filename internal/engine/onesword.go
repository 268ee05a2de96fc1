// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Who says that an answer was wrong may be wrong itself: it expects what was right before
// a deploy, its way leads to somebody else, or it lies. Two who say so err together
// rarely. The word of one convicts, with doubt, where nobody else has asked the same
// since. Where others have, and were answered well, one of the two is wrong, and nobody
// can tell which: an answer that differs by who asks, or an observer.

const (
	// contestedWrong is how much the word of one observer counts that others, who asked
	// the same meanwhile, do not share.
	contestedWrong = 0.4
	// secondWord is the strength from which on other evidence of wrong answers is one.
	secondWord = 0.3
)

// detectOneVoice: how many say that answers are wrong.
func detectOneVoice(e *Engine, n *entity, p *episode) {
	for _, kind := range [...]belief.Evidence{belief.EvOwnErrors, belief.EvErrorLines, belief.EvIntegrityLog, belief.EvBackwards, belief.EvEquivocated, belief.EvForged, belief.EvDissent} {
		if p.found[kind].strength >= secondWord {
			return
		}
	}
	probes, callers := p.found[belief.EvProbeWrong].strength > 0, p.found[belief.EvCallersWrong].strength >= secondWord
	switch {
	case probes && callers:
	case callers:
		p.oneVoice = e.complainer(n) != nil
	case probes:
		e.oneObservers(n, p)
	}
}

// oneObservers finds out whether the wrong answers to probes are only one observer's to
// tell, and whether others were answered well meanwhile.
func (e *Engine) oneObservers(n *entity, p *episode) {
	var who *probeState
	for _, ps := range n.probes {
		if ps.outcome != report.OutcomeWrongAnswer || !e.current(ps) {
			continue
		}
		if who != nil && who.observer != ps.observer {
			return
		}
		if who == nil || ps.first < who.first {
			who = ps
		}
	}
	if who == nil {
		return
	}
	var well *probeState
	for _, ps := range n.probes {
		switch {
		case ps.observer == who.observer || ps.target != who.target:
		case ps.wrongAt > n.cleared && e.now.Sub(ps.wrongAt) < e.params.LeaveFor:
			return // it said so, too
		case ps.outcome == report.OutcomeOK && e.current(ps) && ps.answersSince(who.first, who.at):
			well = ps
		}
	}
	p.oneVoice = true
	if f := &p.found[belief.EvProbeWrong]; well != nil && f.now {
		p.contested = true
		f.strength = min(f.strength, contestedWrong)
		f.text += fmt.Sprintf(" for %s alone: %s is answered well", who.observer.name(), well.observer.name())
	}
}

// answersSince says whether the probe was answered well after one time, and had been
// before the other: when a failure is over, who asks last has not asked again yet.
func (ps *probeState) answersSince(began, still clock.Time) bool {
	return ps.at > began && ps.first < still
}
