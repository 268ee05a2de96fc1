// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// evaluate forms a belief about an entity under suspicion and acts on it:
// reach, revise or clear a verdict, or let the suspicion go.
func (e *Engine) evaluate(n *entity) {
	p := n.episode
	if p == nil {
		return
	}
	p.dirty = false
	b := e.find(n)
	if e.frozen {
		return
	}
	if b.p[causePlanned] >= e.params.EnterProbability {
		e.plannedStop(n, p)
		return
	}
	if e.over(n, p) {
		e.conclude(n, &b)
		return
	}
	if n.verdict != nil && n.cutOff != nil && n.cutOff.entity.verdict != nil && b.p[causeVictim] >= e.params.EnterProbability {
		e.clear(n, "it is cut off by "+n.cutOff.entity.name())
	}
	class := e.decide(n, p, &b)
	if class == ClassNone {
		n.leading, n.since = ClassNone, 0
		return
	}
	if class != n.leading {
		n.leading, n.since = class, e.now
	}
	wait := e.params.EnterFor
	switch {
	case class == ClassUnknown && !e.longSilent(n, p):
		wait = e.params.UnknownFor
	case p.proof():
		wait = 0
	case n.kind == kindService:
		wait = serviceWait // one of its instances may turn out to be the one
	case class == ClassCrash && p.onlyRefused():
		wait = refusedWait // a switch to a standby takes moments
		if n.kind != kindInstance {
			wait = 2 * refusedWait
		}
	case class == ClassCrash && b.likeliest(class) == causeHang && e.hostAsleep(n):
		wait = asleepWait
	case class == ClassCrash && p.found[evProcessStopped].now:
		wait = stoppedWait
	case class == ClassExhaustion && p.found[evCallersOverloaded].strength > 0:
		wait = overloadedWait
	case class == ClassPartition:
		wait = reachWait // what is cut may turn out to be more
	}
	if e.now.Sub(n.since) < wait {
		return
	}
	e.hold(n, p, &b, class)
}

// overloadedWait is how long it takes to see which caller asks for more than usual.
const overloadedWait = 2 * time.Second

// stoppedWait is how long somebody may stop a process for: to move its machine,
// or to look into it.
const stoppedWait = 2 * time.Second

// asleepWait is how long one is given whose whole machine seems to have stopped:
// hypervisors pause machines for seconds.
const asleepWait = 10 * time.Second

// hostAsleep says whether the observer on n's host is silent, too.
func (e *Engine) hostAsleep(n *entity) bool {
	if n.host == nil || n.host.observer == nil {
		return false
	}
	o := n.host.observer
	return o.ownBeat && (e.now.Sub(o.seen) > 2*o.interval+time.Second || o.justWoke())
}

// refusedWait is how long refusals alone must go on.
const refusedWait = 1500 * time.Millisecond

// onlyRefused says whether nothing but refused connections speaks of a crash.
func (p *episode) onlyRefused() bool {
	refused := false
	for kind := range p.found {
		f := &p.found[kind]
		if f.strength == 0 || weights[kind].weights[causeDead] < 3 {
			continue
		}
		switch evidence(kind) {
		case evCallersRefused, evProbeRefused, evCallersReset, evProbeReset, evStillRefused, evCallersUnavailable:
			refused = true
		case evNoProgress, evHostAlive:
		default:
			return false
		}
	}
	return refused
}

// reachWait gives the ways that are cut the time to be told from each other.
const reachWait = 2 * time.Second

// serviceWait gives the instances of a service the time to be told apart.
const serviceWait = 3 * time.Second

// proof says whether the evidence needs no second look.
func (p *episode) proof() bool {
	for kind := range p.found {
		if p.found[kind].strength > 0 && weights[kind].proof {
			return true
		}
	}
	return false
}

// decide names the class that the belief amounts to, or none.
func (e *Engine) decide(n *entity, p *episode, b *belief) Class {
	first, _ := b.best()
	if b.p[causeObserver] >= e.params.UnknownMass || b.p[causeVictim] >= e.params.UnknownMass {
		return ClassNone
	}
	switch {
	case n.kind == kindService && n.oneOfIt():
		return ClassNone
	case n.verdict == nil && e.mayStillStart(n, p):
		return ClassNone
	case n.verdict == nil && p.backAt != 0 && !p.hurts() && !p.proof():
		return ClassNone // it is back, and nobody was hurt
	case n.verdict == nil && p.stoodStill > 0 && p.stoodStill < asleepWait && !p.proof():
		return ClassNone // it is back from a pause such as machines are given
	case b.class(first) >= e.params.EnterProbability && p.corroborated():
		if !n.alive {
			return ClassUnknown // it was never seen to work
		}
		if c := b.likeliest(first); (c == causeHang || c == causeNotListening) && !n.answered && !p.proof() {
			return ClassNone // it never answered: it may still start
		}
		if first == ClassExhaustion && !p.harms() && !p.proof() {
			return ClassNone
		}
		return first
	case n.verdict != nil && n.verdict.Class != ClassUnknown && b.class(n.verdict.Class) >= leaveProbability:
		return n.verdict.Class
	case e.longSilent(n, p):
		return ClassUnknown
	case b.failure() >= e.params.UnknownMass && p.hurts():
		return ClassUnknown
	case n.verdict != nil:
		return n.verdict.Class
	}
	return ClassNone
}

