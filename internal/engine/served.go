// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// servedStats is what an instance says of calls that it answered itself.
type servedStats struct {
	told      stat.Cadence
	total     uint64
	badly     uint64     // of total, those that failed
	coded     uint64     // of total, those with a status code of success
	last      clock.Time // event time of the latest end
	seen      clock.Time // engine time
	failedAt  clock.Time // engine time of the latest failure
	failsFrom clock.Time // engine time at which the present run of failures began
	spanned   clock.Time // when a span of it was seen last
	bare      bool       // they are counted by what counts nothing else
	ok        stat.Fading
	failed    stat.Fading
	faults    stat.Fading // failures of its own making
	waited    stat.Fading // failures that came after far longer than usual
	passed    stat.Fading // failures that are another's by what they say
	slow      stat.Fading
	late      stat.Fading // slow, over rareWindow
	some      stat.Fading // ok, over rareWindow
	pace      pace
}

// serving takes in what an instance says of calls that it answered.
func (e *Engine) serving(v *report.Served) {
	n := e.instance(v.Source)
	if n == nil {
		return
	}
	if e.counted(v.Counted, &n.served.spanned) {
		return
	}
	n.alive, n.answered, n.heard = true, true, e.now
	n.host.spoke(v.Last, e.now)
	if len(e.cuts) > 0 {
		e.worked(n, v.Last)
	}
	if v.Last != 0 && e.now.Sub(v.Last) > staleCalls {
		return // a backlog tells of another time
	}
	n.served.total += uint64(v.OK + v.Failed)
	n.served.bare = v.Bare
	n.served.badly += uint64(v.Failed)
	n.served.coded += uint64(v.Coded)
	n.served.ok.Add(float64(v.OK), e.now, e.params.CallWindow)
	n.served.failed.Add(float64(v.Failed), e.now, e.params.CallWindow)
	if v.Failed > 0 {
		if n.served.failedAt == 0 || e.now.Sub(n.served.failedAt) > missedLeast+n.served.told.Slack() {
			n.served.failsFrom = e.now
		}
		n.served.failedAt = e.now
	}
	n.served.faults.Add(float64(v.Faults), e.now, e.params.CallWindow)
	n.served.waited.Add(float64(v.Waited), e.now, e.params.CallWindow)
	n.served.passed.Add(float64(v.Passed), e.now, e.params.CallWindow)
	switch {
	case v.Failed > 0 && !v.Counted:
		e.lookForMissed(n)
	case v.Waited > 0 && n.waitsInVain(e) >= errorsFrom:
		e.suspect(n) // whose calls it makes is told too coarsely
	}
	n.served.slow.Add(float64(v.Slow), e.now, e.params.CallWindow)
	n.served.some.Add(float64(v.OK), e.now, rareWindow)
	if e.paced(n) {
		n.served.pace.add(v.OK, v.Slow, e.now)
	}
	n.served.late.Add(float64(v.Slow), e.now, rareWindow)
	e.answered(n, workAnswers, v.Faults, v.OK+v.Failed)
	if !v.Counted {
		e.wantsOf(n, v)
		e.conducts(n, v)
	}
	e.answers(n, float64(v.OK+v.Failed), v.Took)
	if v.Slow > 0 {
		e.slowed(n)
	}
	n.served.last = max(n.served.last, v.Last)
	if n.left && v.Last > n.leftAt.Add(stillAnswers) {
		e.comeBack(n)
	}
	if n.host != nil && v.Last <= e.now {
		n.host.busy(n, v.Last)
	}
	n.served.seen = e.now
	n.served.told.SawBy(e.now, v.Counted)
	if v.Waited > 0 && !v.Counted || n.starved != 0 {
		e.lookForStarved(n)
	}
	if n.episode != nil {
		e.mark(n)
	}
}
