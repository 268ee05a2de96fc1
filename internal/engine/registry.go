// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// registry holds the entities, bounded. Newcomers wait in a queue of their own
// until they have come back a few times, and evictions take from that queue
// first: a flood of made-up names displaces itself, not the real fleet.
type registry struct {
	byKey    map[uint64]*entity
	services map[uint64]*service
	byName   map[string][]*service // services by bare name
	aliases  map[uint64]*entity    // less specific source keys, see resolve

	passersBy, settled lru
	cap                int
}

// passersShare of the cap is for newcomers.
const passersShare = 0.2

// settlesAfter is how long after its birth an entity must still be heard of to
// be settled.
const settlesAfter = 3_000_000_000 // ns

type lru struct {
	head, tail *entity // head is the one touched last
	n          int
}

func (l *lru) push(n *entity) {
	n.prev, n.next = nil, l.head
	if l.head != nil {
		l.head.prev = n
	} else {
		l.tail = n
	}
	l.head = n
	l.n++
}

func (l *lru) remove(n *entity) {
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.head = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.tail = n.prev
	}
	n.prev, n.next = nil, nil
	l.n--
}

func newRegistry(capacity int) registry {
	return registry{
		byKey:    map[uint64]*entity{},
		services: map[uint64]*service{},
		byName:   map[string][]*service{},
		aliases:  map[uint64]*entity{},
		cap:      capacity,
	}
}

// touch moves n to the front of its queue.
func (r *registry) touch(n *entity, now clock.Time) {
	n.touched = now
	q := &r.passersBy
	if n.settled {
		q = &r.settled
	} else if now-n.born > settlesAfter {
		q.remove(n)
		n.settled = true
		r.settled.push(n)
		return
	}
	if q.head != n {
		q.remove(n)
		q.push(n)
	}
}

// victim is who has to go to make room, or nil while there is room. Nobody
// under suspicion goes before those who are well.
func (r *registry) victim() *entity {
	if len(r.byKey) < r.cap {
		return nil
	}
	if float64(r.passersBy.n) > passersShare*float64(r.cap) || r.settled.tail == nil {
		return r.passersBy.tail
	}
	for n, steps := r.settled.tail, 0; n != nil && steps < 16; n, steps = n.prev, steps+1 {
		if n.episode == nil && n.verdict == nil {
			return n
		}
	}
	return r.settled.tail
}

// roomFor says whether what n tells has room where held of at most most are kept:
// newcomers take no more than half, so that a flood of made-up names leaves room for
// those who stay.
func roomFor(n *entity, held, most int) bool {
	return held < most/2 || n.settled && held < most
}

// knows says whether n is one of the entities, and has not made room for another.
func (e *Engine) knows(n *entity) bool { return n != nil && e.reg.byKey[n.key] == n }

// add takes in n; its service exists.
func (e *Engine) add(n *entity) {
	if v := e.reg.victim(); v != nil {
		e.forget(v)
		e.stats.ForgottenInstances++
		if s := n.service; s != nil && e.reg.services[s.key] != s {
			e.reg.keep(s) // the one who went was its only instance
		}
	}
	e.reg.byKey[n.key] = n
	e.reg.passersBy.push(n)
	if n.service != nil && n.kind == kindInstance {
		n.service.counts(n, 1)
		n.service.instances = append(n.service.instances, n)
		n.service.lastBorn, n.service.youngest = e.now, n
		e.bornAgain(n)
	}
}

// forget drops n and all that points to it.
func (e *Engine) forget(n *entity) {
	delete(e.reg.byKey, n.key)
	if n.settled {
		e.reg.settled.remove(n)
	} else {
		e.reg.passersBy.remove(n)
	}
	for _, s := range n.streams {
		e.unwatch(s)
	}
	n.streams = nil
	n.disconnect()
	for _, a := range n.addresses {
		e.book.drop(a, n)
	}
	e.closeDoors(n)
	if n.kind == kindExternal {
		e.servers.forget(n)
	}
	if n.verdict != nil {
		e.clear(n, "it is no longer heard of")
	}
	if n.episode != nil {
		e.endEpisode(n)
	}
	if s := n.service; s != nil {
		if i := slices.Index(s.instances, n); i >= 0 {
			s.instances = slices.Delete(s.instances, i, i+1)
			s.counts(n, -1)
		}
		if s.youngest == n {
			s.youngest = nil
		}
		if s.whole == n {
			s.whole = nil
		}
		if len(s.instances) == 0 && s.whole == nil {
			e.forgetService(s)
		}
	}
}

// counts notes that an instance of a kind came or, with -1, went.
func (s *service) counts(n *entity, by int) {
	if n.src.Untold() {
		s.untold += by
	}
	if n.src.Volatile {
		s.drawn += by
	}
}

func (r *registry) keep(s *service) {
	r.services[s.key] = s
	r.byName[s.id.Name] = append(r.byName[s.id.Name], s)
}

func (e *Engine) forgetService(s *service) {
	delete(e.reg.services, s.key)
	same := e.reg.byName[s.id.Name]
	for i, x := range same {
		if x == s {
			same = append(same[:i], same[i+1:]...)
			break
		}
	}
	if len(same) == 0 {
		delete(e.reg.byName, s.id.Name)
	} else {
		e.reg.byName[s.id.Name] = same
	}
}
