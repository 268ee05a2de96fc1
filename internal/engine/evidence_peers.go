// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// One among several that are asked alike gives other answers than they do, by the
// median and its absolute deviation: larger or smaller ones, or it rejects more
// requests. There may be a good reason, so that it takes another kind of evidence to
// convict. Failures of its own making are evidence by themselves.

const (
	// siblingsLeast is how many others it takes to tell that one does less than they
	// do, and peersLeast how many there must be in all for a median to mean something.
	siblingsLeast = 2
	peersLeast    = 4

	peersFar  = 6.0 // deviations that are out of step
	peersNear = 3.0 // and those that are in step
	// sizeBlur and shareBlur are differences that say nothing: a fifth of the
	// bytes, a hundredth of the requests.
	sizeBlur  = 0.25
	shareBlur = 0.01
	// halfVersions: two versions may differ by intent.
	halfVersions = 0.5
)

// askedApart is how far the kinds of n requests may differ, 0-1, from those that
// others get, before they are other requests: chance alone makes few of them differ.
func askedApart(n float64) float64 { return 0.15 + math.Sqrt(2/n) }

// comparePeers compares the answers of siblings.
func (e *Engine) comparePeers(peers []*entity, asked []bool) {
	for _, k := range [...]int{measureSize, measureRejected} {
		e.values, e.errs, e.who = e.values[:0], e.errs[:0], e.who[:0]
		for i, n := range peers {
			if x, err, ok := n.conduct.measured(k); ok {
				e.values, e.errs, e.who = append(e.values, x), append(e.errs, err), append(e.who, i)
			} else {
				n.conduct.against[k].odd <<= 1
			}
		}
		if len(e.values) < peersLeast {
			for _, i := range e.who {
				peers[i].conduct.against[k].odd <<= 1
			}
			continue
		}
		med := stat.Median(e.values)
		e.off = e.off[:0]
		for _, x := range e.values {
			e.off = append(e.off, math.Abs(x-med))
		}
		spread, far := 1.4826*stat.Median(e.off), 0
		for j := range e.off {
			if e.off[j] /= spread + e.errs[j]; e.off[j] > peersFar {
				far++
			}
		}
		for j, i := range e.who {
			m := &peers[i].conduct.against[k]
			switch z := e.off[j]; {
			case z < peersNear:
				m.steps()
			case z > peersFar && far == 1 && asked[i]:
				m.strays(e.now, e.values[j], med, peers[i].verdict != nil)
			default: // where several differ, something is being changed
				m.odd <<= 1
			}
		}
	}
}

// measured is what an instance showed in the window, and by how much that may differ
// by chance.
func (c *conduct) measured(k int) (x, err float64, ok bool) {
	switch k {
	case measureSize:
		if c.sized < conductAnswers {
			return 0, 0, false
		}
		x = c.size / c.sized
		return x, sizeBlur + math.Sqrt(max(c.square/c.sized-x*x, 0)/c.sized), true
	case measureRejected:
		x = c.rejected / c.answers
		p := (c.rejected + 1) / (c.answers + 2)
		return x, shareBlur + math.Sqrt(p*(1-p)/c.answers), true
	}
	return 0, 0, false
}

// detectPeers: its answers are not those of its siblings.
func detectPeers(e *Engine, n *entity, p *episode) {
	c := n.conduct
	if c == nil || !e.conductTold(n, p) {
		return
	}
	size, rejects := c.isOdd(measureSize), c.isOdd(measureRejected)
	text, m := "", &c.against[measureSize]
	switch {
	case size:
		text = fmt.Sprintf("its answers have %.0f bytes where those of its siblings, asked alike, have %.0f", math.Exp2(m.x)-1, math.Exp2(m.med)-1)
	case rejects:
		m = &c.against[measureRejected]
		text = fmt.Sprintf("it rejects %.0f %% of the requests where its siblings, asked alike, reject %.0f %%", 100*m.x, 100*m.med)
	default:
		return
	}
	p.odd(belief.EvAmongPeers, n.sameVersion(), m.since, e.now, text, c.isOdd(measureMade))
}

// odd notes that n is not like its siblings. Alone that is no reason to suspect it.
func (p *episode) odd(kind belief.Evidence, strength float64, since, now clock.Time, text string, both bool) {
	if !both {
		p.note(kind, strength, now, text)
		return
	}
	p.blame(kind, strength, now, text)
	p.startedBy(since)
}

// conductTold says whether what n does is still being told.
func (e *Engine) conductTold(n *entity, p *episode) bool {
	return !p.silent() && e.now.Sub(n.served.seen) < conductWindow+n.served.told.Slack()
}

// sameVersion is how much a difference from its siblings says, 0-1: less where they
// do not all run the same version.
func (n *entity) sameVersion() float64 {
	for _, m := range n.service.instances {
		if m != n && !m.left && m.version != n.version && m.version != "" && n.version != "" {
			return halfVersions
		}
	}
	return 1
}
