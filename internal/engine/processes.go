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

// What an agent sees of a process on its host: that it runs, when it started, how it ended
// and whether it gets what it needs.

// processFacts is what a process target showed last.
type processFacts struct {
	pid      int64
	start    clock.Time
	oomKills int64
	known    bool
}

// processSeen takes in what the kernel told. A kill for lack of memory and an
// exit status are facts; a new start time is a new incarnation.
func (e *Engine) processSeen(n *entity, b *report.Probe, ps *probeState) {
	p, f := b.Process, &n.process
	since := ps.first
	if p.State == report.ProcessRunning {
		since = e.now
	}
	// It may be another's: whose callers are well has not ended. And whom nobody calls
	// ends or not as he likes, unless he is missed.
	if n.supposed && (f.known || p.State != report.ProcessRunning) && !e.missedSince(n, since) || ps.uncertain() && f.changes(p) && !e.endMissed(n, ps) {
		if !n.supposed {
			e.outOfMemory(n, p) // nobody likes that
		}
		f.follow(p)
		return
	}
	if !f.known && len(b.Addresses) > 0 && p.PID != 0 && p.State != report.ProcessRunning {
		// Who is found by discovery is known when the first call to it fails, and
		// the agent has seen it run before.
		n.alive, f.pid, f.start = true, p.PID, p.StartTime
	}
	e.outOfMemory(n, p)
	e.exitSeen(n, b.Target, p)
	if p.State == report.ProcessRunning || p.State == report.ProcessStopped || p.State == report.ProcessDiskWait {
		if f.known && f.start != 0 && p.StartTime != 0 && (p.PID != f.pid || !sameStart(p.StartTime, f.start)) && !n.heardAs(b.Observer) {
			n.episodeOf(e).note(belief.EvReturnNew, 1, e.now, "a new process took its place")
			e.mark(n)
			n.startsNow(e.now)
			e.startedAnew(n.host, n.name(), n.name()+" came back as a new process")
		}
		f.pid, f.start = p.PID, p.StartTime
	}
	f.known = true
	if p.MemoryLimit > 0 && p.State == report.ProcessRunning {
		e.levelOf(n, &report.Level{Kind: report.LevelMemory, Share: float64(p.MemoryUsed) / float64(p.MemoryLimit)})
	}
}

// exitSeen takes in how n's process ended, once.
func (e *Engine) exitSeen(n *entity, target string, p *report.Process) {
	f := &n.process
	if !p.HasExitCode || !f.ended(p) || f.pid == 0 {
		return
	}
	// Its successor may be heard before anybody tells how it ended.
	at := e.now
	if fell := e.missedFall(target, n.host); fell != nil {
		at = fell.since // it is missed later than it ends
	}
	if back := n.returned != 0 && n.returned >= n.announcedLast; !back || !e.tookTooLong(n, int64(p.ExitCode), e.now) {
		e.addFact(n, report.Fact{Kind: report.FactExit, Value: int64(p.ExitCode), At: at})
	}
	f.pid, n.kept = 0, keptEnd{}
}

// follow takes in which process runs, of one whom nobody misses.
func (f *processFacts) follow(p *report.Process) {
	if p.State == report.ProcessRunning {
		f.pid, f.start, f.oomKills = p.PID, p.StartTime, p.OOMKills
	}
}

// outOfMemory takes in how many in its cgroup the kernel has ended for lack of memory.
func (e *Engine) outOfMemory(n *entity, p *report.Process) {
	f := &n.process
	if f.known && p.OOMKills > f.oomKills && f.oomKills >= 0 {
		e.addFact(n, report.Fact{Kind: report.FactOOMKill, At: e.now, Text: oomWords(p.OOMKills - f.oomKills)})
	}
	if p.OOMKills >= 0 {
		f.oomKills = p.OOMKills
	}
}

func oomWords(kills int64) string {
	return fmt.Sprintf("its cgroup counted %d out-of-memory kills", kills)
}

// ended says whether the process that was known is found to have ended.
func (f *processFacts) ended(p *report.Process) bool {
	return p.State == report.ProcessGone || p.State == report.ProcessZombie || p.PID != f.pid || !sameStart(p.StartTime, f.start)
}

// sameStart says whether two start times are of one process: they are told by a clock
// that may have been set meanwhile.
func sameStart(a, b clock.Time) bool { return a-b < 5e9 && b-a < 5e9 }

// heardAs says whether n beats at an observer, which then tells incarnations.
func (n *entity) heardAs(observer string) bool {
	for _, s := range n.streams {
		if s.observer.id == observer && s.kind == signBeat && s.token != 0 {
			return true
		}
	}
	return false
}

// heldBack takes in how much a process is throttled and waits for a processor. It
// is taken over some time, since any day something else starts beside it: with
// nothing but waiting it is short of a processor after twelve seconds.
func (e *Engine) heldBack(n *entity, ps *probeState) {
	if n.kind == kindService {
		return
	}
	q := ps.process
	for _, l := range [...]struct {
		kind  report.LevelKind
		share float64
		mean  *float64
		over  time.Duration
	}{
		{report.LevelThrottled, q.Throttled, &ps.throttled, 5 * time.Second},
		{report.LevelCPUWait, max(q.CPUWait, q.PressureCPU), &ps.cpuWait, 8 * time.Second},
	} {
		if l.share >= 0 {
			*l.mean += (l.share - *l.mean) * stat.Clamp(float64(ps.interval)/float64(l.over), 0, 1)
			e.levelOf(n, &report.Level{Kind: l.kind, Share: *l.mean})
		}
	}
}
