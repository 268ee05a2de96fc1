// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Up to what it can do, who is asked more answers more. Beyond that, the knee, more
// calls are under way and no more are answered: its queue grows. That shows in how
// many calls end and how long they take, without a word from its machine.
//
// Who merely got slower goes on answering all that it is asked: once as many more are
// under way, there are no more of them. Who hangs answers nothing.

// knee follows whether somebody is beyond it.
type knee struct {
	ends   [kneeSpans + 1]float64 // calls answered a second in the latest spans, oldest first
	held   [kneeSpans + 1]float64 // calls under way at a time
	behind int                    // in how many of the latest spans it answered less than it was asked
	since  clock.Time             // since when it is beyond; 0 while it is not
}

const (
	// kneeSpans is in how many spans of a rate on end calls must take longer and longer.
	// Who merely got slower is done with that after two, the first of which it fills in
	// part. Where a queue grows they go on: in the later half by at least kneeGoes of
	// what it was in the first, and kneeSure standard deviations, as times of calls
	// vary as much as they take.
	kneeSpans = 4
	kneeGoes  = 0.5
	// kneeSteady is the least part of that in the last span but one: else it is one span.
	kneeSteady = 0.25
	kneeSure   = 2.5
	// kneeRises is by how much in each at least. kneeFrom is how many times the usual it must
	// come to; below kneeOver times what as many calls usually hold it is over.
	kneeRises = 1.05
	kneeFrom  = 2.5
	kneeOver  = 1.5
	// kneeYields is how much of a rise of what is under way, in relation to what
	// there was, may be answered.
	kneeYields = 0.1
	// kneeMost is how much more may be answered at all.
	kneeMost = 0.5
	// kneeGoesOn is how much of the usual it must answer all the while: else it
	// stands still.
	kneeGoesOn = 0.5
	// kneeBehind is how many times as much must be asked, in relation to the usual, as
	// is answered, beyond chance, of one who answers kneeFull of the usual, where calls
	// give up before their number can grow.
	kneeBehind    = 1.2
	kneeBehindFor = 3 // spans
	kneeFull      = 0.8
	// kneeOthers is which share of what is more under way explains it by those that
	// it waits for.
	kneeOthers = 0.5
	// kneeUnhurt is what it counts at least while no caller fails and nothing else is
	// short; all, if kneeDeep times as many as usual are under way.
	kneeUnhurt = 0.6
	kneeDeep   = 10
)

// span takes in a full span of a rate. asked is how many times as often as usual
// callers want something by their own count, 0 if that is not known.
func (k *knee) span(r *rate, asked float64, now clock.Time) {
	copy(k.ends[:], k.ends[1:])
	copy(k.held[:], k.held[1:])
	k.ends[kneeSpans], k.held[kneeSpans] = r.now, r.held
	if r.known < rateKnown || r.usual == 0 || r.usualHeld == 0 {
		return
	}
	chance := kneeSure * math.Sqrt(2/max(r.now*r.span.Seconds(), 1))
	if r.now >= kneeFull*r.usual && r.held >= kneeFrom*r.usualHeld && asked >= (kneeBehind+chance)*r.now/r.usual {
		k.behind++
	} else {
		k.behind = 0
	}
	held := r.usualHeld * max(r.now/r.usual, 1) // if a call takes as long as usual: who answers more holds more
	switch beyond := r.now >= kneeGoesOn*r.usual && r.held >= kneeOver*held; {
	case !beyond:
		k.since = 0
	case k.since == 0 && (k.grows(r) || k.behind >= kneeBehindFor):
		k.since = now.Add(-kneeSpans * r.span)
	}
}

