// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A link that is slow hurts calls across it and no others: those who are called
// answer as fast as ever by their own account, and others reach them as fast as
// ever. The same solver that tells cuts chooses, with slowness in the place of
// silence.

const (
	// slowFresh is how long an edge says something of now.
	slowFresh = 10 * time.Second
	// slowLasts is how long a way must have been slow to be what is slow.
	slowLasts = 3 * time.Second
	// slowShares is the share of the calls into and out of a place that must be slow
	// for it to be cut off slowly: of many, some are late any day.
	slowShares = 0.3
	// slowElsewhere is the share of late calls on all other ways, of that across a cut,
	// from which on something makes all of them late.
	slowElsewhere = 1.0 / 3
	// caughtUp is how long after it slept itself the engine believes in no slow link:
	// all who could not tell it anything do so at once, and keep the machines busy.
	caughtUp = 20 * time.Second
)

// slowRun is a run of calls on an edge, some of which were far slower than usual.
type slowRun struct {
	began clock.Time
	last  clock.Time // when one was slow last
	ok    stat.Fading
	slow  stat.Fading
}

// add notes answered calls, of which some were slow.
func (r *slowRun) add(e *Engine, calls, slow int) {
	w := e.params.CallWindow
	running := r.last != 0 && e.now.Sub(r.last) < e.params.RecoveryCalls
	if slow > 0 {
		if !running {
			*r = slowRun{began: e.now}
			running = true
		}
		r.last = e.now
		r.slow.Add(float64(slow), e.now, w)
	}
	if running {
		r.ok.Add(float64(calls), e.now, w)
	}
	if r.share(e) >= slowFrom {
		e.slowSuspected = true
	}
}

// share is the share, 0-1, of calls in the run that were slow; 0 if it is over.
func (r *slowRun) share(e *Engine) float64 {
	if r.last == 0 || e.now.Sub(r.last) > slowFresh {
		return 0
	}
	w := e.params.CallWindow
	return min(r.slow.Value(e.now, w)/max(r.ok.Value(e.now, w), 1), 1)
}

// slowSights are the ways between hosts, by how slow calls are on them.
func (e *Engine) slowSights() []sight {
	var out []sight
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil && len(out) < maxSights; n = n.next {
			for _, w := range n.views {
				if s, ok := e.slowView(n, w); ok {
					out = append(out, s)
				}
			}
			for _, ed := range n.callees {
				if s, ok := e.slowEdge(n, ed); ok {
					out = append(out, s)
				}
			}
		}
	}
	return byOrigin(out)
}

// slowView is a way of which the time that calls spend on it is known.
func (e *Engine) slowView(n *entity, w *view) (s sight, ok bool) {
	t := &w.net
	if t.n < netEnough || e.now.Sub(t.used) > slowFresh || n.host == nil || w.from == nil || n.host == w.from {
		return s, false
	}
	s = sight{from: w.from, to: n.host, caller: w.caller, target: n, late: true}
	e.slowRun(&s, &t.run, t.used, t.seen.Value(e.now, e.params.CallWindow))
	return s, true
}

// slowEdge is a way of which only the caller tells how long its calls take. Who
// is slow by its own account is no matter of the way.
func (e *Engine) slowEdge(n *entity, ed *edge) (s sight, ok bool) {
	to := ed.callee
	if n.host == nil || n.host == to.host || e.now.Sub(ed.used) > slowFresh || e.timed(n, to) {
		return s, false
	}
	share := ed.run.share(e)
	if own, many := e.slowness(to); share >= silentFrom && to.served.total > 0 && own >= silentFrom && many >= 1 {
		return s, false
	}
	s = sight{from: n.host, to: to.host, caller: n, target: to, late: true}
	e.slowRun(&s, &ed.run, ed.used, ed.ok.Value(e.now, e.params.CallWindow))
	return s, true
}

// slowRun fills in how slow a way is of which so many calls are known of late.
func (e *Engine) slowRun(s *sight, r *slowRun, used clock.Time, calls float64) {
	s.share, s.weight = r.share(e), min(calls, callsFull)/2
	if s.share < silentFrom {
		s.good = used
		return
	}
	s.weight = min(r.ok.Value(e.now, e.params.CallWindow), callsFull) / 2
	s.since, s.bad = r.began, r.last
}

// timed says whether the time that n's calls to callee, or to one of its
// instances, spend on the way is known.
func (e *Engine) timed(n, callee *entity) bool {
	known := func(i *entity) bool {
		return slices.ContainsFunc(i.views, func(w *view) bool {
			return w.caller == n && w.net.n >= netEnough
		})
	}
	if callee.kind == kindService {
		return slices.ContainsFunc(callee.service.instances, known)
	}
	return known(callee)
}

