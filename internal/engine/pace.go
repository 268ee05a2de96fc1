// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Who is slow is found by counts over a window that is long enough for few calls. Of one
// that answers many, a moment tells that it is as fast as ever again: what the window
// still holds is of the time before.

// pace counts answers of the last moment, and those that were far slower than usual.
type pace struct{ ok, slow stat.Fading }

const (
	// paceWindow is the half-life of a pace.
	paceWindow = 2 * time.Second
	// paceSure is how many answers it takes: if a quarter of them were slow, as of one
	// that is, it would be a rare chance that hardly any is.
	paceSure = 12.0
	// pacedFor is how long after a verdict was cleared it is still followed, and
	// fallsBack within which time another is of one that may only seem well.
	pacedFor  = time.Minute
	fallsBack = 2 * time.Minute
)

func (p *pace) add(ok, slow int, now clock.Time) {
	p.ok.Add(float64(ok), now, paceWindow)
	if slow > 0 {
		p.slow.Add(float64(slow), now, paceWindow)
	}
}

// paced says whether n's pace is followed: while something speaks against it, and
// shortly after.
func (e *Engine) paced(n *entity) bool {
	return n.episode != nil || n.cleared != 0 && e.now.Sub(n.cleared) < pacedFor
}

// fastAgain says whether n answers as fast as ever by now, by enough answers of a
// moment. Who has fallen back after that once is believed no sooner than the whole
// window says so.
func (e *Engine) fastAgain(n *entity, p *episode) bool {
	if n.verdict != nil && n.cleared != 0 && p.began.Sub(n.cleared) < fallsBack {
		return false
	}
	var ok, slow float64
	count := func(p *pace) {
		ok, slow = ok+p.ok.Value(e.now, paceWindow), slow+p.slow.Value(e.now, paceWindow)
	}
	switch {
	case n.kind == kindService:
		for _, i := range n.service.instances {
			count(&i.served.pace)
		}
	case n.served.total > 0:
		count(&n.served.pace)
	}
	if ok == 0 && n.served.total == 0 && n.calls != nil {
		count(&n.calls.pace)
	}
	most := slowFrom / 2
	if n.isHeldBack(e.now) {
		most = slowShare
	}
	return ok >= paceSure && slow < most*ok
}
