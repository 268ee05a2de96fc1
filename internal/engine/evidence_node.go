// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// What Kubernetes says of the node that one runs on: it has not been heard of for long, or
// was started anew. That the kubelet alone is gone hurts nobody who runs there: what else
// comes from the node tells. The node is then the culprit, and is told once, by one of
// those who run there.

// nodeQuiet is how long nothing must have come from a node that is not ready: agents tell
// every ten seconds or so.
const nodeQuiet = 20 * time.Second

// fallenNode is what is known of a node that is not ready.
type fallenNode struct {
	at   clock.Time // when that was told last; 0 if it never was
	by   *entity    // on whom the verdict is that tells it, or was
	told clock.Time // when that was given or revised
	sure bool       // it said crash
}

// lastWord is when anything came from the host last, 0 if nothing ever did.
func (h *hostState) lastWord() clock.Time {
	last := max(h.heardLast(), h.levelsAt)
	if h.observer != nil {
		last = max(last, h.observer.lived)
	}
	return last
}

// nodeFell weighs what is said of n's node.
func (e *Engine) nodeFell(n *entity, p *episode, f *report.Fact) {
	switch {
	case f.Said || n.host == nil: // its own last gasp
		p.remember(belief.EvNodeDown, 1, f.At, f.Text)
		return
	case f.Value != 0:
		p.remember(belief.EvNodeRebooted, 1, f.At, f.Text)
	case n.host.lastWord() > f.At.Add(underWay) && p.found[belief.EvNodeDown].strength == 0:
		return // its kubelet is gone, or it is back by now
	default:
		p.remember(belief.EvNodeDown, 1, f.At, f.Text)
	}
	n.host.fallen.at = max(n.host.fallen.at, f.At)
}

// nodeDown is when n's node was last said to be down in this episode, 0 if it was not.
func (p *episode) nodeDown(n *entity) clock.Time {
	down, again := &p.found[belief.EvNodeDown], &p.found[belief.EvNodeRebooted]
	if n.kind != kindInstance || n.host == nil || n.host.fallen.at == 0 || down.strength == 0 && again.strength == 0 {
		return 0
	}
	return max(down.at, again.at)
}

// stillDown says whether nobody on n's node, which is said to be down, has been heard since.
func (p *episode) stillDown(n *entity) bool {
	at := p.nodeDown(n)
	return at != 0 && max(n.host.lastWord(), n.ready.at, n.started) <= at.Add(underWay)
}

// toldByNode says whether nothing but its node speaks against n, and that is told already,
// or may yet be the kubelet's own failure.
func (e *Engine) toldByNode(n *entity, p *episode, sure bool) bool {
	at := p.nodeDown(n)
	if at == 0 || n.verdict != nil || p.bad[belief.GroupCallers] || p.violent() {
		return false
	}
	f := &n.host.fallen
	if f.by != nil && f.by != n && (f.by.verdict != nil || f.sure || !sure) && e.now.Sub(f.told) < e.params.LeaveFor {
		return true
	}
	return p.found[belief.EvNodeRebooted].strength == 0 && !p.bad[belief.GroupProbe] && e.now.Sub(max(n.host.lastWord(), at.Add(-nodeQuiet))) < nodeQuiet
}

// mayBeCutOffWithNode says whether nothing tells n's node, of which Kubernetes has not heard,
// from one that is cut off: it may go on where nobody hears it.
func (p *episode) mayBeCutOffWithNode(n *entity) bool {
	if p.nodeDown(n) == 0 || p.violent() {
		return false
	}
	for _, kind := range [...]belief.Evidence{belief.EvNodeRebooted, belief.EvCallersRefused, belief.EvProbeRefused, belief.EvProcessGone, belief.EvReturnNew, belief.EvCrashLoop} {
		if p.found[kind].strength > 0 {
			return false
		}
	}
	return true
}

// nodeCulprit is n's node, or its zone where all of that is known to be down.
func (e *Engine) nodeCulprit(n *entity) verdict.Culprit {
	if zone := n.host.zone; zone != "" {
		down, all := 0, 0
		for _, h := range e.hosts {
			if h.zone != zone {
				continue
			}
			all++
			if h.fallen.at != 0 && e.now.Sub(h.fallen.at) < e.params.LeaveFor && h.lastWord() <= h.fallen.at.Add(underWay) {
				down++
			}
		}
		if down > 1 && down == all {
			return verdict.Culprit{Type: verdict.CulpritZone, Name: zone}
		}
	}
	return verdict.Culprit{Type: verdict.CulpritNode, Name: n.host.name}
}
