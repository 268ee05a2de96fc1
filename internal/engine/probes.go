// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// probeState is what one observer's probe of one target last said.
type probeState struct {
	observer *observer
	target   string
	direct   bool
	passive  bool // the kernel tells it of connections that others opened
	client   bool // it is of a process that takes no connections, see clients.go
	named    bool // it is of a process that goes by this name
	interval time.Duration

	outcome report.Outcome
	run     int        // results alike in a row
	first   clock.Time // of the run
	at      clock.Time // of the latest
	wrongAt clock.Time // of the latest wrong answer; 0 if there was none
	lastOK  clock.Time
	seq     uint64        // observer's count at it
	seenAt  time.Duration // its awake clock then
	starts  int
	latched bool // answered nobody after a connect, in this run of failures
	message string
	process *report.Process
	// Smoothed, 0-1: in how much of the time it waits for a processor, and of the
	// periods is throttled.
	cpuWait, throttled float64
}

// processFacts is what a process target showed last.
type processFacts struct {
	pid      int64
	start    clock.Time
	oomKills int64
	known    bool
}

// maxProbesEach is how many probes of one entity are followed.
const maxProbesEach = 16

func (e *Engine) probed(b *report.Probe) {
	n := e.instance(b.Source)
	o, named := e.observer(b.Observer), false
	if b.From != "" {
		e.unheardBy(o, b)
		return
	}
	if b.Passive {
		e.connected(b)
	} else if b.Process != nil {
		b = e.withClosed(b)
		e.looked(b)
	}
	switch {
	case n != nil || b.Source != nil:
		e.onlyAtPort(b) // others with its port are not meant by that alone
	case b.Process != nil:
		n, named = e.server(b)
	case b.Passive:
		n = e.peer(b)
	case b.Target != "":
		n = e.callee(report.Callee{Address: b.Target})
	}
	if n == nil || o == nil {
		if o != nil && b.Passive {
			e.unnamed(o, b)
		}
		return
	}
	if n.kind == kindInstance && n.src.Instance == "" && n.src.Host == "" {
		n = e.wholeServiceInstead(n)
	}
	at := e.place(o, &b.Stamp)
	ps := n.probe(o, b.Target)
	if b.Seq != 0 && b.Seq <= ps.seq && at <= ps.seenAt && ps.starts == o.starts {
		return // duplicated or overtaken in transport
	}
	news := ps.starts == o.starts && at > ps.seenAt
	ps.seq, ps.seenAt, ps.starts = b.Seq, at, o.starts
	ok := b.Outcome == report.OutcomeOK
	if b.Passive && b.Host != "" {
		e.unnamed(o, b)
	}
	if late := o.lateness(&b.Stamp, e.now); late > lateFrom {
		if b.Process != nil && news {
			e.lookedMeanwhile(n, b, late)
		}
		return // history
	}
	if !ok && o.justWoke() {
		return // it ran into its time-out while the observer slept
	}
	if b.Interval > 0 {
		ps.interval = b.Interval
	} else if ps.at != 0 {
		ps.interval = e.now.Sub(ps.at)
	}
	if b.Outcome == ps.outcome {
		ps.run++
	} else {
		ps.run, ps.first = 1, e.now
	}
	if n.unspoken && b.Process != nil && ps.run == 1 {
		if f := e.missedFall(b.Target, n.host); f != nil {
			ps.first = min(ps.first, f.since) // it was seen before it was missed
		}
	}
	ps.outcome, ps.at, ps.direct, ps.message, ps.process = b.Outcome, e.now, b.Direct, b.Message, b.Process
	ps.passive, ps.client, ps.named = b.Passive, b.Client, named
	switch {
	case ok:
		ps.lastOK, ps.latched = e.now, false
		n.alive = true
		if b.Passive {
			break // it is connected to, and nobody has asked it
		}
		n.answered = n.answered || b.Process == nil
		if address := hostPort(b.Target); b.Direct && ps.run == 1 && n.kind == kindInstance && address != "" {
			e.book.own(address, n, e.now)
		}
	case b.Outcome == report.OutcomeWrongAnswer:
		ps.wrongAt = e.now
	case b.Outcome == report.OutcomeNoAnswer:
		// A stopped listener's backlog fills up: later connects time out, and
		// look like a cut. The first impression is the right one.
		ps.latched = true
	case b.Outcome == report.OutcomeConnectTimeout || b.Outcome == report.OutcomeTimeout:
		ps.latched = ps.latched || n.acceptedFirst(ps)
	}
	if b.Process != nil {
		if !e.another(n, ps) {
			e.processSeen(n, b, ps)
			e.heldBack(n, ps)
		}
	} else if h := e.host(o.host); h != nil && o.credible(e.now) {
		h.observer = o
		if n.backsOff(ps) {
			return
		}
		e.seenFrom(n, h, nil, b.Outcome, 1, e.now, e.now)
		if b.Outcome == report.OutcomeRefused && b.Direct && len(e.cuts) > 0 {
			e.refused(n)
		}
		if ok && b.RTT > 0 && n.host != h {
			n.view(h, nil).net.add(e, b.RTT)
		}
	}
	switch {
	case n.left && !ok && b.Process == nil:
		e.mark(n) // it is known to have gone
	case !ok:
		e.suspect(n)
	default:
		e.mark(n)
	}
}

