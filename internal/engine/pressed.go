// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Instances of one service are asked alike. Where more is asked of all of them, and one is
// found to be short for that, another that has become slow meanwhile is short of the same,
// though nobody tells of what. It is so only if the service as a whole is asked more: what
// came over from one that is short by itself is no demand.

// slowsHeldBack says whether n is held back, or bears a load that others of its service
// do not, and more of its answers are slow than by chance: of such a one that is enough.
func (e *Engine) slowsHeldBack(n *entity, share, many float64) bool {
	return share >= slowShare && many >= slowMany && (n.isHeldBack(e.now) || e.pressed(n))
}

// pressed says whether n is asked clearly more than usual, as its whole service is, and
// others of it are told to be short.
func (e *Engine) pressed(n *entity) bool {
	if n.kind != kindInstance || n.service == nil {
		return false
	}
	r := &n.service.rate
	if r.Known < stat.RateKnown || !r.More(e.now) {
		return false
	}
	if c := e.siblings(n); c.without(c.short, n.overloaded()) == 0 {
		return false
	}
	p := n.episode
	if p == nil {
		p = &episode{}
	}
	times, _ := e.demand(n, p)
	return times >= stat.MoreFrom && !e.slowForOne(n)
}

// overloaded says whether n is told to do less than is asked of it, by its own fault.
func (n *entity) overloaded() bool {
	v := n.verdict
	return v != nil && v.Culprit.Type == verdict.CulpritInstance && (v.Subclass == verdict.SubclassCPU || v.Subclass == verdict.SubclassOverload)
}
