// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// An old digest was a sibling's once, so who goes on saying it contradicts nobody. But a
// replica that used to follow each change within a second, and stays with one digest while
// its siblings go through many together, has stopped following. Whether it does not take
// in what it gets, which makes it answer wrongly, or gets nothing, nobody can tell from
// that: it is unknown.

const (
	// followsKnown changes that a replica has followed tell how soon it usually does, and
	// staleWords is how many it must then have missed.
	followsKnown = 10
	staleWords   = 10
	// staleLags times what it usually takes, and staleLeast, it must be behind.
	staleLags  = 10
	staleLeast = 30 * time.Second
	staleFrom  = 2 // siblings that all moved on
)

// took notes that n has come to say w.
func (v *vouching) took(w *word, n *entity, now clock.Time) {
	lag := time.Duration(0)
	if w.by != n.key {
		lag = now.Sub(w.at)
	}
	v.lag = max(lag, v.lag-v.lag/followsKnown)
	v.moves = min(v.moves+1, followsKnown)
	v.staleFor = 0
}

// fallsBehind follows, at the end of a period, whether n has stopped following those of its
// version.
func (e *Engine) fallsBehind(n *entity) {
	v := &n.vouching
	since, others := e.leftBehind(n)
	if since == 0 || e.now.Sub(since) < max(staleLeast, staleLags*v.lag) {
		v.staleFor = 0
		return
	}
	v.staleFor, v.against = e.now.Sub(since), others
	e.suspect(n)
}

// leftBehind is since when the siblings of n, so many, have gone on to words that several
// of them said, and of which n said none; 0 if they have not.
func (e *Engine) leftBehind(n *entity) (since clock.Time, others int) {
	v := &n.vouching
	if v.moves < followsKnown || v.agreed < agreedFull || !n.tellsItsStart() || n.announced != 0 || n.saysStarting {
		return 0, 0
	}
	left := v.word.byOthers(n)
	if left == 0 || e.now.Sub(left) < staleLeast {
		return 0, 0
	}
	follower := false // one who said what n says is among them
	for _, m := range n.service.instances {
		switch w := m.vouching.word; {
		case m == n || m.version != n.version || !m.vouches(e.now):
		case w.at <= v.changedAt || w == v.word:
			return 0, 0
		default:
			others++
			follower = follower || m.key == v.word.otherThan(n)
		}
	}
	if others < staleFrom || !follower {
		return 0, 0
	}
	missed := 0
	for _, w := range n.service.ballot.said {
		if w.at > v.changedAt && w.last[1].key != 0 {
			if missed++; since == 0 || w.at < since {
				since = w.at
			}
		}
	}
	if missed < staleWords {
		return 0, 0
	}
	return since, others
}

// otherThan is the key of the one other than n who said w last.
func (w *word) otherThan(n *entity) uint64 {
	if w.last[0].key == n.key {
		return w.last[1].key
	}
	return w.last[0].key
}

// stays: its replicas go on together and it does not.
func (e *Engine) stays(n *entity, p *episode) {
	v := &n.vouching
	if v.staleFor == 0 || !n.vouches(e.now) || e.mayHaveParted(n) {
		return
	}
	p.stale = true
	p.blame(belief.EvDissent, 1, e.now, fmt.Sprintf("it has said one digest for %s, in which %d siblings went on together to others", inWords(v.staleFor), v.against))
}

// onlyStale says whether all that speaks of wrong answers is that a digest is an old one.
func (p *episode) onlyStale() bool {
	for _, kind := range [...]belief.Evidence{belief.EvProbeWrong, belief.EvCallersWrong, belief.EvOwnErrors, belief.EvIntegrityLog, belief.EvBackwards, belief.EvEquivocated, belief.EvForged} {
		if p.found[kind].strength > 0 {
			return false
		}
	}
	return p.stale
}
