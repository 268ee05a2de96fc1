// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What was said outright: exit statuses, kills, panics, crash loops.

const (
	maxFactsEach = 8 // of one entity
	// factsBefore is how long before a suspicion a fact may have been told to
	// belong to it.
	factsBefore = time.Minute
	// staleFact is the age from which on a fact that arrives is history.
	staleFact = 2 * time.Minute
)

func (e *Engine) fact(f *report.Fact) {
	if f.Source == nil || f.Kind >= report.NumFacts {
		return
	}
	if n := e.instance(f.Source); n != nil {
		if f.Kind == report.FactDeploy {
			n.service.deployed = e.now
			return
		}
		e.addFact(n, *f)
		return
	}
	if f.Kind == report.FactDiskFull || f.Kind == report.FactOutOfMemory {
		e.hostWrote(*f)
		return
	}
	if f.Kind == report.FactStopping && f.Said {
		e.hostStops(*f)
		return
	}
	// About a node: it concerns all that run there.
	for _, n := range e.onHost(f.Source.Host) {
		e.addFact(n, *f)
	}
}

func (e *Engine) addFact(n *entity, f report.Fact) {
	if f.At == 0 {
		f.At = e.now
	}
	if e.now.Sub(f.At) > staleFact {
		return
	}
	if f.Kind == report.FactStarted || f.Kind == report.FactRestarts {
		if next := e.successor(n); next != nil {
			n = next // it is who started
		}
	}
	f.At = min(f.At, e.now)
	if f.Kind == report.FactAlive {
		n.alive, n.seenRun = true, f.At
		e.mark(n)
		return
	}
	if f.Kind == report.FactReady {
		e.saysReady(n, &f)
		return
	}
	if f.Kind == report.FactTwins {
		if f.Value == 0 || !n.isOne(e.now) { // else its falls count
			e.twins(n, f.Text)
		}
		return
	}
	if f.Kind == report.FactDoubts {
		if n.served.failed.Value(e.now, e.params.CallWindow) >= 0.5 && e.giver(n, f.Whom) != nil {
			e.doesNotCheck(n, &f) // a line alone may be of what hurt nobody
		}
		return
	}
	if f.Kind == report.FactIntegrity && e.calleesOf(n) > 0 {
		e.doesNotCheck(n, &f)
		return
	}
	e.keepFact(n, f)
	switch f.Kind {
	case report.FactStopping:
		e.announce(n)
	case report.FactStarted:
		n.alive, n.started = true, f.At
		if n.left && f.At > n.leftAt && !n.drawsAnew() {
			e.comeBack(n)
		}
	case report.FactExit:
		n.alive = true // it did run
		if cleanExit(f.Value) {
			e.leave(n, fmt.Sprintf("it exited with status %d", f.Value))
			e.mark(n)
			return
		}
		e.suspect(n)
	case report.FactRestarts:
		e.restartCounted(n, f)
	case report.FactPanic, report.FactOOMKill, report.FactEvicted, report.FactOverLimit, report.FactOutOfMemory, report.FactCrashLoop, report.FactNodeDown,
		report.FactBackwards, report.FactEquivocated, report.FactDiskFull, report.FactNoDescriptor, report.FactNoThread, report.FactNoPort, report.FactPoolEmpty:
		e.suspect(n)
	default:
		e.mark(n)
	}
}

// keepFact adds a fact to those that are known of n. What is told late of one that is
// back opens an episode that is about the past.
func (e *Engine) keepFact(n *entity, f report.Fact) {
	if len(n.facts) == maxFactsEach {
		n.facts = append(n.facts[:0], n.facts[1:]...)
	}
	n.facts = append(n.facts, f)
	if f.Told != 0 {
		p := n.episodeOf(e)
		p.past, p.latest = e.now, e.now
		e.mark(n)
	}
}

// restartCounted: a supervisor's counter that rises says that the process ended
// and was started again; three times within crashLoopWithin is a loop.
func (e *Engine) restartCounted(n *entity, f report.Fact) {
	last := n.restartCount
	n.restartCount = f.Value
	if last < 0 || f.Value <= last || n.restartSeen == 0 {
		n.restartSeen = e.now
		return
	}
	n.restartSeen, n.started = e.now, max(n.started, f.At)
	if !n.beatsTell() && !(n.left && n.drawsAnew()) {
		e.begin(n, report.Hash(report.HashSeed, fmt.Sprint("restart ", f.Value)))
	}
	e.suspect(n)
}

