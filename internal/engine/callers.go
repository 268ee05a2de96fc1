// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// callStats is what callers say of one callee. Counts fade with a half-life, so
// that an old burst does not outweigh what happens now.
type callStats struct {
	told         stat.Cadence
	byOutcome    [report.NumOutcomes]stat.Fading
	ok           stat.Fading // answered, well or not
	slow         stat.Fading // of ok, those far slower than usual
	pace         pace
	run          float64     // calls of the current run of failures that got no answer
	waited       float64     // of run, those that may have been taken: they did not fail to connect
	firstFail    clock.Time  // start of the first failed call of the current run
	firstEnd     clock.Time  // when that call ended
	lastFail     clock.Time  // engine time of the latest failed call
	wrongs       stat.Fading // answers that could not be used, over wrongWindow
	rights       stat.Fading // answers, over wrongWindow
	wrongSince   clock.Time  // start of the current run of wrong answers
	lastWrong    clock.Time  // engine time of the latest answer that could not be used
	lastFull     clock.Time  // engine time of the latest call that was turned away for overload
	toldSince    clock.Time  // start of the current run of answers that name a resource which is used up
	lastTold     clock.Time  // engine time of the latest such answer
	usualFull    float64     // 0-1, usual share of calls that are turned away
	learned      clock.Time  // when that was learned last
	askedFailed  float64     // of the calls in its current span, those that failed
	asked        stat.Rate   // calls, however they ended
	wanted       float64     // demand.go: how many times the usual they were at most since they rose
	drained      clock.Time  // demand.go: until when what comes may have waited for it
	lastOK       clock.Time  // engine time of the latest answered call
	failBegan    clock.Time  // event time at which the latest failed call began
	failEnd      clock.Time  // event time at which the latest failed call ended
	okEnd        clock.Time  // event time at which the latest answered call ended
	refusedFrom  clock.Time  // start of the first call that was refused since the latest answer
	refusedFirst clock.Time  // start of the first call of the current run of failures that was refused
	refusedSince clock.Time  // livingon.go: start of the first of the refusals that have not ceased since
	refusedEnd   clock.Time  // event time at which the latest refused call ended
	tlsBegan     clock.Time  // event time at which the latest call began that got as far as a handshake
	directly     clock.Time  // engine time of the latest refusal by an instance's own address
	callers      []callerCount
	troubled     bool // in Engine.troubled
}

type callerCount struct {
	service string
	failed  stat.Fading
}

// maxCallersNamed is how many services are told apart among those who complain of one.
const maxCallersNamed = 8

// called takes in calls of one caller to one callee that ended alike.
func (e *Engine) called(c *report.Calls) {
	if c.Hearsay && (e.proxied(c) || c.Caller != nil && c.Caller.Key == 0) {
		return
	}
	caller := e.instance(c.Caller)
	if c.Hearsay && caller != nil && e.toldOtherwise(caller, &c.Callee) {
		return
	}
	n := e.callee(c.Callee)
	if n == nil || c.Count <= 0 || c.Outcome == report.OutcomeUnset {
		return
	}
	if !e.knows(caller) {
		caller = nil // it made room for the callee
	}
	if c.Last.Sub(c.First) > longestCall {
		c.First = c.Last.Add(-longestCall)
	}
	if caller == n || caller != nil && caller.service != nil && caller.service == n.service && n.kind == kindService {
		return // calls of a service to itself
	}
	if c.Outcome == report.OutcomeSent {
		n.alive = true // it was connected to, and no more is told
		if ed := caller.callee(n); ed != nil {
			ed.use(e.now)
		}
		return
	}
	if caller != nil && !c.Hearsay && e.counted(c.Counted, &caller.spanned) {
		n.calls.retold(e, c)
		return
	}
	failed := c.Outcome.Failed() && !c.Outcome.Answered()
	if caller != nil && c.Hearsay && failed {
		e.onlyHeard(caller, n, c)
	}
	if caller != nil && !c.Hearsay {
		e.onItsWay(caller, n, c, failed)
	}
	if n.calls != nil {
		n.calls.told.SawBy(e.now, c.Counted)
	}
	if c.Outcome == report.OutcomeCircuitOpen || c.Outcome == report.OutcomeOverloaded && caller != nil && e.saysPoolEmpty(caller) {
		return // nobody was asked: no evidence of the callee
	}
	if n.calls == nil {
		n.calls = &callStats{}
	}
	s := n.calls
	if n.served.total == 0 {
		count := 0.0
		if c.Outcome.Answered() { // what does not arrive is no demand
			count = float64(c.Count)
		}
		e.askedOf(n, count, c.Took)
	}
	if !failed {
		s.standsStill(cmp.Or(c.Done, c.First), e.now) // who sends spans seldom sends many
	}
	e.wants(n, s, c)
	if failed {
		e.gotNoAnswer(n, s, caller, c)
	} else {
		e.gotAnswer(n, s, caller, c)
	}
}

