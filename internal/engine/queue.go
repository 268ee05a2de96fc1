// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// A queue hides the failure of those who read from it: nobody's call fails, the
// messages wait. Whether they wait because nobody reads, or because more come
// than are read, is told by the count of those that were read and by the spans
// of the readers.

// queueKey names a queue as those who read it share it.
type queueKey struct{ name, group string }

// queueState is a queue as it was told last.
type queueState struct {
	key     queueKey
	teller  *entity // whose telemetry told it; nil unless an instance
	told    clock.Time
	first   clock.Time
	every   time.Duration
	waiting float64
	usual   float64 // messages that usually wait

	piling clock.Time // since when more than usual wait and do not get fewer; 0 if not
	peak   float64    // since then
	rises  int        // looks since then at which more waited than before

	read    float64       // cumulative, -1 if not told
	rate    float64       // messages read a second, usually; 0 if not known
	reads   int           // looks that found some read, at most readsKnown
	still   clock.Time    // when the latest was read, while none is and some wait; 0 else
	began   float64       // messages that waited then
	longest time.Duration // that none was read, as is usual for it

	inferred bool // flow.go: spans alone tell of it

	readers  []*entity // whose failure it is, see culprits
	lookedAt clock.Time
}

// reading is that an instance reads from a queue.
type reading struct {
	key  queueKey
	rate stat.Rate
	last clock.Time // event time of the latest message
	seen clock.Time // engine time
}

const (
	maxQueues   = 1024
	maxReadings = 8  // queues that one reader is known to read
	queueMemory = 16 // looks
	// pileFrom times the usual, and pileOver more, is more than usual.
	pileFrom = 2.0
	pileOver = 20.0
	// pileFor and pileRises are how long it must pile up to count, and pileFull
	// is the delay of a message that counts in full.
	pileFor   = 12 * time.Second
	pileRises = 3
	pileFull  = 20 * time.Second
	drained   = 0.9 // of the peak
	// unreadFor, and twice what is usual, none must have been read while unreadMore
	// came; thrice as long while a reader's spans tell that it reads: what is slow may
	// be counted seldom.
	unreadFor    = 10 * time.Second
	unreadAnyhow = 3 * unreadFor
	unreadMore   = 5.0
	readsKnown   = 5 // looks from which on it is known how it is read
	// readersEvery is the time between two looks at who reads what.
	readersEvery = 5 * time.Second
)

// queue takes in how long a queue is.
func (e *Engine) queue(q *report.Queue) {
	if s := e.queueOf(queueKey{q.Name, q.Group}); s != nil && s.inferred {
		*s = queueState{key: s.key, usual: q.Waiting, waiting: q.Waiting, read: q.Read, told: e.now, first: e.now}
	}
	e.queueIs(q)
	// Spans need not tell of it any more.
	e.queues = slices.DeleteFunc(e.queues, func(s *queueState) bool { return s.inferred && s.key.name == q.Name })
}

func (e *Engine) queueIs(q *report.Queue) {
	if !(q.Waiting >= 0) || math.IsInf(q.Waiting, 0) || math.IsNaN(q.Read) || math.IsInf(q.Read, 0) {
		return
	}
	key := queueKey{q.Name, q.Group}
	s := e.queueOf(key)
	if s == nil {
		s = &queueState{key: key, usual: q.Waiting, waiting: q.Waiting, read: q.Read, told: e.now, first: e.now}
		e.keepQueue(s)
	}
	if n := e.instance(q.Source); n != nil && n.kind == kindInstance {
		s.teller = n
	}
	gap := e.now.Sub(s.told)
	if gap < stat.OneBatch {
		return
	}
	s.every += (min(gap, time.Minute) - s.every) / everyMemory
	s.pile(q)
	s.progress(q, gap, e.now, !s.inTrouble())
	s.waiting, s.read, s.told = q.Waiting, q.Read, e.now
	if s.pilesUp(e.now) || s.stands(e.now) {
		for _, n := range e.culprits(s) {
			e.suspect(n)
		}
	}
}

func (e *Engine) queueOf(key queueKey) *queueState {
	for _, s := range e.queues {
		if s.key == key {
			return s
		}
	}
	return nil
}

