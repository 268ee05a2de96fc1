// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Anybody may send a heartbeat in another's name. That somebody lives may be
// said by anyone who sounds like it; that it ends, only by the one who beats.

// voice is how a stream of heartbeats usually sounds.
type voice struct {
	from     string        // address that the latest came from
	run      int           // beats in a row from there, at most knownAddress
	signedAt clock.Time    // engine time of the latest that was signed; 0 if none
	offered  time.Duration // another interval that it told once
	broke    bool          // it does not beat as it says
}

const (
	// knownAddress beats in a row from one address make it the sender's.
	knownAddress = 10
	// signsFor is how long after its last signed beat one is known to sign: keys
	// may be taken away.
	signsFor = 2 * time.Minute
)

// hear takes in how a beat that is a sign of life sounds.
func (v *voice) hear(b *report.Beat, now clock.Time) {
	if b.Authenticated {
		v.signedAt = now
	}
	if b.Remote != v.from {
		v.from, v.run = b.Remote, 0
	}
	v.run = min(v.run+1, knownAddress)
}

// declares says whether an interval that a beat tells is to be taken: the first, a
// longer one of the sender itself, which may sleep from now on, and any that is told
// again.
func (s *stream) declares(b *report.Beat) bool {
	if b.Interval <= 0 || b.Interval == s.gaps.Interval || s.voice.broke {
		s.voice.offered = 0
		return false
	}
	again := b.Interval == s.voice.offered
	s.voice.offered = b.Interval
	return again || !s.declared || b.Interval > s.gaps.Interval && s.voice.usual(b)
}

// local says whether the beats come from the machine of the one who hears them.
func (v *voice) local() bool {
	ip, err := netip.ParseAddr(v.from)
	return err == nil && ip.Unmap().IsLoopback()
}

// usual says whether a beat comes from where the sender's come from, as far as is known.
func (v *voice) usual(b *report.Beat) bool {
	return b.Authenticated || b.Remote == "" || b.Remote == v.from || v.run < knownAddress
}

// signs says whether n signed a beat of late, wherever it was heard.
func (n *entity) signs(now clock.Time) bool {
	for _, s := range n.streams {
		if s.voice.signedAt != 0 && now.Sub(s.voice.signedAt) < signsFor {
			return true
		}
	}
	return false
}

// isOne says whether the heartbeats of n can only come from one process: from one
// start and one address each, counted in order.
func (n *entity) isOne(now clock.Time) bool {
	one := false
	for _, s := range n.streams {
		if s.kind != signBeat || !s.fresh() {
			continue
		}
		if s.token == 0 || s.token != n.incarnations[len(n.incarnations)-1].token || s.seq == 0 ||
			s.voice.run < knownAddress || s.replays.since > 0 || s.replays.between > 0 {
			return false
		}
		one = true
	}
	return one && !n.shared(now)
}

// impostor says whether a beat is unsigned though its sender signs, and tells.
func (e *Engine) impostor(n *entity, b *report.Beat) bool {
	if b.Authenticated || !n.signs(e.now) {
		return false
	}
	e.conflict(n, fmt.Sprintf("unsigned heartbeats come in the name of %s, which signs its own: they do not count", n.name()))
	return true
}

// ownWord says whether a beat on s can be the word of the one who beats: of the
// same start, and from the same address where it has only one. What is not is
// told. Who was not heard before is taken at its word.
func (e *Engine) ownWord(n *entity, s *stream, b *report.Beat, token uint64) bool {
	if b.Authenticated || b.Due != 0 { // a check is known by its secret address
		return true
	}
	heard := false
	for _, t := range n.streams {
		if t.kind != signBeat || t.seen == 0 || t != s && s.seen > 0 {
			continue
		}
		if heard = true; t.sounds(b, token) {
			return true
		}
	}
	if heard {
		from := ""
		if b.Remote != "" {
			from = " from " + b.Remote
		}
		e.conflict(n, fmt.Sprintf("somebody else%s says that %s ends: that counts only from the one who beats", from, n.name()))
	}
	return !heard
}

func (s *stream) sounds(b *report.Beat, token uint64) bool {
	same := b.Remote != "" && b.Remote == s.voice.from
	switch {
	case token == 0 && s.token != 0: // a script beside it may not know its start
		return same
	case token != s.token:
		return false
	}
	return same || b.Remote == "" || s.voice.run < knownAddress
}

// merelySaid says whether the word of an end has yet to be borne out: one who
// beats by itself at a rhythm falls silent then.
func (s *stream) merelySaid(b *report.Beat) bool {
	return !b.Authenticated && b.Due == 0 && s.gaps.Interval > 0
}

// saidEnd is how much such a word counts until then.
const saidEnd = 0.6
