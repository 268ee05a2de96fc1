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

// saturationFacts maps what a process says of a limit that it ran into.
var saturationFacts = [report.NumFacts]belief.Evidence{
	report.FactDiskFull:     belief.EvDiskFull,
	report.FactNoDescriptor: belief.EvNoDescriptor,
	report.FactNoThread:     belief.EvNoThread,
	report.FactPoolEmpty:    belief.EvPoolEmpty,
	report.FactNoPort:       belief.EvNoPort,
}

// saysShort says whether a fact tells that a limit refused something.
func saysShort(kind report.FactKind) bool {
	return saturationFacts[kind] != 0 || kind == report.FactOutOfMemory
}

const (
	// saidOnce is what one such line is worth; a second one makes it whole.
	saidOnce = 0.7
	// passedOn is how much such a line may be the callee's, where that fails.
	passedOn = 0.8
	// saidWithin is how long such a line counts.
	saidWithin = 30 * time.Second

	throttledFrom  = 0.25            // share of CPU periods in which it was throttled
	pressureFrom   = 0.10            // share of time in which all tasks waited for memory
	pressureIOFrom = 0.40            // for a disk
	limitFrom      = 0.97            // of a limit that is used
	servedLately   = 3 * time.Second // answers older than this say nothing of now
	errorsFrom     = 0.10            // share of failed calls that counts
	errorsFull     = 0.50            // and that counts in full
)

// detectSaturation: a limit refused, or demand waits. A resource that is merely
// busy is none: judge asks that somebody be hurt.
func detectSaturation(e *Engine, n *entity, p *episode) {
	detectLimitsHit(e, n, p)
	detectServedErrors(e, n, p)
	detectStarved(e, n, p)
	if s := n.calls; s != nil && s.lastFull != 0 && e.now.Sub(s.lastFull) < e.params.CallWindow+s.told.Slack() {
		full, share := s.byOutcome[report.OutcomeOverloaded].Value(e.now, e.params.CallWindow), s.full(e)
		if share > s.usualFull+fullOver {
			p.blame(belief.EvCallersOverloaded, min(full/e.params.BurstCalls, 1)*stat.Clamp((share-s.usualFull)/fullShare, 0, 1), s.lastFull,
				fmt.Sprintf("it turned %.0f %% of its callers away for overload (usually %.0f %%)", 100*share, 100*s.usualFull))
		}
	}
	for _, ps := range n.probes {
		if ps.process != nil && e.current(ps) {
			processLevels(e, ps.process, p)
		}
	}
	for kind := range report.NumLevels {
		switch {
		case n.levels != nil && e.startTakes(n, kind, &n.levels[kind]):
		case n.levels.short(kind, e.now):
			strength := 1.0
			if kind == report.LevelPool && e.poolStands(n, n.levels[kind].at) {
				strength = 1 - passedOn
			}
			if kind == report.LevelPool && n.levels[kind].waiting == 0 && n.waitsInVain(e) >= errorsFrom {
				strength /= poolUnasked // somebody waits, though nobody counts them
			}
			p.short(e, kind, &n.levels[kind], "its", strength)
		case n.host != nil && n.host.levels.short(kind, e.now) && levelRules[kind].ofHost:
			if kind == report.LevelRunQueue && !n.host.levels.short(report.LevelCPU, e.now) {
				continue // they wait for disks, or not any more
			}
			if e.startTakes(n, kind, &n.host.levels[kind]) || ofProcessors(kind) && n.breathesFreely(e.now) {
				continue
			}
			p.short(e, kind, &n.host.levels[kind], "its host's", hostShort)
		}
	}
	detectWaits(e, n, p)
	detectDemand(e, n, p)
	e.detectCrowd(n, p)
}

// detectWaits notes that answers fail after a long wait since a limit is newly reached:
// what they waited for is what is short. Who has no descriptor left takes no connection, and
// answers nobody from then on; who hangs comes to that limit later, if ever.
func detectWaits(e *Engine, n *entity, p *episode) {
	switch f := &p.found[belief.EvDescriptorsFull]; {
	case !f.now || f.strength <= oldNews:
		p.noneLeft = 0
	case p.noneLeft == 0:
		p.noneLeft = e.now
	}
	if stands := &p.found[belief.EvNoProgress]; p.noneLeft != 0 && stands.now && n.served.total > 0 && p.noneLeft.Sub(n.served.last) < noneLeftFirst {
		p.note(belief.EvFailsShort, stands.strength, e.now, "and it has answered nobody since")
		return
	}
	if share := n.waitsInVain(e); share >= errorsFrom && p.newlyShort() {
		p.note(belief.EvFailsShort, stat.Clamp(share/errorsFull, 0.3, 1), e.now, fmt.Sprintf("and %.0f %% of its answers fail after a long wait", 100*share))
	}
}

// noneLeftFirst is how long after the last answer it may be found that no descriptor is left,
// if that is why none came since: a call runs out of time and agents look now and then.
const noneLeftFirst = 5 * time.Second

