// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// evaluate forms a belief about an entity under suspicion and acts on it:
// reach, revise or clear a verdict, or let the suspicion go.
func (e *Engine) evaluate(n *entity) {
	p := n.episode
	if p == nil {
		return
	}
	p.dirty = false
	e.tellKept(n)
	e.forgiveName(n, p)
	b := e.find(n)
	if e.frozen {
		return
	}
	defer e.doubt(n, p)
	if b.P[belief.CausePlanned] >= e.params.EnterProbability {
		e.plannedStop(n, p)
		return
	}
	if e.over(n, p) {
		e.conclude(n, &b)
		return
	}
	if n.verdict != nil && n.cutOff != nil && (n.cutOff.entity.verdict != nil || n.cutOff.justHealed(e.now)) && b.P[belief.CauseVictim] >= e.params.EnterProbability {
		e.clear(n, "it is cut off by "+n.cutOff.entity.name())
	}
	if by := e.poolHeldBy(n); by != nil {
		e.clear(n, "its pool is held by those who wait for "+by.name())
	}
	class := e.decide(n, p, &b)
	if class == verdict.ClassNone {
		n.leading, n.since = verdict.ClassNone, 0
		return
	}
	if class != n.leading {
		n.leading, n.since = class, e.now
	}
	if e.now.Sub(n.since) < e.wait(n, p, class) {
		return
	}
	if e.mayPass(n, p, &b, class) {
		if !e.overstays(n, p, class) {
			return
		}
		class = verdict.ClassUnknown
	}
	e.hold(n, p, &b, class)
}

// proof says whether the evidence needs no second look.
func (p *episode) proof() bool {
	for kind := range p.found {
		if p.found[kind].strength > 0 && belief.Evidence(kind).Proof() {
			return true
		}
	}
	return false
}

// decide names the class that the belief amounts to, or none.
func (e *Engine) decide(n *entity, p *episode, b *belief.Posterior) verdict.Class {
	first := b.Best()
	if b.P[belief.CauseObserver] >= e.params.UnknownMass || b.P[belief.CauseVictim] >= e.params.UnknownMass {
		if n.heldCause == belief.CauseHang && p.found[belief.EvExplainedByCut].strength > 0 {
			return verdict.ClassUnknown // the cut was found later
		}
		return verdict.ClassNone
	}
	switch {
	case n.kind == kindService && n.oneOfIt() && !e.shared(n):
		return verdict.ClassNone
	case n.verdict == nil && (e.mayStillStart(n, p) || n.cut.onlyVain() && n.cut.excused()):
		return verdict.ClassNone
	case n.kind == kindInstance && n.verdict == nil && first == verdict.ClassExhaustion && e.shared(n) && !p.limits() && !e.pressed(n):
		return verdict.ClassNone // it is the same with all of its siblings: the service is judged
	case e.toldByNode(n, p, b.Class(verdict.ClassCrash) >= e.params.EnterProbability):
		return verdict.ClassNone
	case n.verdict == nil && p.backAt != 0 && !p.hurts() && !p.proof():
		return verdict.ClassNone // it is back, and nobody was hurt
	case p.paused() && (n.verdict == nil || n.verdict.Class == verdict.ClassUnknown):
		if n.verdict != nil {
			return verdict.ClassUnknown
		}
		return verdict.ClassNone
	case b.Class(first) >= e.params.EnterProbability && p.corroborated():
		if !n.alive {
			return verdict.ClassUnknown // it was never seen to work
		}
		if n.cut.onlyVain() {
			return verdict.ClassUnknown // what keeps one waiting may be the callee
		}
		if first == verdict.ClassByzantine && (p.contested || p.onlyStale()) {
			return verdict.ClassUnknown // it may be who says so that is wrong, or what it should get does not come
		}
		if first == verdict.ClassCrash && (p.quietly() || b.Likeliest(first) == belief.CauseHang && e.besideCut(n, p)) {
			return verdict.ClassUnknown
		}
		if first == verdict.ClassCrash && (e.mayBeRefusedInFront(n, p) || p.mayBeCutOffWithNode(n)) {
			return verdict.ClassUnknown
		}
		if c := b.Likeliest(first); (c == belief.CauseHang || c == belief.CauseNotListening) && !n.answered && !p.stopped && !p.proof() {
			return verdict.ClassNone // it never answered: it may still start
		}
		if first == verdict.ClassCrash && b.Likeliest(first) == belief.CauseDead && n.kind == kindInstance && p.quietEnd() &&
			(n.verdict == nil || n.verdict.Class != verdict.ClassCrash) { // what showed it may have faded since
			return verdict.ClassUnknown // a stop that nobody announced looks the same
		}
		if first == verdict.ClassExhaustion && !p.harms() && !p.proof() {
			return verdict.ClassNone
		}
		if first == verdict.ClassExhaustion && n.verdict != nil && n.verdict.Class == verdict.ClassCrash && p.stopped && !p.limits() {
			return verdict.ClassCrash // all that waited for it comes at once
		}
		if first == verdict.ClassExhaustion && untoldShortage(p) && e.onSlowHost(n, p) {
			return verdict.ClassUnknown
		}
		return first
	case n.verdict != nil && n.verdict.Class != verdict.ClassUnknown:
		return n.verdict.Class // until another is known, or it is over
	case e.longSilent(n, p):
		return verdict.ClassUnknown
	case b.Failure() >= e.params.UnknownMass && p.hurts():
		return verdict.ClassUnknown
	case n.verdict != nil:
		return n.verdict.Class
	}
	return verdict.ClassNone
}

