// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// edge is a caller that calls a callee.
type edge struct {
	caller        *entity
	callee        *entity
	through       bool // the caller writes no spans of its calls: it is a proxy
	rate          stat.Rate
	full          stat.Fading // calls that were turned away for overload
	used          clock.Time
	missed        clock.Time  // engine time at which the caller was last found to miss the callee
	before        [2]uint64   // answers of the caller by then, and those of them that failed
	lastFail      clock.Time  // engine time of the latest call that failed, however
	okEnd         clock.Time  // event time at which the latest call that did not fail ended
	failed        stat.Fading // calls that failed, however
	answeredBadly stat.Fading // of failed, those that were answered so
	ok            stat.Fading
	slow          stat.Fading // of ok, those far slower than usual
	run           slowRun
}

// maxCallees is how many callees are remembered of one caller.
const maxCallees = 64

// edge returns the edge from caller to callee; the longest unused makes room.
func (e *Engine) edge(caller, callee *entity) *edge {
	oldest := 0
	for i, ed := range caller.callees {
		if ed.callee == callee {
			return ed
		}
		if ed.used < caller.callees[oldest].used {
			oldest = i
		}
	}
	ed := &edge{caller: caller, callee: callee}
	if len(caller.callees) < maxCallees {
		caller.callees = append(caller.callees, ed)
	} else {
		caller.callees[oldest].callee.uncalled(caller.callees[oldest])
		caller.callees[oldest] = ed
		e.stats.ForgottenEdges++
	}
	if len(callee.calledBy) < maxCallers {
		callee.calledBy = append(callee.calledBy, ed)
		return ed
	}
	idlest := 0
	for i, other := range callee.calledBy {
		if other.used < callee.calledBy[idlest].used {
			idlest = i
		}
	}
	callee.calledBy[idlest] = ed // the caller still knows whom it calls
	e.stats.ForgottenEdges++
	return ed
}

// use notes that the caller calls the callee.
func (ed *edge) use(now clock.Time) {
	ed.used, ed.before = now, [2]uint64{ed.caller.served.total, ed.caller.served.badly}
}

// callee is the edge from n to whom it calls, nil if there is none.
func (n *entity) callee(whom *entity) *edge {
	if n == nil {
		return nil
	}
	for _, ed := range n.callees {
		if ed.callee == whom {
			return ed
		}
	}
	return nil
}

// maxCallers is how many of those who call an entity it knows.
const maxCallers = 128

// uncalled forgets an edge that leads to n.
func (n *entity) uncalled(ed *edge) {
	n.calledBy = slices.DeleteFunc(n.calledBy, func(x *edge) bool { return x == ed })
}

// eachCallee shows f the edges to those whom n calls, all of its instances' for a
// service, until f says true; it says whether that happened.
func (n *entity) eachCallee(f func(ed *edge) bool) bool {
	if slices.ContainsFunc(n.callees, f) {
		return true
	}
	if n.kind == kindService {
		for _, i := range n.service.instances {
			if slices.ContainsFunc(i.callees, f) {
				return true
			}
		}
	}
	return false
}

// disconnect forgets all edges of n.
func (n *entity) disconnect() {
	for _, ed := range n.callees {
		ed.callee.uncalled(ed)
	}
	for _, ed := range n.calledBy {
		ed.caller.callees = slices.DeleteFunc(ed.caller.callees, func(x *edge) bool { return x == ed })
	}
	n.callees, n.calledBy = nil, nil
}

// counted says whether calls that a metric counted are those of which spans tell
// anyhow: spans say more, and sooner. spanned is when one was seen last.
func (e *Engine) counted(byMetric bool, spanned *clock.Time) bool {
	if !byMetric {
		*spanned = e.now
		return false
	}
	return *spanned != 0 && e.now.Sub(*spanned) < spansLately
}

// spansLately is how long spans stand in for the counts of metrics.
const spansLately = 5 * time.Minute

// onlyHeard takes in a failed call that a line of its caller tells of, who writes no spans of
// calls: it has a reason to fail in turn, though nothing tells of calls that go well.
func (e *Engine) onlyHeard(caller, n *entity, c *report.Calls) {
	if caller.spanned != 0 && e.now.Sub(caller.spanned) < spansLately || e.now.Sub(c.Last) > staleCalls {
		return
	}
	ed := e.edge(caller, n)
	ed.used, ed.lastFail = e.now, e.now
	ed.failed.Add(float64(c.Count), e.now, e.params.CallWindow)
}

// onItsWay takes in what calls that caller made itself tell of it, and of the way to n:
// whether they failed, and were not answered, or went well.
func (e *Engine) onItsWay(caller, n *entity, c *report.Calls, failed bool) {
	caller.heard = e.now
	caller.host.spoke(c.Last, e.now)
	if len(e.cuts) > 0 {
		e.worked(caller, c.Last)
	}
	ed := e.edge(caller, n)
	if c.Outcome != report.OutcomeOther || e.lacksPool(caller) {
		ed.use(e.now) // else nothing shows that anybody was there
	}
	ed.rate.Add(float64(c.Count), c.Took, e.now, n.episode == nil)
	if !c.Counted {
		caller.conduct.calls(c)
	}
	if c.Outcome == report.OutcomeOverloaded {
		ed.full.Add(float64(c.Count), e.now, e.params.CallWindow)
	}
	if c.Outcome.Failed() {
		ed.lastFail = e.now
		ed.failed.Add(float64(c.Count), e.now, e.params.CallWindow)
		if c.Outcome.Answered() || c.Outcome == report.OutcomeUnavailable {
			ed.answeredBadly.Add(float64(c.Count), e.now, e.params.CallWindow)
		}
	} else {
		ed.ok.Add(float64(c.Count), e.now, e.params.CallWindow)
		if c.Done != 0 && ed.stoodUntil(c.Done) {
			caller.stoodAgain(ed.okEnd, c.Done)
		}
		ed.okEnd = max(ed.okEnd, c.Last)
		if c.Slow > 0 {
			ed.slow.Add(float64(c.Slow), e.now, e.params.CallWindow)
		}
		ed.run.add(e, c.Count, c.Slow)
	}
	if c.Outcome == report.OutcomeRefused && c.Callee.Direct && len(e.cuts) > 0 {
		e.refused(n)
	}
	if caller.host != nil && e.now.Sub(c.Last) < staleCalls {
		e.seenFrom(n, caller.host, caller, c.Outcome, c.Count, c.First, c.Last)
		if w := n.seenBy(caller); w != nil {
			w.begins(c)
			if failed {
				w.byName = !c.Callee.Direct
			}
		}
	}
}