// acceptedFirst says whether n's port went on taking connections when its callers had
// got no answer for some time, and only then no more: its backlog has filled up.
func (n *entity) acceptedFirst(ps *probeState) bool {
	p := n.episode
	if p == nil || ps.lastOK == 0 || !strings.HasPrefix(ps.target, "tcp://") {
		return false
	}
	s := p.complaints(n)
	if s == nil || s.firstFail == 0 {
		return false
	}
	answered := s.okEnd
	if s != n.calls {
		answered = n.served.last // its siblings answer, too
	}
	waited := s.byOutcome[report.OutcomeTimeout].Latest() + s.byOutcome[report.OutcomeNoAnswer].Latest()
	return waited >= enoughWaitedFirst && ps.lastOK > s.firstFail.Add(acceptedFor) && answered <= s.firstFail.Add(acceptedFor)
}

const (
	// acceptedFor is how long a port must take connections after the first call
	// that got no answer, and enoughWaitedFirst the number of calls that did not.
	acceptedFor       = time.Second
	enoughWaitedFirst = 2.0
)

// answersNobody says whether a probe got through to n and no further, or n is seen to
// be stopped: what its callers meet with is its own doing, and says nothing of the
// network.
func (n *entity) answersNobody(e *Engine) bool {
	for _, ps := range n.probes {
		if stopped := ps.process != nil && ps.process.State == report.ProcessStopped && !n.supposed; (ps.latched || stopped) && e.current(ps) {
			return true
		}
	}
	return false
}

// seenDown says whether an agent sees n's process, or the one that n is supposed to be,
// stopped or gone.
func (n *entity) seenDown(e *Engine) bool {
	return slices.ContainsFunc(n.probes, func(ps *probeState) bool {
		return ps.process != nil && (ps.process.State == report.ProcessStopped || ps.process.State == report.ProcessGone) && e.current(ps)
	})
}

// starves says whether n is known to be held back so much that its answers come
// too late, and answers to it: what its callers and it wait for in vain says nothing
// of the network.
func (n *entity) starves(e *Engine) bool {
	if n.gaspsSince(e, 0) {
		return true
	}
	p := n.episode
	return p != nil && max(p.found[belief.EvThrottled].strength, p.found[belief.EvCPUWait].strength, p.found[belief.EvMemoryPressure].strength) >= starvesFrom
}

// starvesFrom is how strong a sign of want must be to explain that one stands still.
const starvesFrom = 0.8

// hostPort is the address that a target's URL leads to, "" if it tells none.
func hostPort(target string) string {
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok {
		return ""
	}
	address, _, _ := strings.Cut(rest, "/")
	switch {
	case strings.LastIndexByte(address, ':') > strings.LastIndexByte(address, ']'):
		return address
	case scheme == "http":
		return address + ":80"
	case scheme == "https":
		return address + ":443"
	}
	return ""
}

// wholeServiceInstead: a target that names only a service stands for all of it.
func (e *Engine) wholeServiceInstead(n *entity) *entity {
	if n.service == nil {
		return n
	}
	for _, i := range n.service.instances {
		if i != n {
			return e.wholeService(n.service)
		}
	}
	return n
}

