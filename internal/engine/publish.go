// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sort"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// settledVerdict is a verdict that was cleared lately. Spans that it hurt may
// still be on their way.
type settledVerdict struct {
	entity  *entity
	verdict *verdict.Verdict
	target  verdict.Target
}

// maxSettled bounds the verdicts that are remembered after they were cleared.
const maxSettled = 2048

// keepSettled keeps a verdict that was cleared; the oldest makes room.
func (e *Engine) keepSettled(s settledVerdict) {
	if len(e.settled) >= maxSettled {
		n := copy(e.settled, e.settled[maxSettled/4:])
		e.stats.ForgottenVerdicts += uint64(len(e.settled) - n)
		clear(e.settled[n:])
		e.settled = e.settled[:n]
	}
	e.settled = append(e.settled, s)
}

// lateSpans is how long after clearing a verdict spans that it hurt may arrive.
const lateSpans = 30 * time.Second

type readingKey struct {
	culprit verdict.Culprit
	class   verdict.Class
}

// target is where n is met.
func (e *Engine) target(n *entity) verdict.Target {
	if n.cut != nil {
		return verdict.Target{Near: e.waySide(&n.cut.near), Far: e.waySide(&n.cut.far)}
	}
	t := verdict.Target{Addresses: append([]string(nil), n.addresses...), Alone: e.alone(n), Calm: e.calm(n), Spoke: e.spoke(n)}
	switch n.kind {
	case kindInstance:
		t.Instance, t.Service = n.key, n.service.key
	case kindService:
		t.Service = n.service.key
		for _, i := range n.service.instances {
			for _, a := range i.addresses {
				if len(t.Addresses) < maxBehind*maxAddressesEach {
					t.Addresses = append(t.Addresses, a)
				}
			}
		}
	case kindExternal:
		t.Addresses = append(t.Addresses, n.address)
	}
	return t
}

// waySide lists who is on a side of a cut; nil for everywhere else.
func (e *Engine) waySide(s *side) *verdict.WaySide {
	if s.anywhere() {
		return nil
	}
	w := &verdict.WaySide{Zone: s.zone, Instances: map[uint64]struct{}{}, Addresses: map[string]bool{}}
	if s.host != nil {
		w.Host = s.host.name
	}
	for _, q := range [...]*lru{&e.reg.settled, &e.reg.passersBy} {
		for n := q.head; n != nil && len(w.Addresses) < maxWayAddresses; n = n.next {
			if n.kind > kindExternal || !s.has(n.host, n) {
				continue
			}
			if n.kind == kindInstance {
				w.Instances[n.key] = struct{}{}
			}
			for _, a := range n.addresses {
				w.Addresses[a] = e.onlyWithin(a, s)
			}
			switch n.kind {
			case kindExternal:
				w.Addresses[n.address] = e.onlyWithin(n.address, s)
			case kindService:
				for _, a := range e.target(n).Addresses {
					w.Addresses[a] = e.onlyWithin(a, s)
				}
			}
		}
	}
	return w
}

// onlyWithin says whether everybody behind an address is on a side.
func (e *Engine) onlyWithin(address string, s *side) bool {
	entry := e.book.entries[address]
	if entry == nil {
		return true
	}
	for _, b := range entry.behind {
		if !s.has(b.entity.host, b.entity) {
			return false
		}
	}
	return true
}

// maxWayAddresses bounds what a snapshot holds of one side.
const maxWayAddresses = 4096

// count counts a detection.
func (e *Engine) count(v *verdict.Verdict) {
	if r := e.reading(v); r != nil {
		r.Detections++
	} else {
		e.stats.ForgottenVerdicts++
	}
}

