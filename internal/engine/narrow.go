// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// How narrow a cut is, and whether it is one at all, is asked before it is believed.

// oneObserversWord says whether nobody but one observer has met with silence: that
// it cannot see somebody hurts nobody else. What its kernel tells is of connections
// that others opened.
func (f *foundCut) oneObserversWord() bool { return f.probes == f.paths && f.froms == 1 && !f.unacked }

// meansOthers says whether nothing shows that it was one across the cut who did not answer:
// all that got no answer was asked of a name, and others behind it, whom the cut does not
// concern, do not answer that caller either.
func (f *foundCut) meansOthers(sights []sight) bool {
	type asking struct{ caller, name *entity }
	var others map[asking]bool
	for i := range sights {
		if s := &sights[i]; s.named != nil && s.share >= silentFrom && !f.predicts(s) {
			if others == nil {
				others = map[asking]bool{}
			}
			others[asking{s.caller, s.named}] = true
		}
	}
	if others == nil {
		return false
	}
	return !slices.ContainsFunc(sights, func(s sight) bool {
		return s.share >= silentFrom && f.predicts(&s) && !others[asking{s.caller, s.named}]
	})
}

// oneHostsLateness says whether answers are late to callers on one host only, and
// all of them could connect: it may be they who are late.
func (f *foundCut) oneHostsLateness() bool {
	return !f.broken && f.froms == 1 && f.near.host != nil && f.far.host != nil
}

// tooNarrow says whether the cut ends in one entity, and nobody failed to connect
// to it, or nobody has seen meanwhile that others beside it are reached.
func (f *foundCut) tooNarrow(sights []sight) bool {
	if f.far.entity == nil {
		return false
	}
	if !f.broken && !f.alone(sights) {
		return true // it may just be slow, for some or for what they ask
	}
	others := false
	for i := range sights {
		s := &sights[i]
		if !f.near.has(s.from, s.caller) || s.target == f.far.entity || s.to == nil || s.to != f.far.entity.host {
			continue
		}
		if s.openDuring(f) {
			return false
		}
		others = true
	}
	return others
}

// openDuring says whether something came back on this way while nothing did on the
// one that is cut, be it that it has gone on doing so since.
func (s *sight) openDuring(f *foundCut) bool {
	if s.share >= silentFrom || s.good <= f.since {
		return false
	}
	return s.good <= f.bad || s.goodOn != 0 && s.goodOn <= f.bad && (s.goodOn > f.since || f.bad.Sub(f.since) > goodBreak)
}

// isOpen says whether something gets through where nothing should: a call arrived whose
// caller had given up, or on each way the latest call was answered. Some may be lost.
func (f *foundCut) isOpen(sights []sight) bool {
	over := !f.lossy
	for i := range sights {
		s := &sights[i]
		if f.lossy || s.share < silentFrom || !f.predicts(s) {
			continue
		}
		if s.arrived {
			return true
		}
		over = over && s.over && !s.unacked
	}
	return over
}

// inVain says whether one caller, or one host, has asked one callee for long and had
// nothing back at all, while it goes on answering others elsewhere. They may be cut
// off, or wait for something that it keeps from them: that is not told by lateness,
// but it does not pass by itself.
func (f *foundCut) inVain(sights []sight) bool {
	if f.far.entity == nil || f.lossy || f.bad.Sub(f.since) < vainFor || f.worksFor(f.since) {
		return false
	}
	calls, served := 0.0, false
	for i := range sights {
		s := &sights[i]
		switch {
		case s.target != f.far.entity:
		case f.near.has(s.from, s.caller):
			if s.share < 1 || s.caller == nil {
				return false
			}
			calls += s.calls
		case s.caller != nil && s.share < silentFrom && s.goodOn < f.since && s.good > f.since.Add(vainFor/2):
			served = true
		}
	}
	return served && calls >= vainCalls*report.MayBeSlow
}

const (
	vainFor   = 10 * time.Second // longer than machines are paused
	vainCalls = 10.0             // without any answer
)

// onlyVain says whether nothing but waiting in vain speaks for the cut.
func (c *cutState) onlyVain() bool { return c != nil && c.found.vain && !c.oneway }