// So many starts in so long are a loop: more than a deploy and its repair make.
const (
	crashLoopStarts = 3
	crashLoopWithin = 10 * time.Minute
)

// cleanExit says whether a status is that of a process which ended because it
// was asked to: 0, or by SIGTERM, SIGINT or SIGHUP.
func cleanExit(status int64) bool {
	return status == 0 || status == 128+15 || status == 128+2 || status == 128+1
}

// endedWellSince says whether a process of n has ended as it was asked to, at t or later.
func (n *entity) endedWellSince(t clock.Time) bool {
	return slices.ContainsFunc(n.facts, func(f report.Fact) bool { return f.Kind == report.FactExit && cleanExit(f.Value) && f.At >= t })
}

// isOf says whether a fact belongs to the suspicion, and not to what is over. While n is
// away that ended in order, whatever fails for want of it belongs to that stop; when it is
// back, the stop tells nothing of how it ends then.
func (n *entity) isOf(p *episode, f *report.Fact) bool {
	if f.Kind == report.FactExit && cleanExit(f.Value) {
		if n.left {
			return true
		}
		if f.At < n.returned {
			return false
		}
	}
	at := f.CameAt()
	return at >= p.began.Add(-factsBefore) && (n.verdict != nil || at > n.cleared) && !n.dealtWith(at)
}

func detectFacts(e *Engine, n *entity, p *episode) {
	var wantOfMemory *report.Fact
	for i := range n.facts {
		f := &n.facts[i]
		if !n.isOf(p, f) {
			continue
		}
		p.startedBy(f.At)
		switch f.Kind {
		case report.FactExit:
			sure := 1.0
			if f.Said && !p.silent() && !p.found[belief.EvCallersRefused].now && !p.found[belief.EvProbeRefused].now {
				sure = saidEnd
			}
			switch {
			case cleanExit(f.Value):
				p.remember(belief.EvExitClean, 1, f.At, fmt.Sprintf("it exited with status %d", f.Value))
			case f.Value == 128+9:
				p.remember(belief.EvExitKilled, sure, f.At, "it was killed (exit status 137, SIGKILL)"+ago(f))
				p.killedFull(n, f.At)
			case f.Value == report.ExitUntold && n.announcedWithin(f.At, e.params.AnnouncedFor): // by a signal, perhaps
			case f.Value == report.ExitUntold:
				p.remember(belief.EvExitCrash, sure, n.lastWantBefore(f.At), f.Text+ago(f))
			default:
				p.remember(belief.EvExitCrash, sure, f.At, "it exited with status "+exitWords(f.Value)+ago(f))
			}
		case report.FactRestarts:
			if f.At == n.started {
				p.restartedFull(n, f.At)
			}
		case report.FactPanic:
			if n.endedWellSince(f.At) {
				continue // it lived on after that
			}
			strength := panicAlone
			if p.silent() || p.found[belief.EvCallersRefused].now || p.found[belief.EvProbeRefused].now {
				strength = 1
			}
			p.remember(belief.EvPanic, strength, f.At, "it wrote: "+f.Text)
		case report.FactOOMKill:
			p.remember(belief.EvOOMKill, 1, f.At, f.Text+ago(f))
		case report.FactEvicted:
			if kind := report.LevelKind(f.Value); kind < report.NumLevels && evictions[kind] != 0 {
				p.remember(evictions[kind], 1, f.At, f.Text)
			}
		case report.FactOverLimit:
			p.remember(belief.EvOverLimit, 1, f.At, f.Text)
		case report.FactOutOfMemory:
			p.remember(belief.EvOutOfMemory, 1, f.At, "it wrote: "+f.Text)
			wantOfMemory = f
		case report.FactCrashLoop:
			p.remember(belief.EvCrashLoop, 1, f.At, f.Text)
		case report.FactNodeDown:
			e.nodeFell(n, p, f)
		}
	}
	if wantOfMemory != nil {
		p.lastWords(n, wantOfMemory)
	}
	p.hostsWords(n)
	latest := n.incarnations[len(n.incarnations)-1].first
	if starts, within := n.unannouncedStarts(e.now); starts >= crashLoopStarts && (!n.dealtWith(latest) || p.violent()) && !n.leftLoop(p) {
		p.remember(belief.EvCrashLoop, 1, latest,
			fmt.Sprintf("started %d times within %s, and never said that it would stop", starts, inWords(within)))
	}
}

