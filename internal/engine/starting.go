// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
)

// mayStillStart says whether nothing but probes speaks against one who is new, is
// heard, and has answered nobody yet: that it is not ready is no failure.
func (e *Engine) mayStillStart(n *entity, p *episode) bool {
	if n.answered || p.silent() || e.now.Sub(n.born) > startsWithin {
		return false
	}
	for kind := range p.found {
		switch belief.Evidence(kind).Group() {
		case belief.GroupProbe, belief.GroupGood, belief.GroupOwn, belief.GroupHeartbeat:
		default:
			if p.found[kind].strength > 0 && belief.Evidence(kind) != belief.EvHostAlive {
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

// kubeletTarget begins the target of what a kubelet says of its probes.
const kubeletTarget = "kubelet:"

// startsWithin is how long it may take to start, and to warm up.
const startsWithin = 10 * time.Minute