// excused says whether why one who waits in vain fails is known.
func (c *cutState) excused() bool {
	return c.far.entity != nil && slices.ContainsFunc(c.far.entity.views, func(w *view) bool {
		return w.caller != nil && c.near.has(w.from, w.caller) && w.caller.explained()
	})
}

// explained says whether why n fails is known.
func (n *entity) explained() bool { return n.verdict != nil && n.verdict.Class != verdict.ClassUnknown }

// alone says whether of several that ask the same of the far end, being instances
// of one service, this one gets no answer and another does.
func (f *foundCut) alone(sights []sight) bool {
	who := f.caller(sights)
	if who == nil || f.share < aloneFrom || f.worksFor(f.since) {
		return false
	}
	return slices.ContainsFunc(sights, func(s sight) bool {
		return s.target == f.far.entity && s.caller != nil && s.caller != who && s.caller.service == who.service &&
			s.share < silentFrom && s.good > f.since && s.weight > goodEnough
	})
}

// besideIsWell says whether who waits in vain for the far end asks the same of
// others like it, and has their answers: neither who asks nor what is asked is to
// blame.
func (f *foundCut) besideIsWell(sights []sight) bool {
	who, far := f.caller(sights), f.far.entity
	if who == nil || far.kind != kindInstance {
		return false
	}
	if w := far.seenBy(who); w == nil || w.lastMet == 0 {
		return false // nobody knows that it would tell of calls which get there
	}
	well := false
	for i := range sights {
		s := &sights[i]
		if s.caller != who || s.target == nil || s.target == far || s.target.service != far.service {
			continue
		}
		if s.share >= silentFrom {
			return false
		}
		well = well || s.weight > goodEnough && s.openDuring(f)
	}
	return well
}

// caller is the only one of the near end who is met with silence; nil if there are
// several, or only probes.
func (f *foundCut) caller(sights []sight) (who *entity) {
	if f.near.entity != nil {
		return f.near.entity
	}
	for i := range sights {
		switch s := &sights[i]; {
		case s.share < silentFrom || !f.predicts(s):
		case s.caller == nil || who != nil && s.caller != who:
			return nil
		default:
			who = s.caller
		}
	}
	return who
}

// worksFor says whether the far end tells of calls from the near one, begun since,
// that got no answer and on which it worked for long: these have arrived.
func (c *cut) worksFor(since clock.Time) bool {
	return c.far.entity != nil && slices.ContainsFunc(c.far.entity.views, func(w *view) bool {
		return w.caller != nil && w.worked != 0 && w.worked >= since && c.near.has(w.from, w.caller)
	})
}

// aloneFrom is the share without an answer from which on it is no mere slowness.
const aloneFrom = 0.9

// narrowest makes the link between two hosts the one to a single entity, where
// nobody else there is met with silence or meets with it.
func (f *foundCut) narrowest(sights []sight) {
	if f.near.host == nil || f.far.host == nil {
		return
	}
	var ends [2]*entity // who has a part in all silences
	first := true
	for i := range sights {
		s := &sights[i]
		if s.share < silentFrom || !f.predicts(s) {
			continue
		}
		if first {
			ends, first = [2]*entity{s.target, s.caller}, false
		}
		for k, n := range ends {
			if n != nil && n != s.target && n != s.caller {
				ends[k] = nil
			}
		}
	}
	if ends[0] != nil && ends[1] != nil && !f.broken {
		f.near, f.far = side{entity: ends[1]}, side{entity: ends[0]} // of the two, one may just be late
		return
	}
	for _, n := range ends {
		switch {
		case n == nil:
		case n.host == f.far.host:
			f.far = side{entity: n}
			return
		case n.host == f.near.host:
			f.near, f.far = f.far, side{entity: n}
			return
		}
	}
}

// narrow makes a cut off zone the link to another, where nothing is known of ways
// to any third.
func (f *foundCut) narrow(sights []sight) {
	if f.near.zone == "" || !f.far.anywhere() {
		return
	}
	other := ""
	for i := range sights {
		s := &sights[i]
		if _, ok := s.leadsTo(); ok && !s.startsNowhere() || !f.predicts(s) || s.from == nil || s.to == nil {
			continue
		}
		zone := s.from.zone
		if f.near.has(s.from, s.caller) {
			zone = s.to.zone
		}
		if zone == "" || other != "" && zone != other {
			return
		}
		other = zone
	}
	if other != "" {
		f.far = side{zone: other}
	}
}
