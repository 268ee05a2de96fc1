// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// What was said outright: exit statuses, kills, panics, crash loops.

const (
	maxFactsEach = 8
	// factsBefore is how long before a suspicion a fact may have been told to
	// belong to it.
	factsBefore = time.Minute
	// staleFact is the age from which on a fact that arrives is history.
	staleFact = 2 * time.Minute
)

func (e *Engine) fact(f *Fact) {
	if f.Source == nil || f.Kind >= numFacts {
		return
	}
	if n := e.instance(f.Source); n != nil {
		if f.Kind == FactDeploy {
			n.service.deployed = e.now
			return
		}
		e.addFact(n, *f)
		return
	}
	if f.Kind == FactDiskFull || f.Kind == FactOutOfMemory {
		e.hostWrote(*f)
		return
	}
	// About a node: it concerns all that run there.
	for _, n := range e.onHost(f.Source.Host) {
		e.addFact(n, *f)
	}
}

func (e *Engine) addFact(n *entity, f Fact) {
	if f.At == 0 {
		f.At = e.now
	}
	if e.now.Sub(f.At) > staleFact {
		return
	}
	if f.Kind == FactStarted || f.Kind == FactRestarts {
		if next := e.successor(n); next != nil {
			n = next // it is who started
		}
	}
	f.At = min(f.At, e.now)
	if f.Kind == FactAlive {
		n.alive, n.seenRun = true, f.At
		e.mark(n)
		return
	}
	if f.Kind == FactTwins {
		e.twins(n, f.Text)
		return
	}
	if f.Kind == FactIntegrity && e.calleesOf(n) > 0 {
		e.doesNotCheck(n, &f)
		return
	}
	e.keepFact(n, f)
	switch f.Kind {
	case FactStopping:
		e.announce(n)
	case FactStarted:
		n.alive, n.started = true, f.At
		if n.left && f.At > n.leftAt {
			e.comeBack(n)
		}
	case FactExit:
		n.alive = true // it did run
		if cleanExit(f.Value) {
			e.leave(n, fmt.Sprintf("it exited with status %d", f.Value))
			e.mark(n)
			return
		}
		e.suspect(n)
	case FactRestarts:
		e.restartCounted(n, f)
	case FactPanic, FactOOMKill, FactEvicted, FactOverLimit, FactOutOfMemory, FactCrashLoop, FactNodeDown,
		FactBackwards, FactEquivocated, FactDiskFull, FactNoDescriptor, FactNoThread, FactNoPort, FactPoolEmpty:
		e.suspect(n)
	default:
		e.mark(n)
	}
}

