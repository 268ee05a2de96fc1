// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Where callers name only a service, nobody says which of its instances fails
// them. The one that stopped answering while its siblings go on is the one.

const (
	// stallSure is the number of calls that it would usually have answered
	// meanwhile from which on their absence is no chance.
	stallSure = 5.0
	// explainedSure is the same where another is known to fail the callers.
	explainedSure = 2 * stallSure
	// stallLeast is the shortest time without an answer that is looked at.
	stallLeast = 2 * time.Second
)

// stalled says how long n has answered no call, and how sure it is, 0-1, that
// this is no chance; 0 while it goes on, was never seen to answer, or nobody can
// tell yet.
func (e *Engine) stalled(n *entity) (quiet time.Duration, sure float64) {
	if n.kind != kindInstance || n.served.total < enoughServed || n.rate.Known < stat.RateKnown || n.left {
		return 0, 0
	}
	// The latest batch told of the time up to then; the next is not due yet.
	quiet = e.now.Sub(n.served.seen)
	if quiet < stallLeast+n.served.told.Slack() {
		return 0, 0
	}
	missing := n.missing(e.now)
	if missing < stallSure/2 {
		return 0, 0
	}
	return quiet, 1 - math.Exp(-missing/2)
}

// missing is the number of calls that n would usually have answered since it was
// told to have answered some.
func (n *entity) missing(now clock.Time) float64 {
	return n.rate.Usual * (now.Sub(n.served.seen) - n.served.told.Every).Seconds()
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
		if askedInVain(report.Outcome(o)) {
			count += s.byOutcome[o].Value(e.now, e.params.CallWindow)
		}
	}
	return count
}

// askedInVain says whether a call that ended so asked somebody, and got no answer.
func askedInVain(o report.Outcome) bool {
	return o != report.OutcomeDNS && o != report.OutcomeTLS && callerRow[o].kind != 0
}

// unansweredOf is the same of calls that should have been n's: one that is called
// rarely fails its callers rarely, for as long as it lasts. Where far fewer fail than
// it should have been asked, it is not asked, and others fail.
func (s *callStats) unansweredOf(e *Engine, n *entity) float64 {
	if lately := s.unanswered(e); !s.fails(n, e.now) || lately > s.run {
		return lately
	}
	return s.run
}

// fails says whether enough calls of the current run fail for n to be who fails them.
func (s *callStats) fails(n *entity, now clock.Time) bool {
	return s.run >= failsOfMissing*n.missing(now)
}

// failsOfMissing is the share of the calls that one who answers nobody would usually
// have answered that must turn up as failures of its callers. They wait longer
// between two than usual.
const failsOfMissing = 0.3

// oneStalls says whether one of the instances of a service has answered nobody since
// calls to that began to fail: what the others answer meanwhile does not end the
// failure.
func (e *Engine) oneStalls(n *entity) bool {
	if n.kind != kindService {
		return false
	}
	for _, i := range n.service.instances {
		if _, sure := e.stalled(i); sure > 0 && i.served.last < n.calls.firstFail.Add(stallLeast) && n.calls.fails(i, e.now) {
			return true
		}
	}
	return false
}

// failing says whether calls get no answer now.
func (s *callStats) failing(e *Engine) bool {
	return s.lastFail != 0 && e.now.Sub(s.lastFail) < 2*e.params.CallWindow+s.told.Slack()
}

// detectStall: calls to its service get no answer, and it is the one that gives
// none.
func detectStall(e *Engine, n *entity, p *episode) {
	if n.kind != kindInstance || n.service.whole == nil || n.service.whole.calls == nil {
		return
	}
	s := n.service.whole.calls
	quiet, sure := e.stalled(n)
	sure *= stat.Clamp((s.unansweredOf(e, n)-1)/(e.params.BurstCalls-1), 0, 1) // one fails any day
	if sure == 0 || !s.failing(e) || n.served.last > s.firstFail.Add(stallLeast) {
		return
	}
	c := e.siblings(n)
	if n.missing(e.now) < explainedSure && c.without(c.crashed, n.crashed()) > 0 {
		return // the failures are another's, and that it is not asked for so long is chance
	}
	if n.cutOff == nil && e.cutFails(n) {
		return
	}
	p.stalls = true
	goOn := c.goOn(n, s.firstFail.Add(stallLeast))
	text := fmt.Sprintf("it has answered no call for %s", inWords(quiet))
	if goOn > 0 {
		text += fmt.Sprintf(", and %d of its siblings go on", goOn)
	}
	p.note(belief.EvNoProgress, sure*(1-p.found[belief.EvCalleeFailing].strength), e.now, text)
}
