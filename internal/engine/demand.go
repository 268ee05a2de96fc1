// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

const (
	slowFrom  = 0.25 // share of answers that are far slower than usual
	slowFull  = 0.60
	slowMany  = 5.0
	slowShare = 0.05 // of one that is held back
	slowHeld  = 0.7  // what that counts at least
	slowSome  = 3.0  // that will do where most are slow
	slowOne   = 1.5  // the same for one of several instances
	mostSlow  = 0.75
	// rareWindow is the half-life of the counts of those who answer less than
	// slowSome calls in CallWindow.
	rareWindow = 45 * time.Second
)

// slowness is the share of n's answers that are far slower than usual, in its
// own words, else in its callers', and how many there were. For a service its
// instances speak.
func (e *Engine) slowness(n *entity) (share, many float64) {
	w := e.params.CallWindow
	slow, ok := 0.0, 0.0
	if n.kind == kindService {
		for _, i := range n.service.instances {
			slow, ok = slow+i.served.slow.Value(e.now, w), ok+i.served.ok.Value(e.now, w)
		}
	}
	switch s := n.calls; {
	case ok > 0:
	case n.served.total > 0:
		slow, ok = n.served.slow.Value(e.now, w), n.served.ok.Value(e.now, w)
		if ok < slowSome { // it is asked rarely
			slow, ok = n.served.late.Value(e.now, rareWindow), n.served.some.Value(e.now, rareWindow)
		}
	case s != nil:
		slow, ok = s.slow.Value(e.now, w), s.ok.Value(e.now, w)
	}
	return min(slow/max(ok, 1), 1), slow
}

// slows says whether so many of its answers are slow that it is no chance.
func slows(share, many float64) bool {
	return share >= slowFrom && many >= slowMany || share >= slowFull && many >= slowSome
}

// slowed is called when answers of n were far slower than usual.
func (e *Engine) slowed(n *entity) {
	if share, many := e.slowness(n); !slows(share, many) && !e.slowsHeldBack(n, share, many) {
		return
	}
	e.suspect(n)
	if n.kind == kindInstance && e.allSlow(n.service) {
		whole := e.wholeService(n.service)
		whole.alive, whole.answered = true, true
		e.suspect(whole)
	}
}

// isHeldBack says whether n is given less of a processor than it wants, and used to
// be given enough.
func (n *entity) isHeldBack(now clock.Time) bool {
	for _, kind := range [...]report.LevelKind{report.LevelThrottled, report.LevelCPUWait} {
		if n.levels.short(kind, now) && n.levels[kind].news() > oldNews {
			return true
		}
	}
	return false
}

// allSlow says whether it is the service that is slow, rather than one of its
// instances: most of those that answer are, and there are several. Each that is slow
// asks: of many it is found out now and then.
func (e *Engine) allSlow(s *service) bool {
	if len(s.instances) <= fewSiblings {
		return e.areSlow(s)
	}
	if s.slowAt == 0 || e.now.Sub(s.slowAt) >= countedFor {
		s.slow, s.slowAt = e.areSlow(s), e.now
	}
	return s.slow
}

func (e *Engine) areSlow(s *service) bool {
	slow, all := 0, 0
	for _, i := range s.instances {
		if i.left || i.served.ok.Value(e.now, e.params.CallWindow) < 1 {
			continue
		}
		all++
		if share, many := e.slowness(i); share >= slowFrom && many >= slowOne || i.knee.Since != 0 {
			slow++
		}
	}
	return slow >= 2 && float64(slow) >= mostSlow*float64(all)
}

