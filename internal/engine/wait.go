// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// How long a class must lead before it is entered, and what is given time to
// pass by itself.

const (
	// asleepWait is how long one is given whose whole machine may have stopped:
	// hypervisors pause machines for seconds.
	asleepWait = 10 * time.Second
	// pauseWait is how long one is given that stands still while others on its
	// machine go on: collectors of garbage do that.
	pauseWait = 2500 * time.Millisecond
	// drainsFor is how long one may take to end what it has begun after a balancer
	// was told to send it nothing more.
	drainsFor = 10 * time.Second
	// refusedWait is how long refusals alone must go on.
	refusedWait = 1500 * time.Millisecond
	// overloadedWait is how long it takes to see which caller asks for more than
	// usual.
	overloadedWait = 2 * time.Second
	// reachWait gives the ways that are cut the time to be told from each other.
	reachWait = 2 * time.Second
	// breathWait is how long one that goes on beating must want for a processor, and for
	// nothing else: what passes sooner, such as when a neighbour starts, is nothing to act on.
	breathWait = 8 * time.Second
	// serviceWait gives the instances of a service the time to be told apart.
	serviceWait = 3 * time.Second
)

// wait is how long a class must lead.
func (e *Engine) wait(n *entity, p *episode, class verdict.Class) time.Duration {
	switch {
	case class == verdict.ClassUnknown && !e.longSilent(n, p):
		return e.params.UnknownFor
	case p.proof():
		return 0
	case n.kind == kindService:
		return serviceWait // one of its instances may turn out to be the one
	case class == verdict.ClassCrash && p.onlyRefused():
		switch {
		case p.found[belief.EvStillRefused].now:
			return e.params.EnterFor // it has lasted for longer than that already
		case n.kind != kindInstance:
			return 2 * refusedWait
		}
		return refusedWait // a switch to a standby takes moments
	case class == verdict.ClassExhaustion && p.found[belief.EvCallersOverloaded].strength > 0:
		if e.turnsOneAway(n) && e.pusher(n) == nil {
			return stat.RateSpan + n.told().Slack() // how often that one asks is not counted yet
		}
		return overloadedWait
	case class == verdict.ClassExhaustion && n.mayCatchBreath(p, e.now):
		return breathWait
	case class == verdict.ClassPartition:
		return reachWait // what is cut may turn out to be more
	}
	return e.params.EnterFor
}

// mayPass says whether what looks like a failure may yet turn out to be nothing.
func (e *Engine) mayPass(n *entity, p *episode, b *belief.Posterior, class verdict.Class) bool {
	if p.proof() || n.verdict != nil && n.verdict.Class == class {
		return false
	}
	switch class {
	case verdict.ClassCrash:
		return e.crashMayPass(n, p, b)
	case verdict.ClassPartition:
		return e.cutMayPass(n, p)
	case verdict.ClassExhaustion:
		return e.onlyWaited(n, p)
	case verdict.ClassUnknown:
		return n.verdict == nil && n.cut == nil && n.cutOff.accountsFor(e.now)
	}
	return false
}

// accountsFor says whether the cut holds, and is told, or was found so lately that it may
// yet be: nobody wonders at those behind it one by one. c may be nil.
func (c *cutState) accountsFor(now clock.Time) bool {
	return c != nil && c.entity.episode != nil && c.stands(now) && (c.entity.verdict != nil || now.Sub(c.began) < asleepWait)
}

// overstays says whether what may pass by itself should have by now, for all that is
// known: who paused would have been asked again.
func (e *Engine) overstays(n *entity, p *episode, class verdict.Class) bool {
	return n.verdict == nil && class == verdict.ClassCrash && p.hurts() && n.back() <= p.onset &&
		e.now.Sub(n.since) >= asleepWait+n.served.told.Slack()
}

// crashMayPass: a machine or a process that pauses, or a stop that nobody
// announced and that hurts nobody.
func (e *Engine) crashMayPass(n *entity, p *episode, b *belief.Posterior) bool {
	if p.stoodStill >= asleepWait {
		return false
	}
	if p.quietly() {
		return true
	}
	if back := n.back(); back > p.onset && p.onset != 0 && !p.violent() {
		// It, or another on its machine, stood still and went on.
		return p.lasted(n, e.now, back) < asleepWait
	}
	lasted := p.lasted(n, e.now, 0)
	switch b.Likeliest(verdict.ClassCrash) {
	case belief.CauseHang:
		if p.found[belief.EvProcessStopped].now {
			return e.stopMayPass(n, p)
		}
		return lasted < e.pauseOf(n, p) || e.placeSilent(n, p) || n.gaspsSince(e, p.onset)
	case belief.CauseNotListening:
		return n.kind == kindInstance && (p.found[belief.EvBeating].now || e.pauseOf(n, p) == asleepWait) && lasted < drainsFor && !p.refusedItself()
	case belief.CauseDead:
		if n.kind == kindInstance && e.onlyElsewhere(n, p) && lasted < e.pauseOf(n, p) {
			return true
		}
		// Who is called often and dies hurts somebody at once.
		return !p.bad[belief.GroupCallers] && n.rate.Usual >= calledFrom && e.now.Sub(p.onset) < unhurtAfter+n.served.told.Slack() && !p.violent()
	}
	return false
}

