// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Byzantine behaviour: it answers in time, and wrongly. Proof is a wrong answer
// to a question whose answer is known, two different words for the same thing
// under one signature, or a count that runs backwards; all else is statistics
// and needs time, a healthy network and callees that are well.

// integrity is what is remembered of how right an entity's answers are.
type integrity struct {
	errs   [numWorks]ownFailures
	fullAt clock.Time // when a limit was last newly reached while it failed; 0 never
	said   [8]saying
	next   int
}

// saying is one word: the digest that was given with a count. Only one process,
// known by its start and its address, can contradict itself.
type saying struct {
	token, seq uint64
	digest     uint64
	from       uint64 // hash of the address
	signed     bool
}

const wrongMany = 3.0 // wrong answers in the window that say all

func detectIntegrity(e *Engine, n *entity, p *episode) {
	e.wrongToProbes(n, p)
	e.wrongToCallers(n, p)
	e.failuresOfItsOwn(n, p, workAnswers)
	e.failuresOfItsOwn(n, p, workMessages)
	e.dissent(n, p)
	e.stays(n, p)
	falls := 0
	for i := range n.facts {
		f := &n.facts[i]
		switch {
		case f.Kind == report.FactBackwards && e.now.Sub(f.At) < backwardsFor && f.At > n.cleared && !n.shared(e.now):
			falls++
			strength := 0.4
			if falls > 1 {
				strength = 1
			}
			p.remember(belief.EvBackwards, strength, f.At, f.Text)
		case f.Kind == report.FactIntegrity && e.now.Sub(f.At) < time.Minute:
			p.remember(belief.EvIntegrityLog, 1, f.At, "it wrote: "+f.Text)
		case f.Kind == report.FactForged && e.now.Sub(f.At) < e.params.RecoveryCalls:
			p.blame(belief.EvForged, 1, f.At, f.Text)
		case f.Kind == report.FactEquivocated && e.now.Sub(f.At) < backwardsFor:
			p.remember(belief.EvEquivocated, 1, f.At, f.Text)
		}
	}
}

// backwardsFor is how long two falls of a count may lie apart.
const backwardsFor = 5 * time.Minute

// wrongToProbes: the answer to a known question.
func (e *Engine) wrongToProbes(n *entity, p *episode) {
	for _, ps := range n.probes {
		if ps.outcome != report.OutcomeWrongAnswer || !e.current(ps) {
			continue
		}
		strength := wrongOnce
		if ps.run > 1 {
			strength = 1
		}
		text := fmt.Sprintf("wrong answer to probe of %s", ps.target)
		if ps.run > 1 {
			text += fmt.Sprintf(" ×%d", ps.run)
		}
		if ps.message != "" {
			text += ": " + ps.message
		}
		if f := &p.found[belief.EvProbeWrong]; f.now && f.strength >= strength {
			continue
		}
		p.blame(belief.EvProbeWrong, strength*ps.observer.health(), e.now, text)
		p.startedBy(ps.first)
	}
}

// wrongOnce: a single wrong answer may have been on its way during a deploy.
const wrongOnce = 0.25

// wrongToCallers: those who asked could not use the answer.
func (e *Engine) wrongToCallers(n *entity, p *episode) {
	s := n.calls
	if s == nil || s.lastWrong == 0 || e.now.Sub(s.lastWrong) > 2*e.params.CallWindow+s.told.Slack() {
		return
	}
	// Lately, and over longer for one who is called rarely.
	strength, share := 0.0, 0.0
	for _, c := range [...]struct{ wrong, all float64 }{
		{s.byOutcome[report.OutcomeWrongAnswer].Value(e.now, e.params.CallWindow), s.ok.Value(e.now, e.params.CallWindow)},
		{s.wrongs.Value(e.now, wrongWindow), s.rights.Value(e.now, wrongWindow)},
	} {
		if c.wrong < 0.5 {
			continue
		}
		part := c.wrong / max(c.all, c.wrong)
		if x := min(c.wrong/wrongMany, 1) * stat.Clamp(n.standsFor()*part/0.2, 0.2, 1); x > strength {
			strength, share = x, part
		}
	}
	if strength == 0 {
		return
	}
	p.blame(belief.EvCallersWrong, strength*e.oneVoice(n, s.wrongSince), s.lastWrong, fmt.Sprintf("callers could not use %.0f %% of its answers (%s)", 100*share, s.text("wrong", report.OutcomeWrongAnswer, e)))
	p.startedBy(s.wrongSince)
}

// wrongWindow is the half-life of the slow count of wrong answers.
const wrongWindow = 45 * time.Second

// twins takes in that several use n's identity: what one of them counted does
// not contradict another.
func (e *Engine) twins(n *entity, text string) {
	n.twinsAt = e.now
	if n.episode != nil {
		n.episode.found[belief.EvBackwards] = finding{}
		e.mark(n)
	}
	e.conflict(n, text+": give each its own service.instance.id")
}
