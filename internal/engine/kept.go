// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// An agent that was cut off delivers afterwards what it saw meanwhile. That is history:
// it says nothing of what holds now. But who ended meanwhile has failed, be it back or not.

// keptEnd is the end of a process that an agent saw and could not tell in time.
type keptEnd struct {
	at     clock.Time // when it was seen, by the engine's clock
	told   clock.Time // when that came; 0: there is none
	status int64
}

const (
	// keptWait is how long an end that was told late waits for what else comes with it:
	// batches overtake each other, and it may have said that it would stop.
	keptWait = 2 * time.Second
	// keptFor is how late an end may be told: what is older is a backlog of another day.
	keptFor = 10 * time.Minute
)

// lookedMeanwhile takes in how n's process was found, when that comes late. The agent
// must have found it before, in the same run of its own: else nothing is new of it.
func (e *Engine) lookedMeanwhile(n *entity, b *report.Probe, late time.Duration) {
	p, f := b.Process, &n.process
	if !f.known || n.supposed || b.Client || late > keptFor {
		return
	}
	at := e.now.Add(-late)
	if p.OOMKills > f.oomKills && f.oomKills >= 0 {
		if !e.toldSince(n, at) {
			e.keepFact(n, report.Fact{Kind: report.FactOOMKill, At: at, Told: e.now, Text: oomWords(p.OOMKills - f.oomKills)})
		}
		f.oomKills = p.OOMKills
	}
	if p.HasExitCode && f.pid != 0 && f.ended(p) && n.kept.told == 0 && !cleanExit(int64(p.ExitCode)) && !e.toldSince(n, at) {
		n.kept = keptEnd{at, e.now, int64(p.ExitCode)}
		e.suspect(n)
	}
	if p.State == report.ProcessRunning {
		f.pid, f.start = p.PID, p.StartTime // of one that is gone later looks tell, too
	}
}

// toldSince says whether a verdict that n had failed was in force when, as turns out
// now, it ended, or later.
func (e *Engine) toldSince(n *entity, ended clock.Time) bool {
	for i := range e.settled {
		s := &e.settled[i]
		if s.entity == n && (s.verdict.Class == verdict.ClassCrash || s.verdict.Class == verdict.ClassExhaustion) && s.verdict.Until >= ended.Add(-stillThere) {
			return true
		}
	}
	return false
}

// tellKept holds against n that it ended, when all that was kept has come.
func (e *Engine) tellKept(n *entity) {
	k := n.kept
	if k.told == 0 || e.now.Sub(k.told) < keptWait {
		return
	}
	n.kept = keptEnd{}
	if e.tookTooLong(n, k.status, k.at) {
		return
	}
	e.keepFact(n, report.Fact{Kind: report.FactExit, Value: k.status, At: k.at, Told: e.now})
}

// tookTooLong says whether n, which ended with a status, was killed after it had said
// that it would stop.
func (e *Engine) tookTooLong(n *entity, status int64, at clock.Time) bool {
	return status == 128+9 && n.announcedLast != 0 && at.Sub(n.announcedLast) < e.params.AnnouncedFor
}

// ago says, of what came late, how old it was then.
func ago(f *report.Fact) string {
	if f.Told == 0 {
		return ""
	}
	return fmt.Sprintf(" %s before its agent could tell", inWords(f.Told.Sub(f.At)))
}

// forgetReturn: that one is well now which is known to have ended says that it is back.
func (p *episode) forgetReturn() {
	for _, kind := range [...]belief.Evidence{belief.EvBeating, belief.EvCallersSucceed, belief.EvProgress, belief.EvProbeOK, belief.EvPortOpen, belief.EvProcessRuns, belief.EvStarting, belief.EvNobodyHurt} {
		p.found[kind].strength, p.found[kind].now = 0, false
	}
}
