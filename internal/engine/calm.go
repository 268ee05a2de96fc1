// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// calmAfter is how long nothing may have spoken against somebody for its failure to
// seem over. To take the verdict back takes longer, as it may still go on; but what
// begins then and is merely later than usual is more likely one of those that always
// are than hurt by it.
//
// Of a cut it is not told: connections that have backed off make calls late for long
// after the last that failed.
const calmAfter = 3 * time.Second

// calm returns, of one who is no cut, since when nothing speaks against n any more, 0 while something does.
func (e *Engine) calm(n *entity) clock.Time {
	p := n.episode
	if p == nil {
		return 0
	}
	last, told := clock.Time(0), n.told()
	for kind := range p.found {
		if f := &p.found[kind]; f.strength > 0 && p.bad[belief.Evidence(kind).Group()] {
			last = max(last, f.at)
		}
	}
	if n.calls != nil {
		last = max(last, n.calls.lastFail)
	}
	if e.now.Sub(last) < calmAfter+told.Slack() {
		return 0
	}
	return last
}