// paused says whether it is back from a pause such as machines are given.
func (p *episode) paused() bool {
	return p.stoodStill > 0 && p.stoodStill < asleepWait && !p.proof()
}

// corroborated says whether more than a silence speaks: silence alone convicts
// nobody.
func (p *episode) corroborated() bool {
	for kind := range p.found {
		switch g := belief.Evidence(kind).Group(); {
		case p.found[kind].strength == 0:
		case g == belief.GroupHeartbeat || g == belief.GroupGood || g == belief.GroupOwn || g == belief.GroupChange && belief.Evidence(kind) != belief.EvCrashLoop:
		case belief.Evidence(kind) == belief.EvHostAlive || belief.Evidence(kind) == belief.EvObserverSick:
		default:
			return true
		}
	}
	return false
}

// quietly says whether what is missed may be a stop that nobody announced: a restart
// that takes its time while a proxy sends its callers elsewhere, or a reader of a
// queue that was ended on purpose, or gave way to one that tells nothing.
func (p *episode) quietly() bool {
	return (p.routedAround || p.unread && !p.found[belief.EvSilent].now && !p.standsThere()) && !p.violent()
}

// standsThere says whether an agent tells what became of a reader of a queue: it is
// gone, or stopped, or it runs and tells of other things than of what it reads.
func (p *episode) standsThere() bool {
	return p.found[belief.EvProcessGone].now || p.found[belief.EvProcessStopped].now || p.found[belief.EvProcessRuns].now && !p.untold
}

// quietEnd says whether all that speaks is that it is gone: no caller was failed
// for longer than it takes to send callers elsewhere, nothing tells of a violent
// end, and it never said how it stops.
func (p *episode) quietEnd() bool {
	if p.violent() {
		return false
	}
	for _, kind := range [...]belief.Evidence{belief.EvCrashLoop, belief.EvNodeDown, belief.EvNodeRebooted, belief.EvNotAnnounced, belief.EvStillRefused, belief.EvStillUnavailable, belief.EvReadsNothing} {
		if p.found[kind].strength > 0 {
			return false
		}
	}
	if p.stalls {
		return true // its callers only name the service, and others of it answer
	}
	for _, kind := range [...]belief.Evidence{belief.EvCallersRefused, belief.EvCallersReset, belief.EvCallersConnectTimeout, belief.EvCallersTimeout, belief.EvCallersUnreachable, belief.EvCallersUnavailable} {
		if p.found[kind].strength > 0 {
			return false
		}
	}
	return true
}

