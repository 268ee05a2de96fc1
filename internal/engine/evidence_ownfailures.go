// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Failures of somebody's own making: none of its callees made them, and no resource is
// short. They show in calls that it answers and in messages that it works on, each
// compared with what is usual there.

// work is a kind of work that somebody may fail at.
type work uint8

const (
	workAnswers  work = iota // calls that it answers
	workMessages             // messages that it takes from a queue
	numWorks
)

// words are what a failure at it is called.
func (w work) words() string {
	if w == workMessages {
		return "of the messages that it works on fail by its own making"
	}
	return "of its answers are failures of its own making"
}

// ownFailures is what is remembered of somebody's failures of one kind.
type ownFailures struct {
	usual  float64    // 0-1, usual share of it that fails
	taught float64    // what taught that, at most usualMemory
	since  clock.Time // when more than usual began to fail; 0 while it does not
	last   clock.Time // when something failed last
}

const (
	usualMemory = 2000.0 // answers that the usual share of failures remembers
	// errorsOver is by how much the share of failures must exceed the usual.
	errorsOver = 0.08
	// errorsFor is how long they must go on before they convict: a bad request
	// that is tried again, or the moments of a deploy, are over sooner.
	errorsFor  = 8 * time.Second
	errorsMany = 5.0 // failures in the window
	// errorsStop without a failure means that they have stopped.
	errorsStop = 3 * time.Second
)

// answered learns how much of a kind of work of n usually fails, and notices when more does.
func (e *Engine) answered(n *entity, w work, failures, total int) {
	if total == 0 {
		return
	}
	r := &n.integrity.errs[w]
	r.learn(n, failures, total)
	if failures == 0 {
		return
	}
	r.last = e.now
	if w == workMessages && !n.service.worksWell {
		return
	}
	if faults, all := n.faults(e, w); all > 0 && faults >= 1 && faults/all > r.usual+errorsOver {
		if r.since == 0 {
			r.since = e.now
		}
		e.suspect(n)
	}
}

// learn takes in how much usually fails.
func (r *ownFailures) learn(n *entity, failures, total int) {
	if r.since != 0 || n.episode != nil && failures > 0 {
		return
	}
	r.taught = min(r.taught+float64(total), usualMemory)
	r.usual += (float64(failures)/float64(total) - r.usual) * float64(total) / max(r.taught, usualMemory/20)
}

// errsSince is since when n fails more than usual at any work; 0 if it does not.
func (n *entity) errsSince() clock.Time {
	since := clock.Time(0)
	for w := range n.integrity.errs {
		if from := n.integrity.errs[w].since; from != 0 && (since == 0 || from < since) {
			since = from
		}
	}
	return since
}

// erredLast is when n failed last by its own making, at whichever work.
func (n *entity) erredLast() clock.Time {
	last := clock.Time(0)
	for w := range n.integrity.errs {
		last = max(last, n.integrity.errs[w].last)
	}
	return last
}

// failuresOfItsOwn: n fails at a work, none of its callees made it do so, and no resource is
// short.
func (e *Engine) failuresOfItsOwn(n *entity, p *episode, w work) {
	r, told := &n.integrity.errs[w], n.tells(w)
	if r.since == 0 {
		return
	}
	faults, all := n.faults(e, w)
	if all == 0 || faults/all < r.usual+errorsOver/2 {
		r.since = 0
		return
	}
	if quiet := e.now.Sub(r.last); quiet > errorsStop+told.Slack() { // they are over
		if quiet > e.params.RecoveryCalls {
			r.since = 0
		}
		return
	}
	strength := stat.Clamp(float64(e.now.Sub(r.since))/float64(errorsFor), 0, 1) * min(faults/errorsMany, 1)
	if w == workAnswers && n.served.total == 0 {
		strength *= e.oneVoice(n, r.since)
	}
	excuse, whose := e.excuseOf(n, p, r.since, faults)
	if w == workMessages && e.sentAnew(n, r.since) {
		excuse = min(excuse, togetherErrors)
	}
	strength *= excuse
	in := &n.integrity
	switch {
	case strength > 0 && p.newlyShort():
		p.note(belief.EvFailsShort, strength, e.now, fmt.Sprintf("and %.0f %% %s (usually %.1f %%)", 100*faults/all, w.words(), 100*r.usual))
		strength *= shortErrors
		in.fullAt = e.now
	case in.fullAt != 0 && r.last.Sub(in.fullAt) < shortFor+told.Slack(): // those from then are told yet
		strength *= shortErrors
	}
	if f := &p.found[belief.EvOwnErrors]; strength < 0.05 || f.now && f.strength >= strength {
		return
	}
	p.blame(belief.EvOwnErrors, strength, e.now, fmt.Sprintf("%.0f %% %s (usually %.1f %%), and %s", 100*faults/all, w.words(), 100*r.usual, whose))
	p.startedBy(r.since)
}

// tells is the rhythm of those who tell of a kind of work of n.
func (n *entity) tells(w work) *stat.Cadence {
	switch {
	case w == workMessages:
		return &n.worked.told
	case n.served.total == 0 && n.calls != nil:
		return &n.calls.told
	}
	return &n.served.told
}

// told is the rhythm of those who tell of n's answers, or of what it works on if it
// answers nobody.
func (n *entity) told() *stat.Cadence {
	if n.worked.total > 0 && n.served.total == 0 && n.calls == nil {
		return n.tells(workMessages)
	}
	return n.tells(workAnswers)
}
