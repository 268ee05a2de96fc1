// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math"
	"time"
)

// Where callers name only a service, nobody says which of its instances fails
// them. The one that stopped answering while its siblings go on is the one.

const (
	// stallSure is the number of calls that it would usually have answered
	// meanwhile from which on their absence is no chance.
	stallSure = 5.0
	// stallLeast is the shortest time without an answer that is looked at.
	stallLeast = 2 * time.Second
)

// stalled says how long n has answered no call, and how sure it is, 0-1, that
// this is no chance; 0 while it goes on, was never seen to answer, or nobody can
// tell yet.
func (e *Engine) stalled(n *entity) (quiet time.Duration, sure float64) {
	if n.kind != kindInstance || n.served.total < enoughServed || n.rate.known < rateKnown || n.left {
		return 0, 0
	}
	// The latest batch told of the time up to then; the next is not due yet.
	quiet = e.now.Sub(n.served.seen)
	if quiet < stallLeast+n.served.told.slack() {
		return 0, 0
	}
	missing := n.rate.usual * (quiet - n.served.told.every).Seconds()
	if missing < stallSure/2 {
		return 0, 0
	}
	return quiet, 1 - math.Exp(-missing/2)
}

// troubles notes that calls to a service get no answer.
func (e *Engine) troubles(whole *entity) {
	if !whole.calls.troubled {
		whole.calls.troubled = true
		e.troubled = append(e.troubled, whole)
	}
}

// lookForStalled suspects the instances that answer nobody while callers of
// their service get no answer.
func (e *Engine) lookForStalled() {
	kept := e.troubled[:0]
	for _, whole := range e.troubled {
		s := whole.calls
		if s.troubled = s.failing(e); !s.troubled {
			continue
		}
		kept = append(kept, whole)
		if s.unanswered(e) < 1 {
			continue
		}
		for _, i := range whole.service.instances {
			if i.episode != nil {
				continue
			}
			if _, sure := e.stalled(i); sure > 0 && i.served.last < s.firstFail.Add(stallLeast) {
				e.suspect(i)
			}
		}
	}
	clear(e.troubled[len(kept):])
	e.troubled = kept
}

// unanswered is the number of calls lately that got no answer, though somebody
// was asked: where the name is not found, or nobody trusts who answers, the call
// is not made.
func (s *callStats) unanswered(e *Engine) (count float64) {
	for o := range callerRow {
		switch Outcome(o) {
		case OutcomeDNS, OutcomeTLS:
			continue
		}
		if callerRow[o].kind != 0 {
			count += s.byOutcome[o].value(e.now, e.params.CallWindow)
		}
	}
	return count
}

// failing says whether calls get no answer now.
func (s *callStats) failing(e *Engine) bool {
	return s.lastFail != 0 && e.now.Sub(s.lastFail) < 2*e.params.CallWindow+s.told.slack()
}

// detectStall: calls to its service get no answer, and it is the one that gives
// none.
func detectStall(e *Engine, n *entity, p *episode) {
	if n.kind != kindInstance || n.service.whole == nil || n.service.whole.calls == nil {
		return
	}
	s := n.service.whole.calls
	quiet, sure := e.stalled(n)
	sure *= clamp((s.unanswered(e)-1)/(e.params.BurstCalls-1), 0, 1) // one fails any day
	if sure == 0 || !s.failing(e) || n.served.last > s.firstFail.Add(stallLeast) {
		return
	}
	p.stalls = true
	goOn := 0
	for _, i := range n.service.instances {
		if i != n && i.served.last > s.firstFail.Add(stallLeast) {
			goOn++
		}
	}
	text := fmt.Sprintf("it has answered no call for %s", inWords(quiet))
	if goOn > 0 {
		text += fmt.Sprintf(", and %d of its siblings go on", goOn)
	}
	p.note(evNoProgress, sure*(1-p.found[evCalleeFailing].strength), e.now, text)
}
