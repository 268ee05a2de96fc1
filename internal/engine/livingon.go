// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Processes that live on while the name of their service refuses. Whoever stands in front,
// such as a balancer that finds nobody behind it, refuses as a port does that nobody
// listens at; only the signs of life of those behind the name tell the two apart.

const (
	// readyFor is how long a supervisor must call one ready, on end, for that to mean
	// that it works: one that is not looked at is ready as soon as it starts.
	readyFor = 2 * time.Minute
	// readyTells is how much later a supervisor may learn that one has ended.
	readyTells = 3 * time.Second
	// atOnce is within what time several stop together that stop for one reason.
	atOnce = time.Second
	// refusalsCease is how long nobody must be refused for the next refusals to be others:
	// what is asked on connections that stand goes well meanwhile.
	refusalsCease = 30 * time.Second
	// askedLately is how long before an instance must have answered to be one of those
	// whom the name led to.
	askedLately = 30 * time.Second
)

// readyState is what a supervisor says of whether one is ready.
type readyState struct {
	since clock.Time // since when it says so on end; 0 if it does not
	at    clock.Time // when it said so last
}

// saysReady takes in a supervisor's word.
func (e *Engine) saysReady(n *entity, f *report.Fact) {
	r := &n.ready
	switch {
	case f.Value == 0:
		r.since = 0
		return
	case r.since == 0:
		r.since = f.At
	}
	r.at = max(r.at, f.At)
	if r.at.Sub(r.since) >= readyFor {
		n.alive = true
	}
	if n.episode != nil {
		e.mark(n)
	}
}

// livesOn says whether the process of n, as it was at t, has shown life since.
func (n *entity) livesOn(t clock.Time) bool {
	if n.starts > t || n.started > t || n.ended() > t {
		return false
	}
	return n.signedAt > t.Add(atOnce) || n.ready.since != 0 && n.ready.at > t.Add(readyTells) || n.seenRun > t.Add(atOnce)
}

// mayBeRefusedInFront says whether that calls to n are refused may well be nobody's doing who
// stands behind the name that they go by.
func (e *Engine) mayBeRefusedInFront(n *entity, p *episode) bool {
	switch {
	case p.found[belief.EvCallersRefused].strength == 0 || p.violent() || p.direct:
		return false
	case n.kind == kindService:
		return e.refusedInFront(n.service)
	}
	return n.kind == kindInstance && n.calls != nil && n.calls.refusedSince != 0 && n.calls.directly == 0 &&
		n.livesOn(max(n.calls.refusedSince, n.served.last))
}

// refusedInFront says whether it may well be somebody in front of a service who refuses
// calls to its name: all of its processes live on, or several machines stopped answering
// at the same moment and nobody has told of an end.
func (e *Engine) refusedInFront(s *service) bool {
	if s.whole == nil || s.whole.calls == nil || s.whole.calls.refusedSince == 0 {
		return false
	}
	c := s.whole.calls
	from, live, here, hosts := c.refusedSince, 0, 0, 0
	var host *hostState
	for _, i := range s.instances {
		answered := i.served.last
		switch {
		case i.left || i.born > from:
			continue
		case i.livesOn(max(from, answered)) || e.now.Sub(answered) < askedLately && answered > from.Add(atOnce) && i.livesOn(from):
			live++
		case i.started > from || i.starts > from || i.ended() > from || i.announcedLast > from.Add(-e.params.AnnouncedFor) || i.episode != nil && i.episode.silent():
			return false
		case from.Sub(answered) > askedLately:
			continue // nobody knows that it is there
		}
		here++
		if i.host != nil && i.host != host {
			host, hosts = i.host, hosts+1
		}
	}
	return here > 0 && live == here || hosts > 1 && c.okEnd < from.Add(atOnce)
}
