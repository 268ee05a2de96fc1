// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// onHost returns the instances on a host, in order of their use.
func (e *Engine) onHost(name string) []*entity {
	var out []*entity
	if name == "" {
		return nil
	}
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil; n = n.next {
			if n.kind == kindInstance && n.host != nil && n.host.name == name {
				out = append(out, n)
			}
		}
	}
	return out
}

// beatsEvery is n's usual time between two heartbeats, 0 if it sends none. Somebody
// else who is heard before the next was due says nothing of one that stayed away.
func (n *entity) beatsEvery() (every time.Duration) {
	for _, s := range n.streams {
		if s.kind == signBeat {
			every = max(every, s.gaps.Interval)
		}
	}
	return every
}

// awaitsTurn says whether n's machine fell silent with it and is heard again for so short
// a while that n may be, too, in a moment.
func (e *Engine) awaitsTurn(n *entity, p *episode) bool {
	since := n.host.since
	return since > p.onset.Add(insideFrom) && e.now.Sub(since) < underWay+2*n.beatsEvery()
}

// detectSurroundings: what the neighbourhood says. Others on the same host live
// on, or those who watch it are not well.
func detectSurroundings(e *Engine, n *entity, p *episode) {
	if p.silent() && n.kind == kindInstance && p.onset != 0 {
		if h := n.host; h != nil && !e.awaitsTurn(n, p) {
			if other := h.other(n, p.onset.Add(time.Second+n.beatsEvery())); other != nil {
				p.note(belief.EvHostAlive, 1, e.now, fmt.Sprintf("%s on the same host %s is heard", other.name(), h.name))
			}
		}
	}
	sick := 0
	for _, s := range n.streams {
		if !e.trusted(s) {
			sick++
		}
	}
	if sick > 0 && sick == len(n.streams) {
		p.note(belief.EvObserverSick, 1, e.now, "those who watch it are not well themselves")
	}
}

// detectDependence: somebody that it calls failed first. What it does to its own
// callers is then no failure of its own.
func detectDependence(e *Engine, n *entity, p *episode) {
	n.eachCallee(func(ed *edge) bool {
		if e.now.Sub(ed.used) > e.params.LeaveFor || ed.callee.service == n.service && n.service != nil {
			return false
		}
		if v := ed.callee.failing(); v != nil && !e.getsThrough(ed, v) {
			p.note(belief.EvCalleeFailing, 1, e.now, fmt.Sprintf("it depends on %s, which failed", v.Culprit.Name))
			return true
		}
		if by, sure := e.hurtBy(ed); by != nil && by != n && (!p.found[belief.EvCalleeFailing].now || sure > p.found[belief.EvCalleeFailing].strength) {
			p.note(belief.EvCalleeFailing, sure, e.now, fmt.Sprintf("it depends on %s, and that on %s, which fails", ed.callee.name(), by.name()))
		}
		return e.fellFirst(n, p, ed.callee, "it depends on ")
	})
	e.eachBehind(n, func(b *entity) bool {
		if b.verdict != nil {
			p.note(belief.EvCalleeFailing, 1, e.now, fmt.Sprintf("it hands on what comes from %s, which failed", b.name()))
			return true
		}
		return e.fellFirst(n, p, b, "it hands on what comes from ")
	})
}

// fellFirst notes that one whom n needs was in trouble before it, or failed until a moment
// ago, after which there is no more to know. needs says how n needs it, up to its name.
func (e *Engine) fellFirst(n *entity, p *episode, needed *entity, needs string) bool {
	if c := needed.episode; c != nil && c.failing > suspectFrom && c.onset != 0 && (p.onset == 0 || c.onset < p.onset.Add(time.Second)) {
		p.note(belief.EvCalleeFailing, c.failing, e.now, needs+needed.name()+", which was in trouble first")
	}
	if e.hurtUntil(n, p, needed.wellAgain()) {
		p.note(belief.EvCalleeFailing, 1, e.now, needs+needed.name()+", which has failed until a moment ago")
		return true
	}
	return false
}

// plentyAnswered is how many calls on end, all of them answered, show that they get
// through.
const plentyAnswered = 8

// getsThrough says whether calls to a callee that is believed dead or cut off are answered
// all the same, for this caller, as fast as ever: that is no excuse for it.
func (e *Engine) getsThrough(ed *edge, v *verdict.Verdict) bool {
	if v.Class == verdict.ClassByzantine || v.Class == verdict.ClassExhaustion {
		return false // answers may be wrong, or late
	}
	w := e.params.CallWindow
	onEnd := ed.ok.Value(e.now, w) * float64(min(e.now.Sub(ed.lastFail), w)) / float64(w)
	return onEnd >= plentyAnswered && ed.run.share(e) < slowFrom
}

// hurtBy is who failed, or is in trouble, and makes a callee fail its caller that has not
// failed itself, and how sure that is, 0-1; nil if nobody is known to.
func (e *Engine) hurtBy(ed *edge) (culprit *entity, sure float64) {
	if !ed.more(&ed.failed, e) {
		return nil, 0
	}
	return e.suffersFrom(ed.callee, suffersBy-1)
}

// suffersFrom is who failed, or is in trouble, and makes n fail, by way of so many others
// at most, of whom each fails the one before; nil if nobody is known to.
func (e *Engine) suffersFrom(n *entity, by int) (culprit *entity, sure float64) {
	n.eachCallee(func(ed *edge) bool {
		if e.now.Sub(ed.used) > e.params.LeaveFor || !ed.more(&ed.failed, e) {
			return false
		}
		found, how := ed.callee, 0.0
		if found.failing() != nil {
			how = 1
		} else if p := found.episode; p != nil && p.failing > suspectFrom {
			how = p.failing
		} else if by > 0 {
			found, how = e.suffersFrom(found, by-1)
		}
		if how > sure {
			culprit, sure = found, how
		}
		return sure == 1
	})
	return culprit, sure
}

// suffersBy is over how many others a failure is followed.
const suffersBy = 2

// hurtUntil says whether n was in trouble when somebody it calls was well again, and no
// call to n that began since has failed: what is still held against it is of that time.
func (e *Engine) hurtUntil(n *entity, p *episode, well clock.Time) bool {
	return well != 0 && e.now.Sub(well) < 2*e.params.CallWindow && p.onset != 0 && p.onset < well && n.calls != nil && n.calls.failBegan <= well
}

// wellAgain is when n, or an instance of it if it is a service, was last well again
// after a failure; 0 never.
func (n *entity) wellAgain() clock.Time {
	if n.kind == kindService {
		return n.service.well
	}
	return n.well
}

// suspectFrom is the probability of a failure from which on an entity without a
// verdict excuses those that depend on it.
const suspectFrom = 0.4

// failing is the verdict on n, or on one of its instances if n is a service.
func (n *entity) failing() *verdict.Verdict {
	if n.verdict != nil {
		return n.verdict
	}
	if n.cutOff != nil && n.cutOff.entity.verdict != nil {
		return n.cutOff.entity.verdict
	}
	if n.kind == kindService {
		for _, i := range n.service.instances {
			if i.verdict != nil {
				return i.verdict
			}
		}
	}
	return nil
}
