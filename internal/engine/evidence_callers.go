// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// callerRow is which evidence a way to fail is.
var callerRow = [numOutcomes]struct {
	kind evidence
	says string
}{
	OutcomeRefused:        {evCallersRefused, "connection refused"},
	OutcomeReset:          {evCallersReset, "connection reset"},
	OutcomeConnectTimeout: {evCallersConnectTimeout, "connect timed out"},
	OutcomeTimeout:        {evCallersTimeout, "no answer in time"},
	OutcomeNoAnswer:       {evCallersTimeout, "no answer in time"},
	OutcomeUnreachable:    {evCallersUnreachable, "no route"},
	OutcomeUnavailable:    {evCallersUnavailable, "unavailable"},
	OutcomeDNS:            {evCallersName, "name look-up failed"},
	OutcomeTLS:            {evCallersTLS, "TLS handshake failed"},
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
	return p.found[evSilent].now || p.found[evTelemetrySilent].now || p.found[evProcessGone].now || p.found[evProcessStopped].now
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
			if r.kind == 0 || count < 0.5 {
				continue
			}
			strength := min(count/e.params.BurstCalls, 1) * share * weight
			if r.kind == evCallersTimeout {
				strength = min(count/e.params.BurstCalls, 1) * min(2*share, 1) * weight // slow ones answer some in time
			}
			if r.kind == evCallersRefused {
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
			p.blame(r.kind, strength, s.lastFail, s.text(r.says, Outcome(o), e))
			p.startedBy(s.firstFail)
		}
	}
	refusedFrom := s.refusedFrom
	if weight < 1 {
		refusedFrom = s.refusedFirst // others behind the name answer meanwhile
	}
	if f := &p.found[evCallersRefused]; f.now && (s.okEnd <= refusedFrom || weight < 1) && s.failEnd.Sub(refusedFrom) > stillRefusedFor {
		p.note(evStillRefused, weight, e.now, fmt.Sprintf("and so for %s on end", inWords(s.failEnd.Sub(refusedFrom))))
	}
	if f := &p.found[evCallersUnavailable]; f.now && (s.okEnd < s.firstFail || weight < 1) && s.failEnd.Sub(s.firstFail) > stillRefusedFor {
		lasted := s.failEnd.Sub(s.firstFail)
		p.note(evStillUnavailable, weight*f.strength*stat.Clamp(float64(lasted)/float64(stillSure), 0.5, 1), e.now, fmt.Sprintf("and so for %s on end", inWords(lasted)))
	}
	e.stillUnreached(n, s, p)
	if ok > 0 && s.okEnd > max(s.failEnd, n.ended()) && s.lastOK > p.began && e.now.Sub(s.lastOK) < window+s.told.Slack() && weight == 1 {
		strength := ok / (ok + failed)
		if instances > 1 && recent {
			strength = max(1-instances*failed/(ok+failed), 0)
		}
		p.note(evCallersSucceed, strength, e.now, fmt.Sprintf("calls to it succeed (%.0f %% of late)", 100*ok/(ok+failed)))
	}
}

// stillUnreached: of somebody of whom nothing is known but calls to him, nobody has got as
// far as a connection for long. He is gone with his machine, or cut off, and which of them
// nobody can tell from here; well he is not.
func (e *Engine) stillUnreached(n *entity, s *callStats, p *episode) {
	f, lasted := &p.found[evCallersConnectTimeout], s.failEnd.Sub(s.firstFail)
	if n.kind != kindExternal || n.host != nil || n.cutOff != nil || !f.now || s.okEnd >= s.firstFail || lasted <= stillRefusedFor {
		return
	}
	p.note(evStillUnreached, f.strength*stat.Clamp(float64(lasted)/float64(stillSure), 0.5, 1), e.now, fmt.Sprintf("and so for %s on end", inWords(lasted)))
}

const (
	refusedFor = 2 * time.Second
	// stillRefusedFor: who stops in order is taken out of its callers' lists
	// sooner than this.
	stillRefusedFor = 4 * time.Second
	stillSure       = 12 * time.Second
)

func (s *callStats) text(says string, o Outcome, e *Engine) string {
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
func (e *Engine) mute(s *callStats, p *episode) {
	if s.lastFail == 0 || s.okEnd > s.firstFail.Add(time.Second) || e.now.Sub(s.lastFail) >= window(e)+s.told.Slack() {
		return
	}
	count := func(one, other Outcome) float64 {
		return s.byOutcome[one].Value(e.now, window(e)) + s.byOutcome[other].Value(e.now, window(e))
	}
	silent := s.lastFail.Sub(s.firstFail)
	if silent >= stillFor && count(OutcomeTimeout, OutcomeNoAnswer) >= enoughWaited && count(OutcomeConnectTimeout, OutcomeUnreachable) < 0.5 {
		p.note(evNoProgress, stat.Clamp(float64(silent)/float64(muteFor), 0, 1), e.now, fmt.Sprintf("it has answered nobody for %s", inWords(silent)))
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
		e.mute(n.calls, p)
	}
	if n.kind != kindInstance || n.served.total == 0 {
		return
	}
	s := n.calls
	if s == nil || s.lastFail == 0 {
		// Nobody calls it by name: who looks at it may find it slow.
		if p.bad[groupProbe] && p.onset != 0 && n.served.last > p.onset.Add(time.Second) && e.now.Sub(n.served.seen) < window(e)+n.served.told.Slack() {
			p.goesOn(e, n)
		}
		return
	}
	waiting := e.now.Sub(s.firstFail)
	switch {
	case n.served.last > s.failEnd || e.now.Sub(n.served.seen) < window(e)+n.served.told.Slack() && n.served.last > s.firstFail.Add(time.Second):
		p.goesOn(e, n)
	case n.served.last <= s.firstFail.Add(time.Second) && n.served.total >= enoughServed &&
		e.now.Sub(s.lastFail) < window(e)+s.told.Slack():
		excused := p.found[evCalleeFailing].strength // it waits itself
		_, sure := e.stalled(n)
		sure *= stat.Clamp(float64(waiting)/float64(stillFor), 0, 1) * stat.Clamp((s.unanswered(e)-1)/(e.params.BurstCalls-1), 0, 1)
		p.note(evNoProgress, sure*(1-excused), e.now, fmt.Sprintf("it has answered no call for %s", inWords(e.now.Sub(n.served.last))))
	}
}

func (p *episode) goesOn(e *Engine, n *entity) {
	if n.served.last <= n.ended() {
		return // that was before
	}
	p.note(evProgress, 1, e.now, fmt.Sprintf("it goes on answering calls (last ended %s ago)", inWords(e.now.Sub(n.served.last))))
}

const (
	enoughServed = 10
	stillFor     = 2 * time.Second
	// muteFor is how long nobody must be answered by one that sends no spans, and
	// enoughWaited how many must have waited, to say all.
	muteFor      = 5 * time.Second
	enoughWaited = 5.0
)

func window(e *Engine) time.Duration { return e.params.CallWindow }
