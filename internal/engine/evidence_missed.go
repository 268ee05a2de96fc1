// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Who cannot connect makes no call, and many drivers and pools write no span of an
// attempt to connect: the last that is seen of a server that went is a call that
// broke off, or nothing. That it is still not there shows in what is missing. Those
// who used to call it go on being asked, fail, and no longer call it.

const (
	// missedSure is the number of calls that it would usually have got meanwhile
	// from which on their absence is no chance.
	missedSure = 5.0
	// missedLeast is the shortest time without a call that is looked at.
	missedLeast = 4 * time.Second
	// missedFails is the share of those of its answers for which a caller usually calls
	// that must be failures for it to be in want of something, and missedFailsLeast
	// that of all.
	missedFails      = 0.5
	missedFailsLeast = 0.2
	// missedYet is how long after a callee was missed failures may still come from it.
	missedYet = 15 * time.Second
)

// misses says how sure it is, 0-1, that the caller misses the callee: what it is
// asked fails, and it has made no call since one broke off, or since it fails after
// long waits, or with another's words, and goes on calling all others.
func (ed *edge) misses(e *Engine) (quiet time.Duration, sure float64) {
	c := &ed.caller.served
	if ed.used == 0 || ed.rate.Known < stat.RateKnown || e.now.Sub(c.seen) > e.params.CallWindow+c.told.Slack() {
		return 0, 0
	}
	if v := ed.caller.verdict; v != nil && v.Class != verdict.ClassUnknown {
		return 0, 0 // why it fails is known
	}
	quiet = c.seen.Sub(ed.used)
	if quiet < missedLeast+c.told.Slack() || quiet > e.params.LeaveFor {
		return 0, 0
	}
	w := e.params.CallWindow
	failed, ok := c.failed.Value(e.now, w), c.ok.Value(e.now, w)
	if failed < 1 || !ed.wanted(failed, failed+ok) {
		return 0, 0
	}
	if since := c.total - ed.before[0]; !ed.wanted(float64(c.badly-ed.before[1]), float64(since)) {
		return 0, 0 // it went on well without: it calls another instead
	}
	if ed.lastFail < ed.used && (max(c.waited.Value(e.now, w), c.passed.Value(e.now, w)) < failed/2 || ed.caller.missesMore(ed, e) || ed.caller.failsBefore(ed, e) || e.lacksPool(ed.caller)) {
		return 0, 0
	}
	if sure = stat.Clamp(ed.rate.Usual*quiet.Seconds()/missedSure-1, 0, 1); sure > 0 {
		ed.missed = e.now
	}
	return quiet, sure
}

// wanted says whether so many failures among all answers of the caller are what comes of a
// callee that is not there, which it may not need for all of them.
func (ed *edge) wanted(failed, all float64) bool {
	needs := 1.0
	if r := &ed.caller.rate; r.Known >= stat.RateKnown && r.Usual > ed.rate.Usual {
		needs = ed.rate.Usual / r.Usual
	}
	return failed >= max(missedFails*needs, missedFailsLeast)*all
}

// missesSince says whether n has missed a callee since a time, and still does or did
// just now: failures from then are told yet when the callee is back.
func (e *Engine) missesSince(n *entity, since clock.Time) bool {
	return n.eachCallee(func(ed *edge) bool {
		return ed.missed >= since && ed.missed != 0 && e.now.Sub(ed.missed) < missedYet+ed.caller.served.told.Slack()
	})
}

// lostOne says whether a call of n broke off when its failures began, and whom it
// called has not been called since, as often as that used to be.
func (e *Engine) lostOne(n *entity, since clock.Time) bool {
	return n.eachCallee(func(ed *edge) bool {
		c := &ed.caller.served
		return ed.lastFail != 0 && ed.lastFail >= max(ed.used, since.Add(-missedLeast-c.told.Slack())) &&
			ed.rate.Known >= stat.RateKnown && ed.rate.Usual*c.seen.Sub(ed.used).Seconds() >= missedSure
	})
}

// heardOtherwise says whether the callee tells by itself how it is. Where a proxy that
// writes no spans of its calls is the caller, it has to have told so since.
func (ed *edge) heardOtherwise() bool {
	if n := ed.callee; !ed.through {
		return n.served.total > 0
	} else if n.kind != kindService {
		return n.served.seen > ed.used
	}
	return slices.ContainsFunc(ed.callee.service.instances, func(i *entity) bool { return i.served.seen > ed.used })
}

// lacksPool says whether n tells that it waits for a pool of its own.
func (e *Engine) lacksPool(n *entity) bool {
	return e.saysPoolEmpty(n) || n.levels.short(report.LevelPool, e.now)
}

// missesSome says whether n misses somebody that it used to call.
func (e *Engine) missesSome(n *entity) bool {
	return n.eachCallee(func(ed *edge) bool {
		_, sure := ed.misses(e)
		return sure > 0
	})
}

// missesMore says whether the caller has stopped calling others as well: which of
// them it waits for nobody can tell.
func (n *entity) missesMore(but *edge, e *Engine) bool {
	return n.eachCallee(func(ed *edge) bool {
		quiet := n.served.seen.Sub(ed.used)
		return ed != but && quiet < e.params.LeaveFor && quiet >= missedLeast+n.served.told.Slack() && ed.rate.Usual*quiet.Seconds() >= missedSure
	})
}

// failsBefore says whether most of its calls to another fail: it may not come to
// this one any more.
func (n *entity) failsBefore(but *edge, e *Engine) bool {
	return n.eachCallee(func(ed *edge) bool {
		return ed != but && ed.complains(e) && ed.failed.Value(e.now, e.params.CallWindow) > ed.ok.Value(e.now, e.params.CallWindow)
	})
}

// lookForMissed suspects whom n misses.
func (e *Engine) lookForMissed(n *entity) {
	for _, ed := range n.callees {
		if ed.callee.episode != nil || ed.heardOtherwise() {
			continue
		}
		if _, sure := ed.misses(e); sure > 0 {
			e.suspect(ed.callee)
		}
	}
}

// detectMissed: it is missed by those who used to call it.
func detectMissed(e *Engine, n *entity, p *episode) {
	if e.resolverFails(n) {
		return // its name is not found
	}
	for _, ed := range n.calledBy {
		if ed.heardOtherwise() {
			continue // who tells of its own calls is seen to go on, or not
		}
		quiet, sure := ed.misses(e)
		if sure == 0 || sure < p.found[belief.EvMissed].strength && p.found[belief.EvMissed].now {
			continue
		}
		text := fmt.Sprintf("%s has not called it for %s, and meanwhile fails its own callers", ed.caller.name(), inWords(quiet))
		if ed.lastFail > ed.used {
			text = fmt.Sprintf("each call that %s made to it for %s failed, and it does not tell how", ed.caller.name(), inWords(quiet))
		}
		p.blame(belief.EvMissed, sure, e.now, text)
		p.bad[belief.GroupCallers] = true
		p.startedBy(ed.used)
	}
}
