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
	usual       float64    // 0-1, usual share of its answers that are failures of its own
	answers     float64    // answers that taught it, at most usualMemory
	errorsSince clock.Time // when more than usual became failures; 0 while they are not
	fullAt      clock.Time // when a limit was last newly reached while it failed; 0 never
	lastError   clock.Time // when it last answered with a failure
	said        [8]saying
	next        int
}

// saying is one word: the digest that was given with a count. Only one process,
// known by its start and its address, can contradict itself.
type saying struct {
	token, seq uint64
	digest     uint64
	from       uint64 // hash of the address
	signed     bool
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
	wrongMany  = 3.0 // wrong answers in the window that say all
)

// answered learns how right the answers of n usually are, and notices when
// they no longer are.
func (e *Engine) answered(n *entity, failures, total int) {
	if total == 0 {
		return
	}
	in := &n.integrity
	share := float64(failures) / float64(total)
	if in.errorsSince == 0 {
		if n.episode == nil || failures == 0 {
			in.answers = min(in.answers+float64(total), usualMemory)
			in.usual += (share - in.usual) * float64(total) / max(in.answers, usualMemory/20)
		}
	}
	if failures > 0 {
		in.lastError = e.now
		faults, all := n.faults(e)
		if all > 0 && faults >= 1 && faults/all > in.usual+errorsOver {
			if in.errorsSince == 0 {
				in.errorsSince = e.now
			}
			e.suspect(n)
		}
	}
}

// told is the rhythm of those who tell of n's answers.
func (n *entity) told() *stat.Cadence {
	if n.served.total == 0 && n.calls != nil {
		return &n.calls.told
	}
	return &n.served.told
}