// detectDemand: it answers, but late, because it waits or because more is asked
// of it than it can do.
func detectDemand(e *Engine, n *entity, p *episode) {
	share, many := e.slowness(n)
	slow, least := slows(share, many), 0.4
	if e.slowsHeldBack(n, share, many) {
		slow, least = true, slowHeld
	}
	if slow && e.fastAgain(n, p) {
		slow = false
	}
	if slow {
		p.note(belief.EvSlow, stat.Clamp(share/slowFull, least, 1), e.now, fmt.Sprintf("%.0f %% of its answers take far longer than usual", 100*share))
		p.latest = e.now
		e.holdsUp(n, p, share)
		n.eachCallee(func(ed *edge) bool {
			s, ok := ed.slow.Value(e.now, e.params.CallWindow), ed.ok.Value(e.now, e.params.CallWindow)
			if s < 2 || s/max(ok, 1) < slowFrom/2 || ed.callee == p.starvedOf || !e.mayBeSlow(ed) && !e.waitsAtDoor(ed) {
				return false
			}
			p.note(belief.EvCalleeSlow, 1-wantsItself*e.ownWant(n, p), e.now, fmt.Sprintf("it waits for %s, which is slow", ed.callee.name()))
			return true
		})
	}
	if !slow && !p.bad[belief.GroupCallers] {
		return
	}
	if n.eachCallee(func(*edge) bool { return true }) && p.found[belief.EvCalleeSlow].strength == 0 && p.found[belief.EvCalleeFailing].strength == 0 && !e.calleesFail(n) && !e.missesSome(n) {
		p.note(belief.EvCalleesWell, 1, e.now, "those that it calls are well")
	}
	if times, usual := e.demand(n, p); times >= stat.MoreFrom && !e.slowForOne(n) && p.found[belief.EvCallersTLS].strength == 0 {
		p.note(belief.EvDemand, stat.Clamp((times-1)/1.5, 0.3, 1), e.now, fmt.Sprintf("it is asked %.1f times as often as usual (%.2g/s)", times, usual))
		if slow && e.pressed(n) {
			p.note(belief.EvSharesLoad, 1, e.now, "others of its service, asked alike, are short")
		}
	}
	detectKnee(e, n, p)
}

// wantsItself is how little one waits for others who waits for a processor itself.
const wantsItself = 0.8

// ownWant is how much, 0-1, n's own quota or want of a processor holds it up.
func (e *Engine) ownWant(n *entity, p *episode) (most float64) {
	for _, l := range [...]struct {
		kind report.LevelKind
		row  belief.Evidence
	}{{report.LevelThrottled, belief.EvThrottled}, {report.LevelCPUWait, belief.EvCPUWait}} {
		if n.levels.short(l.kind, e.now) && p.found[l.row].now {
			most = max(most, p.found[l.row].strength)
		}
	}
	return most
}

// slowForOne says whether n, which does not tell of its answers itself, is slow for
// those on one host only, and as ever for those on another: who is asked for more than
// it can do is slow for all, and those for whom it is slow try again.
func (e *Engine) slowForOne(n *entity) bool {
	if n.tellsAnswers() {
		return false
	}
	var slow *hostState
	others, content := false, false
	for _, ed := range n.calledBy {
		ok := ed.ok.Value(e.now, e.params.CallWindow)
		switch h := ed.caller.host; {
		case h == nil || ok < slowSome:
		case ed.slow.Value(e.now, e.params.CallWindow) < slowFrom/2*ok:
			content = true
		case slow == nil:
			slow = h
		case slow != h:
			others = true
		}
	}
	return slow != nil && !others && content
}

// mayBeSlow says whether it is the callee that is slow where its caller finds it
// so. One that is held back itself finds everybody slow; what the callee says of
// its own answers is worth more.
func (e *Engine) mayBeSlow(ed *edge) bool {
	if ed.callee.tellsAnswers() {
		share, _ := e.slowness(ed.callee)
		return share >= slowFrom/2
	}
	return !ed.caller.isHeldBack(e.now)
}

// waitsAtDoor says whether calls are late for their caller, though not by what the callee
// tells, because they wait to be taken by it, or on their way: others that the caller makes
// are as fast as ever, so it is not the caller that is slow to take its answers.
func (e *Engine) waitsAtDoor(ed *edge) bool {
	return !ed.caller.isHeldBack(e.now) && slices.ContainsFunc(ed.caller.callees, func(x *edge) bool {
		ok := x.ok.Value(e.now, e.params.CallWindow)
		return ok >= slowMany && x.slow.Value(e.now, e.params.CallWindow) < slowShare*ok && (x.callee.service == nil || x.callee.service != ed.callee.service)
	})
}

// tellsAnswers says whether n, or an instance of it, sends spans of its answers.
func (n *entity) tellsAnswers() bool {
	if n.kind != kindService {
		return n.served.total > 0
	}
	return slices.ContainsFunc(n.service.instances, func(i *entity) bool { return i.served.total > 0 })
}

