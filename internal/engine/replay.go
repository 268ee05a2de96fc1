// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
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
	last    clock.Time // engine time of the latest
	down    int        // that came at its rhythm, each with a lower count than the one before
	falls   int        // of a sender that does not tell its start: times that it counted back, lately
}

const (
	// replayedBehind counts, and retriedFor, behind the newest: less is a retry, or
	// overtaking.
	replayedBehind = 3
	retriedFor     = 6 * time.Second
	replayedMany   = 3
	replayedWithin = 30 * time.Second
	// rolledBack beats below the newest that count on mean that the sender was set
	// back.
	rolledBack = 3
	// oneFalls is how often within that time one who does not tell its start
	// may begin to count anew: more are several.
	oneFalls = 5
)

// repeated says whether a beat came again and is no sign of life, and tells of
// it when it is no accident.
func (e *Engine) repeated(s *stream, b *report.Beat) bool {
	r := &s.replays
	if b.Seq == 0 || s.seq == 0 || b.Incarnation == 0 || b.Incarnation != s.token {
		falls, last := r.falls, r.last
		*r, s.came = replays{}, 1
		if b.Incarnation == 0 && s.token == 0 && b.Seq != 0 {
			e.fell(s, b, falls, last)
		}
		return false
	}
	if b.Seq > s.seq {
		s.came = s.came<<min(b.Seq-s.seq, 64) | 1
		between := r.since
		if b.Seq == r.seq+1 {
			between = 0 // it counted on from there: its sender began anew
			r.between = 0
		}
		if between > 0 {
			r.between += between
			e.replayed(s, b)
		}
		r.since, r.rising, r.down = 0, 0, 0
		return false
	}
	if e.now.Sub(r.last) > s.replayedWithin() {
		*r = replays{}
	}
	behind := s.seq - b.Seq
	before := behind >= 64 || s.came>>behind&1 == 1
	if !before {
		s.came |= 1 << behind // it was overtaken, such as by those that waited with it for an observer that slept
	}
	again := before && behind >= replayedBehind && float64(behind)*float64(s.gaps.Interval) >= float64(retriedFor)
	if again {
		r.since++
	}
	if b.Seq > r.seq && r.last != 0 {
		r.rising++
	} else {
		r.rising = 0
	}
	if e.now.Sub(r.last) >= s.gaps.Interval/2 && b.Seq < r.seq {
		r.down++
	} else {
		r.down = 0
	}
	r.seq, r.last = b.Seq, e.now
	if r.down >= rolledBack && !b.Authenticated {
		e.conflict(s.entity, fmt.Sprintf("the heartbeats of %s count backwards", s.entity.name()))
		s.seq, s.came = b.Seq, 1
		return false // whatever it counts, it beats
	}
	if r.rising >= rolledBack && behind >= replayedBehind {
		if b.Authenticated && b.SentAt != 0 && b.SentAt <= s.sent {
			e.conflict(s.entity, fmt.Sprintf("signed beats of %s that had been sent before come again, and none that is newer: they are no sign of life", s.entity.name()))
			return true // recorded: one who was set back signs the time of now
		}
		*r = replays{}
		s.seq, s.came = b.Seq, 1
		s.entity.integrity.said = [8]saying{} // it says the same counts anew
		return false
	}
	return true
}

// saysMore says whether a beat with the count of the latest was sent after it to say how
// its sender is: counts are ticks of a timer, and what happens between two ticks has none
// of its own. A retry, or a copy, was sent when the latest was.
func (s *stream) saysMore(b *report.Beat) bool {
	return b.Seq == s.seq && s.sent != 0 && b.SentAt > s.sent && (b.Status != report.StatusUnset || b.HasExitCode)
}

// replayedWithin is how long one that came again is remembered: longer of who beats rarely.
func (s *stream) replayedWithin() time.Duration {
	return max(replayedWithin, 4*s.gaps.Interval)
}

// fell follows how often a sender that does not tell its start counts back.
func (e *Engine) fell(s *stream, b *report.Beat, falls int, last clock.Time) {
	r := &s.replays
	if e.now.Sub(last) <= s.replayedWithin() {
		r.falls, r.last = falls, last
	}
	if b.Seq+replayedBehind > s.seq {
		return
	}
	r.last = e.now
	if r.falls++; r.falls >= oneFalls {
		e.conflict(s.entity, fmt.Sprintf("the heartbeats of %s count back and forth: several seem to use this identity; give each its own service.instance.id", s.entity.name()))
	}
}

// replayed tells of beats that came again and again between newer ones.
func (e *Engine) replayed(s *stream, newer *report.Beat) {
	r, n := &s.replays, s.entity
	if r.between < replayedMany {
		return
	}
	text := fmt.Sprintf("beats of %s that had been sent before came again ×%d between newer ones", n.name(), r.between)
	if newer.Authenticated {
		e.addFact(n, report.Fact{Kind: report.FactForged, At: e.now, Text: "signed " + text + ": somebody replays them"})
		e.suspect(n)
		return
	}
	e.conflict(n, text+", unsigned")
}