// reading returns the reading of a verdict's culprit and class, new if there is room,
// else nil: of those that hold none makes room for another.
func (e *Engine) reading(v *verdict.Verdict) *readingState {
	k := readingKey{v.Culprit, v.Class}
	r := e.readings[k]
	if r == nil {
		if len(e.readings) >= e.params.MaxIncidents && !e.dropReading() {
			return nil
		}
		r = &readingState{Reading: verdict.Reading{Culprit: v.Culprit, Class: v.Class}}
		e.readings[k] = r
	}
	return r
}

type readingState struct {
	verdict.Reading
	until clock.Time // 0 while active
}

// dropReading makes room by the one that settled first, if one has. Where all hold it
// does not look again at once: in an outage of very many each asks.
func (e *Engine) dropReading() bool {
	if e.allHold == e.now {
		return false
	}
	var oldest readingKey
	at := clock.Time(0)
	for k, r := range e.readings {
		if r.until != 0 && (at == 0 || r.until < at) {
			oldest, at = k, r.until
		}
	}
	if at == 0 {
		e.allHold = e.now
		return false
	}
	delete(e.readings, oldest)
	e.stats.ForgottenVerdicts++
	return true
}

// publish makes the snapshot that readers see.
func (e *Engine) publish() {
	e.changed = false
	e.publishedAt = e.now
	kept := e.settled[:0]
	for _, s := range e.settled {
		if e.now.Sub(s.verdict.Until) < lateSpans {
			kept = append(kept, s)
		}
	}
	clear(e.settled[len(kept):])
	e.settled = kept

	var verdicts []*verdict.Verdict
	var targets []verdict.Target
	active := map[readingKey]*entity{}
	e.stats.Verdicts = 0
	var doubted []verdict.Target
	for _, n := range e.suspects {
		if n.episode.doubted {
			doubted = append(doubted, e.target(n))
		}
		if v := n.verdict; v != nil {
			t := e.target(n)
			t.Right = v.Taints() && !e.stillWrong(n, v)
			verdicts = append(verdicts, v)
			targets = append(targets, t)
			active[readingKey{v.Culprit, v.Class}] = n
			e.stats.Verdicts++
		}
	}
	for _, s := range e.settled {
		verdicts = append(verdicts, s.verdict)
		targets = append(targets, s.target)
	}
	readings := e.read(active)
	if len(verdicts) == 0 && len(readings) == 0 && len(doubted) == 0 {
		e.snapshot.Store(nil)
		return
	}
	s := verdict.NewSnapshot(e.now, verdicts, targets)
	s.Readings = readings
	s.Doubt(doubted...)
	e.snapshot.Store(s)
}

// read brings the readings up to date and returns those that are shown, in a
// fixed order.
func (e *Engine) read(active map[readingKey]*entity) []verdict.Reading {
	for k, n := range active {
		if e.readings[k] == nil {
			e.reading(n.verdict) // it was counted when it was reached
		}
	}
	out := make([]verdict.Reading, 0, len(e.readings))
	for k, r := range e.readings {
		n := active[k]
		switch {
		case n != nil:
			r.Active, r.until, r.Confidence, r.Incident = true, 0, n.verdict.Confidence, n.verdict.Incident
			r.Suspicion = n.suspicion()
		case r.until == 0:
			r.Active, r.until, r.Confidence, r.Suspicion = false, e.now, 0, 0
		}
		if r.until == 0 || e.now.Sub(r.until) < e.params.SettledFor {
			out = append(out, r.Reading)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		a, b := &out[i], &out[j]
		if a.Culprit.Service.Name != b.Culprit.Service.Name {
			return a.Culprit.Service.Name < b.Culprit.Service.Name
		}
		if a.Culprit.Name != b.Culprit.Name {
			return a.Culprit.Name < b.Culprit.Name
		}
		return a.Class < b.Class
	})
	return out
}

// suspicion is the highest of n's streams.
func (n *entity) suspicion() float64 {
	top := 0.0
	for _, s := range n.streams {
		top = max(top, s.gaps.Suspicion(s.silence()))
	}
	return top
}
