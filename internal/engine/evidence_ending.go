// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Why it ended: what a process said right before, and what it was short of.

const (
	// lastWordsWithin is how soon after a limit refused it a process must end for
	// that to be why.
	lastWordsWithin = 10 * time.Second
	// lastWordsOrder: its log and its end are told by different ways.
	lastWordsOrder = 3 * time.Second
)

// lastWords notes that n ended right after it had said that a limit refused it, or
// that it answers nobody since its memory ran out.
func (p *episode) lastWords(n *entity, f *report.Fact) {
	memory := f.Kind == report.FactOutOfMemory
	switch {
	case p.endedAfter(n, f.At, memory):
		p.remember(belief.EvLastLimit, 1, f.At, "and then it ended")
	case memory && p.closedSince(n, f.At):
		p.remember(belief.EvLastLimit, 1, f.At, "and then its port was closed")
	case memory && p.answersNobodySince(n, f.At):
		p.remember(belief.EvLastLimit, p.found[belief.EvNoProgress].strength, f.At, "and then it answered nobody")
	}
}

// hostWrote keeps the last line of a log on a host that tells of a want and not who
// wrote it: servers without telemetry have no other voice.
func (e *Engine) hostWrote(f report.Fact) {
	if h := e.host(f.Source.Host); h != nil && e.now.Sub(f.At) <= staleFact && f.At >= h.wrote.At {
		h.wrote = f
	}
}

// hostStops keeps the last line of a log on a host in which somebody says that he stops
// in order, and not who he is.
func (e *Engine) hostStops(f report.Fact) {
	if h := e.host(f.Source.Host); h != nil && e.now.Sub(f.At) <= staleFact && f.At >= h.stops.At {
		h.stops = f
	}
}

// stopsByTheLog is the line right after which n, which has no telemetry that would say so,
// began to fail, and in which somebody on its host wrote that he stops in order: nobody
// known, or one of whom nothing but a log is known. Who goes on is not meant; the word
// expires as any other does. nil if there is none.
func (e *Engine) stopsByTheLog(n *entity, onset clock.Time) *report.Fact {
	if n.kind != kindExternal || n.host == nil {
		return nil
	}
	meant := func(f *report.Fact) bool {
		return f.At != 0 && soonAfter(onset, f.At) && e.now.Sub(f.At) < e.params.AnnouncedFor
	}
	if meant(&n.host.stops) {
		return &n.host.stops
	}
	for _, m := range e.onHost(n.host.name) {
		for i := range m.facts {
			if f := &m.facts[i]; f.Kind == report.FactStopping && m.onlyWrites() && meant(f) {
				return f
			}
		}
	}
	return nil
}

// onlyWrites says whether nothing but a log is known of n: no sign of life, no call and
// nobody who looks at it.
func (n *entity) onlyWrites() bool {
	return len(n.streams) == 0 && len(n.probes) == 0 && n.served.total == 0 && n.calls == nil && n.spanned == 0
}

// hostsWords notes that n ended by itself right after somebody on its host had written
// that a limit refused it. Who goes on is not meant, nor is who was ended.
func (p *episode) hostsWords(n *entity) {
	if n.host == nil || n.host.wrote.At == 0 || p.found[belief.EvExitClean].strength > 0 || !p.endedAfter(n, n.host.wrote.At, false) {
		return
	}
	f := &n.host.wrote
	kind := belief.EvDiskFull
	if f.Kind == report.FactOutOfMemory {
		kind = belief.EvOutOfMemory
	}
	p.remember(kind, 1, f.At, "on its host somebody wrote: "+f.Text)
	p.remember(belief.EvLastLimit, 1, f.At, "and then it ended")
}

