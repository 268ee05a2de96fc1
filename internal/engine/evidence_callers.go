// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// callerRow is which evidence a way to fail is.
var callerRow = [report.NumOutcomes]struct {
	kind belief.Evidence
	says string
}{
	report.OutcomeRefused:        {belief.EvCallersRefused, "connection refused"},
	report.OutcomeReset:          {belief.EvCallersReset, "connection reset"},
	report.OutcomeConnectTimeout: {belief.EvCallersConnectTimeout, "connect timed out"},
	report.OutcomeTimeout:        {belief.EvCallersTimeout, "no answer in time"},
	report.OutcomeNoAnswer:       {belief.EvCallersTimeout, "no answer in time"},
	report.OutcomeUnreachable:    {belief.EvCallersUnreachable, "no route"},
	report.OutcomeUnavailable:    {belief.EvCallersUnavailable, "unavailable"},
	report.OutcomeDNS:            {belief.EvCallersName, "name look-up failed"},
	report.OutcomeTLS:            {belief.EvCallersTLS, "TLS handshake failed"},
}

// detectCallers: every client span is an observation of the callee (Panorama,
// OSDI 2018).
func detectCallers(e *Engine, n *entity, p *episode) {
	if n.calls != nil {
		e.callersSay(n, n.calls, 1, n.standsFor(), p)
	}
	// Where callers name only the service, a silent instance is who they mean.
	if n.kind != kindInstance || n.service.whole == nil || n.service.whole.calls == nil || !p.silent() && !p.stalls {
		return
	}
	c := e.siblings(n)
	others := c.without(c.silent, true)
	e.callersSay(n, n.service.whole.calls, sharedBlame/float64(1+others), 1, p)
}

// sharedBlame: failures of calls to the service count so much for the one
// instance that is silent, or answers nobody.
const sharedBlame = 0.8

func (p *episode) silent() bool {
	return p.found[belief.EvSilent].now || p.found[belief.EvTelemetrySilent].now || p.found[belief.EvProcessGone].now || p.found[belief.EvProcessStopped].now
}

// standsFor is how many instances a name stands for: one bad one among them
// fails only its share of the calls.
func (n *entity) standsFor() float64 {
	if n.kind != kindService {
		return 1
	}
	here := 0
	for _, i := range n.service.instances {
		if !i.left {
			here++
		}
	}
	return float64(max(here, 1))
}

