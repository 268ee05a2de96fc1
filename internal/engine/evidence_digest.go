// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// vouch takes in the digest of a heartbeat: of the state or the answer that its
// sender vouches for.
func (e *Engine) vouch(n *entity, b *report.Beat) {
	if b.Digest == "" || n.service == nil {
		return
	}
	in := &n.integrity
	h, from := report.Hash(report.HashSeed, b.Digest), report.Hash(report.HashSeed, b.Remote)
	if b.Seq != 0 {
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
	if b.Incarnation == in.digestToken && b.Seq < in.digestSeq {
		return // overtaken by a newer one on another way
	}
	if h != in.digest {
		in.changedAt = e.now
	}
	in.digest, in.digestAt, in.digestToken, in.digestSeq = h, e.now, b.Incarnation, b.Seq
	if e.now.Sub(in.votedAt) >= b.Interval/2 { // what lay somewhere and comes in a bunch is one word
		in.votedAt = e.now
		e.vote(n)
	}
}

// vote compares n's digest with those of its siblings. Two that differ disagree
// and nobody knows who is right; among more, the one who is alone is.
func (e *Engine) vote(n *entity) {
	in := &n.integrity
	same, other, voters := 0, map[uint64]int{}, 0
	for _, m := range n.service.instances {
		if m == n || m.integrity.digest == 0 || e.now.Sub(m.integrity.digestAt) > dissentFresh {
			continue
		}
		voters++
		if m.integrity.digest == in.digest {
			same++
		} else {
			other[m.integrity.digest]++
		}
	}
	most := 0
	for _, c := range other {
		most = max(most, c)
	}
	switch {
	case voters == 0:
	case same >= most && same > 0:
		in.agreed, in.dissents = min(in.agreed+1, agreedFull), 0
	case same == 0 && most == voters:
		if in.dissents++; in.agreed < agreedFull {
			in.dissents = 0 // never in step: they answer for different things
		}
	}
	if in.dissents >= dissentsDoubt {
		e.suspect(n)
	}
}

// dissent: its replicas agree with each other and not with it.
func (e *Engine) dissent(n *entity, p *episode) {
	if others, ok := e.dissents(n, dissentsFull); ok {
		p.blame(belief.EvDissent, 1, e.now, fmt.Sprintf("its digest has differed for %d beats from the one on which its %d siblings agree", n.integrity.dissents, others))
	}
}

// dissents says whether n has differed for so many beats or more from its siblings, and
// how many these are.
func (e *Engine) dissents(n *entity, beats int) (others int, yes bool) {
	in := &n.integrity
	if in.dissents < beats || e.now.Sub(in.digestAt) > dissentFresh || n.service == nil {
		return 0, false
	}
	for _, m := range n.service.instances {
		if m != n && m.integrity.digest != 0 && e.now.Sub(m.integrity.digestAt) < dissentFresh {
			others++
		}
	}
	return others, others >= 2 && !e.mayHaveParted(n)
}
