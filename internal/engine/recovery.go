// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// over says whether the failure is seen to be over: everything that was bad is
// good again, for long enough to count.
func (e *Engine) over(n *entity, p *episode) bool {
	for _, s := range n.streams {
		if s.dueAt != 0 && s.failed {
			return false // a job that failed is well when it goes well
		}
	}
	if e.now.Sub(p.latest) >= e.params.LeaveFor {
		return true
	}
	if n.kept.told != 0 || p.past != 0 && e.now.Sub(p.past) < settleFor {
		return false // what came late is yet to be told
	}
	replaced := e.successor(n) != nil
	if !e.heardSince(n, p, replaced) {
		return false
	}
	if p.bad[belief.GroupHeartbeat] && !replaced && !e.beatsAgain(n, p) {
		return false
	}
	if p.bad[belief.GroupProbe] && !replaced && !e.probesAgain(n) {
		return false
	}
	if (p.bad[belief.GroupCallers] || n.src.Outside) && !e.callersAgain(n) {
		return false
	}
	if p.found[belief.EvMissed].now || p.stalls {
		return false // its callers may be served by others
	}
	if p.found[belief.EvFailsShort].now {
		return false // and its metrics tell of its answers only now and then
	}
	if (p.bad[belief.GroupRuntime] || p.bad[belief.GroupEnding] || p.found[belief.EvCrashLoop].strength > 0) && !replaced && !e.runsAgain(n, p) {
		return false
	}
	if p.bad[belief.GroupIntegrity] && !e.rightAgain(n) {
		return false
	}
	if p.found[belief.EvCrashLoop].strength > 0 && e.now.Sub(n.incarnations[len(n.incarnations)-1].first) < n.loopsFor(len(n.incarnations)-1) {
		return false
	}
	if !replaced && e.refusedLately(n) {
		return false
	}
	if !replaced && p.stillDown(n) {
		return false
	}
	if p.bad[belief.GroupReach] && n.cut != nil && !n.cut.reachable(e.now) {
		return false
	}
	if n.cut != nil && n.cut.far.anywhere() && !p.explained() && !e.withUs(n.cut) && n.cut.goneAt >= n.cut.at && e.now.Sub(n.cut.goneAt) < heardAgainFor {
		return false // who comes back will tell what it was
	}
	if n.verdict == nil && !p.bad[belief.GroupHeartbeat] && !p.bad[belief.GroupProbe] && !p.bad[belief.GroupCallers] && !p.bad[belief.GroupRuntime] && !p.bad[belief.GroupReach] && !p.bad[belief.GroupIntegrity] {
		// A hint, such as a panic in a log or a restart, that led nowhere.
		return e.now.Sub(p.latest) >= hintFor && e.now.Sub(p.began) >= hintFor
	}
	return replaced || e.now.Sub(p.latest) >= settleFor
}

// withUs says whether it was our own side that a cut left alone: somebody there was heard all
// the while, and nobody will come back from it.
func (e *Engine) withUs(c *cutState) bool {
	if c.near.here == nil {
		return false
	}
	for _, h := range e.hosts {
		if c.near.has(h, nil) && h.since != 0 && h.since <= c.began && h.livesAfter(c.began) {
			return true
		}
	}
	return false
}

// loopsFor is how long the given one of n's processes, which starts again and again, must live
// to be out of that: for much longer than n lived lately. From start to start it may take long, as a supervisor
// waits longer each time; that tells something only of one whose lives nobody saw end.
func (n *entity) loopsFor(of int) time.Duration {
	var lived, apart time.Duration
	for i := max(of-crashLoopStarts+2, 1); i <= of; i++ {
		if before := &n.incarnations[i-1]; before.token != 0 {
			apart = max(apart, n.incarnations[i].first.Sub(before.first))
			lived = max(lived, n.lived(before, n.incarnations[i].first))
		}
	}
	return min(apart*3/2, max(outlives*lived, loopLeast), loopLongest)
}

// lived is how long a process of n lived at most that began before the one that was
// started next: until it is told to have ended, or was due to beat again.
func (n *entity) lived(inc *incarnation, next clock.Time) time.Duration {
	for i := range n.facts {
		if f := &n.facts[i]; f.Kind == report.FactExit && f.At >= inc.first && f.At <= next {
			return f.At.Sub(inc.first)
		}
	}
	for _, s := range n.streams {
		if s.kind == signBeat && s.gaps.Interval != 0 {
			return min(inc.last.Sub(inc.first)+s.gaps.Interval, next.Sub(inc.first))
		}
	}
	return next.Sub(inc.first)
}

const (
	// outlives is how many times as long it must live as it did before.
	outlives = 3
	// loopLeast is for how long it is waited at least, unless it was started sooner
	// than that each time, and loopLongest at most.
	loopLeast   = 10 * time.Second
	loopLongest = time.Minute
)

