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
	if n.episode == nil {
		return 0
	}
	last, told := n.lastBad(), n.told()
	if e.now.Sub(last) < calmAfter+told.Slack() {
		return 0
	}
	return last
}

// lastBad is when something spoke against n last.
func (n *entity) lastBad() clock.Time {
	last := clock.Time(0)
	for kind := range n.episode.found {
		f := &n.episode.found[kind]
		switch {
		case f.strength == 0 || !n.episode.bad[belief.Evidence(kind).Group()]:
		case belief.Evidence(kind) == belief.EvOwnErrors: // a share of what was answered of late: the last of it tells
			last = max(last, min(f.at, n.erredLast()))
		default:
			last = max(last, f.at)
		}
	}
	if n.calls != nil {
		last = max(last, n.calls.lastFail)
	}
	return last
}

// spoke returns, of one who is no cut and on whom there is a verdict, when something spoke
// for it last; of one who answers wrongly, when it did. What is seen to be well again does
// not undo what was seen before.
func (e *Engine) spoke(n *entity) clock.Time {
	p := n.episode
	switch {
	case n.verdict == nil || p == nil:
		return 0
	case n.verdict.Taints():
		p.spoke = max(p.spoke, e.lastWrong(n))
	default:
		p.spoke = max(p.spoke, n.lastBad())
	}
	return p.spoke
}