// placeSilent says whether nothing has been heard of n, nor from its machine, since
// the failure began, though others live there: it may be cut off, or its machine
// down, as well as hang. All on a machine do not come back at once: when the first is
// heard again, n has as long as it usually takes to tell something.
func (e *Engine) placeSilent(n *entity, p *episode) bool {
	for _, kind := range [...]belief.Evidence{belief.EvBeating, belief.EvProcessRuns, belief.EvProbeNoAnswer, belief.EvProbeOK, belief.EvPortOpen, belief.EvReadsNothing} {
		if p.found[kind].now {
			return false
		}
	}
	if n.kind != kindInstance || !n.host.shared(n) {
		return false
	}
	if n.host.heardLast() <= p.onset.Add(insideFrom) || p.silent() && !n.host.speaks(e.now) {
		p.placeAt = e.now
	}
	return p.placeAt != 0 && e.now.Sub(p.placeAt) <= n.turn()
}

// turn is how long n may take to be heard again after others on its machine were.
func (n *entity) turn() time.Duration { return underWay + max(2*n.beatsEvery(), n.served.told.Slack()) }

// back is when n, or somebody on its machine, went on after it had stood still;
// 0 if it does not beat now.
func (n *entity) back() clock.Time {
	t := n.resumed
	if n.host != nil && n.host.name != "" {
		t = max(t, n.host.resumed)
	}
	for _, s := range n.streams {
		if s.kind == signBeat && !s.fresh() {
			return 0
		}
	}
	return t
}

// refusedItself says whether its own address refuses, as against a name under
// which a balancer no longer finds anybody.
func (p *episode) refusedItself() bool {
	return p.found[belief.EvProbeRefused].now || p.direct
}

// onlyElsewhere says whether callers are refused, and not by its own address: a
// balancer that finds nobody refuses for one that pauses, too. While it finds
// others, it does not.
func (e *Engine) onlyElsewhere(n *entity, p *episode) bool {
	return p.found[belief.EvCallersRefused].strength > 0 && !p.refusedItself() && !p.violent() &&
		e.siblings(n).goOn(n, p.onset.Add(insideFrom)) == 0
}

// pauseOf is how long n may stand still without harm, by what is known of its
// surroundings.
func (e *Engine) pauseOf(n *entity, p *episode) time.Duration {
	if n.kind != kindInstance {
		return asleepWait
	}
	wait := asleepWait
	if hidden, beats := n.beatsThroughout(p.onset); beats {
		wait = min(hidden, asleepWait) // its timers run: it does not stand still
	} else if e.hostAsleep(n) {
		return asleepWait
	}
	if woke := e.neighbourWoke(n, p); woke != 0 && p.failsSince(n, e.now, woke) {
		wait = min(wait, pauseWait)
	}
	return wait
}

// lasted is how long the failure has lasted, at most since t, by the times of
// what shows it, however late that is told.
func (p *episode) lasted(n *entity, now, t clock.Time) time.Duration {
	d := time.Duration(0)
	for _, s := range n.streams {
		if s.kind == signBeat {
			d = max(d, s.silence())
		}
	}
	if stats := p.complaints(n); stats != nil && stats.lastFail != 0 {
		d = max(d, stats.failEnd.Sub(max(stats.firstFail, t)))
	}
	if w := n.proxies; w.stands(n, now) {
		d = max(d, w.last.Sub(max(w.first, t)))
	}
	for _, ps := range n.probes {
		if ps.outcome != report.OutcomeOK && ps.at != 0 {
			d = max(d, ps.at.Sub(max(ps.first, t)))
		}
	}
	if p.found[belief.EvReadsNothing].now {
		d = max(d, now.Sub(max(p.onset, t)))
	}
	return d
}

// complaints is what those say who call n, by its name or by its service's.
func (p *episode) complaints(n *entity) *callStats {
	if n.kind == kindInstance && p.stalls {
		return n.service.whole.calls
	}
	return n.calls
}

// beatsThroughout says whether n's heartbeats came without a break since t, and
// how long it may have stood still between two of them: who was heard last before
// t, by an observer that has told nothing since, may stand still all the time.
func (n *entity) beatsThroughout(t clock.Time) (hidden time.Duration, beats bool) {
	for _, s := range n.streams {
		if s.kind != signBeat || !s.fresh() || s.broken >= t {
			continue
		}
		if s.heardAt() <= t.Add(stillThere) {
			return asleepWait, true
		}
		return time.Duration(brokenFrom * float64(s.gaps.Interval)), true
	}
	return 0, false
}

// hostAsleep says whether the observer on n's host is silent, too.
func (e *Engine) hostAsleep(n *entity) bool {
	if n.host == nil || n.host.observer == nil {
		return false
	}
	o := n.host.observer
	return o.ownBeat && (e.now.Sub(o.seen) > 2*o.interval+time.Second || o.justWoke())
}

// onlyRefused says whether nothing but refused connections speaks of a crash.
func (p *episode) onlyRefused() bool {
	refused := false
	for kind := range p.found {
		f := &p.found[kind]
		if f.strength == 0 || belief.Evidence(kind).Weight(belief.CauseDead) < 3 {
			continue
		}
		switch belief.Evidence(kind) {
		case belief.EvCallersRefused, belief.EvProbeRefused, belief.EvCallersReset, belief.EvProbeReset, belief.EvStillRefused, belief.EvCallersUnavailable, belief.EvStillUnavailable:
			refused = true
		case belief.EvNoProgress, belief.EvHostAlive:
		default:
			return false
		}
	}
	return refused
}