// leaveProbability: a class that is held is held until it is less likely than
// this.
const leaveProbability = 0.30

// corroborated says whether more than a silence speaks: silence alone convicts
// nobody.
func (p *episode) corroborated() bool {
	for kind := range p.found {
		switch g := weights[kind].group; {
		case p.found[kind].strength == 0:
		case g == groupHeartbeat || g == groupGood || g == groupOwn || g == groupChange && evidence(kind) != evCrashLoop:
		case evidence(kind) == evHostAlive || evidence(kind) == evObserverSick:
		default:
			return true
		}
	}
	return false
}

// hurts says whether callers or probes fail.
func (p *episode) hurts() bool { return p.bad[groupCallers] || p.bad[groupProbe] || p.bad[groupReach] }

// harms says whether somebody feels it: utilisation alone is no exhaustion.
func (p *episode) harms() bool {
	return p.hurts() || p.silent() || p.found[evServesErrors].strength > 0 || p.found[evSlow].strength > 0 || p.found[evBacklog].strength > 0 || p.found[evCallersOverloaded].strength > 0
}

// oneOfIt says whether an instance of the service is itself under suspicion, so
// that the service need not be.
func (n *entity) oneOfIt() bool {
	for _, i := range n.service.instances {
		if i.verdict != nil || i.episode != nil && i.leading != ClassNone {
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
		if s.gaps.interval == 0 {
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

// over says whether the failure is seen to be over: everything that was bad is
// good again, for long enough to count.
func (e *Engine) over(n *entity, p *episode) bool {
	if e.now.Sub(p.latest) >= e.params.LeaveFor {
		return true
	}
	replaced := e.successor(n) != nil
	if !e.heardSince(n, p, replaced) {
		return false
	}
	if p.bad[groupHeartbeat] && !replaced && !e.beatsAgain(n, p) {
		return false
	}
	if p.bad[groupProbe] && !replaced && !e.probesAgain(n) {
		return false
	}
	if p.bad[groupCallers] && !e.callersAgain(n) {
		return false
	}
	if p.bad[groupRuntime] && !replaced && !e.runsAgain(n, p) {
		return false
	}
	if p.bad[groupIntegrity] && !e.rightAgain(n) {
		return false
	}
	if !replaced && e.refusedLately(n) {
		return false
	}
	if p.bad[groupReach] && n.cut != nil && !n.cut.reachable(e.now) {
		return false
	}
	if n.verdict == nil && !p.bad[groupHeartbeat] && !p.bad[groupProbe] && !p.bad[groupCallers] && !p.bad[groupRuntime] && !p.bad[groupReach] && !p.bad[groupIntegrity] {
		// A hint, such as a panic in a log or a restart, that led nowhere.
		return e.now.Sub(p.latest) >= hintFor && e.now.Sub(p.began) >= hintFor
	}
	return replaced || e.now.Sub(p.latest) >= settleFor
}

// refusedLately says whether a limit refused n, in its own words, a short while ago.
func (e *Engine) refusedLately(n *entity) bool {
	for i := range n.facts {
		if f := &n.facts[i]; saturationFacts[f.Kind] != 0 && f.At > n.cleared && e.now.Sub(f.At) < e.params.RecoveryCalls {
			return true
		}
	}
	return false
}

const (
	// hintFor is how long a hint alone keeps an entity under suspicion.
	hintFor = 30 * time.Second
	// settleFor is how long all must be well before a failure is over.
	settleFor = time.Second
)

// beatsAgain: the sender is back for RecoveryBeats intervals.
func (e *Engine) beatsAgain(n *entity, p *episode) bool {
	for _, s := range n.streams {
		if s.gaps.interval == 0 {
			continue
		}
		if s.strength(e) > 0 {
			if s.kind == signTelemetry && len(n.streams) > 1 {
				continue // its heartbeats count for more
			}
			return false
		}
		if s.kind == signBeat && p.backAt != 0 && e.now.Sub(p.backAt) < time.Duration(e.params.RecoveryBeats*float64(s.gaps.interval)) {
			return false
		}
	}
	return true
}

// probesAgain: every current probe is answered, twice in a row.
func (e *Engine) probesAgain(n *entity) bool {
	for _, ps := range n.probes {
		if e.current(ps) && (ps.outcome != OutcomeOK || ps.run < 2) {
			return false
		}
	}
	return true
}

// callersAgain: calls succeed and none fails any more, or, where nobody calls,
// none has failed for RecoveryCalls.
func (e *Engine) callersAgain(n *entity) bool {
	s := n.calls
	if s == nil && n.service != nil && n.service.whole != nil {
		s = n.service.whole.calls
	}
	if s == nil {
		return true
	}
	if s.lastFull != 0 && e.now.Sub(s.lastFull) < e.params.RecoveryCalls && s.full(e) > s.usualFull+fullOver {
		return false // it still turns them away
	}
	if s.lastTold != 0 && e.now.Sub(s.lastTold) < e.params.RecoveryCalls {
		return false // who can still be read from may only not have been written to
	}
	if s.lastFail == 0 {
		return true
	}
	quiet := e.now.Sub(s.lastFail)
	if s.okEnd > s.failEnd && s.lastOK > s.lastFail {
		return quiet >= e.params.RecoveryCalls/recoveredSooner
	}
	return quiet >= e.params.RecoveryCalls+s.told.slack()
}

// recoveredSooner: successes seen after the last failure shorten the wait.
const recoveredSooner = 5

// runsAgain: after an exit or a kill, some sign of life came.
func (e *Engine) runsAgain(n *entity, p *episode) bool {
	ended := p.onset
	for i := range n.facts {
		if k := n.facts[i].Kind; k == FactExit || k == FactOOMKill {
			ended = max(ended, n.facts[i].At)
		}
	}
	for _, ps := range n.probes {
		if ps.process != nil && e.current(ps) {
			return ps.process.State == ProcessRunning
		}
	}
	for _, s := range n.streams {
		if s.fresh() && s.heardAt() > ended.Add(time.Second) {
			return true
		}
	}
	return len(n.streams) == 0 && e.callersAgain(n) && n.calls != nil
}

// heardAt is the engine's time at the latest sign.
func (s *stream) heardAt() Time { return s.observer.seen.Add(-s.silence()) }

// plannedStop closes an episode that was a stop on purpose.
func (e *Engine) plannedStop(n *entity, p *episode) {
	why := "it said that it would stop"
	if f := &p.found[evExitClean]; f.strength > 0 {
		why = f.text
	}
	p.planned = true
	if n.verdict != nil {
		e.clear(n, "it was a stop on purpose: "+why)
	}
	if p.silent() {
		e.leave(n, why)
	}
	if n.left || e.now.Sub(p.latest) > e.params.AnnouncedFor {
		e.endEpisode(n)
	}
}

// conclude ends an episode. What came to light at the end may still change what
// the failure is called: the same process that counted on was cut off.
func (e *Engine) conclude(n *entity, b *belief) {
	if v := n.verdict; v != nil {
		first, _ := b.best()
		if first != v.Class && n.alive && b.class(first) >= e.params.EnterProbability && n.episode.corroborated() {
			e.hold(n, n.episode, b, first)
		}
		e.clear(n, "it is well again")
	}
	if n.episode != nil {
		e.endEpisode(n)
	}
	if e.successor(n) != nil {
		n.left = true
	}
}

// hold puts a verdict in force, or revises the one that is.
func (e *Engine) hold(n *entity, p *episode, b *belief, class Class) {
	old := n.verdict
	c := b.likeliest(class)
	v := e.words(n, p, b, class, c)
	if old != nil {
		if old.Class == v.Class && v.Basis.Belief < min(old.Basis.Belief, e.params.EnterProbability) {
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
			if old.Class != v.Class && v.Class != ClassUnknown {
				e.count(v)
			}
			e.emit(Event{Kind: contract.EventFailureRevised, Source: n.src, Entity: n.name(), Verdict: v,
				Body: fmt.Sprintf("%s: not %s but %s: %s", n.name(), classWords(old), classWords(v), v.Reason)})
		}
		return
	}
	n.verdict, n.heldCause = v, c
	e.count(v)
	e.openIncident(n, v)
	if n.kind == kindInstance && n.service.whole != nil && n.service.whole.verdict != nil {
		e.clear(n.service.whole, "narrowed down to "+n.name())
	}
	e.changed = true
	e.emit(Event{Kind: contract.EventFailureDetected, Source: n.src, Entity: n.name(), Verdict: n.verdict,
		Body: fmt.Sprintf("%s: %s: %s", n.name(), classWords(v), v.Reason)})
}

// worthTelling says whether the same class is held with clearly more
// confidence, so that the tags should change. A verdict does not lose confidence
// because its evidence ages.
func worthTelling(old, v *Verdict) bool { return v.Confidence-old.Confidence >= 0.1 }

// clear ends a verdict.
func (e *Engine) clear(n *entity, why string) {
	v := *n.verdict
	v.Until = e.now
	n.verdict, n.heldCause, n.leading, n.since, n.cleared = nil, causeHealthy, ClassNone, 0, e.now
	e.keepSettled(settledVerdict{entity: n, verdict: &v, target: e.target(n)})
	e.changed = true
	e.emit(Event{Kind: contract.EventFailureCleared, Source: n.src, Entity: n.name(), Verdict: &v,
		Body: fmt.Sprintf("%s: %s is over after %s: %s", n.name(), classWords(&v), inWords(v.Until.Sub(v.Since)), why)})
	e.leaveIncident(n, &v)
}
