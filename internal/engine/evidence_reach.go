// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// cutState is a cut that the engine believes in, or did lately. It belongs to
// an entity of its own: the link, the node or the zone.
type cutState struct {
	cut
	entity      *entity
	slow        bool    // it was found by what is late, not by what is lost
	losing      bool    // and only a part is late, or some of it is lost after all
	late        float64 // the largest share of its calls that was late
	lost        bool    // some was lost
	found       foundCut
	at          clock.Time // when it was last found
	began       clock.Time
	split       *service   // whose state has parted across it, or nil
	partedAt    clock.Time // since when one's state differs across it
	oneway      bool       // packets get through the other way
	opened      int        // times that it went and came back, for flapping
	goneAt      clock.Time // when it was last seen to be open
	waits       bool       // it is open, and who called into it still waits for what was sent meanwhile
	before      bool       // it is known from before a restart
	tried       clock.Time // when the latest call that got no reply across it began
	anew        string     // who behind it started anew first, how that showed, and when
	anewHow     string
	anewAt      clock.Time
	othersServe bool          // others behind it did as soon as it opened
	lives       [2]clock.Time // pause.go: when its ends were seen to go on while it lasted
	heard       [2]clock.Time // pause.go: when they were first heard since it began, be it after the latest silence
}

const (
	// cutStands is how long a cut is taken to last without being found again:
	// calls into it may be rare.
	cutStands = 10 * time.Second
	// maxCutStates bounds the cuts that are followed.
	maxCutStates = 64
	// flapsWithin is the time within which a link that opens and closes flaps.
	flapsWithin = 5 * time.Minute
	// healing is by how much the share that gets no reply may fall between two
	// looks at a cut that stands.
	healing = 0.05
	// remnant is how long after a cut a narrower one inside is what is left of it:
	// those who call rarely have not tried again.
	remnant = 20 * time.Second
	// surelyCut is the posterior among explanations from which on a cut counts.
	surelyCut = 0.6
	// behindAliveFor: a sign of life so much younger than the cut comes from
	// somebody who lives behind it, and not from what was under way.
	behindAliveFor = 4 * time.Second
	// heardWell is how long it must have been heard on end.
	heardWell = 2 * time.Second
)

// lookForCuts asks who reaches whom, when somebody was met with silence or a
// cut is being followed.
func (e *Engine) lookForCuts() {
	if len(e.splits) > 0 && !e.frozen {
		e.reconcile()
	}
	if !e.cutSuspected && !e.slowSuspected && len(e.cuts) == 0 || e.frozen || e.now.Sub(e.solvedAt) < solveEvery {
		return
	}
	e.solvedAt = e.now
	sights := e.sights()
	silent := false
	for i := range sights {
		silent = silent || sights[i].share >= silentFrom
	}
	e.cutSuspected = silent
	if silent {
		found := solve(sights, e.here, e.standing(false)...)
		for _, f := range found {
			wide := f
			f.narrowest(sights)
			if f.sure < surelyCut || f.oneObserversWord() || f.meansOthers(sights) || f.isOpen(sights) {
				continue
			}
			narrow := f.tooNarrow(sights)
			if narrow && f.unacked {
				f, narrow = wide, false // something is cut for certain, and nobody knows how little
			}
			if narrow || f.oneHostsLateness() {
				if !f.inVain(sights) {
					continue
				}
				f.beside = f.besideIsWell(sights)
				f.vain = !f.beside
			}
			if e.absorbed(&f, sights) || e.nameAcross(&f) || e.flowsAcross(&f.cut) {
				continue
			}
			e.believe(f, false)
		}
		e.believeTold(sights)
		e.absorb(sights)
	}
	e.livesOn(sights)
	var slow []sight
	if e.slowSuspected || slices.ContainsFunc(e.cuts, func(c *cutState) bool { return c.slow }) {
		slow = e.slowSights()
		e.lookForSlowLinks(slow)
	}
	e.followCuts(sights, slow)
}

// oneSided says whether a cut is seen from one side only: nothing shows that those
// behind it have lived on, or nobody is heard from one of its ends.
func (e *Engine) oneSided(c *cutState, p *episode) bool {
	switch {
	case c.slow || p.explained():
		return false
	case c.near.all != nil:
		return true
	case c.far.anywhere():
		return p.found[belief.EvBehindAlive].strength == 0
	}
	return !e.heardAfter(&c.near, c.began.Add(insideFrom)) || !e.heardAfter(&c.far, c.began.Add(insideFrom))
}

// heardAfter says whether anybody on a side is known to have lived after t. One that tells
// nothing itself, such as a database, has if it answered a call.
func (e *Engine) heardAfter(s *side, t clock.Time) bool {
	switch {
	case s.entity != nil:
		return s.entity.calls != nil && s.entity.calls.okEnd > t || s.entity.host != nil && s.entity.host.livesAfter(t)
	case s.all != nil:
		return slices.ContainsFunc(s.all.instances, func(i *entity) bool { return i.host != nil && i.host.livesAfter(t) })
	case s.host != nil:
		return s.host.livesAfter(t)
	}
	for _, h := range e.hosts {
		if h.zone == s.zone && h.livesAfter(t) {
			return true
		}
	}
	return false
}