// wants counts calls to n, and follows how many more than usual are wanted: what
// callers try again because it failed is no demand. What it was before they did
// stands while it lasts.
func (e *Engine) wants(n *entity, s *callStats, c *report.Calls) {
	calls := float64(c.Count)
	if c.Outcome.Failed() {
		s.askedFailed += calls
	}
	if !s.asked.Add(calls, c.Took, e.now, n.episode == nil && e.now > s.drained) {
		return
	}
	failed := min(s.askedFailed/max(s.asked.Now*s.asked.Span.Seconds(), 1), 1)
	s.askedFailed = 0
	if e.now <= s.drained {
		s.asked.Rose = 0 // what waited comes at once
	}
	if s.asked.Rose == 0 {
		s.wanted = 0
		return
	}
	times := s.asked.Now / s.asked.Usual
	s.wanted = max(s.wanted, times/tries(failed), min(times, e.upstream(n)))
}

// cutOpened says whether a cut lies, or lay for no shorter than it has been gone, where n
// or one of its callers stands: what they ask now may have waited for it. Where one of its
// siblings stands n does their share, and where one of those that it calls does, or may, it
// holds what waits for them.
func (e *Engine) cutOpened(n *entity) bool {
	for _, c := range e.cuts {
		if c.slow || e.now.Sub(c.at) > min(c.at.Sub(c.began), drainsMost) {
			continue
		}
		if c.endsAt(n) || slices.ContainsFunc(n.calledBy, func(ed *edge) bool { return c.endsAt(ed.caller) }) ||
			n.eachCallee(func(ed *edge) bool { return c.endsAt(ed.callee) || ed.callee.host == nil && ed.lastFail >= c.began }) || n.service != nil && len(n.service.instances) <= fewSiblings && slices.ContainsFunc(n.service.instances, c.endsAt) {
			return true
		}
	}
	return false
}

// standsStill notes that answered calls ended, the first at t. Where that is the first for
// long, as of one that hung or was down while producers kept what they had for it, what
// comes for as long again has waited.
func (s *callStats) standsStill(t, now clock.Time) {
	if s.okEnd == 0 || s.asked.Known < stat.RateKnown {
		return
	}
	if stood := t.Sub(s.okEnd); stood >= stoodFrom && stood.Seconds()*s.asked.Usual >= stoodMissed {
		s.drained = now.Add(min(stood, drainsMost))
	}
}

const (
	// stoodFrom is how long one must have answered nobody, and stoodMissed how many
	// calls it usually answers in that time, to have stood still.
	stoodFrom   = 5 * time.Second
	stoodMissed = 8.0
	drainsMost  = time.Minute
)

// upstream is how many times as often as usual those who call n are asked
// themselves, what their own callers may try again not counted.
func (e *Engine) upstream(n *entity) float64 {
	sum, all := 0.0, 0.0
	for _, ed := range n.calledBy {
		s, by := ed.caller.service, &ed.caller.served
		if s == nil || s.rate.Known < stat.RateKnown || ed.rate.Usual == 0 {
			continue
		}
		times := 1.0
		if s.rate.More(e.now) {
			failed := by.failed.Value(e.now, e.params.CallWindow)
			times = s.rate.Now / s.rate.Usual / tries(failed/max(failed+by.ok.Value(e.now, e.params.CallWindow), 1))
		}
		sum, all = sum+ed.rate.Usual*times, all+ed.rate.Usual
	}
	if all == 0 {
		return 1
	}
	return sum / all
}

// demand is how many times as often as usual n is asked, by its callers' count
// or, where they do not tell, its own, and the usual number a second. What rose
// long after the failure began, such as what had waited for one that hung, or
// what came over from a sibling that fails, is an effect of the failure.
func (e *Engine) demand(n *entity, p *episode) (times, usual float64) {
	if e.cutOpened(n) {
		return 1, 0
	}
	late := p.onset.Add(demandLate + n.served.told.Slack())
	s := n.calls
	if s == nil && n.service != nil && n.service.whole != nil {
		s = n.service.whole.calls
	}
	if s != nil && s.asked.Known >= stat.RateKnown {
		if !s.asked.More(e.now) || e.now <= s.drained || p.onset != 0 && s.asked.Rose > late {
			return 1, 0
		}
		return s.wanted, s.asked.Usual
	}
	r := &n.rate
	if n.service != nil && n.service.rate.Known >= stat.RateKnown && (n.kind == kindService || e.siblingGone(n)) {
		r = &n.service.rate
	}
	if !r.More(e.now) || p.onset != 0 && r.Rose > late {
		return 1, 0
	}
	return r.Now / r.Usual, r.Usual
}

