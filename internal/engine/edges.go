// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

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