// stands says whether the cut holds now.
func (c *cutState) stands(now clock.Time) bool { return c.goneAt < c.at && now.Sub(c.at) < cutStands }

// heals says whether the cut was seen to be open, or was not found again, such a
// short while ago that who was behind it may not have been heard of since.
func (c *cutState) heals(now clock.Time) bool {
	return !c.stands(now) && now.Sub(c.endedAt()) < heardAgainFor
}

// justHealed says whether that was a cut that somebody was told of.
func (c *cutState) justHealed(now clock.Time) bool { return c.heals(now) && c.entity.cleared > c.began }

// endedAt is when a cut that does not stand was last taken to.
func (c *cutState) endedAt() clock.Time {
	if c.goneAt >= c.at {
		return c.goneAt
	}
	return c.at.Add(cutStands)
}

// explains says whether the trouble of one behind the cut is the cut's doing: it
// stands, or it has just healed and the trouble is older than that.
func (c *cutState) explains(p *episode, now clock.Time) bool {
	return c.stands(now) || c.heals(now) && p.onset != 0 && p.onset < c.endedAt()
}

// detectReach: what the whole of who reaches whom says of a link, a node or a
// zone, and of those behind it.
func detectReach(e *Engine, n *entity, p *episode) {
	if c := n.cut; c != nil {
		e.cutSays(c, p)
	}
	c := n.cutOff
	if c == nil || !c.explains(p, e.now) || p.proven() || p.found[belief.EvExitKilled].strength > 0 || p.answersOthers(n, c) {
		return
	}
	if c.entity.verdict != nil {
		p.note(belief.EvExplainedByCut, 1, e.now, c.hurts())
	} else if c.entity.episode != nil {
		p.note(belief.EvExplainedByCut, 0.8, e.now, c.hurts())
	} else if c.justHealed(e.now) {
		p.note(belief.EvExplainedByCut, 1, e.now, "it was behind "+c.entity.name()+" until a moment ago")
	} else {
		return
	}
	if f := &p.found[belief.EvNoProgress]; f.now {
		p.note(belief.EvNoProgress, 0, e.now, "") // who is cut off answers nobody either
	}
	if n.cut == nil && !n.explained() { // that it lived on tells what the cut was, and no more of it
		p.found[belief.EvReturnCounted], p.found[belief.EvStampedInside] = finding{}, finding{}
	}
}

// answersOthers says whether n, a server that is cut off from some, told others what it
// is short of: an answer is nothing that a cut explains.
func (p *episode) answersOthers(n *entity, c *cutState) bool {
	return n.kind == kindExternal && !c.far.anywhere() && !c.slow &&
		p.found[belief.EvCallersOverloaded].strength+p.found[belief.EvToldDiskFull].strength+p.found[belief.EvToldMemoryFull].strength > 0
}

// hurts says what the cut does to those behind it.
func (c *cutState) hurts() string {
	if c.slow {
		return fmt.Sprintf("%s is slow", c.entity.name())
	}
	return fmt.Sprintf("nothing gets through %s", c.entity.name())
}