// lookForSlowLinks believes in the links that explain what is slow. What a single
// entity or a machine explains as well, a full queue or want of breath, is none.
func (e *Engine) lookForSlowLinks(sights []sight) {
	e.slowSuspected = slices.ContainsFunc(sights, func(s sight) bool { return s.share >= slowFrom })
	if !e.slowSuspected || e.self.wokeAt > 0 && e.self.awake()-e.self.wokeAt < caughtUp {
		return
	}
	if e.lookForSlowCards(sights) {
		return
	}
	var found []foundCut
	for _, f := range solve(sights, e.here, e.standing(true)...) {
		if f.bad.Sub(f.since) < slowLasts {
			continue // one that held its breath, such as to collect garbage, made some wait
		}
		if f.sure < surelyCut || f.paths < 2 || f.near.entity != nil || f.far.entity != nil || f.far.anywhere() && f.near.zone == "" {
			continue
		}
		if f.far.anywhere() && f.share < slowShares {
			continue
		}
		found = append(found, f)
	}
	found = withoutWake(found)
	if len(found) > 1 && coverAll(found, sights) {
		return // all that goes from zone to zone is slow: that is no link's doing
	}
	if len(found) == 0 {
		return
	}
	machines := e.outOfBreath()
	for _, f := range found {
		if e.wantOfBreath(&f, sights, machines) || f.elsewhere(sights) >= f.share*slowElsewhere {
			continue
		}
		if who := f.inAllThatIsLate(sights); who != nil && who.short() {
			continue
		}
		f.narrow(sights)
		f.towardsOne(sights)
		e.believe(f, true)
	}
}

// towardsOneFrom is how many times as much must be late on the ways from a zone to one
// other as on those to the rest: some are late now and then.
const towardsOneFrom = 3.0

// towardsOne makes a zone that is slow the link to the one other zone to which it is.
func (f *foundCut) towardsOne(sights []sight) {
	if f.near.zone == "" || !f.far.anywhere() {
		return
	}
	type ways struct{ late, n float64 }
	var all, to ways
	others := map[string]ways{}
	for i := range sights {
		s := &sights[i]
		if !f.predicts(s) {
			continue
		}
		other := s.from
		if f.near.has(s.from, s.caller) {
			other = s.to
		}
		if other != nil && other.zone != "" {
			w := others[other.zone]
			others[other.zone] = ways{w.late + s.share*s.weight, w.n + s.weight}
			all = ways{all.late + s.share*s.weight, all.n + s.weight}
		}
	}
	zone := ""
	for z, w := range others {
		if w.late > to.late || w.late == to.late && z < zone {
			zone, to = z, w
		}
	}
	rest := ways{all.late - to.late, all.n - to.n}
	if zone == "" || rest.n <= 0 || to.late*rest.n < towardsOneFrom*rest.late*to.n {
		return
	}
	f.far, f.of, f.paths, f.share = side{zone: zone}, 0, 0, to.late/to.n
	for i := range sights {
		if s := &sights[i]; f.predicts(s) {
			if f.of++; s.share >= silentFrom {
				f.paths++
			}
		}
	}
}

// elsewhere is the share, 0-1, of calls that are late on ways that do not cross the cut; 0
// if nothing is known of any.
func (f *foundCut) elsewhere(sights []sight) float64 {
	var late, n float64
	for i := range sights {
		if s := &sights[i]; !f.predicts(s) {
			late += s.share * s.weight
			n += s.weight
		}
	}
	if n == 0 {
		return 0
	}
	return late / n
}

// inAllThatIsLate is the one who calls, or is called, on all late ways across the cut; nil
// if there are several.
func (f *foundCut) inAllThatIsLate(sights []sight) *entity {
	var both [2]*entity
	first := true
	for i := range sights {
		s := &sights[i]
		switch {
		case s.share < silentFrom || !f.predicts(s):
		case first:
			both, first = [2]*entity{s.caller, s.target}, false
		default:
			for j, who := range both {
				if who != s.caller && who != s.target {
					both[j] = nil
				}
			}
		}
	}
	return cmp.Or(both[0], both[1])
}

// short says whether n is known to be short of something: who is asked or asks others then
// waits for it, whatever the way between them. Mere demand is told by lateness itself.
func (n *entity) short() bool {
	return n.verdict != nil && n.verdict.Class == verdict.ClassExhaustion && n.verdict.Subclass != verdict.SubclassOverload
}

// withoutWake leaves out the places that are only slow around a slow link: who waits for
// it holds up others now and then.
func withoutWake(found []foundCut) []foundCut {
	wake := func(f foundCut) bool {
		return f.far.anywhere() && slices.ContainsFunc(found, func(g foundCut) bool {
			return !g.far.anywhere() && g.within(&f.cut) && f.share < g.share/2
		})
	}
	var out []foundCut
	for _, f := range found {
		if !wake(f) {
			out = append(out, f)
		}
	}
	return out
}

// coverAll says whether every way from one zone to another is one of those that the
// cuts explain: what they have in common is then somewhere else.
func coverAll(cuts []foundCut, sights []sight) bool {
	crosses := false
	for i := range sights {
		s := &sights[i]
		if s.to == nil || s.from.zone == "" || s.to.zone == "" || s.from.zone == s.to.zone {
			continue
		}
		if !slices.ContainsFunc(cuts, func(f foundCut) bool { return f.predicts(s) }) {
			return false
		}
		crosses = true
	}
	return crosses
}
