// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// heldWithin is how much later than a pool ran out the failure of those whom its
// holders wait for may seem to have begun: the pool runs out within seconds of that,
// and a line in a log tells of it sooner than what they are short of shows.
const heldWithin = 5 * time.Second

// poolHeldBy returns one of those that n calls whose failure is why n's pool is used
// up, or nil: it began no later, and calls to it fail or are late. The verdict on n came
// first and is taken back; n is a victim.
func (e *Engine) poolHeldBy(n *entity) (holder *entity) {
	v := n.verdict
	if v == nil || v.Subclass != verdict.SubclassConnectionPool {
		return nil
	}
	n.eachCallee(func(ed *edge) bool {
		w := ed.callee.failing()
		if w == nil || w.Class == verdict.ClassUnknown || w.Class == verdict.ClassByzantine || w.Since > v.Since.Add(heldWithin) ||
			ed.callee.service == n.service && n.service != nil || !e.keepsWaiting(ed) {
			return false
		}
		holder = ed.callee
		return true
	})
	return holder
}

// keepsWaiting says whether more than a trickle of calls fail or are late.
func (e *Engine) keepsWaiting(ed *edge) bool {
	s, ok := ed.slow.Value(e.now, e.params.CallWindow), ed.ok.Value(e.now, e.params.CallWindow)
	return ed.more(&ed.failed, e) || s >= 2 && s/max(ok, 1) >= slowFrom/2
}
