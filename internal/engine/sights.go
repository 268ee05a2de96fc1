// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// What is known of who reaches whom, gathered for the solver.

// sights gathers what is known lately, by the host that it is seen from.
func (e *Engine) sights() []sight {
	var out []sight
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil; n = n.next {
			if n.answersNobody(e) || n.starves(e) {
				continue
			}
			silent, well, before := clock.Time(0), n.wellSince(), len(out)
			for _, w := range n.views {
				s, ok := e.sight(n, w)
				switch {
				case !ok, w.caller != nil && w.caller.starves(e), s.share >= silentFrom && (s.tried < well || w.caller == nil && n.leftBefore(s.since)):
					continue
				case n.kind == kindService && w.caller != nil && len(out)-before < maxBehindName:
					out = e.behindName(out, s, w)
				default:
					out = append(out, s)
				}
				if s.share >= silentFrom {
					silent = max(silent, s.since)
				}
			}
			if silent != 0 {
				out = e.answersBeside(out, n, silent)
			}
		}
		if len(out) > maxSights {
			break
		}
	}
	out = replace(out, e.hushed())
	e.passOn(out)
	out = e.unnamedSights(append(out, unanswered(e.signSights(), out)...))
	return byOrigin(out)
}

// leftBefore says whether n had stopped on purpose when a silence began, be that told a
// moment later: probes of a machine that is taken away once all on it have stopped miss nobody.
func (n *entity) leftBefore(since clock.Time) bool {
	return n.left && n.leftAt != 0 && since > n.leftAt.Add(-stopToldIn)
}

// stopToldIn is how long after it stopped it may be known that somebody did so on purpose.
const stopToldIn = 10 * time.Second

// answersBeside are the sights of callers on n's own machine whom it answers well
// since: no network lies between, so that they speak of n alone.
func (e *Engine) answersBeside(out []sight, n *entity, since clock.Time) []sight {
	for _, ed := range n.calledBy {
		if h := ed.caller.host; h == nil || h.name == "" || h != n.host || ed.okEnd <= since || ed.complains(e) {
			continue
		}
		calls := ed.ok.Value(e.now, e.params.CallWindow)
		out = append(out, sight{from: n.host, to: n.host, caller: ed.caller, target: n, calls: calls, weight: min(calls, callsFull) / 2, good: ed.okEnd, goodOn: ed.okEnd})
	}
	return out
}

// wellSince is when n was last well again after a failure of its own: who has not
// tried since does not know. 0 if it did not fail.
func (n *entity) wellSince() clock.Time {
	since := max(n.well, n.resumed)
	v := n.verdict
	if v == nil || v.Class != verdict.ClassCrash {
		return since
	}
	first := clock.Time(0)
	for _, w := range n.views {
		if w.goodFrom > v.Since && (first == 0 || w.goodFrom < first) {
			first = w.goodFrom
		}
	}
	return max(since, first)
}

// byOrigin sorts by the host that is seen from. Sights are large, so that their
// places are sorted and each is moved once.
func byOrigin(sights []sight) []sight {
	places := make([]int32, len(sights))
	for i := range places {
		places[i] = int32(i)
	}
	slices.SortStableFunc(places, func(a, b int32) int { return cmp.Compare(sights[a].from.name, sights[b].from.name) })
	out := make([]sight, len(sights))
	for i, place := range places {
		out[i] = sights[place]
	}
	return out
}

// unanswered leaves out the silences of senders to an observer that gets answers
// from their host, be they refusals: the way is open, and who is silent is gone.
func unanswered(signs, views []sight) []sight {
	type way struct{ from, to *hostState }
	open := map[way]clock.Time{}
	for i := range views {
		if s := &views[i]; s.to != nil && s.share < silentFrom {
			open[way{s.to, s.from}] = max(open[way{s.to, s.from}], s.good)
		}
	}
	return slices.DeleteFunc(signs, func(s sight) bool {
		return s.caller != nil && s.share >= silentFrom && open[way{s.from, s.to}] > s.since
	})
}

// passOn takes weight from the lateness of those who wait themselves for somebody
// who is silent: it comes up through them. Who asks across a cut may have waited since
// that began, though it tells of it late.
func (e *Engine) passOn(sights []sight) {
	since, across := map[*entity]clock.Time{}, map[*entity]clock.Time{}
	note := func(first map[*entity]clock.Time, n *entity, at clock.Time) {
		if known, ok := first[n]; !ok || at < known {
			first[n] = at
		}
	}
	for i := range sights {
		s := &sights[i]
		if s.caller == nil || s.share < silentFrom {
			continue
		}
		note(since, s.caller, s.since)
		if c := e.silencedBy(s); c != nil {
			note(across, s.caller, c.began)
		}
	}
	for i := range sights {
		s := &sights[i]
		if s.broken || s.share < silentFrom {
			continue
		}
		at, waits := since[s.target]
		if began, cut := across[s.target]; cut && e.silencedBy(s) == nil {
			at, waits = min(at, began), true
		}
		if waits && at < s.since.Add(waitsFirst) {
			s.weight *= passedOnWeight
		}
	}
}

