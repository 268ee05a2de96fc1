// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// A call into a cut hangs, and may hang for longer than the cut lasts: no span tells
// of it. Where the observer on a host falls silent and those who used to call its
// servers complete no call any more, that is a sight of the host, if not a sure one.

// hushed are the sights that calls leave which are not completed, of servers on
// hosts whose observers are silent.
func (e *Engine) hushed() []sight {
	var out []sight
	silent := map[*hostState]clock.Time{}
	for _, o := range e.observerList {
		if h := e.standsOn(o); h != nil && h != e.here && o.silent(e.now) && h.heardLast() <= o.seen {
			silent[h] = o.seen
		}
	}
	if len(silent) == 0 {
		return nil
	}
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil && len(out) < maxSights; n = n.next {
			at, hushed := silent[n.host]
			if !hushed || n.left {
				continue
			}
			for _, ed := range n.calledBy {
				if s, ok := e.waitsFor(ed, at); ok {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// replace puts those that call in vain in the place of what they saw before.
func replace(sights, hushed []sight) []sight {
	if len(hushed) == 0 {
		return sights
	}
	sights = slices.DeleteFunc(sights, func(s sight) bool {
		return slices.ContainsFunc(hushed, func(h sight) bool { return h.caller == s.caller && h.target == s.target })
	})
	return append(sights, hushed...)
}

// waitsFor is the sight that calls on an edge leave which are not completed since
// the callee's host fell silent; false if there are not enough that should be. Who
// is not asked himself has no reason to call.
func (e *Engine) waitsFor(ed *edge, silent clock.Time) (s sight, ok bool) {
	from := ed.caller.host
	if from == nil || from == ed.callee.host || ed.used == 0 || ed.okEnd > silent.Add(underWay) || ed.caller.served.last <= silent.Add(underWay) {
		return s, false
	}
	for _, w := range ed.callee.views {
		if w.caller == ed.caller && w.lastGood > silent.Add(underWay) {
			return s, false // what came back was no answer, and has crossed all the same
		}
	}
	expected := ed.rate.Usual * ed.caller.served.last.Sub(silent).Seconds()
	if expected < missedSure {
		return s, false
	}
	return sight{from: from, to: ed.callee.host, caller: ed.caller, target: ed.callee, share: 1, calls: expected,
		weight: report.MayBeSlow * min(expected, callsFull) / 2, since: silent, good: ed.okEnd, bad: e.now}, true
}
