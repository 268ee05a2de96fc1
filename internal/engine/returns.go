// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// returned is called when a sender is heard again after an absence, or in a new
// incarnation. How it comes back is the strongest evidence there is of what the
// absence was.
func (e *Engine) returned(s *stream, gap time.Duration, token, seq uint64) {
	n := s.entity
	restarted := token != 0 && s.token != 0 && token != s.token
	if restarted && n.service != nil {
		n.service.restarts++
		n.service.restart = max(n.service.restart, min(gap, maxRestart))
	}
	if n.episode == nil {
		if restarted {
			e.cutReturned(n, belief.EvReturnNew, gap) // nobody suspected it, as its place was cut off
		}
		if !restarted || n.left || !s.declared {
			return
		}
		// It was gone for less than anybody noticed.
		if e.now.Sub(n.announced) > e.params.AnnouncedFor {
			n.episodeOf(e).note(belief.EvReturnNew, 1, e.now, fmt.Sprintf("a new process took over after %s", inWords(gap)))
			e.mark(n)
		}
		return
	}
	ep := n.episode
	if ep.backAt == 0 {
		ep.backAt = e.now
	}
	switch {
	case restarted:
		ep.note(belief.EvReturnNew, 1, e.now, fmt.Sprintf("came back as a new process after %s", inWords(gap)))
		e.cutReturned(n, belief.EvReturnNew, gap)
	case seq == 0 || s.seq == 0 || token == 0:
		// It did not say enough.
	case s.late > gap/2:
		s.away = away{gap: gap, seq: s.seq, token: token} // more of the kind may follow
	default:
		e.sameBack(s, gap, float64(seq)-float64(s.seq))
	}
	e.mark(n)
}

// sameBack is called when the same process is back that had counted by so much.
func (e *Engine) sameBack(s *stream, gap time.Duration, counted float64) {
	n, ep := s.entity, s.entity.episode
	expected := float64(gap) / float64(s.gaps.Interval)
	switch {
	case counted >= 0.5*expected && s.voice.local():
		// Nothing can have been lost on the way: it chose not to beat, as who beats for another does.
	case counted >= 0.5*expected:
		ep.note(belief.EvReturnCounted, 1, e.now,
			fmt.Sprintf("the same process came back after %s and had counted on: %.0f of %.0f beats", inWords(gap), counted, expected))
		e.cutReturned(n, belief.EvReturnCounted, gap)
	case counted >= 0 && counted <= max(2, 0.2*expected) && (gap >= frozenFor || ep.hurts()):
		strength := 1.0
		if !ep.hurts() && ep.found[belief.EvHostAlive].strength == 0 {
			strength = sleptUnmissed // a device or a machine that went to sleep
		}
		ep.stoodStill = gap
		ep.note(belief.EvReturnFrozen, strength, e.now, fmt.Sprintf("the same process came back after %s and had stood still", inWords(gap)))
	}
}

// cutReturned: what comes back from behind a cut says what the cut was.
func (e *Engine) cutReturned(n *entity, kind belief.Evidence, gap time.Duration) {
	for _, c := range e.cuts {
		if c.entity.episode == nil || !c.near.has(n.host, n) && (c.far.anywhere() || !c.far.has(n.host, n)) {
			continue
		}
		if kind == belief.EvReturnNew {
			e.cameBackNew(c, n.name(), fmt.Sprintf("%s came back after %s and is a new process", n.name(), inWords(gap)))
			continue
		}
		if !c.isPart(e.now) {
			c.entity.episode.note(kind, 1, e.now, fmt.Sprintf("%s came back after %s and had counted on", n.name(), inWords(gap)))
		}
		if kind == belief.EvReturnCounted && n.cut == nil && c.tookAway(e.now.Add(-gap)) {
			n.cutOff = c
		}
		e.mark(c.entity)
	}
}

// cameBackNew notes that somebody behind a cut, known by its name, started anew.
// One may have died there by itself; a machine that was down takes all on it along.
func (e *Engine) cameBackNew(c *cutState, name, how string) {
	if c.anew == "" {
		c.anew, c.anewHow, c.anewAt = name, how, e.now
	}
	strength := 1.0
	if c.anew == name && e.severalBehind(c) {
		strength = oneAnew
	}
	if f := &c.entity.episode.found[belief.EvReturnNew]; f.strength <= strength {
		c.entity.episode.note(belief.EvReturnNew, strength, e.now, how)
	}
	e.mark(c.entity)
}

