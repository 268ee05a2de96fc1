// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"
)

// saturationFacts maps what a process says of a limit that it ran into.
var saturationFacts = [numFacts]evidence{
	FactDiskFull:     evDiskFull,
	FactNoDescriptor: evNoDescriptor,
	FactNoThread:     evNoThread,
	FactPoolEmpty:    evPoolEmpty,
}

const (
	// saidOnce is what one such line is worth; a second one makes it whole.
	saidOnce = 0.7
	// saidWithin is how long such a line counts.
	saidWithin = 30 * time.Second

	throttledFrom = 0.25            // share of CPU periods in which it was throttled
	pressureFrom  = 0.10            // share of time in which all tasks waited for memory
	limitFrom     = 0.97            // of a limit that is used
	servedLately  = 3 * time.Second // answers older than this say nothing of now
	errorsFrom    = 0.10            // share of failed calls that counts
	errorsFull    = 0.50            // and that counts in full
)

// detectSaturation: a limit refused, or demand waits. A resource that is merely
// busy is none: judge asks that somebody be hurt.
func detectSaturation(e *Engine, n *entity, p *episode) {
	detectLimitsHit(e, n, p)
	detectServedErrors(e, n, p)
	if s := n.calls; s != nil && s.lastFull != 0 && e.now.Sub(s.lastFull) < e.params.CallWindow {
		window := e.params.CallWindow
		full := s.byOutcome[OutcomeOverloaded].value(e.now, window)
		share := full / (s.ok.value(e.now, window) + 1)
		p.blame(evCallersOverloaded, min(full/e.params.BurstCalls, 1)*clamp(share/errorsFull, 0, 1), s.lastFull,
			fmt.Sprintf("it turned callers away for overload ×%.0f", full))
	}
	for _, ps := range n.probes {
		if ps.process == nil || !e.current(ps) {
			continue
		}
		if x := ps.process.Throttled; x >= throttledFrom {
			p.blame(evThrottled, clamp(x/errorsFull, 0.5, 1), e.now, fmt.Sprintf("its CPU quota throttled it in %.0f %% of the periods", 100*x))
		}
		if x := ps.process.PressureMem; x >= pressureFrom {
			p.blame(evMemoryPressure, 1, e.now, fmt.Sprintf("all its tasks waited for memory for %.0f %% of the time", 100*x))
		}
		for _, l := range [...]struct {
			used, limit int64
			what        string
		}{
			{ps.process.MemoryUsed, ps.process.MemoryLimit, "memory"},
			{ps.process.FDs, ps.process.FDLimit, "file descriptors"},
			{ps.process.Threads, ps.process.ThreadLimit, "threads"},
		} {
			if l.limit > 0 && float64(l.used) >= limitFrom*float64(l.limit) {
				p.note(evAtLimit, 1, e.now, fmt.Sprintf("it uses %d of %d %s", l.used, l.limit, l.what))
			}
		}
	}
}

// detectLimitsHit: it says itself that a limit refused it.
func detectLimitsHit(e *Engine, n *entity, p *episode) {
	count := map[evidence]int{}
	for i := range n.facts {
		f := &n.facts[i]
		kind := saturationFacts[f.Kind]
		if kind == 0 || e.now.Sub(f.At) > saidWithin {
			continue
		}
		count[kind]++
		strength := saidOnce
		if count[kind] > 1 {
			strength = 1
		}
		p.note(kind, strength, e.now, "it wrote: "+f.Text)
		p.latest = max(p.latest, f.At)
		p.startedBy(f.At)
	}
}

// detectServedErrors: calls that it answers fail.
func detectServedErrors(e *Engine, n *entity, p *episode) {
	window := e.params.CallWindow
	failed, ok := n.served.failed.value(e.now, window), n.served.ok.value(e.now, window)
	if failed < 1 || e.now.Sub(n.served.seen) > servedLately {
		return
	}
	if share := failed / (failed + ok); share >= errorsFrom {
		p.note(evServesErrors, clamp(share/errorsFull, 0.3, 1), e.now, fmt.Sprintf("%.0f %% of the calls that it answers fail", 100*share))
	}
}
