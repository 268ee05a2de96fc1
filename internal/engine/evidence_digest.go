// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// vouching is what is remembered of the digests in an entity's heartbeats: of the
// state or the answer that it vouches for.
type vouching struct {
	word      *word      // latest; nil: none
	at        clock.Time // when it was said last
	token     uint64     // incarnation and count of the beat that bore it
	seq       uint64
	changedAt clock.Time // when it last changed

	// ballot.go
	words      int        // said in the period that is under way
	lone       bool       // no other has said any of those, as far as it was told
	version    string     // for which the rest holds
	agreed     int        // periods in which it said what a sibling said, at most agreedFull
	agreedAt   clock.Time // the latest of them
	siblingAt  clock.Time // when a sibling last said what it said then
	dissents   int        // periods in a row in which they agreed and it did not
	against    int        // siblings that agreed in the latest of them
	usualLone  int        // periods for which it was alone before they followed, usually
	stoodStill bool       // they have said the same since before it was alone

	// evidence_stale.go
	lag      time.Duration // how long after others it usually says what they said first
	moves    int           // changes of its word that taught that, at most followsKnown
	staleFor time.Duration // for which it has stopped following; 0: it has not
}

// vouch takes in the digest of a heartbeat from o.
func (e *Engine) vouch(n *entity, o *observer, b *report.Beat) {
	if b.Digest == "" || n.service == nil {
		return
	}
	h := report.Hash(report.HashSeed, b.Digest)
	e.contradicts(n, b, h)
	v := &n.vouching
	if b.Incarnation == v.token && b.Seq < v.seq {
		return // overtaken by a newer one on another way
	}
	if o.ownBeat && e.now.Sub(o.lived) > o.interval+lateWord {
		return // it lay somewhere: what others say now is newer
	}
	e.compareDigests(n.service, b.Interval)
	if v.word == nil || v.word.digest != h {
		v.heard(n)
		v.word, v.changedAt = n.service.ballot.word(h, n, e.now), e.now
		v.took(v.word, n, e.now)
	}
	v.word.say(n, e.now)
	v.at, v.token, v.seq = e.now, b.Incarnation, b.Seq
	v.words++
}

// lateWord is by how much longer than usual an observer's word may take.
const lateWord = 5 * time.Second

// contradicts notes two digests under one count of one process.
func (e *Engine) contradicts(n *entity, b *report.Beat, h uint64) {
	in, from := &n.integrity, report.Hash(report.HashSeed, b.Remote)
	if b.Seq == 0 {
		return
	}
	for i := range in.said {
		s := &in.said[i]
		if s.seq != b.Seq || s.token != b.Incarnation || s.digest == h || s.seq == 0 {
			continue
		}
		text := fmt.Sprintf("two digests for its beat %d", b.Seq)
		if s.signed && b.Authenticated && b.Incarnation != 0 && s.from == from {
			e.addFact(n, report.Fact{Kind: report.FactEquivocated, At: e.now, Text: "it signed " + text})
		} else {
			e.conflict(n, text+" came in the name of "+n.name()+": two processes may use one identity")
		}
	}
	in.said[in.next%len(in.said)] = saying{b.Incarnation, b.Seq, h, from, b.Authenticated}
	in.next++
}

// dissent: its replicas agree with each other and not with it.
func (e *Engine) dissent(n *entity, p *episode) {
	v := &n.vouching
	if !v.convicts(e.now) || !n.vouches(e.now) || e.mayHaveParted(n) {
		return
	}
	p.stale = false
	p.blame(belief.EvDissent, 1, e.now, fmt.Sprintf("its digest has differed for %s from the one on which %d siblings agree", inWords(e.now.Sub(v.agreedAt)), v.against))
}