func (n *entity) probe(o *observer, target string) *probeState {
	oldest := 0
	for i, p := range n.probes {
		if p.observer == o && p.target == target {
			return p
		}
		if p.at < n.probes[oldest].at {
			oldest = i
		}
	}
	p := &probeState{observer: o, target: target}
	if len(n.probes) < maxProbesEach {
		n.probes = append(n.probes, p)
	} else {
		n.probes[oldest] = p
	}
	return p
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

// probeRow is which evidence an outcome is, and how sure one such result is.
var probeRow = map[report.Outcome]struct {
	kind belief.Evidence
	once float64
	says string
}{
	report.OutcomeRefused:        {belief.EvProbeRefused, 1, "connection refused"},
	report.OutcomeConnectTimeout: {belief.EvProbeTimeout, 0.6, "connect timed out"},
	report.OutcomeTimeout:        {belief.EvProbeTimeout, 0.6, "timed out"},
	report.OutcomeUnreachable:    {belief.EvProbeUnreachable, 0.8, "no route"},
	report.OutcomeNoAnswer:       {belief.EvProbeNoAnswer, 0.6, "connected, then no answer"},
	report.OutcomeReset:          {belief.EvProbeReset, 0.7, "connection reset"},
	report.OutcomeDown:           {belief.EvProbeDown, 0.7, "scrape failed"},
	report.OutcomeDNS:            {belief.EvProbeName, 0.7, "name look-up failed"},
	report.OutcomeTLS:            {belief.EvProbeTLS, 0.9, "TLS handshake failed"},
	report.OutcomeUnacknowledged: {belief.EvUnacknowledged, 0.6, "nothing is acknowledged"},
}

// detectProbes: what those who look at the entity see.
func detectProbes(e *Engine, n *entity, p *episode) {
	for _, ps := range n.probes {
		if strings.HasPrefix(ps.target, processTarget) || !e.current(ps) || n.backsOff(ps) {
			continue
		}
		health := ps.observer.health()
		if ps.outcome == report.OutcomeOK {
			if ps.at > max(p.began, n.ended()) {
				kind, says := belief.EvProbeOK, fmt.Sprintf("probe of %s is answered", ps.target)
				switch {
				case ps.passive:
					kind, says = belief.EvAcknowledged, fmt.Sprintf("its machine acknowledges what %s sends", ps.observer.name())
				case strings.HasPrefix(ps.target, "tcp://"):
					kind = belief.EvPortOpen
				}
				p.note(kind, health, e.now, says)
			}
			continue
		}
		outcome := ps.outcome
		if ps.latched && (outcome == report.OutcomeConnectTimeout || outcome == report.OutcomeTimeout) {
			outcome = report.OutcomeNoAnswer
		}
		r, ok := probeRow[outcome]
		if !ok || outcome == report.OutcomeRefused && n.stillStarts(ps.at) {
			continue
		}
		strength := r.once
		if ps.run > 1 || ps.latched && outcome != ps.outcome {
			strength = 1
		}
		text := fmt.Sprintf("probe of %s: %s", ps.target, r.says)
		if outcome != ps.outcome && strings.HasPrefix(ps.target, "tcp://") {
			text = fmt.Sprintf("probe of %s: connect timed out, after its port had taken connections while it answered nobody", ps.target)
		}
		if outcome == report.OutcomeUnacknowledged {
			text = fmt.Sprintf("nothing that %s sends to it is acknowledged", ps.observer.name())
		}
		if ps.run > 1 {
			text += fmt.Sprintf(" ×%d", ps.run)
		}
		if p.found[r.kind].now && p.found[r.kind].strength >= strength*health {
			continue
		}
		own := outcome == report.OutcomeTLS || outcome == report.OutcomeDNS // of this observer, if others are content
		if lasted := ps.at.Sub(ps.first); ps.run >= stillRuns && lasted >= stillRefusedFor && (!own || !e.fineElsewhere(n, ps)) {
			p.note(belief.EvProbeStill, health, e.now, fmt.Sprintf("and so for %s on end", inWords(lasted)))
		}
		p.blame(r.kind, strength*health, e.now, text)
		p.startedBy(ps.first)
	}
}

// stillRuns is the number of bad results on end that are more than a moment.
const stillRuns = 3

// processTarget begins the target of a process probe.
const processTarget = "process:"

// current says whether a probe's result still stands: its observer is well and
// the next result is not overdue.
func (e *Engine) current(ps *probeState) bool {
	return ps.at != 0 && ps.observer.overdueAt == 0 && (ps.observer.doubted == 0 || e.now.Sub(ps.observer.doubted) > doubtedFor) && e.now.Sub(ps.at) <= 3*ps.interval+5*time.Second
}

// detectProcess: what the kernel says of the process itself.
func detectProcess(e *Engine, n *entity, p *episode) {
	if p.onset != 0 && n.seenRun > p.onset.Add(time.Second) && e.now.Sub(n.seenRun) < seenRunFor {
		p.note(belief.EvProcessRuns, 1, e.now, "its host's agent sees the process run")
	}
	for _, ps := range n.probes {
		if ps.process == nil || !e.current(ps) || e.another(n, ps) {
			continue
		}
		switch ps.process.State {
		case report.ProcessGone, report.ProcessZombie:
			if n.alive && (!n.supposed || e.missedSince(n, ps.first)) && (!ps.uncertain() || e.endMissed(n, ps)) && (n.returned == 0 || ps.at > n.returned.Add(stillThere)) { // else it is a look from before it came back
				e.exitSeen(n, ps.target, ps.process) // it may be missed only since the agent told
				p.blame(belief.EvProcessGone, 1, e.now, fmt.Sprintf("process %s is gone", ps.processName()))
				p.startedBy(ps.first)
			}
		case report.ProcessStopped:
			if ps.uncertain() && !e.endMissed(n, ps) {
				continue
			}
			p.stopped = true
			p.blame(belief.EvProcessStopped, 1, e.now, fmt.Sprintf("process %s is stopped by a signal", ps.processName()))
			p.startedBy(ps.first)
		case report.ProcessRunning:
			if ps.at > e.hurtSince(n, p) && !n.supposed { // else it is a sight from before, or may be of another
				p.note(belief.EvProcessRuns, 1, e.now, fmt.Sprintf("process %s runs", ps.processName()))
			}
		}
	}
}

// seenRunFor is how long it counts that a process was seen to run.
const seenRunFor = 30 * time.Second

func (ps *probeState) processName() string {
	name := strings.TrimPrefix(ps.target, processTarget)
	if ps.process != nil && ps.process.PID > 0 {
		return fmt.Sprintf("%s (pid %d)", name, ps.process.PID)
	}
	return name
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
