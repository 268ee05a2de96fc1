// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Planned stops: who leaves in order is not missed.

// status takes in what a heartbeat says of its sender.
func (e *Engine) status(n *entity, s *stream, b *report.Beat) {
	if starts := b.Status == report.StatusStarting; starts != n.saysStarting {
		n.saysStarting, n.startingSince = starts, e.now
		if !starts && n.verdict == nil && n.returned != 0 && e.now.Sub(n.returned) < startingLong {
			e.comeBack(n) // now it does
		}
	}
	if failed := b.Status == report.StatusFailed || b.HasExitCode && b.ExitCode != 0; failed || b.Status == report.StatusReady {
		s.failed = failed
	}
	switch b.Status {
	case report.StatusUnset, report.StatusDegraded:
		if e.now.Sub(n.announced) > leavingTime {
			n.announced = 0 // it goes on
		}
	case report.StatusDraining, report.StatusStopping:
		n.farewell = farewell{b.Incarnation, b.Seq}
		e.announce(n)
	case report.StatusReady, report.StatusStarting:
		n.saysHowItIs = true
		if (n.announced != 0 || n.left) && !n.farewell.after(b) {
			e.comeBack(n)
		}
	case report.StatusLastGasp:
		e.addFact(n, report.Fact{Kind: report.FactNodeDown, At: e.now, Said: true, Text: "it sent its last gasp: power or link is lost"})
	case report.StatusFailed:
		if !b.HasExitCode {
			e.addFact(n, report.Fact{Kind: report.FactExit, Value: 1, At: e.now, Said: s.merelySaid(b)})
		}
	}
	if b.HasExitCode && (b.ExitCode != 0 || b.Status == report.StatusStopping) {
		e.addFact(n, report.Fact{Kind: report.FactExit, Value: int64(b.ExitCode), At: e.now, Said: s.merelySaid(b)})
	}
}

// farewell is the heartbeat that said that its sender would stop.
type farewell struct{ token, seq uint64 }

// after says whether b was sent before the farewell and came later, by way of
// another observer.
func (f farewell) after(b *report.Beat) bool {
	return f.seq != 0 && b.Seq != 0 && b.Incarnation == f.token && b.Seq < f.seq
}

// comeBack notes that n, which had left or was leaving in order, works again:
// what failed meanwhile belongs to the stop.
func (e *Engine) comeBack(n *entity) {
	n.announced, n.left, n.returned, n.farewell = 0, false, e.now, farewell{}
	for _, s := range n.streams {
		s.last = max(s.last, s.observer.awake()) // it may be known by its answers before it beats
	}
	for _, ps := range n.probes {
		if ps.outcome != report.OutcomeOK && ps.process == nil {
			ps.outcome, ps.run, ps.at = report.OutcomeUnset, 0, 0
		}
	}
	if n.calls != nil {
		n.calls.newRun(0, 0, e.now)
		n.calls.lastFail = 0
	}
	if n.episode != nil && n.verdict == nil && !n.episode.proven() {
		e.endEpisode(n)
	}
}

// returnedLate says whether a call to n that ended at t met it before it came
// back from a stop in order, or a moment after: balancers follow late.
func (n *entity) returnedLate(t clock.Time) bool {
	if n.kind != kindService {
		return n.returned != 0 && (n.stillStarts(t) || t != 0 && t < n.returned.Add(listedAgain))
	}
	for _, i := range n.service.instances {
		if !i.returnedLate(t) && !i.left {
			return false
		}
	}
	return len(n.service.instances) > 0
}

// stillStarts says whether n, back from a stop in order, may still be starting at
// t: by its own word, or because it has answered nobody since.
func (n *entity) stillStarts(t clock.Time) bool {
	if n.returned == 0 {
		return false
	}
	return n.saysStarting && t < n.startingSince.Add(startingLong) || t < n.returned.Add(startingFor) && !n.answeredSince(n.returned)
}

func (n *entity) answeredSince(t clock.Time) bool {
	for _, ps := range n.probes {
		if ps.lastOK > t && ps.process == nil {
			return true
		}
	}
	return n.served.seen > t || n.calls != nil && n.calls.lastOK > t
}

// listedAgain is how long after a start calls may still be refused.
const listedAgain = 5 * time.Second

// announce notes that n said it would stop.
func (e *Engine) announce(n *entity) {
	if e.now.Sub(n.announced) > e.params.AnnouncedFor && n.service != nil {
		n.service.announcedStops++
	}
	n.announced, n.announcedLast = e.now, e.now
	e.mark(n)
}