func detectIntegrity(e *Engine, n *entity, p *episode) {
	e.wrongToProbes(n, p)
	e.wrongToCallers(n, p)
	e.failuresOfItsOwn(n, p)
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

// failuresOfItsOwn: it answers with failures that none of its callees made, and
// no resource is short.
func (e *Engine) failuresOfItsOwn(n *entity, p *episode) {
	in := &n.integrity
	if in.errorsSince == 0 {
		return
	}
	faults, all := n.faults(e)
	if all == 0 || faults/all < in.usual+errorsOver/2 {
		in.errorsSince = 0
		return
	}
	if quiet := e.now.Sub(in.lastError); quiet > errorsStop+n.told().Slack() { // they are over
		if quiet > e.params.RecoveryCalls {
			in.errorsSince = 0
		}
		return
	}
	strength := stat.Clamp(float64(e.now.Sub(in.errorsSince))/float64(errorsFor), 0, 1) * min(faults/errorsMany, 1)
	if n.served.total == 0 {
		strength *= e.oneVoice(n, in.errorsSince)
	}
	excuse, whose := e.excuseOf(n, p, in.errorsSince, faults)
	strength *= excuse
	switch {
	case strength > 0 && p.newlyShort():
		p.note(belief.EvFailsShort, strength, e.now, fmt.Sprintf("and %.0f %% of its answers are failures of its own making (usually %.1f %%)", 100*faults/all, 100*in.usual))
		strength *= shortErrors
		in.fullAt = e.now
	case in.fullAt != 0 && in.lastError.Sub(in.fullAt) < shortFor+n.told().Slack(): // those from then are told yet
		strength *= shortErrors
	}
	if strength < 0.05 {
		return
	}
	p.blame(belief.EvOwnErrors, strength, e.now, fmt.Sprintf("%.0f %% of its answers are failures of its own making (usually %.1f %%), and %s",
		100*faults/all, 100*in.usual, whose))
	p.startedBy(in.errorsSince)
}

// excuseOf is how much failures that n makes since then, so many of late, are its own,
// 0-1, for all that is known of those that it calls and of what it is short of, and the
// words for that.
func (e *Engine) excuseOf(n *entity, p *episode, since clock.Time, faults float64) (own float64, whose string) {
	own, whose = 1, "its own callees are well"
	switch excuse := p.found[belief.EvCalleeFailing].strength; {
	case excuse > 0:
		own = 1 - excuse
	case e.calleesFailed(n, since.Add(-n.told().Slack())), e.missesSince(n, since), e.lostOne(n, since):
		own = 0.1
	case e.givenWrong(n, faults):
		own, whose = givenErrors, "by its log it failed for want of what others were to give"
	case e.unheard(n):
		own, whose = unheardErrors, "what it calls is not told"
	case e.errsWithAnother(n, since):
		own, whose = togetherErrors, "another service began to fail in the same seconds"
	case e.calleesOf(n) == 0 && n.onlyCounted():
		own, whose = untoldErrors, "what it calls is not told"
	case e.calleesOf(n) == 0:
		own, whose = leafErrors, "it calls nobody that is known"
	}
	if e.isShort(n, p) {
		p.shortAt = e.now
	}
	if p.shortAt != 0 && e.now.Sub(p.shortAt) < shortFor {
		own *= shortErrors
	}
	return own, whose
}

const (
	// shortErrors: who is short of something fails for want of it.
	shortErrors = 0.2
	// shortFor is how long after a shortage failures may still come from it.
	shortFor = 20 * time.Second
)

// isShort says whether something that n needs to answer is short.
func (e *Engine) isShort(n *entity, p *episode) bool {
	for _, kind := range [...]belief.Evidence{belief.EvDiskFull, belief.EvNoDescriptor, belief.EvNoThread, belief.EvPoolEmpty, belief.EvOutOfMemory, belief.EvThrottled, belief.EvMemoryPressure, belief.EvCallersOverloaded, belief.EvToldDiskFull, belief.EvToldMemoryFull} {
		if p.found[kind].strength > 0 {
			return true
		}
	}
	s := e.queueFull(n)
	if s != nil {
		p.note(belief.EvBacklog, 1, e.now, fmt.Sprintf("%.0f messages wait in %s (usually %.0f), and it turns callers away", s.waiting, s.key.name, s.usual))
		p.latest = e.now
	}
	return s != nil
}

// unheardErrors: whose own telemetry does not come may suffer from anybody.
const unheardErrors = 0.2

// unheard says whether n, or an instance of it, usually tells of the calls that
// it answers or makes and does not now.
func (e *Engine) unheard(n *entity) bool {
	if n.kind == kindService {
		for _, i := range n.service.instances {
			if !i.left && e.unheard(i) {
				return true
			}
		}
		return false
	}
	return n.served.total > 0 && e.now.Sub(n.served.seen) > e.params.CallWindow+2*n.served.told.Slack()
}

// untoldErrors: who counts what it answers and nothing else, and whose callers tell
// nothing either, may pass on the failure of anybody.
const untoldErrors = 0.5

// onlyCounted says whether all that is told of n are counts of what it answered, by what
// counts nothing else, and no call to it or to its service.
func (n *entity) onlyCounted() bool {
	if n.kind != kindInstance || !n.served.bare || len(n.calledBy) > 0 {
		return false
	}
	whole := n.service.whole
	return whole == nil || len(whole.calledBy) == 0
}

// leafErrors: who calls nobody may call somebody without telling.
const leafErrors = 0.9

// calleesFail says whether calls of n to others fail at more than a trickle.
func (e *Engine) calleesFail(n *entity) bool {
	return n.eachCallee(func(ed *edge) bool { return ed.more(&ed.failed, e) })
}

// calleesFailed says the same of calls that have failed since a time: what failed
// before n's own failures began and is well again is no reason for them.
func (e *Engine) calleesFailed(n *entity, since clock.Time) bool {
	return n.eachCallee(func(ed *edge) bool { return ed.lastFail >= since && ed.more(&ed.failed, e) })
}

// answeredBadly says whether others answer calls of n with failures, which it may
// repeat in words of its own. A call that gets no connection of its own pool may be
// told as turned away: pool leaves those out.
func (e *Engine) answeredBadly(n *entity, pool bool) bool {
	return n.eachCallee(func(ed *edge) bool {
		if pool {
			w := e.params.CallWindow
			var rest stat.Fading
			rest.Add(ed.answeredBadly.Value(e.now, w)-ed.full.Value(e.now, w), e.now, w)
			return ed.more(&rest, e)
		}
		return ed.more(&ed.answeredBadly, e)
	})
}

// more says whether calls of one kind, all of which failed, are more than a trickle.
func (ed *edge) more(kind *stat.Fading, e *Engine) bool {
	w := e.params.CallWindow
	some := kind.Value(e.now, w)
	return some >= 0.2 && some/(ed.failed.Value(e.now, w)+ed.ok.Value(e.now, w)) > errorsOver/2
}

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