// grows says whether more and more calls are under way, each for longer than those
// before, and hardly more are answered.
func (k *knee) grows(r *rate) bool {
	first, last := k.held[0], k.held[kneeSpans]
	if first == 0 || last < 1 || last < kneeFrom*r.usualHeld {
		return false
	}
	var each [kneeSpans + 1]float64 // s, that a call takes
	for i := range each {
		if k.ends[i] < kneeGoesOn*r.usual || k.ends[i] == 0 {
			return false
		}
		if each[i] = k.held[i] / k.ends[i]; i > 0 && each[i] < kneeRises*each[i-1] {
			return false
		}
	}
	early, late := each[kneeSpans/2]-each[0], each[kneeSpans]-each[kneeSpans/2]
	chance := each[kneeSpans] * math.Sqrt(2/max(k.ends[kneeSpans]*r.span.Seconds(), 1))
	if late < max(kneeGoes*early, kneeSure*chance) || each[kneeSpans-1]-each[kneeSpans/2] < kneeSteady*late {
		return false
	}
	return k.ends[kneeSpans]/max(k.ends[0], r.usual)-1 < min(kneeYields*(last/first-1), kneeMost)
}

// answers takes in calls that n ended itself.
func (e *Engine) answers(n *entity, count float64, took time.Duration) {
	whole := n.service.whole
	if n.rate.add(count, took, e.now, n.episode == nil) {
		n.knee.span(&n.rate, e.askedTimes(n.calls), e.now)
	}
	if n.service.rate.add(count, took, e.now, n.episode == nil && (whole == nil || whole.episode == nil)) {
		asked := 0.0
		if whole != nil {
			asked = e.askedTimes(whole.calls)
		}
		n.service.knee.span(&n.service.rate, asked, e.now)
	}
}

// askedOf takes in calls of which only those tell who made them.
func (e *Engine) askedOf(n *entity, answered float64, took time.Duration) {
	if answered == 0 && n.rate.began == 0 {
		return
	}
	if n.rate.add(answered, took, e.now, n.episode == nil) {
		n.knee.span(&n.rate, 0, e.now)
	}
}

// askedTimes is how many times as often as usual callers ask, what they try again
// counted; 0 if that is not known.
func (e *Engine) askedTimes(s *callStats) float64 {
	if s == nil || s.asked.known < rateKnown || s.asked.usual == 0 || !s.asked.stands(e.now) {
		return 0
	}
	return s.asked.now / s.asked.usual
}

// detectKnee: it is asked more than it can do, whatever it is that it is short of.
// That is a matter of those that it waits for, if it holds calls because they do.
func detectKnee(e *Engine, n *entity, p *episode) {
	k, r := &n.knee, &n.rate
	if n.kind == kindService && n.service.rate.known >= rateKnown {
		k, r = &n.service.knee, &n.service.rate
	}
	if k.since == 0 || !r.stands(e.now) || p.found[evCalleeSlow].strength > 0 || p.found[evCalleeFailing].strength > 0 || e.waitsForOthers(n, r) {
		return
	}
	strength := clamp(r.held/r.usualHeld/kneeDeep, kneeUnhurt, 1)
	if p.bad[groupCallers] || p.found[evServesErrors].now || p.isShortOf() {
		strength = 1
	}
	p.note(evKnee, strength, e.now, fmt.Sprintf("%.2g calls to it are under way at a time (usually %.2g), and it answers no more for that: %.2g/s (usually %.2g/s)",
		r.held, r.usualHeld, r.now, r.usual))
	p.latest = e.now
	p.startedBy(k.since)
}

// isShortOf says whether something else tells that a resource is short.
func (p *episode) isShortOf() bool {
	for kind := range p.found {
		if weights[kind].group == groupSaturation && evidence(kind) != evKnee && p.found[kind].now && p.found[kind].strength > oldNews {
			return true
		}
	}
	return false
}

// waitsForOthers says whether calls that n itself makes explain what is more than
// usually under way.
func (e *Engine) waitsForOthers(n *entity, r *rate) bool {
	more := 0.0
	n.eachCallee(func(ed *edge) bool {
		if ed.rate.known >= rateKnown && ed.rate.stands(e.now) {
			more += max(ed.rate.held-ed.rate.usualHeld, 0)
		}
		return false
	})
	return more >= kneeOthers*(r.held-r.usualHeld)
}