// callersSay weighs how calls end. instances is how many the callee stands for.
func (e *Engine) callersSay(n *entity, s *callStats, weight, instances float64, p *episode) {
	window := e.params.CallWindow
	ok := s.ok.Value(e.now, window)
	failed := 0.0
	for o := range callerRow {
		if callerRow[o].kind != 0 {
			failed += s.byOutcome[o].Value(e.now, window)
		}
	}
	recent := s.lastFail != 0 && e.now.Sub(s.lastFail) < 2*window+s.told.Slack()
	more := 1.0 // rarely called: what has faded goes on
	if lately := s.unanswered(e); p.stalls && weight < 1 && lately > 0 {
		more = s.unansweredOf(e, n) / lately
	}
	if recent && failed > 0 {
		// Calls that end well between those that fail, after the failure
		// began, mean that somebody is still there.
		share := 1.0
		if weight == 1 {
			share = e.oneVoice(n, s.firstEnd)
		}
		if s.okEnd > s.firstFail && weight == 1 {
			share *= min(instances*failed/(failed+ok), 1)
		}
		for o := range callerRow {
			r := &callerRow[o]
			count := more * s.byOutcome[o].Value(e.now, window)
			if r.kind == 0 || count < 0.5 || r.kind == belief.EvCallersTimeout && n.startedAfter(s.failEnd) || r.kind == belief.EvCallersName && (e.namesFell(n) != nil || e.resolverFails(n)) {
				continue
			}
			strength := min(count/e.params.BurstCalls, 1) * share * weight
			if r.kind == belief.EvCallersTimeout {
				strength = min(count/e.params.BurstCalls, 1) * min(2*share, 1) * weight // slow ones answer some in time
			}
			if r.kind == belief.EvCallersRefused {
				if weight < 1 && e.refusedInFront(n.service) {
					continue
				}
				if instances == 1 && s.tlsBegan > s.refusedEnd { // it was restarted, and shakes hands since
					p.found[r.kind] = finding{}
					continue
				}
				if s.okEnd <= s.refusedFrom && weight == 1 { // what it answered before its port was closed is no answer
					strength = min(count/e.params.BurstCalls, 1) * e.oneVoice(n, s.firstEnd)
				}
				p.direct = p.direct || weight == 1 && e.now.Sub(s.directly) < 2*window+s.told.Slack()
				// A port that stays closed for a moment is a slow start.
				strength *= stat.Clamp(float64(e.now.Sub(s.firstFail))/float64(refusedFor), 0.5, 1)
			}
			if f := &p.found[r.kind]; f.now && f.strength >= strength {
				continue
			}
			p.blame(r.kind, strength, s.lastFail, s.text(r.says, report.Outcome(o), e))
			p.startedBy(s.firstFail)
		}
	}
	refusedFrom := s.refusedFrom
	if weight < 1 {
		refusedFrom = s.refusedFirst // others behind the name answer meanwhile
	}
	if f := &p.found[belief.EvCallersRefused]; f.now && (s.okEnd <= refusedFrom || weight < 1) && s.refusedEnd.Sub(refusedFrom) > stillRefusedFor {
		p.note(belief.EvStillRefused, weight, e.now, fmt.Sprintf("and so for %s on end", inWords(s.refusedEnd.Sub(refusedFrom))))
	}
	if f := &p.found[belief.EvCallersUnavailable]; f.now && (s.okEnd < s.firstFail || weight < 1) && s.failEnd.Sub(s.firstFail) > stillRefusedFor {
		lasted := s.failEnd.Sub(s.firstFail)
		p.note(belief.EvStillUnavailable, weight*f.strength*stat.Clamp(float64(lasted)/float64(stillSure), 0.5, 1), e.now, fmt.Sprintf("and so for %s on end", inWords(lasted)))
	}
	e.stillUnreached(n, s, p)
	if ok > 0 && s.okEnd > max(s.failEnd, n.ended()) && s.lastOK > p.began && e.now.Sub(s.lastOK) < window+s.told.Slack() && weight == 1 {
		strength := ok / (ok + failed)
		if instances > 1 && recent {
			strength = max(1-instances*failed/(ok+failed), 0)
		}
		p.note(belief.EvCallersSucceed, strength, e.now, fmt.Sprintf("calls to it succeed (%.0f %% of late)", 100*ok/(ok+failed)))
	}
}

// stillUnreached: of somebody of whom nothing is known but calls to him, nobody has got as
// far as a connection for long. He is gone with his machine, or cut off, and which of them
// nobody can tell from here; well he is not.
func (e *Engine) stillUnreached(n *entity, s *callStats, p *episode) {
	f, lasted := &p.found[belief.EvCallersConnectTimeout], s.failEnd.Sub(s.firstFail)
	if n.kind != kindExternal || n.host != nil || n.cutOff != nil || !f.now || s.okEnd >= s.firstFail || lasted <= stillRefusedFor {
		return
	}
	p.note(belief.EvStillUnreached, f.strength*stat.Clamp(float64(lasted)/float64(stillSure), 0.5, 1), e.now, fmt.Sprintf("and so for %s on end", inWords(lasted)))
}

// startedAfter says whether an agent has seen a new process in n's place after t: it is not
// who gave no answer before.
func (n *entity) startedAfter(t clock.Time) bool { return n.starts > t }

const (
	// refusedFor is how long refusals must go on to say all; a restart refuses for a moment.
	refusedFor = 2 * time.Second
	// stillRefusedFor: who stops in order is taken out of its callers' lists
	// sooner than this.
	stillRefusedFor = 4 * time.Second
	stillSure       = 12 * time.Second // that long says all
)

func (s *callStats) text(says string, o report.Outcome, e *Engine) string {
	text := fmt.Sprintf("%s ×%d", says, max(int(s.byOutcome[o].Latest()+0.5), 1))
	best, most := "", 0.0
	others := 0
	for _, c := range s.callers {
		v := c.failed.Value(e.now, e.params.CallWindow)
		if v < 0.1 {
			continue
		}
		others++
		if v > most {
			best, most = c.service, v
		}
	}
	if best != "" {
		text += " from " + best
		if others > 1 {
			text += fmt.Sprintf(" and %d more", others-1)
		}
	}
	return text
}