// silencedBy is a cut that somebody was told of and that silences a sight; nil if none does.
func (e *Engine) silencedBy(s *sight) *cutState {
	for _, c := range e.cuts {
		if !c.slow && c.entity.verdict != nil && c.stands(e.now) && c.predicts(s) {
			return c
		}
	}
	return nil
}

const (
	// waitsFirst is by how much later than its own callers' calls somebody's call
	// may begin and still be what they wait for.
	waitsFirst     = time.Second
	passedOnWeight = 0.1
)

// sight is what a view says now; false if nothing.
func (e *Engine) sight(n *entity, w *view) (s sight, ok bool) {
	more := 0.0
	if n.kind == kindService && w.caller != nil && w.lastBad != 0 {
		more = w.reachedBehind(n.service, e.now)
	}
	share, count := w.bad(e.now, more)
	if count == 0 || w.lastGood == 0 && !e.cutBefore(w, n) { // a way that was never open is not cut: the caller may quote somebody
		return s, false
	}
	if w.caller == nil && !w.from.observer.credible(e.now) {
		return s, false
	}
	s = sight{from: w.from, to: n.host, caller: w.caller, target: n, share: share, calls: count, since: w.firstBad, good: w.lastGood, goodOn: w.goodFrom, bad: w.lastBad, tried: w.triedAt, back: w.back()}
	s.over, s.arrived = n.kind != kindService && w.over(), w.arrives(&s)
	s.weight = min(count, callsFull) / 2
	if s.broken = w.broken(); s.broken {
		s.weight = min(count, callsFull/2) // not to connect is rarer than to be late
	}
	if s.unacked = w.unacked != 0 && w.unacked >= w.firstBad; s.unacked {
		s.looked = n.lookedAt(e)
		s.weight = min(2*count, callsFull/2) // a kernel has tried several times
	}
	return s, true
}

const (
	maxSights = 20_000 // in one pass; more would take longer than a tick
	// maxBehindName is how many sights of those behind one name are enough: what a
	// few of its callers tell of each says the same as what all do.
	maxBehindName = 4_000
	// callsFull is the number of calls from which on a view says all that it can.
	callsFull = 6.0
)

// signSights are the ways that signs of life take to observers elsewhere, and
// observers' own to the engine. Whose telemetry of any kind goes on arriving is
// not cut off from all.
func (e *Engine) signSights() []sight {
	var out []sight
	for _, h := range e.hosts {
		if h.speaks(e.now) {
			out = append(out, sight{from: h, to: e.here, weight: 1, good: h.heardLast()})
		}
	}
	for _, s := range e.watched {
		n, to := s.entity, e.standsOn(s.observer)
		if s.kind != signBeat || n.host == nil || n.host == to || n.left || s.gaps.Interval == 0 || !e.trusted(s) || s.dueAt != 0 {
			continue
		}
		silence := 0.0
		if !s.fresh() {
			if silence = 1; s.strength(e) < 0.5 {
				continue // it may just be late
			}
		}
		out = append(out, sight{from: n.host, to: to, caller: n, share: silence, weight: 1, since: s.heardAt().Add(s.gaps.Interval), good: s.heardAt()})
	}
	for _, o := range e.observerList {
		if !o.ownBeat || o.host == "" || e.standsOn(o) == e.here {
			continue
		}
		if quiet := e.now.Sub(o.seen); quiet < 10*observerSilence*o.interval+time.Minute {
			share := 0.0
			if quiet > observerSilence*o.interval {
				share = 1
			}
			out = append(out, sight{from: e.host(o.host), to: e.here, share: share, weight: 1, since: o.seen, good: o.seen})
		}
	}
	return out
}

// underWay is how long telemetry may have been on its way.
const underWay = 3 * time.Second

// standsOn is the host from which an observer looks; the engine's own process
// stands on one without a name.
func (e *Engine) standsOn(o *observer) *hostState {
	if o == e.self || o.host == "" {
		return e.here
	}
	return e.host(o.host)
}

// machinesUp are those of whom a kernel gets no acknowledgement, though something has
// come from their machines to the engine since, and agents there look at them: these
// are up, and would acknowledge what gets there.
func machinesUp(sights []sight) map[*entity]bool {
	var up map[*entity]bool
	for i := range sights {
		s := &sights[i]
		if !s.unacked || !s.looked || s.target == nil || s.to == nil {
			continue
		}
		if slices.ContainsFunc(sights, func(o sight) bool {
			return o.from == s.to && o.target == nil && o.share < silentFrom && o.good > s.since
		}) {
			if up == nil {
				up = map[*entity]bool{}
			}
			up[s.target] = true
		}
	}
	return up
}

// lookedAt says whether an agent on its machine tells of its process now.
func (n *entity) lookedAt(e *Engine) bool {
	return slices.ContainsFunc(n.probes, func(ps *probeState) bool { return ps.process != nil && e.current(ps) })
}