// explained says whether those who came back have told what their silence was.
func (p *episode) explained() bool {
	for _, kind := range [...]belief.Evidence{belief.EvReturnCounted, belief.EvReturnNew, belief.EvStampedInside} {
		if p.found[kind].strength > oneAnew {
			return true
		}
	}
	return false
}

// refusedLately says whether a limit refused n, in its own words, a short while ago.
func (e *Engine) refusedLately(n *entity) bool {
	for i := range n.facts {
		if f := &n.facts[i]; saysShort(f.Kind) && f.At > n.cleared && e.now.Sub(f.At) < e.params.RecoveryCalls {
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

// beatsAgain: the sender is back for RecoveryBeats intervals, or has come again for which a
// time is due.
func (e *Engine) beatsAgain(n *entity, p *episode) bool {
	heard := slices.ContainsFunc(n.streams, func(s *stream) bool { return s.kind == signBeat && s.dueAt == 0 && s.fresh() })
	for _, s := range n.streams {
		if s.gaps.Interval == 0 {
			continue
		}
		if s.strength(e) > 0 {
			if heard && s.dueAt == 0 || s.kind == signTelemetry && len(n.streams) > 1 {
				continue // of several who watch it those are right who hear it; its heartbeats count for more
			}
			return false
		}
		if s.kind == signBeat && s.dueAt == 0 && p.backAt != 0 && e.now.Sub(p.backAt) < time.Duration(e.params.RecoveryBeats*float64(s.gaps.Interval)) {
			return false
		}
	}
	return true
}

// probesAgain: every current probe is answered, twice in a row. A kernel that tells of
// all that is acknowledged tells it once, and then seldom.
func (e *Engine) probesAgain(n *entity) bool {
	for _, ps := range n.probes {
		if e.current(ps) && !n.backsOff(ps) && (ps.outcome != report.OutcomeOK || ps.run < 2 && !ps.passive) {
			return false
		}
	}
	return true
}

// backsOff says whether ps tells of connections only that wait before they send again,
// each time for twice as long: a probe to the same port has failed since they began to,
// and is answered again, so that the way is open.
func (n *entity) backsOff(ps *probeState) bool {
	if !ps.passive || ps.outcome == report.OutcomeOK {
		return false
	}
	return slices.ContainsFunc(n.probes, func(o *probeState) bool {
		return !o.passive && o.observer == ps.observer && o.outcome == report.OutcomeOK && o.run > 1 && o.first > ps.first &&
			connectionsTo+hostPort(o.target) == ps.target
	})
}

// connectionsTo begins the target of a look at connections.
const connectionsTo = "connections:"

// callersAgain: calls succeed and none fails any more, or, where nobody calls,
// none has failed for RecoveryCalls.
func (e *Engine) callersAgain(n *entity) bool {
	if n.proxies.stands(n, e.now) && e.successor(n) == nil {
		return false
	}
	s := n.calls
	if s == nil && n.service != nil && n.service.whole != nil {
		s = n.service.whole.calls
	}
	if n.calls != nil && n.calls.turnsAway(e) {
		return false
	}
	if n.calls != nil && n.calls.lastTold != 0 && e.now.Sub(n.calls.lastTold) < e.params.RecoveryCalls {
		return false // it answers, and what
	}
	if s == nil || s.lastFail == 0 {
		return true
	}
	quiet := e.now.Sub(s.lastFail)
	if s.okEnd > s.failEnd && s.lastOK > s.lastFail {
		return quiet >= e.params.RecoveryCalls/recoveredSooner
	}
	return quiet >= e.params.RecoveryCalls+s.told.Slack()
}

// recoveredSooner: successes seen after the last failure shorten the wait.
const recoveredSooner = 5

// runsAgain: after an exit or a kill, some sign of life came.
func (e *Engine) runsAgain(n *entity, p *episode) bool {
	ended := max(p.onset, n.ended())
	for i := range n.facts {
		if f := &n.facts[i]; f.Kind == report.FactCrashLoop { // it had ended by then, and waits
			ended = max(ended, f.At)
		}
	}
	for _, ps := range n.probes {
		if ps.process != nil && e.current(ps) {
			return ps.process.State == report.ProcessRunning && ps.at > ended // what was seen before it ended says nothing
		}
	}
	for _, s := range n.streams {
		if s.fresh() && s.heardAt() > ended.Add(time.Second) && !n.saysStarting {
			return true
		}
	}
	// Who was started anew and does not say more may yet fail to start.
	return n.answersSince(ended.Add(time.Second)) || n.started > ended && e.now.Sub(n.started) >= e.params.RecoveryCalls
}

// answersSince says whether n answered somebody after t.
func (n *entity) answersSince(t clock.Time) bool {
	for _, ps := range n.probes {
		if ps.process == nil && ps.lastOK > t {
			return true
		}
	}
	return n.served.last > t || n.calls != nil && n.calls.okEnd > t
}

// heardAt is the engine's time at the latest sign.
func (s *stream) heardAt() clock.Time { return s.observer.seen.Add(-s.silence()) }
