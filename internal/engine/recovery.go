// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

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
	if p.found[evMissed].now || p.stalls {
		return false // its callers may be served by others
	}
	if (p.bad[groupRuntime] || p.bad[groupEnding]) && !replaced && !e.runsAgain(n, p) {
		return false
	}
	if p.bad[groupIntegrity] && !e.rightAgain(n) {
		return false
	}
	if p.found[evCrashLoop].strength > 0 && e.now.Sub(n.incarnations[len(n.incarnations)-1].first) < n.loopsFor() {
		return false
	}
	if !replaced && e.refusedLately(n) {
		return false
	}
	if p.bad[groupReach] && n.cut != nil && !n.cut.reachable(e.now) {
		return false
	}
	if n.cut != nil && n.cut.far.anywhere() && !p.explained() && n.cut.goneAt >= n.cut.at && e.now.Sub(n.cut.goneAt) < heardAgainFor {
		return false // who comes back will tell what it was
	}
	if n.verdict == nil && !p.bad[groupHeartbeat] && !p.bad[groupProbe] && !p.bad[groupCallers] && !p.bad[groupRuntime] && !p.bad[groupReach] && !p.bad[groupIntegrity] {
		// A hint, such as a panic in a log or a restart, that led nowhere.
		return e.now.Sub(p.latest) >= hintFor && e.now.Sub(p.began) >= hintFor
	}
	return replaced || e.now.Sub(p.latest) >= settleFor
}

// loopsFor is how long one that starts again and again must live to be out of that: for
// longer than it took from start to start lately.
func (n *entity) loopsFor() (longest time.Duration) {
	for i := len(n.incarnations) - crashLoopStarts + 1; i < len(n.incarnations); i++ {
		if before := n.incarnations[i-1]; before.token != 0 {
			longest = max(longest, n.incarnations[i].first.Sub(before.first))
		}
	}
	return min(longest*3/2, loopLongest)
}

// loopLongest is for how long it is waited at most.
const loopLongest = time.Minute

// explained says whether those who came back have told what their silence was.
func (p *episode) explained() bool {
	for _, kind := range [...]evidence{evReturnCounted, evReturnNew, evStampedInside} {
		if p.found[kind].strength > oneAnew {
			return true
		}
	}
	return false
}

// refusedLately says whether a limit refused n, in its own words, a short while ago.
func (e *Engine) refusedLately(n *entity) bool {
	for i := range n.facts {
		if f := &n.facts[i]; (saturationFacts[f.Kind] != 0 || f.Kind == FactOutOfMemory) && f.At > n.cleared && e.now.Sub(f.At) < e.params.RecoveryCalls {
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
		if s.gaps.Interval == 0 {
			continue
		}
		if s.strength(e) > 0 {
			if s.kind == signTelemetry && len(n.streams) > 1 {
				continue // its heartbeats count for more
			}
			return false
		}
		if s.kind == signBeat && p.backAt != 0 && e.now.Sub(p.backAt) < time.Duration(e.params.RecoveryBeats*float64(s.gaps.Interval)) {
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
	for _, ps := range n.probes {
		if ps.process != nil && e.current(ps) {
			return ps.process.State == ProcessRunning
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