// mute: one that sends no spans is known from its callers alone.
func (e *Engine) mute(n *entity, p *episode) {
	s := n.calls
	if s.lastFail == 0 || e.mayBeCutOff(n) || e.now.Sub(s.lastFail) >= window(e)+s.told.Slack() {
		return
	}
	count := func(one, other report.Outcome) float64 {
		return s.byOutcome[one].Value(e.now, window(e)) + s.byOutcome[other].Value(e.now, window(e))
	}
	silent := s.lastFail.Sub(max(s.firstFail, s.okEnd))
	if s.okEnd > s.firstFail.Add(time.Second) && (silent < muteFor || s.failBegan <= s.okEnd) {
		return // it answered some yet
	}
	if silent >= stillFor && count(report.OutcomeTimeout, report.OutcomeNoAnswer) >= enoughWaited && count(report.OutcomeConnectTimeout, report.OutcomeUnreachable) < 0.5 {
		p.note(belief.EvNoProgress, stat.Clamp(float64(silent)/float64(muteFor), 0, 1), e.now, fmt.Sprintf("it has answered nobody for %s", inWords(silent)))
	}
}

// detectProgress: an instance that answers its callers, however badly, neither
// hangs nor is dead; one that used to and does not, while its callers run out
// of time, hangs.
//
// Who sends no spans is known from its callers alone: one that has answered none
// of them for longer, while nothing shows that it cannot be connected to, hangs.
func detectProgress(e *Engine, n *entity, p *episode) {
	if n.kind == kindExternal && n.calls != nil {
		e.mute(n, p)
	}
	if n.kind != kindInstance || n.served.total == 0 {
		return
	}
	s := n.calls
	if s == nil || s.lastFail == 0 {
		// Nobody calls it by name: who looks at it may find it slow.
		if p.bad[belief.GroupProbe] && p.onset != 0 && n.served.last > p.onset.Add(time.Second) && e.now.Sub(n.served.seen) < window(e)+n.served.told.Slack() {
			p.goesOn(e, n)
		}
		return
	}
	_, sure := e.stalled(n)
	answered := n.served.last > s.firstFail.Add(time.Second)
	// Some were answered yet, and since then none; who is refused learns more by that.
	ceased := answered && sure > 0 && s.failBegan > n.served.last && max(s.okEnd, s.refusedEnd) <= n.served.last
	waiting := e.now.Sub(max(s.firstFail, n.served.last))
	switch {
	case n.served.last > s.failEnd || e.now.Sub(n.served.seen) < window(e)+n.served.told.Slack() && answered && !ceased:
		p.goesOn(e, n)
	case (!answered || ceased) && n.served.total >= enoughServed && e.now.Sub(s.lastFail) < window(e)+s.told.Slack():
		excused := p.found[belief.EvCalleeFailing].strength // it waits itself
		sure *= stat.Clamp(float64(waiting)/float64(stillFor), 0, 1) * stat.Clamp((s.unanswered(e)-1)/(e.params.BurstCalls-1), 0, 1)
		if waiting < wayShows && p.found[belief.EvBeating].now && n.onlyFromAfar(s.firstFail) {
			sure *= fromAfar
		}
		if sure >= 0.5 {
			p.stoodAt = e.now
		}
		p.note(belief.EvNoProgress, sure*(1-excused), e.now, fmt.Sprintf("it has answered no call for %s", inWords(e.now.Sub(n.served.last))))
	}
}

// onlyFromAfar says whether all who got no answer of n since then called from other zones: it
// may be the way.
func (n *entity) onlyFromAfar(since clock.Time) bool {
	far := false
	for _, ed := range n.calledBy {
		if ed.lastFail < since {
			continue
		}
		if h := ed.caller.host; h == nil || n.host == nil || h.zone == "" || n.host.zone == "" || h.zone == n.host.zone {
			return false
		}
		far = true
	}
	return far
}

func (p *episode) goesOn(e *Engine, n *entity) {
	if n.served.last <= n.ended() {
		return // that was before
	}
	p.note(belief.EvProgress, 1, e.now, fmt.Sprintf("it goes on answering calls (last ended %s ago)", inWords(e.now.Sub(n.served.last))))
}

const (
	// enoughServed is how many calls one must have answered before that it answers none says
	// anything, and stillFor how long it must answer none to say all.
	enoughServed = 10
	// wayShows is how long a way that loses much takes to show, and fromAfar how much it
	// says until then that nobody elsewhere is answered by one who beats.
	wayShows = 6 * time.Second
	fromAfar = 0.4
	stillFor = 2 * time.Second
	// muteFor is how long nobody must be answered by one that sends no spans, and
	// enoughWaited how many must have waited, to say all.
	muteFor      = 5 * time.Second
	enoughWaited = 5.0
)

func window(e *Engine) time.Duration { return e.params.CallWindow }