// keepQueue adds a queue; among those that were told of once, else among all,
// the one that was told of longest ago makes room.
func (e *Engine) keepQueue(s *queueState) {
	if len(e.queues) < maxQueues {
		e.queues = append(e.queues, s)
		return
	}
	victim := 0
	for i, q := range e.queues {
		v := e.queues[victim]
		if once, too := q.told == q.first, v.told == v.first; once != too && once || once == too && q.told < v.told {
			victim = i
		}
	}
	e.queues[victim] = s
	e.stats.ForgottenQueues++
}

// pile follows how many wait.
func (s *queueState) pile(q *report.Queue) {
	switch {
	case q.Waiting <= pileFrom*s.usual+pileOver:
		s.usual += (q.Waiting - s.usual) / queueMemory
		s.piling = 0
	case s.piling == 0:
		s.piling, s.peak, s.rises = s.told, q.Waiting, 0
	case q.Waiting < drained*s.peak:
		s.piling = 0
	default:
		if q.Waiting > s.waiting {
			s.rises++
		}
		s.peak = max(s.peak, q.Waiting)
	}
}

// inTrouble says whether one of those who are to do with the queue is convicted.
func (s *queueState) inTrouble() bool {
	return s.teller != nil && s.teller.verdict != nil || slices.ContainsFunc(s.readers, func(n *entity) bool { return n.verdict != nil })
}

// progress follows how many were read, and learns from it how they usually are.
func (s *queueState) progress(q *report.Queue, gap time.Duration, now clock.Time, learn bool) {
	if q.Read < 0 || s.read < 0 || q.Read < s.read {
		s.still = 0
		return
	}
	switch read := q.Read - s.read; {
	case read > 0:
		s.reads = min(s.reads+1, readsKnown)
		if s.still != 0 {
			if learn {
				s.longest = max(s.longest-s.longest/queueMemory, now.Sub(s.still))
			}
			s.still = 0
		}
		switch per := read / gap.Seconds(); {
		case s.rate == 0:
			s.rate = per
		case s.piling == 0:
			s.rate += (per - s.rate) / queueMemory
		}
	case q.Waiting > 0 && s.still == 0 && s.reads > 0:
		// What was not told meanwhile may have been read.
		s.still, s.began = now.Add(-min(gap, s.every)), s.waiting
	}
}

// pilesUp says whether more and more wait.
func (s *queueState) pilesUp(now clock.Time) bool {
	return s.current(now) && s.piling != 0 && s.rises >= pileRises && now.Sub(s.piling) >= pileFor
}

// stands says whether messages come and nobody reads any.
func (s *queueState) stands(now clock.Time) bool {
	return s.current(now) && s.still != 0 && s.reads == readsKnown && s.waiting >= s.began+unreadMore && now.Sub(s.still) >= unreadFor+2*s.longest && !s.onlyCounted(now)
}

// onlyCounted says whether a reader tells that it goes on, though no count of what
// was read does.
func (s *queueState) onlyCounted(now clock.Time) bool {
	return now.Sub(s.still) < unreadAnyhow && slices.ContainsFunc(s.readers, func(n *entity) bool {
		r := n.readsFrom(s.key)
		return r != nil && r.seen > s.still.Add(unreadFor/2)
	})
}

// current says whether it was told lately.
func (s *queueState) current(now clock.Time) bool { return now.Sub(s.told) < 3*s.every+2*time.Second }

// consumed takes in that an instance read from a queue.
func (e *Engine) consumed(c *report.Consumed) {
	n := e.instance(c.Source)
	if n == nil || n.service == nil {
		return
	}
	n.alive, n.answered = true, true
	key := queueKey{c.Queue, c.Group}
	i := slices.IndexFunc(n.reads, func(r *reading) bool { return r.key == key })
	if i < 0 {
		if len(n.reads) >= maxReadings {
			e.stats.ForgottenQueues++
			n.reads = append(n.reads[:0], n.reads[1:]...)
		}
		n.reads = append(n.reads, &reading{key: key})
		i = len(n.reads) - 1
	}
	r := n.reads[i]
	r.rate.Add(float64(c.Count), 0, e.now, n.episode == nil)
	r.last, r.seen = max(r.last, c.Last), e.now
	e.flowed(c)
	e.worksOn(n, c)
	if n.episode != nil {
		e.mark(n)
	}
}

// of says whether a reader that tells key reads the queue: not everybody tells
// for which group.
func (k queueKey) of(q queueKey) bool {
	return k.name == q.name && (k.group == q.group || k.group == "" || q.group == "")
}