// waitsInVain is the share of n's answers of late that were failures after a long wait.
func (n *entity) waitsInVain(e *Engine) float64 {
	w := e.params.CallWindow
	waited := n.served.waited.Value(e.now, w)
	return waited / max(n.served.ok.Value(e.now, w)+n.served.failed.Value(e.now, w), 1)
}

// poolUnasked is what a pool that is used up counts while nobody waits for it.
const poolUnasked = 0.6

// hostShort: what is short on a host may not be what hurts one process on it.
const hostShort = 0.7

// short notes that a resource is at its limit.
func (p *episode) short(e *Engine, kind report.LevelKind, s *levelState, whose string, strength float64) {
	text := fmt.Sprintf("%s %s is at %.0f %% of its limit", whose, kind, 100*s.share)
	switch kind {
	case report.LevelThrottled:
		text = fmt.Sprintf("its CPU quota throttled it in %.0f %% of the periods", 100*s.share)
		strength *= stat.Clamp(s.share/errorsFull, 0.5, 1)
	case report.LevelCPUWait:
		text = fmt.Sprintf("%s tasks waited for a processor for %.0f %% of the time", whose, 100*s.share)
	case report.LevelRunQueue:
		text = fmt.Sprintf("%s processors are all busy, and %.1f tasks want each", whose, 1/max(1-s.share, 0.01))
	case report.LevelGC:
		text = fmt.Sprintf("it spends %.0f %% of its time on collecting garbage", 100*s.share)
	case report.LevelMemoryStall:
		text = fmt.Sprintf("%s tasks all waited for memory for %.0f %% of the time", whose, 100*s.share)
	case report.LevelIOStall:
		text = fmt.Sprintf("%s tasks all waited for a disk for %.0f %% of the time", whose, 100*s.share)
	case report.LevelDiskIO:
		text = fmt.Sprintf("%s disk is busy for %.0f %% of the time, and each operation takes long", whose, 100*s.share)
	case report.LevelNodeMemory, report.LevelNodeDisk, report.LevelNodeThreads:
		text = fmt.Sprintf("its node says that it is short of %s", kind)
	case report.LevelPool:
		text = fmt.Sprintf("%s connection pool is used up", whose)
		if s.waiting > 0 {
			text += fmt.Sprintf(", %.0f wait for it", s.waiting)
		} else {
			strength *= poolUnasked
		}
	}
	if news := s.news(); news < 1 {
		strength *= news
		text += ", as usual"
	}
	row := levelRules[kind].row
	if kind == report.LevelCPU && whose == "its" && s.rose() {
		row, text = belief.EvCPURose, fmt.Sprintf("its CPU use is at %.0f %% of its limit (usually %.0f %%)", 100*s.share, 100*s.usual)
	}
	if !p.found[row].now || p.found[row].strength < strength {
		p.note(row, strength, e.now, text)
	}
}

// newlyShort says whether a limit is reached that usually is not.
func (p *episode) newlyShort() bool {
	for _, kind := range [...]belief.Evidence{belief.EvVolumeFull, belief.EvMemoryFull, belief.EvDescriptorsFull, belief.EvThreadsFull, belief.EvPoolFull, belief.EvFlowsFull} {
		if p.found[kind].now && p.found[kind].strength > oldNews {
			return true
		}
	}
	return false
}

// processLevels: what the kernel says of the process and its cgroup.
func processLevels(e *Engine, q *report.Process, p *episode) {
	if q.PressureMem >= pressureFrom {
		p.note(belief.EvMemoryPressure, 1, e.now, fmt.Sprintf("all its tasks waited for memory for %.0f %% of the time", 100*q.PressureMem))
	}
	if q.PressureIO >= pressureIOFrom {
		p.note(belief.EvIOPressure, 1, e.now, fmt.Sprintf("all its tasks waited for a disk for %.0f %% of the time", 100*q.PressureIO))
	}
	for _, l := range [...]struct {
		used, limit int64
		from        float64
		what        string
		kind        belief.Evidence
	}{
		{q.MemoryUsed, q.MemoryLimit, levelRules[report.LevelMemory].from, "bytes of memory", belief.EvMemoryFull},
		{q.FDs, q.FDLimit, limitFrom, "file descriptors", belief.EvDescriptorsFull},
		{q.Threads, q.ThreadLimit, limitFrom, "threads", belief.EvThreadsFull},
	} {
		if l.limit > 0 && float64(l.used) >= l.from*float64(l.limit) {
			p.note(l.kind, 1, e.now, fmt.Sprintf("it uses %d of %d %s", l.used, l.limit, l.what))
		}
	}
}