// hurts says whether callers or probes fail.
func (p *episode) hurts() bool {
	return p.bad[belief.GroupCallers] || p.bad[belief.GroupProbe] || p.bad[belief.GroupReach]
}

// harms says whether somebody feels it, if only itself in what it cannot call:
// utilisation alone is no exhaustion.
func (p *episode) harms() bool {
	if p.hurts() || p.silent() {
		return true
	}
	for _, kind := range [...]belief.Evidence{belief.EvServesErrors, belief.EvSlow, belief.EvBacklog, belief.EvCallersOverloaded} {
		if p.found[kind].strength > 0 {
			return true
		}
	}
	return p.limited
}

// shared says whether n is slow as all of its service is, or is that service.
func (e *Engine) shared(n *entity) bool {
	return n.service != nil && n.service.whole != nil && n.service.whole.episode != nil && e.allSlow(n.service)
}

// limits says whether a resource of its own is known to be short, by other evidence than
// some.
func (p *episode) limits(besides ...belief.Evidence) bool {
	for kind := range p.found {
		switch ev := belief.Evidence(kind); ev {
		case belief.EvDemand, belief.EvSlow, belief.EvCallersOverloaded, belief.EvBusy, belief.EvServesErrors:
		default:
			if p.found[kind].strength > 0 && ev.Weight(belief.CauseExhaustion) >= 11 && !slices.Contains(besides, ev) {
				return true
			}
		}
	}
	return false
}

// oneOfIt says whether an instance of the service is itself under suspicion, so
// that the service need not be.
func (n *entity) oneOfIt() bool {
	for _, i := range n.service.instances {
		if i.verdict != nil || i.episode != nil && i.leading != verdict.ClassNone {
			return true
		}
	}
	return false
}

// longSilent says whether the silence has lasted past every deadline: the
// stream's own, and twice the usual absence over a restart.
func (e *Engine) longSilent(n *entity, p *episode) bool {
	if n.left || e.excused(n, p.onset) {
		return false
	}
	usual := time.Duration(0)
	if n.service != nil && n.service.restarts >= 2 {
		usual = 2 * n.service.restart
	}
	long := false
	for _, s := range n.streams {
		if s.gaps.Interval == 0 {
			continue
		}
		switch {
		case !e.trusted(s):
			return false
		case s.overdue && s.silence() > usual:
			long = long || s.kind == signBeat || len(n.streams) == 1
		case s.kind == signBeat && s.fresh():
			return false
		}
	}
	return long
}

// plannedStop closes an episode that was a stop on purpose.
func (e *Engine) plannedStop(n *entity, p *episode) {
	why := "nothing speaks of a failure"
	for _, kind := range [...]belief.Evidence{belief.EvNobodyHurt, belief.EvReplaced, belief.EvAnnounced, belief.EvExitClean} {
		if f := &p.found[kind]; f.strength > 0 {
			why = f.text
		}
	}
	p.planned = true
	if n.verdict != nil {
		e.clear(n, "it was a stop on purpose: "+why)
	}
	if _, since := e.refusedMidWork(n); p.silent() && (since == 0 || p.found[belief.EvAnnounced].strength > 0 || p.found[belief.EvExitClean].strength > 0 || p.found[belief.EvReplaced].strength > 0) {
		e.leave(n, why)
	}
	if n.left || e.now.Sub(p.latest) > e.params.AnnouncedFor {
		e.endEpisode(n)
	}
}