// toldOtherwise says whether a line names an address behind which nobody is known, while the
// spans of its caller tell of calls that fail: by the name that it calls, such as that of a
// virtual address.
func (e *Engine) toldOtherwise(caller *entity, c *report.Callee) bool {
	if !c.Direct || c.Named != "" || e.book.entries[c.Address] != nil || e.servers.at[c.Address] != nil || e.doors.at[c.Address] != nil ||
		caller.spanned == 0 || e.now.Sub(caller.spanned) > spansLately {
		return false
	}
	n := e.reg.byKey[externalKey(c.Address)]
	if n != nil && len(n.calledBy) > 0 ||
		!slices.ContainsFunc(caller.callees, func(ed *edge) bool { return ed.lastFail != 0 && e.now.Sub(ed.lastFail) < e.params.RecoveryCalls }) {
		return false
	}
	if n != nil {
		e.forget(n) // the line came first
	}
	return true
}

// retold takes in why calls failed of which a span has told only that they did: a proxy
// beside the caller knows in which phase.
func (s *callStats) retold(e *Engine, c *report.Calls) {
	switch c.Outcome {
	case report.OutcomeRefused, report.OutcomeConnectTimeout, report.OutcomeUnreachable, report.OutcomeTLS:
	default:
		return
	}
	if s == nil || e.now.Sub(c.Last) > staleCalls {
		return
	}
	vague := &s.byOutcome[report.OutcomeUnavailable]
	if some := min(vague.Value(e.now, e.params.CallWindow), float64(c.Count)); some > 0 {
		vague.Add(-some, e.now, e.params.CallWindow)
		s.byOutcome[c.Outcome].Add(some, e.now, e.params.CallWindow)
	}
}

// gotAnswer takes in calls that n answered, well or not.
func (e *Engine) gotAnswer(n *entity, s *callStats, caller *entity, c *report.Calls) {
	s.ok.Add(float64(c.Count), e.now, e.params.CallWindow)
	if c.Outcome != report.OutcomeOK {
		s.byOutcome[c.Outcome].Add(float64(c.Count), e.now, e.params.CallWindow)
	}
	s.rights.Add(float64(c.Count), e.now, wrongWindow)
	switch c.Outcome {
	case report.OutcomeOverloaded:
		s.lastFull = e.now
		if full := s.full(e); full > s.usualFull+fullOver {
			e.suspect(n)
		}
	case report.OutcomeWrongAnswer:
		e.wrong(n, s, caller, float64(c.Count), c.First)
	case report.OutcomeDiskFull, report.OutcomeMemoryFull:
		if e.now.Sub(s.lastTold) > e.params.RecoveryCalls {
			s.toldSince = c.First
		}
		s.lastTold = e.now
		if caller != nil {
			s.named(caller.src.Service.Name, float64(c.Count), e.now, e.params.CallWindow)
		}
		e.suspect(n)
	case report.OutcomeServerError:
		if n.served.total == 0 {
			e.answered(n, workAnswers, c.Count, c.Count)
		}
	case report.OutcomeOK:
		if n.served.total == 0 {
			e.answered(n, workAnswers, 0, c.Count)
		}
	}
	if e.paced(n) {
		s.pace.add(c.Count, c.Slow, e.now)
	}
	if c.Slow > 0 {
		s.slow.Add(float64(c.Slow), e.now, e.params.CallWindow)
		if n.served.total == 0 {
			e.slowed(n)
		}
	}
	if gap := e.now.Sub(s.learned); gap >= time.Second {
		if n.episode == nil {
			s.usualFull += (s.full(e) - s.usualFull) * (1 - math.Exp2(-min(gap.Seconds()/stat.RateHalfLife.Seconds(), 1)))
		}
		s.learned = e.now
	}
	s.lastOK, s.okEnd = e.now, max(s.okEnd, c.Last)
	n.alive, n.answered = true, true
	if n.episode != nil {
		e.mark(n)
	}
}