// excused says whether a stop that was announced explains a failure that began
// at onset.
func (e *Engine) excused(n *entity, onset clock.Time) bool {
	return n.announced != 0 && onset < n.announced.Add(e.params.AnnouncedFor)
}

// allStop says whether all instances of a service have left in order, or said a moment ago
// that they would stop, but for those that have only just started: calls that began to fail
// at onset find nobody. If nobody comes in their place it is a failure all the same.
func (e *Engine) allStop(s *service, onset clock.Time) bool {
	stop := false
	for _, i := range s.instances {
		switch {
		case i.left, e.excused(i, onset) && e.now.Sub(i.announced) < allAwayFor:
			stop = true
		case e.now.Sub(i.born) > startingFor || i.answeredSince(i.born) || i.ended() > i.born || i.loops():
			return false
		}
	}
	return stop
}

// allAwayFor is how long nobody of a service may be there until others have come in place of
// those who stopped: what these take to end, and those to start.
const allAwayFor = time.Minute

// loops says whether somebody told outright that n crashes again and again.
func (n *entity) loops() bool {
	return slices.ContainsFunc(n.facts, func(f report.Fact) bool { return f.Kind == report.FactCrashLoop })
}

// leave notes that n has gone in order: it is not missed until it is heard
// again.
func (e *Engine) leave(n *entity, why string) {
	if n.left {
		return
	}
	n.left, n.leftAt = true, e.now
	for _, s := range n.streams {
		s.overdue, s.gone = false, false
	}
	e.emit(verdict.Event{Kind: contract.EventPlannedStop, Source: n.src, Entity: n.name(),
		Body: fmt.Sprintf("%s stopped on purpose: %s", n.name(), why)})
}

// proven says whether the episode holds proof of a violent end, which no
// announcement excuses.
func (p *episode) proven() bool {
	for _, kind := range [...]belief.Evidence{belief.EvOOMKill, belief.EvExitCrash, belief.EvCrashLoop} {
		if p.found[kind].strength > 0 {
			return true
		}
	}
	return p.found[belief.EvPanic].strength == 1
}

// violent says whether anything tells that the process did not end in order.
func (p *episode) violent() bool {
	return p.proven() || p.found[belief.EvExitKilled].strength > 0 || p.found[belief.EvPanic].strength > 0
}

// detectStop: it said that it would stop, or came to be replaced.
func detectStop(e *Engine, n *entity, p *episode) {
	onset := p.onset
	if onset == 0 {
		onset = p.began
	}
	log := e.stopsByTheLog(n, onset)
	switch {
	case p.proven():
	case n.announced != 0 && e.excused(n, onset):
		p.note(belief.EvAnnounced, 1, e.now, fmt.Sprintf("it said that it would stop, %s ago", inWords(e.now.Sub(n.announced))))
	case n.kind == kindService && e.allStop(n.service, onset):
		p.note(belief.EvAnnounced, 1, e.now, "each of its instances said that it would stop")
	case !p.violent() && log != nil:
		p.note(belief.EvAnnounced, 1, e.now, "on its host somebody wrote: "+log.Text)
	case n.service != nil && n.service.announcedStops >= 2:
		p.note(belief.EvNotAnnounced, 1, e.now, "it did not announce a stop, as "+n.service.id.Name+" usually does")
	case n.saysHowItIs && p.silent():
		p.note(belief.EvNotAnnounced, saidReady, e.now, "its heartbeats tell how it is, and the last did not say that it would stop")
	}
	if n.saysStarting && p.found[belief.EvBeating].now && e.now.Sub(n.startingSince) < startingLong {
		p.note(belief.EvStarting, 1, e.now, fmt.Sprintf("it says that it is still starting, for %s", inWords(e.now.Sub(n.startingSince))))
	}
	if inc := n.incarnations[len(n.incarnations)-1]; inc.token != 0 && e.now.Sub(inc.first) < startingFor && n.incarnations[len(n.incarnations)-2].token != 0 {
		p.note(belief.EvStarting, 1, e.now, fmt.Sprintf("it started %s ago", inWords(e.now.Sub(inc.first))))
	}
	if n.started != 0 && e.now.Sub(n.started) < startingFor && !n.answersSince(n.started) {
		p.note(belief.EvStarting, 1, e.now, fmt.Sprintf("it was started %s ago", inWords(e.now.Sub(n.started))))
	}
	if s := n.service; s != nil && s.deployed != 0 && e.now.Sub(s.deployed) < deployFor && p.silent() && !p.proven() && !p.hurts() {
		p.note(belief.EvDeploy, 1, e.now, fmt.Sprintf("%s is being rolled out", s.id.Name))
	}
	if s := n.service; s != nil && s.youngest != nil && s.youngest != n && n.kind == kindInstance &&
		s.lastBorn > onset.Add(-e.params.ReplacedWithin) && s.lastBorn < onset.Add(e.params.ReplacedWithin) && s.lastBorn > n.born &&
		n.born.Add(youngFor) < s.lastBorn {
		p.note(belief.EvReplaced, 1, e.now, s.youngest.name()+" came in its place")
	}
	if n.kind == kindInstance && (p.silent() || p.found[belief.EvProbeRefused].now) && !p.violent() && e.nobodyHurt(n, p, onset) {
		if two, since := e.refusedMidWork(n); p.found[belief.EvReplaced].strength > 0 || since == 0 || e.now.Sub(since) < proxySure || !two && e.now.Sub(since) < startingFor {
			p.note(belief.EvNobodyHurt, 1, e.now, "no call to it failed, though it used to be called: its callers were sent elsewhere first")
		}
	}
}

