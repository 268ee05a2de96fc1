// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Who is short of a processor because others on its machine take them all is no
// culprit. Who takes them is, if that is told; else it is the machine.

// crowdedBelow is how much of its own limit, or of the machine, it may take itself.
const crowdedBelow = 0.5

// detectCrowd says whether n is short of what all on its host are short of, and by
// its own account takes little of it. That stands as long as the failure does.
func (e *Engine) detectCrowd(n *entity, p *episode) {
	h := n.host
	if n.kind != kindInstance || h == nil || h.name == "" || !e.outOfProcessors(h) || !e.takesLittle(n, p) {
		return
	}
	p.crowded = true
	var who *entity
	for _, other := range e.onHost(h.name) {
		if other == n || other.episode != nil && other.episode.crowded || !other.levels.short(report.LevelCPU, e.now) || other.levels[report.LevelCPU].news() <= oldNews {
			continue
		}
		if who != nil {
			return // several
		}
		who = other
	}
	if who != nil {
		p.crowder = who
	}
}

// outOfProcessors says whether a host is newly short of processors, by its own word.
func (e *Engine) outOfProcessors(h *hostState) bool {
	for _, kind := range [...]report.LevelKind{report.LevelCPU, report.LevelCPUWait} {
		if h.levels.short(kind, e.now) && h.levels[kind].news() > oldNews {
			return true
		}
	}
	return false
}

// takesLittle says whether n takes little of a processor, nothing but its host's
// want keeps it from taking more, and no more is asked of it than usual.
func (e *Engine) takesLittle(n *entity, p *episode) bool {
	if p.found[belief.EvDemand].now || p.found[belief.EvThrottled].now || n.levels == nil {
		return false
	}
	s := &n.levels[report.LevelCPU]
	return s.told(e.now) && s.share <= crowdedBelow
}