// conclude ends an episode. What came to light at the end may still change what
// the failure is called: the same process that counted on was cut off.
func (e *Engine) conclude(n *entity, b *belief.Posterior) {
	if v := n.verdict; v != nil {
		first := b.Best()
		if first != v.Class && n.alive && b.Class(first) >= e.params.EnterProbability && n.episode.corroborated() && !n.episode.paused() && !n.episode.onlyStale() && !e.mayPass(n, n.episode, b, first) {
			e.hold(n, n.episode, b, first)
		}
		e.clear(n, "it is well again")
		n.well = e.now
		if n.service != nil {
			n.service.well = e.now
		}
	}
	if n.episode != nil {
		e.endEpisode(n)
	}
	if e.successor(n) != nil {
		n.left = true
	}
}

// hold puts a verdict in force, or revises the one that is.
func (e *Engine) hold(n *entity, p *episode, b *belief.Posterior, class verdict.Class) {
	old := n.verdict
	c := b.Likeliest(class)
	v := e.words(n, p, b, class, c)
	if p.nodeDown(n) != 0 {
		f := &n.host.fallen
		f.by, f.told, f.sure = n, e.now, class == verdict.ClassCrash
	}
	if old != nil && old.Class == verdict.ClassExhaustion && c == belief.CauseDead && p.dead {
		e.clear(n, "it ended, and not for want of that") // two failures, one after the other
		old, v.Since = nil, max(n.ended(), v.Since)
	}
	if old != nil {
		if old.Class == v.Class && v.Belief < min(old.Belief, e.params.EnterProbability) {
			return // it is held, not surer of its shape
		}
		if len(v.Evidence) == 0 || old.Class == v.Class && old.Subclass == v.Subclass && old.Culprit == v.Culprit && !worthTelling(old, v) {
			return
		}
		v.Revision, v.Previous, v.Incident, v.Since = old.Revision+1, old.Class, old.Incident, min(old.Since, v.Since)
		n.verdict, n.heldCause = v, c
		e.joinIncident(n, v)
		e.changed = true
		if old.Class != v.Class || old.Subclass != v.Subclass || old.Culprit != v.Culprit {
			if old.Class != v.Class && v.Class != verdict.ClassUnknown {
				e.count(v)
			}
			e.emit(verdict.Event{Kind: contract.EventFailureRevised, Source: n.described(), Entity: n.name(), Verdict: v,
				Body: fmt.Sprintf("%s: %s: %s", n.name(), revision(old, v), v.Reason)})
		}
		return
	}
	n.verdict, n.heldCause = v, c
	e.count(v)
	e.openIncident(n, v)
	if n.kind == kindInstance && n.service.whole != nil && n.service.whole.verdict != nil {
		e.clear(n.service.whole, "narrowed down to "+n.name())
	}
	e.clearAddresses(n, v)
	e.changed = true
	e.emit(verdict.Event{Kind: contract.EventFailureDetected, Source: n.described(), Entity: n.name(), Verdict: n.verdict,
		Body: fmt.Sprintf("%s: %s: %s", n.name(), classWords(v), v.Reason)})
}

// worthTelling says whether the same class is held with clearly more
// confidence, so that the tags should change. A verdict does not lose confidence
// because its evidence ages.
func worthTelling(old, v *verdict.Verdict) bool { return v.Confidence-old.Confidence >= 0.1 }

// clear ends a verdict.
func (e *Engine) clear(n *entity, why string) {
	v, t := *n.verdict, e.target(n)
	v.Until = e.now
	n.verdict, n.heldCause, n.leading, n.since, n.cleared = nil, belief.CauseHealthy, verdict.ClassNone, 0, e.now
	e.keepSettled(settledVerdict{entity: n, verdict: &v, target: t})
	e.changed = true
	e.emit(verdict.Event{Kind: contract.EventFailureCleared, Source: n.described(), Entity: n.name(), Verdict: &v,
		Body: fmt.Sprintf("%s: %s is over after %s: %s", n.name(), classWords(&v), inWords(v.Until.Sub(v.Since)), why)})
	e.leaveIncident(n, &v)
}