// nobodyLivedOn is called while a cut is followed: who started anew stands for all
// if for some time nobody has come back who lived on.
func (e *Engine) nobodyLivedOn(c *cutState) {
	p := c.entity.episode
	if c.anew == "" || p == nil || p.found[belief.EvReturnNew].strength == 1 || p.found[belief.EvReturnCounted].strength > 0 || p.found[belief.EvStampedInside].strength > 0 {
		return
	}
	if e.now.Sub(c.anewAt) < othersComeBack {
		c.othersServe = c.othersServe || e.now.Sub(c.anewAt) < readyAtOnce && e.anyServes(c)
		return
	}
	if c.othersServe {
		return
	}
	p.note(belief.EvReturnNew, 1, e.now, c.anewHow)
	e.mark(c.entity)
}

const (
	// oneAnew is what it says of a place that one of several there started anew.
	oneAnew = 0.2
	// othersComeBack is how long others behind a cut that opened may take to be heard.
	othersComeBack = 5 * time.Second
	// readyAtOnce: who serves so soon after another's port was found closed has
	// not just been started.
	readyAtOnce = time.Second
)

// anyServes says whether one behind a cut, other than who started anew, has
// answered a call since it opened.
func (e *Engine) anyServes(c *cutState) bool {
	return e.countBehind(c, 1, func(n *entity) bool {
		return n.name() != c.anew && n.calls != nil && n.calls.okEnd > c.anewAt.Add(-readyAtOnce)
	}) > 0
}

// severalBehind says whether more than one instance is on the near side of a cut.
func (e *Engine) severalBehind(c *cutState) bool {
	return e.countBehind(c, 2, func(n *entity) bool { return !n.left }) > 1
}

// countBehind counts instances on the near side of a cut, up to a number.
func (e *Engine) countBehind(c *cutState, most int, counts func(n *entity) bool) (count int) {
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil && count < most; n = n.next {
			if n.kind == kindInstance && n.host != nil && c.near.has(n.host, n) && counts(n) {
				count++
			}
		}
	}
	return count
}

// tookAway says whether one that was last heard at a time, and that had lived on,
// was away for the cut.
func (c *cutState) tookAway(heard clock.Time) bool {
	return !c.slow && heard >= c.began.Add(-lastHeard) && heard < c.endedAt()
}

// lastHeard is how long before the first silence across a cut the last sign of
// somebody behind it may have come: who beats rarely.
const lastHeard = 30 * time.Second

// startedAnew is called when somebody on a host turns out to have started anew:
// where nothing got in or out of the host, it may have been down.
func (e *Engine) startedAnew(h *hostState, name, how string) {
	for _, c := range e.cuts {
		if c.slow || !c.far.anywhere() || c.entity.episode == nil || h == nil || !c.near.has(h, nil) || e.now.Sub(c.at) > heardAgainFor {
			continue
		}
		e.cameBackNew(c, name, how)
	}
}

// heardAgainFor is how long after the last silence who comes back tells what it
// was: SDKs send in batches, and machines take their time to start.
const heardAgainFor = 30 * time.Second

// refused is called when the port of n itself turned a connection away. Who comes
// back from behind a cut has listened all along; a machine that starts refuses at
// first.
func (e *Engine) refused(n *entity) {
	if c := n.cutOff; n.kind == kindInstance && c != nil && !n.answersSince(c.found.bad) {
		e.startedAnew(n.host, n.name(), fmt.Sprintf("the port of %s was closed when %s came back", n.name(), c.entity.name()))
	}
}

// bornAgain is called when an instance is seen first: in the place of an older
// one that fell silent, it is the same one started anew.
func (e *Engine) bornAgain(n *entity) {
	if len(e.cuts) == 0 || n.service == nil || n.host == nil || !n.src.Volatile {
		return
	}
	for _, older := range n.service.instances {
		if older != n && older.host == n.host && older.cutOff != nil && older.src.Volatile {
			e.startedAnew(n.host, n.name(), fmt.Sprintf("%s came back as a new process", n.name()))
			return
		}
	}
}

// frozenFor is the pause below which a process that stood still is none of
// anybody's business, if nobody was hurt: garbage collectors and hosts do that.
const frozenFor = 15 * time.Second

// sleptUnmissed: who stood still and was missed by nobody may have been put to
// sleep.
const sleptUnmissed = 0.3

// maxRestart bounds what is learned as the usual absence over a restart.
const maxRestart = 2 * time.Minute
