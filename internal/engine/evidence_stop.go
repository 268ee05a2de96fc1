// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// Planned stops: who leaves in order is not missed.

// status takes in what a heartbeat says of its sender.
func (e *Engine) status(n *entity, s *stream, b *Beat) {
	switch b.Status {
	case StatusUnset, StatusDegraded:
		if e.now.Sub(n.announced) > leavingTime {
			n.announced = 0 // it goes on
		}
	case StatusDraining, StatusStopping:
		e.announce(n)
	case StatusReady, StatusStarting:
		n.announced, n.left = 0, false
		if n.episode != nil && n.episode.planned && n.verdict == nil {
			e.endEpisode(n)
		}
	case StatusLastGasp:
		e.addFact(n, Fact{Kind: FactNodeDown, At: e.now, Text: "it sent its last gasp: power or link is lost"})
	case StatusFailed:
		if !b.HasExitCode {
			e.addFact(n, Fact{Kind: FactExit, Value: 1, At: e.now, Said: s.merelySaid(b)})
		}
	}
	if b.HasExitCode && (b.ExitCode != 0 || b.Status == StatusStopping) {
		e.addFact(n, Fact{Kind: FactExit, Value: int64(b.ExitCode), At: e.now, Said: s.merelySaid(b)})
	}
}

// announce notes that n said it would stop.
func (e *Engine) announce(n *entity) {
	if e.now.Sub(n.announced) > e.params.AnnouncedFor && n.service != nil {
		n.service.announcedStops++
	}
	n.announced = e.now
	e.mark(n)
}

// excused says whether a stop that was announced explains a failure that began
// at onset.
func (e *Engine) excused(n *entity, onset Time) bool {
	return n.announced != 0 && onset < n.announced.Add(e.params.AnnouncedFor)
}

// leave notes that n has gone in order: it is not missed until it is heard
// again.
func (e *Engine) leave(n *entity, why string) {
	if n.left {
		return
	}
	n.left = true
	for _, s := range n.streams {
		s.overdue, s.gone = false, false
	}
	e.emit(Event{Kind: contract.EventPlannedStop, Source: n.src, Entity: n.name(),
		Body: fmt.Sprintf("%s stopped on purpose: %s", n.name(), why)})
}

// proven says whether the episode holds proof of a violent end, which no
// announcement excuses.
func (p *episode) proven() bool {
	for _, kind := range [...]evidence{evOOMKill, evExitCrash, evCrashLoop} {
		if p.found[kind].strength > 0 {
			return true
		}
	}
	return p.found[evPanic].strength == 1
}

// detectStop: it said that it would stop, or came to be replaced.
func detectStop(e *Engine, n *entity, p *episode) {
	onset := p.onset
	if onset == 0 {
		onset = p.began
	}
	switch {
	case p.proven():
	case n.announced != 0 && e.excused(n, onset):
		p.note(evAnnounced, 1, e.now, fmt.Sprintf("it said that it would stop, %s ago", inWords(e.now.Sub(n.announced))))
	case n.service != nil && n.service.announcedStops >= 2:
		p.note(evNotAnnounced, 1, e.now, "it did not announce a stop, as "+n.service.id.Name+" usually does")
	}
	if inc := n.incarnations[len(n.incarnations)-1]; inc.token != 0 && e.now.Sub(inc.first) < startingFor && n.incarnations[len(n.incarnations)-2].token != 0 {
		p.note(evStarting, 1, e.now, fmt.Sprintf("it started %s ago", inWords(e.now.Sub(inc.first))))
	}
	if s := n.service; s != nil && s.deployed != 0 && e.now.Sub(s.deployed) < deployFor && p.silent() && !p.proven() && !p.hurts() {
		p.note(evDeploy, 1, e.now, fmt.Sprintf("%s is being rolled out", s.id.Name))
	}
	if (p.silent() || p.found[evProbeRefused].now) && e.nobodyHurt(n, p, onset) {
		p.note(evNobodyHurt, 1, e.now, "no call to it failed, though it used to be called: its callers were sent elsewhere first")
	}
	if s := n.service; s != nil && s.youngest != nil && s.youngest != n && n.kind == kindInstance &&
		s.lastBorn > onset.Add(-e.params.ReplacedWithin) && s.lastBorn < onset.Add(e.params.ReplacedWithin) && s.lastBorn > n.born &&
		n.born.Add(youngFor) < s.lastBorn {
		p.note(evReplaced, 1, e.now, s.youngest.name()+" came in its place")
	}
}

// nobodyHurt says whether n used to be called and no call has failed since it
// went. Where its port does not refuse, calls may hang and not have ended yet.
func (e *Engine) nobodyHurt(n *entity, p *episode, onset Time) bool {
	if n.rate.usual < calledFrom || p.bad[groupCallers] || p.bad[groupProbe] && !p.found[evProbeRefused].now ||
		e.now.Sub(onset) < unhurtAfter+n.served.told.slack() {
		return false
	}
	if n.service != nil && n.service.whole != nil {
		if s := n.service.whole.calls; s != nil && s.lastFail > onset {
			return false
		}
	}
	return n.calls == nil || n.calls.lastFail < onset
}

const (
	// startingFor is how long a new process may take to listen and to answer.
	startingFor = 15 * time.Second
	// calledFrom is the rate, calls a second, from which on it would have been
	// noticed within unhurtAfter that calls fail.
	calledFrom  = 0.5
	unhurtAfter = 4 * time.Second
)

// deployFor is how long it may take to replace all instances of a service.
const deployFor = 10 * time.Minute

// youngFor: instances born together start together; none replaces another.
const youngFor = 30 * time.Second
