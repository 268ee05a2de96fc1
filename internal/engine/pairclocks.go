// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// The two ends of a call bound by how much the clocks of two hosts differ: the
// server began after its client and ended before it. All calls of a moment together
// bound it closely (Marzullo). A clock that jumps against three others at once has
// been set, and so has one that jumps against two who go on agreeing with each other; that
// is worth telling and nobody's failure.

// clockPair is what calls between two hosts, either way, tell of their clocks.
type clockPair struct {
	a, b   *hostState
	lo, hi time.Duration // by how much b is ahead of a, in the current window
	n      int           // calls in it
	was    [2]time.Duration
	wasAt  clock.Time // end of the window that was is of; 0 while there is none
	step   time.Duration
	stepAt clock.Time
	steady int // windows on end, up to was, in which it did not jump
	used   clock.Time
}

// clockPairs are all of them: at most maxClockPairs, in a ring. A new pair takes the
// place of one that has been quiet: else a fleet with more would know of none for long.
type clockPairs struct {
	at   map[[2]*hostState]*clockPair
	list []*clockPair
	hand int
	next clock.Time // when the current window ends
}

const (
	maxClockPairs = 4096                   // of hosts that call each other
	clockWindow   = 10 * time.Second       // over which the bounds of a pair are taken
	clockCalls    = 3                      // in a window; fewer bound little
	clockJump     = 200 * time.Millisecond // more than a clock drifts or is slewed in clockSoon
	clockSoon     = time.Minute
	clockPeers    = 3                      // hosts against which it must have jumped; or two that agree
	clockAlike    = 100 * time.Millisecond // by how much the jumps may differ
)

// met takes in a call from one host to another of which both ends are known.
func (k *clockPairs) met(e *Engine, a, b *hostState, client, server *pendingHop) {
	if client.lost || client.began == 0 || server.began == 0 || client.took < server.took {
		return // it went on working when its client had its answer, or gave up
	}
	hi := server.began.Sub(client.began)
	lo := hi - (client.took - server.took)
	if a.name > b.name {
		a, b, lo, hi = b, a, -hi, -lo
	}
	p := k.pair(e, a, b)
	if p == nil {
		return
	}
	p.used = e.now
	if p.n++; p.n == 1 {
		p.lo, p.hi = lo, hi
		return
	}
	p.lo, p.hi = max(p.lo, lo), min(p.hi, hi)
}

// pair is what is known of two hosts, new if there is room, else nil.
func (k *clockPairs) pair(e *Engine, a, b *hostState) *clockPair {
	key := [2]*hostState{a, b}
	p := k.at[key]
	if p != nil {
		return p
	}
	at := len(k.list)
	if at == maxClockPairs {
		at, k.hand = k.hand, (k.hand+1)%maxClockPairs
		old := k.list[at]
		e.stats.ForgottenClockPairs++
		if e.now.Sub(old.used) < clockSoon {
			return nil
		}
		delete(k.at, [2]*hostState{old.a, old.b})
	}
	p = &clockPair{a: a, b: b}
	if k.at == nil {
		k.at = map[[2]*hostState]*clockPair{}
	}
	if at == len(k.list) {
		k.list = append(k.list, p)
	} else {
		k.list[at] = p
	}
	k.at[key] = p
	return p
}

// compareClocks closes a window and tells whose clock has jumped.
func (e *Engine) compareClocks() {
	k := &e.clockPairs
	if e.now < k.next {
		return
	}
	k.next = e.now.Add(clockWindow)
	jumped := false
	for _, p := range k.list {
		jumped = p.close(e.now) || jumped
	}
	if !jumped {
		return
	}
	of := map[*hostState]*hostJump{}
	for _, p := range k.list {
		if e.now.Sub(p.wasAt) <= clockSoon {
			noticed := p.stepAt != 0 && e.now.Sub(p.stepAt) <= 2*clockWindow
			jumpOf(of, p.a).take(p.b, -p.step, noticed)
			jumpOf(of, p.b).take(p.a, p.step, noticed)
		}
	}
	for _, p := range k.list {
		if p.stepAt == e.now {
			e.clockOf(p.a, of[p.a])
			e.clockOf(p.b, of[p.b])
		}
	}
}

// hostJump is by how much a host's clock jumped against those with whom it
// exchanges calls.
type hostJump struct {
	least, most time.Duration
	peers       int
	two         [2]*hostState // the first of them
	unnoticed   bool          // by one of them
}

func jumpOf(of map[*hostState]*hostJump, h *hostState) *hostJump {
	j := of[h]
	if j == nil {
		j = &hostJump{}
		of[h] = j
	}
	return j
}

func (j *hostJump) take(peer *hostState, step time.Duration, noticed bool) {
	if j.unnoticed = j.unnoticed || !noticed; j.unnoticed {
		return
	}
	if j.peers < len(j.two) {
		j.two[j.peers] = peer
	}
	if j.peers++; j.peers == 1 {
		j.least, j.most = step, step
	}
	j.least, j.most = min(j.least, step), max(j.most, step)
}

// close ends a window. Where no difference fits all calls, a clock was set
// meanwhile, or processes on one host go by different clocks.
func (p *clockPair) close(now clock.Time) (jumped bool) {
	if p.n >= clockCalls && p.lo <= p.hi {
		p.steady++
		if p.wasAt != 0 && now.Sub(p.wasAt) < clockSoon {
			switch {
			case p.lo > p.was[1]+clockJump:
				p.step, p.stepAt, jumped = p.lo-p.was[1], now, true
			case p.hi < p.was[0]-clockJump:
				p.step, p.stepAt, jumped = p.hi-p.was[0], now, true
			}
		}
		if jumped || now.Sub(p.wasAt) >= clockSoon {
			p.steady = 0
		}
		p.was, p.wasAt = [2]time.Duration{p.lo, p.hi}, now
	}
	p.n = 0
	return jumped
}

// clockOf tells that the clock of a host was set, if it jumped by the same against
// all of those with whom it exchanges calls: three at least, or two that agree.
func (e *Engine) clockOf(h *hostState, j *hostJump) {
	if h.stepped != 0 && e.now.Sub(h.stepped) < clockSoon {
		return
	}
	if j.unnoticed || j.peers < clockPeers && !e.clockPairs.agree(j.two, e.now) || j.most-j.least > clockAlike {
		return
	}
	h.stepped = e.now
	way := "forward"
	if j.most < 0 {
		way = "back"
	}
	e.emit(verdict.Event{Kind: contract.EventClockStepped, Source: report.NewSource(report.Source{Host: h.name, Zone: h.zone}), Entity: h.name,
		Body: fmt.Sprintf("the clock of %s stepped %s by %s, by the calls between it and %d other hosts", h.name, way, inWords(((j.least + j.most) / 2).Abs()), j.peers)})
}

// agree says whether the clocks of two hosts have not jumped against each other over the
// windows of now.
func (k *clockPairs) agree(two [2]*hostState, now clock.Time) bool {
	a, b := two[0], two[1]
	if a == nil || b == nil {
		return false
	}
	if a.name > b.name {
		a, b = b, a
	}
	p := k.at[[2]*hostState{a, b}]
	return p != nil && p.steady >= steadyWindows && now.Sub(p.wasAt) <= clockWindow
}

// steadyWindows reach from before a jump, in the middle of a window, until it is noticed.
const steadyWindows = 3
