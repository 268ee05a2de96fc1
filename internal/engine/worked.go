// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Messages fail nobody who waits for an answer: who works on them tells alone that it
// fails at that.

// workedStats is what an instance says of messages that it worked on.
type workedStats struct {
	told   stat.Cadence
	total  uint64
	trace  uint64      // of the latest that failed
	ok     stat.Fading // and those that failed because of another
	faults stat.Fading // failures of its own making
}

// worksOn takes in how it went with messages. One that is tried again and again is one.
func (e *Engine) worksOn(n *entity, c *report.Consumed) {
	if c.Count <= 0 || c.Last != 0 && e.now.Sub(c.Last) > staleCalls {
		return // a backlog tells of another time
	}
	w, faults := &n.worked, min(max(c.Faults, 0), c.Count)
	if faults > 0 && c.Failed == w.trace {
		faults--
	}
	if c.Failed != 0 {
		w.trace = c.Failed
	}
	w.total += uint64(c.Count)
	w.ok.Add(float64(c.Count-faults), e.now, e.params.CallWindow)
	w.faults.Add(float64(faults), e.now, e.params.CallWindow)
	w.told.Saw(e.now)
	if r := &n.integrity.errs[workMessages]; r.taught >= worksKnown && r.usual < errorsOver {
		n.service.worksWell = true
	}
	e.answered(n, workMessages, faults, c.Count)
}

// worksKnown is how many messages tell how a service usually works on them: some services
// are there to turn many down.
const worksKnown = 200.0

// sentAnew says whether one who sends to a queue that n reads did so by a new version
// when n began to fail: what is wrong may be in the messages.
func (e *Engine) sentAnew(n *entity, since clock.Time) bool {
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for m := q.head; m != nil; m = m.next {
			if m.sending == nil || m.service == n.service {
				continue
			}
			sends := func(r *reading) bool { return slices.Contains(m.sending.to, r.key.name) }
			if slices.ContainsFunc(n.reads, sends) && m.release(e, since) != "" {
				return true
			}
		}
	}
	return false
}
