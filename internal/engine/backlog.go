// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Many a device keeps what it could not send and sends it when it can. Its first beat
// after a cut is then the first that it could not send: by its count alone it looks as
// if it had stood still.

// away is an absence of which only beats that were sent meanwhile have come so far.
type away struct {
	gap   time.Duration
	seq   uint64 // the last before
	token uint64
}

// caughtUp takes in a beat after the first of a backlog. One that was sent in the
// middle of the absence shows that its sender lived on; a process that stood still has
// at most its last beat left to send.
func (e *Engine) caughtUp(s *stream, b *report.Beat, token uint64) {
	w, n := s.away, s.entity
	if w.gap == 0 {
		return
	}
	switch {
	case n.episode == nil || token != w.token || b.Seq <= w.seq:
	case s.late > w.gap*3/4:
		return // it may have been on its way when its sender stood still
	case s.late > w.gap/8:
		n.episode.note(belief.EvReturnCounted, 1, e.now,
			fmt.Sprintf("the same process came back after %s, with beats that it sent meanwhile", inWords(w.gap)))
		e.cutReturned(n, belief.EvReturnCounted, w.gap)
		e.mark(n)
	default:
		e.sameBack(s, w.gap, float64(b.Seq-w.seq))
		e.mark(n)
	}
	s.away = away{}
}
