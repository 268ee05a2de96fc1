// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// mayStillStart says whether nothing but probes speaks against one who is new, or was just
// started anew, is heard, and has answered nobody yet: that it is not ready is no failure.
func (e *Engine) mayStillStart(n *entity, p *episode) bool {
	again := n.started > n.born && e.now.Sub(n.started) < maxRestart && !n.answersSince(n.started)
	if p.silent() || !again && (n.answered || e.now.Sub(n.born) > startsWithin) {
		return false
	}
	for kind := range p.found {
		switch belief.Evidence(kind).Group() {
		case belief.GroupProbe, belief.GroupGood, belief.GroupOwn, belief.GroupHeartbeat:
		default:
			if p.found[kind].strength > 0 && !saysNothingOfStart(belief.Evidence(kind)) {
				return false
			}
		}
	}
	for _, ps := range n.probes {
		// The kubelet probes only what it has started.
		if !n.alive && !strings.HasPrefix(ps.target, kubeletTarget) {
			return false
		}
	}
	return true
}

// saysNothingOfStart: others on its host are heard, and it never said that it would stop.
func saysNothingOfStart(kind belief.Evidence) bool {
	return kind == belief.EvHostAlive || kind == belief.EvNotAnnounced || kind == belief.EvReplaced
}

// startsNow notes that another process takes n's place.
func (n *entity) startsNow(now clock.Time) {
	n.starts = now
	n.levels.startsAnew()
	for _, ps := range n.probes {
		ps.throttled, ps.cpuWait = 0, 0
	}
	n.host.startsAt(now)
}

// startsAt notes that a process on a host starts.
func (h *hostState) startsAt(now clock.Time) {
	if h != nil {
		h.starts = now
	}
}

// startTakes says whether a processor is short for what a process needs to start, on n's
// machine, or, of what n alone may use, itself: it began no sooner, and passes by itself.
func (e *Engine) startTakes(n *entity, kind report.LevelKind, s *levelState) bool {
	since := clock.Time(0)
	switch {
	case ofProcessors(kind):
		if n.host != nil {
			since = n.host.starts
		}
	case kind == report.LevelThrottled:
		since = n.starts
	}
	return since != 0 && e.now.Sub(since) < startingFor && s.full > since.Add(-startSeen)
}

// startSeen is by how much a start may be told later than what it takes.
const startSeen = 5 * time.Second

// kubeletTarget begins the target of what a kubelet says of its probes.
const kubeletTarget = "kubelet:"

// startsWithin is how long it may take to start, and to warm up.
const startsWithin = 10 * time.Minute