// siblingGone says whether another instance of its service does not do its share.
func (e *Engine) siblingGone(n *entity) bool {
	c := e.siblings(n)
	return c.without(c.absent, n.absent()) > 0
}

// demandLate is how long after the first harm demand may be seen to have risen
// and still be its cause.
const demandLate = 15 * time.Second

// tries is how many calls may come of one that is wanted, where a share of them
// fails and callers try up to three times more.
func tries(failed float64) float64 { return 1 + failed + failed*failed + failed*failed*failed }

// pusher is the caller to blame where n turns callers away: the only service that
// asks clearly more often than it used to, and is turned away itself.
func (e *Engine) pusher(n *entity) *service {
	var who *service
	for at, ed := range n.calledBy {
		s := ed.caller.service
		if s == nil || s == who || slices.ContainsFunc(n.calledBy[:at], func(x *edge) bool { return x.caller.service == s }) || !e.pushes(n, s) {
			continue
		}
		if who != nil {
			return nil // all ask more
		}
		who = s
	}
	return who
}

// turnsOneAway says whether one service alone is turned away while others are answered:
// what it is allowed is its own, and it may have asked for more than that.
func (e *Engine) turnsOneAway(n *entity) bool {
	var one *service
	w := e.params.CallWindow
	for _, ed := range n.calledBy {
		switch s := ed.caller.service; {
		case s == nil || ed.full.Value(e.now, w) < 1:
		case one != nil && s != one:
			return false
		default:
			one = s
		}
	}
	return one != nil && slices.ContainsFunc(n.calledBy, func(ed *edge) bool {
		return ed.caller.service != one && ed.full.Value(e.now, w) < 1 && ed.ok.Value(e.now, w) >= servedBeside
	})
}

// servedBeside is the number of calls of others that are answered lately.
const servedBeside = 2.0

// pushes says whether the instances of a service together ask more of n than
// they used to, beyond what they try again, and are turned away.
func (e *Engine) pushes(n *entity, s *service) bool {
	var self, all asks
	var rose clock.Time // the first of them
	full := 0.0
	w := e.params.CallWindow
	for _, ed := range n.calledBy {
		if ed.caller.service != s || ed.rate.Known < stat.RateKnown {
			continue
		}
		self.add(e, ed)
		all.add(e, ed)
		full += ed.full.Value(e.now, w)
		if r := ed.rate.Rose; r != 0 && (rose == 0 || r < rose) {
			rose = r
		}
		for _, x := range ed.caller.callees {
			if x != ed && x.rate.Known >= stat.RateKnown && x.full.Value(e.now, w) >= 1 {
				all.add(e, x) // what one member of a cluster turns away is tried at another
			}
		}
	}
	if p := n.episode; p != nil && rose > cmp.Or(p.onset, p.began).Add(demandLate+n.told().Slack()) {
		return false // it was turned away before it asked for more
	}
	return full >= 1 && self.more(e) && all.more(e)
}

// asks sums up what some ask of others.
type asks struct {
	stat.Rate
	failed, ok float64
}

func (a *asks) add(e *Engine, ed *edge) {
	a.Usual += ed.rate.Usual
	if ed.rate.Stands(e.now) {
		a.Now += ed.rate.Now
	}
	a.failed += ed.failed.Value(e.now, e.params.CallWindow)
	a.ok += ed.ok.Value(e.now, e.params.CallWindow)
}

// more says whether that is more than usual, beyond what is tried again.
func (a *asks) more(e *Engine) bool {
	a.Known, a.Began, a.Span = stat.RateKnown, e.now, stat.RateSpan
	return a.More(e.now) && a.Now/a.Usual/tries(a.failed/max(a.failed+a.ok, 1)) >= stat.MoreFrom
}
