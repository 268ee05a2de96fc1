// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Who is soon convicted of wrong answers gave some before that looked well: they are
// worth waiting for its verdict, as what failed is.

// doubtful is the strength from which on evidence of wrong answers is worth that.
// Failures of its own making reach it when they have gone on for five seconds.
var doubtful = map[belief.Evidence]float64{
	belief.EvProbeWrong: 0.1, belief.EvCallersWrong: 0.3, belief.EvDissent: 0.3, belief.EvErrorLines: 0.5, belief.EvOwnErrors: 0.6,
}

// doubtFor is how long after it such evidence makes answers doubtful.
const doubtFor = 5 * time.Second

// doubted says whether n, on whom there is no verdict of a class, may soon be
// convicted of wrong answers.
func (e *Engine) doubted(n *entity, p *episode) bool {
	if n.kind != kindInstance || n.verdict != nil && n.verdict.Class != verdict.ClassUnknown {
		return false
	}
	if n.vouching.soonConvicts(e.now) && n.vouches(e.now) {
		return true
	}
	for kind, from := range doubtful {
		if f := &p.found[kind]; f.now && f.strength >= from && e.now.Sub(f.at) < doubtFor {
			return true
		}
	}
	return false
}

// doubt notes whether answers of n are doubtful, for those who read the snapshot.
func (e *Engine) doubt(n *entity, p *episode) {
	if doubted := e.doubted(n, p); doubted != p.doubted {
		p.doubted, e.changed = doubted, true
	}
}

// alone are those of n's addresses at which nobody else has been met lately.
func (e *Engine) alone(n *entity) (out []string) {
	for _, a := range n.addresses {
		if entry := e.book.entries[a]; entry != nil && len(entry.behind) == 1 && entry.behind[0].entity == n {
			out = append(out, a)
		}
	}
	return out
}
