// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// An agent also looks at processes that take no connections and keep one that they
// opened: workers, consumers and pollers, but jobs as well, and what somebody runs by
// hand. Nobody's call fails when one of them ends, and most end when they are done.
//
// So it is of servers whose callers tell nothing, such as devices and peers. They, and
// clients, are known by the name that they were told to call themselves, which another
// process may have been told, too.

const (
	// clientQuiet is for how long one must not be heard of since the agent saw its
	// process end or stop: another process may go by the same name, or have taken
	// its place. Stock SDKs send what there is each five seconds.
	clientQuiet = 8 * time.Second
	// clientUnderWay is how long after an end what it sent before may still come.
	clientUnderWay = 2 * time.Second
	// clientActive is for how long it may have been heard to do nothing before it is
	// killed, and be at work: who was asked to stop and takes too long for it has been
	// given ten seconds and more, and does no more work then.
	clientActive = 12 * time.Second
	// severalFor is how much longer than one of a service another on its host must be
	// silent for the first to be the only one.
	severalFor = 2 * time.Minute
)

// changes says whether p tells that the process is not as it was, or is another.
func (f *processFacts) changes(p *report.Process) bool {
	return !p.Lives() || f.pid != 0 && (p.PID != f.pid || !sameStart(p.StartTime, f.start))
}

// named is the one of the service on the host that a process was told to call itself,
// nil if several are heard of there.
func (e *Engine) named(b *report.Probe) *entity {
	n := e.instance(b.Named)
	if n == nil || slices.ContainsFunc(n.service.instances, func(i *entity) bool {
		return i != n && i.host == n.host && !i.left && n.heard.Sub(i.heard) < severalFor && !n.sameSlot(i)
	}) {
		return nil
	}
	return n
}

// uncertain says whether the process may be another's than the one whom it is taken for,
// or is one whose end nobody need miss.
func (ps *probeState) uncertain() bool { return ps.client || ps.named }

// another says whether the agent also sees another process that goes by n's name.
func (e *Engine) another(n *entity, ps *probeState) bool {
	return ps.uncertain() && slices.ContainsFunc(n.probes, func(o *probeState) bool {
		return o.process != nil && o.target != ps.target && e.current(o) && (!o.uncertain() || o.process.Lives())
	})
}

// endMissed says whether it counts what the agent saw of n's process, which nobody need
// miss: n has not been heard of since, and its process ended in order or by what it did,
// or was killed at work, or, if it takes connections, stopped at work, or messages wait
// that it used to read, or its callers fail, or those who were connected to it.
func (e *Engine) endMissed(n *entity, ps *probeState) bool {
	q := ps.process
	if q.Lives() {
		return false
	}
	if e.now.Sub(ps.first) < clientQuiet || n.lastSign() > ps.first.Add(clientUnderWay) {
		return false
	}
	worked := n.lastWork() >= ps.first.Add(-clientActive)
	switch status := int64(q.ExitCode); {
	case q.State == report.ProcessStopped:
		if worked && !ps.client {
			return true
		}
	case !q.HasExitCode:
	case cleanExit(status), signalNames[status] != "", worked && status == killedStatus:
		return true
	}
	return e.leavesUnread(n) || e.missedSince(n, ps.first) || e.missedFall(ps.target, n.host) != nil
}

// killedStatus is that of a process which was killed: by whatever was left of a stop
// that took too long, too.
const killedStatus = 128 + 9

// lastWork is when n was last heard to have read a message, or called or answered
// somebody.
func (n *entity) lastWork() clock.Time {
	last := n.served.last
	for _, r := range n.reads {
		last = max(last, r.seen)
	}
	n.eachCallee(func(ed *edge) bool {
		last = max(last, ed.used)
		return false
	})
	return last
}

// lastSign is when n was last heard of by its own telemetry.
func (n *entity) lastSign() clock.Time {
	last := n.heard
	for _, r := range n.reads {
		last = max(last, r.seen)
	}
	return last
}

// leavesUnread says whether messages wait in a queue that n reads, more have come
// since, and none has been read.
func (e *Engine) leavesUnread(n *entity) bool {
	for _, s := range e.queues {
		if s.current(e.now) && s.still != 0 && s.waiting >= s.began+unreadMore && n.readsFrom(s.key) != nil {
			return true
		}
	}
	return false
}