// culprits are those to look at where messages wait: the instances that read
// them, by their spans, or those of the service that the group is named after;
// all of a service together where several read and still more wait. Nobody known:
// who tells of the queue, else the queue.
func (e *Engine) culprits(s *queueState) []*entity {
	forgotten := func(n *entity) bool { return !e.knows(n) }
	if s.lookedAt == 0 || e.now.Sub(s.lookedAt) > readersEvery || slices.ContainsFunc(s.readers, forgotten) {
		s.readers, s.lookedAt = e.readersOf(s.key), e.now
	}
	if !e.knows(s.teller) {
		s.teller = nil
	}
	switch {
	case len(s.readers) == 0 && s.teller != nil:
		return []*entity{s.teller}
	case len(s.readers) == 0 && s.rate > 0 && !s.inferred:
		n := e.external("queue/" + s.key.name)
		n.alive = true // somebody reads it, usually
		return []*entity{n}
	case len(s.readers) > 1 && !s.stands(e.now):
		one := s.readers[0].service
		if !slices.ContainsFunc(s.readers, func(n *entity) bool { return n.service != one }) {
			whole := e.wholeService(one)
			whole.alive = true
			return []*entity{whole}
		}
	}
	return s.readers
}

func (e *Engine) readersOf(key queueKey) []*entity {
	var out []*entity
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil && len(out) < maxCallers; n = n.next {
			if n.kind == kindInstance && !n.left && n.readsFrom(key) != nil {
				out = append(out, n)
			}
		}
	}
	if named := e.serviceNamed(key.group); len(out) == 0 && named != nil {
		for _, n := range named.instances {
			if !n.left {
				out = append(out, n)
			}
		}
	}
	return out
}

// readsFrom returns what is known of n's reading of a queue, nil if it does not.
func (n *entity) readsFrom(key queueKey) *reading {
	for _, r := range n.reads {
		if r.key.of(key) {
			return r
		}
	}
	return nil
}

// detectQueue: messages wait for it.
func detectQueue(e *Engine, n *entity, p *episode) {
	for _, s := range e.queues {
		piles, stands := s.pilesUp(e.now), s.stands(e.now)
		if !piles && !stands || !slices.Contains(e.culprits(s), n) {
			continue
		}
		waits := fmt.Sprintf("%.0f messages wait in %s (usually %.0f)", s.waiting, s.key.name, s.usual)
		if s.inferred {
			if !stands {
				continue // spans do not count all
			}
			p.unread, p.untold = true, p.untold || n.heard <= s.still.Add(unreadFor)
			waits = fmt.Sprintf("%.0f messages were sent to %s", s.waiting, s.key.name)
		}
		if n.kind == kindExternal {
			p.unread = true // by whom, and whether those are gone, nobody tells
		}
		quiet, since := e.now.Sub(s.still), s.still
		if r := n.readsFrom(s.key); !stands && s.read < 0 && r != nil && r.seen < s.piling {
			quiet, since, stands = e.now.Sub(r.seen), r.seen, true // by its own spans
		}
		p.latest = e.now
		if stands {
			p.note(belief.EvReadsNothing, 1, e.now, fmt.Sprintf("%s, and none has been read for %s", waits, inWords(quiet)))
			p.startedBy(since)
			continue
		}
		if s.still != 0 || p.wasAway() {
			continue // it may come to that; or what came meanwhile waits
		}
		strength := 0.7
		if s.rate > 0 {
			wait := time.Duration(s.waiting / s.rate * float64(time.Second))
			strength = stat.Clamp(float64(wait)/float64(pileFull), 0, 1)
			waits += fmt.Sprintf(", %s of work", inWords(wait))
		}
		p.note(belief.EvBacklog, strength, e.now, waits+", and more come than are read")
		p.startedBy(s.piling)
	}
}

// wasAway says whether the process is gone, or was and has just come back.
func (p *episode) wasAway() bool {
	return p.silent() || p.found[belief.EvReturnNew].strength > 0
}

// queueFull says whether n keeps a queue that has piled up.
func (e *Engine) queueFull(n *entity) *queueState {
	for _, s := range e.queues {
		if s.teller == n && s.current(e.now) && s.waiting > fullFrom*(s.usual+1) && s.waiting > pileOver {
			return s
		}
	}
	return nil
}

// fullFrom is how many times the usual number of messages may be as many as fit.
const fullFrom = 5.0