// gotNoAnswer takes in calls that failed, and that n did not answer.
func (e *Engine) gotNoAnswer(n *entity, s *callStats, caller *entity, c *report.Calls) {
	if c.Last != 0 && e.now.Sub(c.Last) > staleCalls {
		return // a backlog tells of another time
	}
	if e.self.justWoke() || c.Outcome == report.OutcomeCanceled || c.Outcome == report.OutcomeOther || n.away() || n.returnedLate(c.Last) || n.dealtWith(c.Last) ||
		caller != nil && caller.starves(e) && !c.Outcome.Answered() {
		return
	}
	if c.Outcome == report.OutcomeDNS {
		e.notFound(caller, n, c)
	}
	if c.Outcome == report.OutcomeConnectTimeout && e.flowLost(caller, n, c.Count) {
		return
	}
	if s.firstFail == 0 || e.now.Sub(s.lastFail) > e.params.RecoveryCalls+s.told.Slack() || s.lastOK.Sub(s.lastFail) > newRunAfter && !e.oneStalls(n) {
		s.newRun(c.First, c.Last, e.now)
	}
	s.byOutcome[c.Outcome].Add(float64(c.Count), e.now, e.params.CallWindow)
	if askedInVain(c.Outcome) {
		s.run += float64(c.Count)
		if c.Outcome == report.OutcomeTimeout || c.Outcome == report.OutcomeNoAnswer {
			s.waited += float64(c.Count)
		}
	}
	if c.Outcome == report.OutcomeTLS {
		s.tlsBegan = max(s.tlsBegan, c.First, min(c.Started, c.Last))
	}
	if c.Outcome == report.OutcomeRefused {
		if s.refusedEnd == 0 || c.First.Sub(s.refusedEnd) > refusalsCease {
			s.refusedSince = max(c.First, s.firstFail)
		}
		if s.refusedFirst == 0 {
			s.refusedFirst = max(c.First, s.firstFail)
		}
		if s.okEnd >= s.refusedFrom || s.firstFail > s.refusedFrom {
			s.refusedFrom = max(c.First, s.okEnd, s.firstFail)
		}
		s.refusedEnd = max(s.refusedEnd, c.Last)
		if c.Callee.Direct {
			s.directly = e.now
		}
	}
	s.lastFail, s.failEnd = e.now, max(s.failEnd, c.Last)
	s.failBegan = max(s.failBegan, c.First, min(c.Started, c.Last))
	if caller != nil {
		s.named(caller.src.Service.Name, float64(c.Count), e.now, e.params.CallWindow)
	}
	e.suspect(n)
	if n.kind == kindService {
		e.troubles(n)
		if len(n.service.instances) > fewSiblings {
			return // the next tick looks at all of them
		}
		for _, i := range n.service.instances {
			if i.episode != nil {
				e.mark(i)
			}
		}
	}
}

// full is the share of calls, 0-1, that were turned away for overload lately.
func (s *callStats) full(e *Engine) float64 {
	return s.byOutcome[report.OutcomeOverloaded].Value(e.now, e.params.CallWindow) / max(s.ok.Value(e.now, e.params.CallWindow), 1)
}

// turnsAway says whether it turns more callers away than usual, and has done so
// just now.
func (s *callStats) turnsAway(e *Engine) bool {
	return s.lastFull != 0 && e.now.Sub(s.lastFull) < e.params.RecoveryCalls/recoveredSooner+s.told.Slack() && s.full(e) > s.usualFull+fullOver
}

// fullOver is by how much the share of calls that are turned away must exceed
// the usual: many limit the rate of their callers as a matter of course.
const fullOver = 0.08

// fullShare is how much more than usual says all.
const fullShare = 0.3

// away says whether n, or all of a service, has gone in order: that nobody
// answers is then known, and nobody's failure.
func (n *entity) away() bool {
	if n.kind != kindService {
		return n.left
	}
	for _, i := range n.service.instances {
		if !i.left {
			return false
		}
	}
	return len(n.service.instances) > 0
}

// newRun forgets how earlier failures looked: these are others.
func (s *callStats) newRun(first, end, now clock.Time) {
	before := s.byOutcome
	s.byOutcome, s.ok, s.run, s.waited, s.refusedFirst = [report.NumOutcomes]stat.Fading{}, stat.Fading{}, 0, 0, 0
	for o := range toldRow {
		if toldRow[o].kind != 0 {
			s.byOutcome[o] = before[o] // an answer, and often why it then fails
		}
	}
	s.firstFail, s.firstEnd = first, end
	if first == 0 {
		s.firstFail = now
	}
	if end == 0 {
		s.firstEnd = now
	}
}

// newRunAfter: when calls have gone well for so long, the next failure is
// another one.
const newRunAfter = 2 * time.Second

// longestCall: a stream that was open for hours, or a clock that was set
// meanwhile, does not date a failure back to its beginning.
const longestCall = time.Minute

// stillAnswers is how long one that has left may be told to have answered calls,
// by a clock that is ahead.
const stillAnswers = 3 * time.Second

// staleCalls is the age from which on failed calls are history.
const staleCalls = 45 * time.Second

// named counts failures of calls that a service made, of the maxCallersNamed that complain most.
func (s *callStats) named(service string, count float64, now clock.Time, halfLife time.Duration) {
	least := 0
	for i := range s.callers {
		if s.callers[i].service == service {
			s.callers[i].failed.Add(count, now, halfLife)
			return
		}
		if s.callers[i].failed.Value(now, halfLife) < s.callers[least].failed.Value(now, halfLife) {
			least = i
		}
	}
	c := callerCount{service: service}
	c.failed.Add(count, now, halfLife)
	if len(s.callers) < maxCallersNamed {
		s.callers = append(s.callers, c)
		return
	}
	s.callers[least] = c
}

// calleesOf is how many n, or all of a service together, are known to call.
func (e *Engine) calleesOf(n *entity) int {
	if n.kind != kindService {
		return len(n.callees)
	}
	count := 0
	for _, i := range n.service.instances {
		count += len(i.callees)
	}
	return count
}
