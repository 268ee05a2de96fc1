// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// A beat that comes again, after later ones of the same run of its sender, was
// not sent by that run's timer: somebody kept it and sends it anew, so that the
// dead may seem alive. A retry repeats the latest; a machine that was set back to
// a snapshot counts on from there and says nothing newer meanwhile.

// replays counts beats that came again.
type replays struct {
	between int // came between newer ones, lately
	since   int // came since the latest newer one
	rising  int // of them, those on end that counted on
	seq     uint64
	last    Time // engine time of the latest
}

const (
	replayedBehind = 3 // counts behind the newest: less is a retry, or overtaking
	replayedMany   = 3
	replayedWithin = 30 * time.Second
	// rolledBack beats below the newest that count on mean that the sender was set
	// back.
	rolledBack = 3
)

// repeated says whether a beat came again and is no sign of life, and tells of
// it when it is no accident.
func (e *Engine) repeated(s *stream, b *Beat) bool {
	r := &s.replays
	if b.Seq == 0 || s.seq == 0 || b.Incarnation == 0 || b.Incarnation != s.token {
		*r = replays{}
		return false
	}
	if b.Seq > s.seq {
		if r.since > 0 {
			r.between += r.since
			r.since, r.rising = 0, 0
			e.replayed(s, b)
		}
		return false
	}
	if s.seq-b.Seq < replayedBehind {
		return true
	}
	if e.now.Sub(r.last) > replayedWithin {
		*r = replays{}
	}
	if r.since++; b.Seq > r.seq && r.last != 0 {
		r.rising++
	} else {
		r.rising = 0
	}
	r.seq, r.last = b.Seq, e.now
	if r.rising >= rolledBack {
		*r = replays{}
		s.seq = b.Seq
		return false
	}
	return true
}

// replayed tells of beats that came again and again between newer ones.
func (e *Engine) replayed(s *stream, newer *Beat) {
	r, n := &s.replays, s.entity
	if r.between < replayedMany {
		return
	}
	text := fmt.Sprintf("beats of %s that had been sent before came again ×%d between newer ones", n.name(), r.between)
	if newer.Authenticated {
		e.addFact(n, Fact{Kind: FactForged, At: e.now, Text: "signed " + text + ": somebody replays them"})
		e.suspect(n)
		return
	}
	if e.now.Sub(n.conflictAt) > conflictEvery {
		n.conflictAt = e.now
		e.emit(Event{Kind: contract.EventIdentityConflict, Source: n.src, Entity: n.name(), Body: text + ", unsigned"})
	}
}