func (e *Engine) cutSays(c *cutState, p *episode) {
	if !c.stands(e.now) {
		return
	}
	f := &c.found
	p.startedBy(c.began)
	what := "nothing"
	if c.lossy {
		what = fmt.Sprintf("only %.0f %%", 100*(1-f.share))
	}
	if c.slow {
		text := fmt.Sprintf("calls between %s and %s take far longer than usual (%d of %d ways), and both are as fast as ever elsewhere", c.near.name(), c.far.name(), f.paths, f.of)
		if c.far.anywhere() {
			text = fmt.Sprintf("calls into and out of %s take far longer than usual (%d of %d ways), and those within it do not", c.near.name(), f.paths, f.of)
		}
		p.blame(belief.EvCutLink, f.sure*stat.Clamp(f.score/linkScoreFull, 0.3, 1), c.at, text)
		return
	}
	alive := e.behind(c)
	if c.split != nil {
		p.note(belief.EvParted, 1, e.now, fmt.Sprintf("both sides of it go on, and the states of %s have parted", c.split.id.Name))
	}
	if c.oneway {
		from, to, _ := strings.Cut(c.entity.address, "→")
		p.blame(belief.EvCutLink, 1, c.at, fmt.Sprintf("nothing gets from %s to %s (%d of %d ways): calls from %s arrive there and are answered, and no answer comes back", from, to, f.paths, f.of, to))
	} else if f.vain {
		p.blame(belief.EvCutLink, vainStrength, c.at, fmt.Sprintf("%s has had no answer of %s for %s, and others have", c.nameOf(&c.near), c.nameOf(&c.far), inWords(f.bad.Sub(f.since))))
		p.note(belief.EvCallersTimeout, 1, c.at, "its calls run out of time on connections that stand")
		return
	} else if f.beside {
		p.blame(belief.EvCutLink, besideStrength, c.at, fmt.Sprintf("%s has had no answer of %s for %s, and none of its calls arrived there; others have, and those like it answer %s", c.nameOf(&c.near), c.nameOf(&c.far), inWords(f.bad.Sub(f.since)), c.nameOf(&c.near)))
	} else if !c.far.anywhere() {
		p.blame(belief.EvCutLink, f.sure*stat.Clamp(f.score/linkScoreFull, 0.3, 1), c.at,
			fmt.Sprintf("%s gets through between %s and %s (%d of %d ways), and both reach others", what, c.near.name(), c.far.name(), f.paths, f.of))
	} else {
		p.blame(belief.EvCutOff, f.sure, c.at, fmt.Sprintf("%s gets in or out of %s (%d of %d ways)", what, c.near.name(), f.paths, f.of))
		if c.near.here != nil {
			p.note(belief.EvManyHosts, 1, e.now, "everybody outside went silent together")
			return // that we live on says nothing of them
		}
		if c.near.zone != "" && e.hostsSilentIn(c.near.zone) > 1 {
			p.note(belief.EvManyHosts, 1, e.now, fmt.Sprintf("several hosts of %s went silent together", c.near.zone))
		}
	}
	if alive != nil {
		p.note(belief.EvBehindAlive, 1, e.now, fmt.Sprintf("%s lives on behind it", alive.name()))
	}
}

const (
	// vainStrength is what it says for a cut that one caller waits in vain, and
	// besideStrength if those like the callee answer that caller meanwhile.
	vainStrength   = 0.5
	besideStrength = 0.85
)

// linkScoreFull is the log-likelihood over no cut, in nats, from which on it
// says all that it can.
const linkScoreFull = 4.0

// behind returns somebody behind the cut who was heard well after it began.
func (e *Engine) behind(c *cutState) *entity {
	since := c.began.Add(behindAliveFor)
	if since > c.tried {
		return nil // it may have been over by then
	}
	look := func(h *hostState) *entity {
		if !c.near.has(h, nil) && !(c.far.host != nil && c.far.host == h) && !(c.far.zone != "" && c.far.zone == h.zone) {
			return nil
		}
		if h.since > c.found.bad.Add(-heardWell) {
			return nil // it was not heard before the latest silence: it may just be back
		}
		return h.other(nil, since)
	}
	if c.near.host != nil {
		return look(c.near.host)
	}
	for _, s := range e.watched {
		if h := s.entity.host; h != nil {
			if n := look(h); n != nil {
				return n
			}
		}
	}
	return nil
}

// worked is called when n is told to have worked at a time: behind a cut that
// held then, it was alive.
func (e *Engine) worked(n *entity, at clock.Time) {
	for _, c := range e.cuts {
		if !c.far.anywhere() || c.near.here != nil || c.entity.episode == nil || !c.near.has(n.host, n) || c.isInside(e.now) {
			continue
		}
		if at > c.began.Add(behindAliveFor) && at < c.found.bad.Add(-time.Second) && c.entity.episode.found[belief.EvStampedInside].strength == 0 {
			c.entity.episode.note(belief.EvStampedInside, 1, e.now, fmt.Sprintf("%s worked on meanwhile, and its telemetry came late", n.name()))
			e.mark(c.entity)
		}
	}
}

// hostsSilentIn counts the hosts of a zone on which somebody fell silent and
// nobody is heard.
func (e *Engine) hostsSilentIn(zone string) int {
	seen := map[*hostState]bool{}
	for _, n := range e.suspects {
		if h := n.host; h != nil && h.zone == zone && n.cutOff != nil {
			seen[h] = true
		}
	}
	return len(seen)
}

// reachable says whether the cut has been seen to be open for long enough.
func (c *cutState) reachable(now clock.Time) bool {
	return !c.waits && (c.goneAt >= c.at && now.Sub(c.goneAt) >= recoveredView || now.Sub(c.at) >= cutStands+recoveredView)
}

// cutSubclass names the shape of a cut.
func (c *cutState) subclass(now clock.Time) verdict.Subclass {
	switch {
	case c.split != nil:
		return verdict.SubclassSplitBrain
	case c.slow && c.losing:
		return verdict.SubclassLossyLink
	case c.slow:
		return verdict.SubclassSlowLink
	case c.opened >= 2 && now.Sub(c.began) < flapsWithin:
		return verdict.SubclassFlapping
	case c.lossy && c.found.share > 0.05 && c.found.share < 0.85:
		return verdict.SubclassLossyLink
	case c.far.anywhere():
		return verdict.SubclassComplete
	case c.oneway:
		return verdict.SubclassOneWay
	}
	return verdict.SubclassPartial
}