// endedAfter says whether n's process came to its end right after t, and by itself
// as far as is known. Who runs out of memory may have itself killed for that:
// virtual machines offer it.
func (p *episode) endedAfter(n *entity, t clock.Time, killsItself bool) bool {
	if p.found[belief.EvExitKilled].strength > 0 && !killsItself {
		return false
	}
	for _, kind := range [...]belief.Evidence{belief.EvExitCrash, belief.EvPanic, belief.EvExitKilled} {
		if f := &p.found[kind]; f.strength > 0 && soonAfter(f.at, t) {
			return true
		}
	}
	for _, ps := range n.probes {
		if p.found[belief.EvProcessGone].now && ps.process != nil && ps.outcome != report.OutcomeOK && soonAfter(ps.first, t) {
			return true
		}
	}
	return false
}

// closedSince says whether n's port is closed since right after t.
func (p *episode) closedSince(n *entity, t clock.Time) bool {
	for _, ps := range n.probes {
		if p.found[belief.EvProbeRefused].now && ps.outcome == report.OutcomeRefused && soonAfter(ps.first, t) {
			return true
		}
	}
	return p.found[belief.EvCallersRefused].now && p.failsSinceRightAfter(n, t)
}

// answersNobodySince says whether n accepts calls and answers none since right
// after t, and waits for nobody else.
func (p *episode) answersNobodySince(n *entity, t clock.Time) bool {
	return p.found[belief.EvNoProgress].now && (p.found[belief.EvCallersTimeout].now || p.found[belief.EvProbeNoAnswer].now) &&
		p.found[belief.EvCalleeFailing].strength < suspectFrom && p.failsSinceRightAfter(n, t)
}

// failsSinceRightAfter says whether calls to n, or to its service where they name no
// instance, fail since right after t.
func (p *episode) failsSinceRightAfter(n *entity, t clock.Time) bool {
	s := n.calls
	if (s == nil || s.lastFail == 0) && n.kind == kindInstance && n.service.whole != nil {
		s = n.service.whole.calls
	}
	return s != nil && s.lastFail != 0 && soonAfter(s.firstFail, t)
}

func soonAfter(end, t clock.Time) bool {
	return end >= t.Add(-lastWordsOrder) && end.Sub(t) < lastWordsWithin
}

// dealtWith says whether what happened to n, or to one of a service, at t belongs to
// a failure that is over: callers tell late of calls that failed then.
func (n *entity) dealtWith(t clock.Time) bool {
	return t != 0 && (t <= n.well || n.kind == kindService && t <= n.service.well)
}

// ended is when n's process ended last, by the word of those who saw it; 0 if nobody
// told.
func (n *entity) ended() (last clock.Time) {
	for i := range n.facts {
		if f := &n.facts[i]; f.Kind == report.FactOOMKill || f.Kind == report.FactExit && !f.Said {
			last = max(last, f.At)
		}
	}
	for _, ps := range n.probes {
		if ps.process != nil && (ps.process.State == report.ProcessGone || ps.process.State == report.ProcessZombie) {
			last = max(last, ps.first)
		}
	}
	return last
}

// dead says whether n is known to have ended, and not to be back.
func (n *entity) dead(p *episode) bool {
	if n.kind != kindInstance || p.found[belief.EvBeating].now {
		return false
	}
	lived := n.served.last
	if n.calls != nil {
		lived = max(lived, n.calls.okEnd)
	}
	for _, s := range n.streams {
		lived = max(lived, s.heardAt())
	}
	return p.found[belief.EvProcessGone].now || n.ended() > lived ||
		p.found[belief.EvSilent].now && (p.found[belief.EvCallersRefused].now || p.found[belief.EvProbeRefused].now)
}

// forgetItsLife: that it was slow, throttled or asked for too much says nothing of one
// that has ended. Whether it ended for want of something is told by other evidence.
func (p *episode) forgetItsLife() {
	for _, kind := range [...]belief.Evidence{
		belief.EvSlow, belief.EvThrottled, belief.EvBusy, belief.EvCPUWait, belief.EvCPURose, belief.EvDemand, belief.EvKnee, belief.EvIOPressure, belief.EvServesErrors, belief.EvFailsShort,
		belief.EvCallersOverloaded, belief.EvCallersTimeout, belief.EvProgress, belief.EvCallersSucceed,
	} {
		p.found[kind].strength, p.found[kind].now = 0, false
	}
}