// detectLimitsHit: it says itself that a limit refused it.
func detectLimitsHit(e *Engine, n *entity, p *episode) {
	count := map[belief.Evidence]int{}
	for i := range n.facts {
		f := &n.facts[i]
		kind := saturationFacts[f.Kind]
		if kind == 0 || e.now.Sub(f.At) > saidWithin || f.At <= n.cleared {
			continue
		}
		count[kind]++
		strength := saidOnce
		if count[kind] > 1 {
			strength = 1
			p.limited = p.limited || e.calleesFail(n)
		}
		// What its callee says of itself comes up in its own words.
		if e.answeredBadly(n, kind == belief.EvPoolEmpty) {
			strength *= 1 - passedOn
		}
		strength *= 1 - passedOn*p.found[belief.EvCalleeFailing].strength
		if kind == belief.EvPoolEmpty && e.poolStands(n, f.At) {
			strength *= 1 - passedOn
		}
		if kind == belief.EvNoThread && p.stoodAt != 0 && f.At.Sub(p.stoodAt) < stoodTogether {
			strength *= 1 - passedOn // all of them waited for one that did not answer
		}
		p.note(kind, strength, e.now, "it wrote: "+f.Text)
		p.latest = max(p.latest, f.At)
		p.startedBy(f.At)
		if kind != belief.EvPoolEmpty {
			p.lastWords(n, f)
		}
	}
}

// poolStands says whether those who held the pool at a time made no progress: one
// that n calls had answered nothing for long, and calls to it have failed since, or
// it is seen to be stopped, or stopped answering others of its callers in the same moment,
// or nobody had answered, and calls under way had not had the time to fail. It keeps them,
// then.
// Later than that they are lost, or nobody waits: the pool is short by itself.
func (e *Engine) poolStands(n *entity, at clock.Time) bool {
	if at > n.stoodFrom && at <= n.stood.Add(min(n.stood.Sub(n.stoodFrom), poolPatience)) {
		return true // who has waited meanwhile gives up yet, or takes what is free again
	}
	all, latest := true, clock.Time(0)
	fails := n.eachCallee(func(ed *edge) bool {
		if ed.rate.Known < stat.RateKnown || e.now.Sub(ed.used) > e.params.LeaveFor {
			return false
		}
		stood := ed.stoodUntil(at)
		all, latest = all && stood, max(latest, ed.okEnd)
		return stood && (ed.lastFail > ed.okEnd || ed.callee.seenDown(e) || ed.standsForAll(e, at))
	})
	return fails || all && latest != 0 && at.Sub(latest) < poolPatience
}

// standsForAll says whether the callee has answered none of those who call it since the
// same moment, and they are several: it, and not what one of them has lost, keeps all of
// their connections. Pools that leak, or are too small, do not run out together.
func (ed *edge) standsForAll(e *Engine, at clock.Time) bool {
	several := false
	for _, x := range ed.callee.calledBy {
		if x == ed || x.rate.Known < stat.RateKnown || ed.okEnd.Sub(x.used) > e.params.LeaveFor {
			continue
		}
		if x.okEnd > at || max(x.okEnd.Sub(ed.okEnd), ed.okEnd.Sub(x.okEnd)) > stoodTogether+e.stoodBy(x) {
			return false
		}
		several = true
	}
	return several
}

// stoodBy is the usual time between two calls of an edge.
func (e *Engine) stoodBy(x *edge) time.Duration {
	return time.Duration(float64(time.Second) / max(x.rate.Usual, 0.1))
}

// stoodAgain notes that one that n calls answered nothing from one time to another.
// Of several who did at the same time it counts that one of them did.
func (n *entity) stoodAgain(from, to clock.Time) {
	if from >= n.stood {
		n.stoodFrom, n.stood = from, to
		return
	}
	n.stoodFrom, n.stood = min(n.stoodFrom, from), max(n.stood, to)
}

// stoodUntil says whether none of the calls was answered for long before t.
func (ed *edge) stoodUntil(t clock.Time) bool {
	quiet := t.Sub(ed.okEnd)
	return ed.okEnd != 0 && quiet >= poolStandsFor && ed.rate.Known >= stat.RateKnown && ed.rate.Usual*quiet.Seconds() >= stallSure
}

const (
	// poolStandsFor is how long none of its calls to somebody must have been
	// answered.
	poolStandsFor = 1500 * time.Millisecond
	// stoodTogether is how far apart those who call one that stands still may have had
	// their last answers, beside the usual time between two.
	stoodTogether = 2 * time.Second
	// poolPatience is how long drivers may wait for an answer before they say so.
	poolPatience = 12 * time.Second
)

// saysPoolEmpty says whether n has just said that a pool of its own has nothing
// left: calls that it then makes go nowhere.
func (e *Engine) saysPoolEmpty(n *entity) bool {
	for i := range n.facts {
		if f := &n.facts[i]; f.Kind == report.FactPoolEmpty && e.now.Sub(f.At) < saidWithin {
			return true
		}
	}
	return false
}

// detectServedErrors: calls that it answers fail.
func detectServedErrors(e *Engine, n *entity, p *episode) {
	window := e.params.CallWindow
	failed, ok := n.served.failed.Value(e.now, window), n.served.ok.Value(e.now, window)
	if failed < 1 || e.now.Sub(n.served.seen) > servedLately+n.served.told.Slack() {
		return
	}
	if share := failed / (failed + ok); share >= errorsFrom {
		p.note(belief.EvServesErrors, stat.Clamp(share/errorsFull, 0.3, 1), e.now, fmt.Sprintf("%.0f %% of the calls that it answers fail", 100*share))
	}
}
