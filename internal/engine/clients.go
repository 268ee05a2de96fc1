// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// An agent also looks at processes that take no connections and keep one that they
// opened: workers, consumers and pollers, but jobs as well, and what somebody runs by
// hand. Nobody's call fails when one of them ends, and most end when they are done.

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
)

// changes says whether p tells that the process is not as it was, or is another.
func (f *processFacts) changes(p *Process) bool {
	lives := p.State == ProcessRunning || p.State == ProcessDiskWait
	return !lives || f.pid != 0 && (p.PID != f.pid || !sameStart(p.StartTime, f.start))
}

// clientMissed says whether it counts what the agent saw of n's process, which takes
// no connections: n has not been heard of since, and its process ended in order or
// by what it did, or was killed at work, or messages wait that it used to read, or its
// callers fail.
func (e *Engine) clientMissed(n *entity, ps *probeState) bool {
	q := ps.process
	if q == nil || q.State == ProcessRunning || q.State == ProcessDiskWait {
		return false
	}
	if e.now.Sub(ps.first) < clientQuiet || n.lastSign() > ps.first.Add(clientUnderWay) {
		return false
	}
	if q.State != ProcessStopped && q.HasExitCode {
		switch status := int64(q.ExitCode); {
		case cleanExit(status), signalNames[status] != "":
			return true
		case status == killedStatus && n.lastWork() >= ps.first.Add(-clientActive):
			return true
		}
	}
	return e.leavesUnread(n) || e.missedSince(n, ps.first)
}

// killedStatus is that of a process which was killed: by whatever was left of a stop
// that took too long, too.
const killedStatus = 128 + 9

// lastWork is when n was last heard to have read a message or called somebody.
func (n *entity) lastWork() clock.Time {
	last := clock.Time(0)
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