// keepFact adds a fact to those that are known of n. What is told late of one that is
// back opens an episode that is about the past.
func (e *Engine) keepFact(n *entity, f Fact) {
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
func (e *Engine) restartCounted(n *entity, f Fact) {
	last := n.restartCount
	n.restartCount = f.Value
	if last < 0 || f.Value <= last || n.restartSeen == 0 {
		n.restartSeen = e.now
		return
	}
	n.restartSeen, n.started = e.now, max(n.started, f.At)
	if !n.beatsTell() {
		e.begin(n, hashString(fnvOffset, fmt.Sprint("restart ", f.Value)))
	}
	e.suspect(n)
}

const (
	crashLoopStarts = 3
	crashLoopWithin = 10 * time.Minute
)

// cleanExit says whether a status is that of a process which ended because it
// was asked to: 0, or by SIGTERM, SIGINT or SIGHUP.
func cleanExit(status int64) bool {
	return status == 0 || status == 128+15 || status == 128+2 || status == 128+1
}

func detectFacts(e *Engine, n *entity, p *episode) {
	var wantOfMemory *Fact
	for i := range n.facts {
		f := &n.facts[i]
		if at := f.cameAt(); at < p.began.Add(-factsBefore) || n.verdict == nil && at <= n.cleared || n.dealtWith(at) {
			continue
		}
		p.startedBy(f.At)
		switch f.Kind {
		case FactExit:
			sure := 1.0
			if f.Said && !p.silent() && !p.found[evCallersRefused].now && !p.found[evProbeRefused].now {
				sure = saidEnd
			}
			switch {
			case cleanExit(f.Value):
				p.remember(evExitClean, 1, f.At, fmt.Sprintf("it exited with status %d", f.Value))
			case f.Value == 128+9:
				p.remember(evExitKilled, sure, f.At, "it was killed (exit status 137, SIGKILL)"+ago(f))
				p.killedFull(n, f.At)
			default:
				p.remember(evExitCrash, sure, f.At, "it exited with status "+exitWords(f.Value)+ago(f))
			}
		case FactPanic:
			strength := panicAlone
			if p.silent() || p.found[evCallersRefused].now || p.found[evProbeRefused].now {
				strength = 1
			}
			p.remember(evPanic, strength, f.At, "it wrote: "+f.Text)
		case FactOOMKill:
			p.remember(evOOMKill, 1, f.At, f.Text+ago(f))
		case FactEvicted:
			if kind := LevelKind(f.Value); kind < NumLevels && evictions[kind] != 0 {
				p.remember(evictions[kind], 1, f.At, f.Text)
			}
		case FactOverLimit:
			p.remember(evOverLimit, 1, f.At, f.Text)
		case FactOutOfMemory:
			p.remember(evOutOfMemory, 1, f.At, "it wrote: "+f.Text)
			wantOfMemory = f
		case FactCrashLoop:
			p.remember(evCrashLoop, 1, f.At, f.Text)
		case FactNodeDown:
			p.remember(evNodeDown, 1, f.At, f.Text)
		}
	}
	if wantOfMemory != nil {
		p.lastWords(n, wantOfMemory)
	}
	p.hostsWords(n)
	latest := n.incarnations[len(n.incarnations)-1].first
	if starts := n.restartsWithin(e.now, crashLoopWithin); starts >= crashLoopStarts && !n.announcedWithin(e.now, crashLoopWithin) && !n.dealtWith(latest) {
		p.remember(evCrashLoop, 1, latest,
			fmt.Sprintf("started %d times within %s, and never said that it would stop", starts, inWords(crashLoopWithin)))
	}
}

// announcedWithin says whether n itself said within d that it would stop. That others
// of its service did, of a fleet that is never quite still, excuses nobody.
func (n *entity) announcedWithin(now clock.Time, d time.Duration) bool {
	return n.announcedLast != 0 && now.Sub(n.announcedLast) < d
}

// evictions is what a node that is short of something ends others for.
var evictions = [NumLevels]evidence{LevelMemory: evEvictedMemory, LevelDisk: evEvictedDisk, LevelThreads: evEvictedThreads}

// evicted says whether its node ended it because the node itself was short.
func (p *episode) evicted() bool {
	return p.found[evEvictedMemory].strength > 0 || p.found[evEvictedDisk].strength > 0 || p.found[evEvictedThreads].strength > 0
}

// killedFull: who is killed when it comes to the limit of its memory was killed
// for that, though the kernel's own word does not come.
func (p *episode) killedFull(n *entity, at clock.Time) {
	if n.levels == nil {
		return
	}
	s := &n.levels[LevelMemory]
	if full := s.filledAt(at); full >= filledFrom && full > s.usual+filledOver {
		p.remember(evMemoryAtEnd, 1, at, fmt.Sprintf("its memory had come to %.0f %% of its limit (usually %.0f %%)", 100*min(full, 1), 100*s.usual))
	}
}

// panicAlone: servers that recover write panics and live on.
const panicAlone = 0.4

// remember records something that happened, as against something that holds.
func (p *episode) remember(kind evidence, strength float64, at clock.Time, text string) {
	f := &p.found[kind]
	if at < f.at || f.now {
		return
	}
	*f = finding{strength: strength, at: at, text: text}
	if kind.group() != groupGood && kind.weight(causePlanned) <= 0 && at >= p.latest {
		p.latest = at
	}
	p.bad[kind.group()] = true
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