// leftLoop says whether n, when it began to fail, had lived for longer than those do who are
// in a loop: its starts before tell nothing of why it fails now, only those since.
func (n *entity) leftLoop(p *episode) bool {
	began := p.began
	if p.onset != 0 {
		began = min(began, p.onset)
	}
	then := len(n.incarnations) - 1
	for then > 0 && n.incarnations[then].first > began {
		then--
	}
	return len(n.incarnations)-1-then < crashLoopStarts && began.Sub(n.incarnations[then].first) > n.loopsFor(then)
}

// announcedWithin says whether n itself said within d that it would stop.
func (n *entity) announcedWithin(now clock.Time, d time.Duration) bool {
	return n.announcedLast != 0 && now.Sub(n.announcedLast) < d
}

// unannouncedStarts counts the starts of n of late that may be of a loop: those since it
// last said itself that it would stop, but for the one that followed from that. A new
// release begins with such a stop and may loop from then on. That others of its service
// said so, of a fleet that is never quite still, excuses nobody.
func (n *entity) unannouncedStarts(now clock.Time) (starts int, within time.Duration) {
	if since := now.Sub(n.announcedLast); n.announcedWithin(now, crashLoopWithin) {
		return n.restartsWithin(now, since) - 1, since
	}
	return n.restartsWithin(now, crashLoopWithin), crashLoopWithin
}

// evictions is what a node that is short of something ends others for.
var evictions = [report.NumLevels]belief.Evidence{report.LevelMemory: belief.EvEvictedMemory, report.LevelDisk: belief.EvEvictedDisk, report.LevelThreads: belief.EvEvictedThreads}

// evicted says whether its node ended it because the node itself was short.
func (p *episode) evicted() bool {
	return p.found[belief.EvEvictedMemory].strength > 0 || p.found[belief.EvEvictedDisk].strength > 0 || p.found[belief.EvEvictedThreads].strength > 0
}

// killedFull: who is killed when it comes to the limit of its memory was killed
// for that, though the kernel's own word does not come.
func (p *episode) killedFull(n *entity, at clock.Time) {
	if n.levels == nil {
		return
	}
	s := &n.levels[report.LevelMemory]
	if full := s.filledAt(at); full >= filledFrom && full > s.usual+filledOver {
		p.remember(belief.EvMemoryAtEnd, 1, at, fmt.Sprintf("its memory had come to %.0f %% of its limit (usually %.0f %%)", 100*min(full, 1), 100*s.usual))
	}
}

// restartedFull: the memory of one that was started again had come to its limit before,
// and nobody told how it ended.
func (p *episode) restartedFull(n *entity, at clock.Time) {
	if n.levels == nil || n.announcedWithin(at, highFor) {
		return
	}
	for i := range n.facts {
		if f := &n.facts[i]; f.Kind == report.FactExit && f.Value != 128+9 && f.Value != report.ExitUntold && at.Sub(f.At) < highFor {
			return
		}
	}
	if s := &n.levels[report.LevelMemory]; s.filledBefore(at) {
		p.remember(belief.EvMemoryAtEnd, 1, at, fmt.Sprintf("its memory had come to %.0f %% of its limit (usually %.0f %%) before it was started again", 100*min(s.high, 1), 100*s.usual))
	}
}

// lastWantBefore is when n, of whom is counted by t that it has ended, said last before
// that that a limit refused it: it may have ended right after. Else t.
func (n *entity) lastWantBefore(t clock.Time) clock.Time {
	last := t
	for i := range n.facts {
		if f := &n.facts[i]; saysShort(f.Kind) && f.At <= t && t.Sub(f.At) < highFor {
			last = f.At
		}
	}
	return last
}

// panicAlone: servers that recover write panics and live on.
const panicAlone = 0.4

// remember records something that happened, as against something that holds.
func (p *episode) remember(kind belief.Evidence, strength float64, at clock.Time, text string) {
	f := &p.found[kind]
	if at < f.at || f.now {
		return
	}
	*f = finding{strength: strength, at: at, text: text}
	if kind.Group() != belief.GroupGood && kind.Weight(belief.CausePlanned) <= 0 && at >= p.latest {
		p.latest = at
	}
	p.bad[kind.Group()] = true
}

var signalNames = map[int64]string{
	132: "SIGILL", 133: "SIGTRAP", 134: "SIGABRT", 135: "SIGBUS", 136: "SIGFPE", 139: "SIGSEGV", 159: "SIGSYS",
}

func exitWords(status int64) string {
	if name := signalNames[status]; name != "" {
		return fmt.Sprintf("%d (%s)", status, name)
	}
	return fmt.Sprint(status)
}
