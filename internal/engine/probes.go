// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What probes say of their targets, and what agents and kernels tell without being asked.

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

// maxProbesEach is how many probes of one entity are followed.
const maxProbesEach = 16

// probed takes in what an observer saw of a target, be it by asking it or by looking at
// its process, or what a kernel tells of connections that others opened.
func (e *Engine) probed(b *report.Probe) {
	n := e.instance(b.Source)
	o := e.observer(b.Observer)
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
	n, named := e.probedOne(n, b)
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
	ps := e.probe(n, o, b)
	if ps == nil {
		return
	}
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
	e.noteResult(n, ps, b)
	ps.named = named
	e.firstImpression(n, ps, b)
	if b.Process == nil {
		if !e.probedFrom(o, n, ps, b) {
			return
		}
	} else if !e.another(n, ps) {
		e.processSeen(n, b, ps)
		e.heldBack(n, ps)
	}
	if ok || n.left && b.Process == nil { // of one who left it is known
		e.mark(n)
	} else {
		e.suspect(n)
	}
}

// probedOne returns whom a result is of; n is whom it names, or nil. named says that only
// a name tells it of a process.
func (e *Engine) probedOne(n *entity, b *report.Probe) (one *entity, named bool) {
	switch {
	case n != nil || b.Source != nil:
		e.onlyAtPort(b) // others with its port are not meant by that alone
		return n, false
	case b.Process != nil:
		return e.server(b)
	case b.Passive:
		return e.peer(b), false
	case b.Target != "":
		return e.callee(report.Callee{Address: b.Target}), false
	}
	return nil, false
}

// noteResult notes what a result says, and since when results are alike.
func (e *Engine) noteResult(n *entity, ps *probeState, b *report.Probe) {
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
	ps.passive, ps.client = b.Passive, b.Client
}

// firstImpression notes what a result shows beyond itself: that n lives and where it
// takes connections, or that it took one and answered nobody.
func (e *Engine) firstImpression(n *entity, ps *probeState, b *report.Probe) {
	switch b.Outcome {
	case report.OutcomeOK:
		ps.lastOK, ps.latched = e.now, false
		n.alive = true
		if b.Passive {
			break // it is connected to, and nobody has asked it
		}
		n.answered = n.answered || b.Process == nil
		if address := hostPort(b.Target); b.Direct && ps.run == 1 && n.kind == kindInstance && address != "" {
			e.book.own(address, n, e.now)
		}
	case report.OutcomeWrongAnswer:
		ps.wrongAt = e.now
	case report.OutcomeNoAnswer:
		// A stopped listener's backlog fills up: later connects time out, and
		// look like a cut. The first impression is the right one.
		ps.latched = true
	case report.OutcomeConnectTimeout, report.OutcomeTimeout:
		ps.latched = ps.latched || n.acceptedFirst(ps)
	}
}

// probedFrom takes a result as a sight of n from the observer's host, if the observer is
// to be believed. It is false where nothing follows from it: n merely backs off.
func (e *Engine) probedFrom(o *observer, n *entity, ps *probeState, b *report.Probe) bool {
	h := e.host(o.host)
	if h == nil || !o.credible(e.now) {
		return true
	}
	h.observer = o
	if n.backsOff(ps) {
		return false
	}
	e.seenFrom(n, h, nil, b.Outcome, 1, e.now, e.now)
	if b.Outcome == report.OutcomeRefused && b.Direct && len(e.cuts) > 0 {
		e.refused(n)
	}
	if b.Outcome == report.OutcomeOK && b.RTT > 0 && n.host != h {
		n.view(h, nil).net.add(e, b.RTT)
	}
	return true
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

// probe returns what o's probe of a target last said, new if need be: where there are
// maxProbesEach, in the place of the one heard of least lately. It is nil where all of these
// still stand: so many tell enough, and each would lose how often it said so to the next.
// What becomes of a process only few tell, so that it takes the place of any other.
func (e *Engine) probe(n *entity, o *observer, b *report.Probe) *probeState {
	oldest, other := 0, -1
	for i, p := range n.probes {
		if p.observer == o && p.target == b.Target {
			return p
		}
		if p.at < n.probes[oldest].at {
			oldest = i
		}
		if p.process == nil && (other < 0 || p.at < n.probes[other].at) {
			other = i
		}
	}
	p := &probeState{observer: o, target: b.Target}
	if len(n.probes) < maxProbesEach {
		n.probes = append(n.probes, p)
		return p
	}
	e.stats.ForgottenProbes++
	if old := n.probes[oldest]; e.now.Sub(old.at) > probeStands(old.interval) {
		n.probes[oldest] = p
	} else if b.Process != nil && other >= 0 {
		n.probes[other] = p
	} else {
		return nil
	}
	return p
}

// processTarget begins the target of a process probe.
const processTarget = "process:"

// current says whether a probe's result still stands: its observer is well and
// the next result is not overdue.
func (e *Engine) current(ps *probeState) bool {
	return e.recent(ps) && (ps.observer.doubted == 0 || e.now.Sub(ps.observer.doubted) > doubtedFor)
}

// recent says the same of one whose observer may be doubted.
func (e *Engine) recent(ps *probeState) bool {
	return ps.at != 0 && ps.observer.overdueAt == 0 && e.now.Sub(ps.at) <= probeStands(ps.interval)
}

// probeStands is how long a result of a probe made at an interval still stands.
func probeStands(interval time.Duration) time.Duration { return 3*interval + 5*time.Second }