// refusedMidWork is since when probes of n, which was answering calls a moment before, find
// its port closed, 0 if they do not, and whether two observers do. Who is taken out of
// service in order gets no calls any more by the time that his port closes; clients that
// try again elsewhere are as well when he is killed.
func (e *Engine) refusedMidWork(n *entity) (two bool, since clock.Time) {
	var by *observer
	for _, ps := range n.probes {
		if ps.outcome != report.OutcomeRefused || ps.passive || ps.process != nil || !e.current(ps) {
			continue
		}
		two = two || by != nil && by != ps.observer
		if by == nil || ps.first < since {
			since = ps.first
		}
		by = ps.observer
	}
	if by == nil || n.calls == nil || n.calls.okEnd.Sub(since).Abs() >= midWork {
		return false, 0 // or it goes on at another port
	}
	return two, since
}

// midWork is how long before its port is found closed a call was answered by one who was
// not taken out of service first: less than anybody drains for, and more than the next
// probe takes where a few look.
const midWork = time.Second

// nobodyHurt says whether n used to be called by those who tell, and no call
// failed when it went: what fails much later is something else. Where its port
// does not refuse, calls may hang and not have ended yet.
func (e *Engine) nobodyHurt(n *entity, p *episode, onset clock.Time) bool {
	if n.rate.Usual < calledFrom || p.bad[belief.GroupCallers] || p.bad[belief.GroupProbe] && !p.found[belief.EvProbeRefused].now ||
		e.now.Sub(onset) < unhurtAfter+n.served.told.Slack() {
		return false
	}
	if p.found[belief.EvBeating].now && e.now.Sub(onset) > drainFor {
		return false // it does not go
	}
	told := n.calls != nil && n.calls.lastOK > onset.Add(-toldBefore)
	if told && n.calls.lastFail >= onset {
		return false
	}
	if w := n.service.whole; w != nil && w.calls != nil {
		s := w.calls
		if s.failEnd > onset && s.firstFail < onset.Add(unhurtAfter+drainFor) && s.failEnd.Sub(s.firstFail) > time.Second {
			return false
		}
		told = told || s.lastOK > onset.Add(-toldBefore)
	}
	return told
}

// toldBefore is how long before it went its callers must have told of it.
const toldBefore = 30 * time.Second

const (
	// startingFor is how long a new process may take to listen and to answer.
	startingFor = 30 * time.Second
	// startingLong is how long it is believed that says so of itself.
	startingLong = 5 * time.Minute
	// saidReady: the last heartbeat may have been lost.
	saidReady = 0.7
	// calledFrom is the rate, calls a second, from which on it would have been
	// noticed within unhurtAfter that calls fail.
	calledFrom  = 0.5
	unhurtAfter = 4 * time.Second
	// drainFor is how long one that stops may take to end what it has begun: its
	// port may be closed meanwhile.
	drainFor = 30 * time.Second
)

// deployFor is how long it may take to replace all instances of a service.
const deployFor = 10 * time.Minute

// youngFor: instances born together start together; none replaces another.
const youngFor = 30 * time.Second
