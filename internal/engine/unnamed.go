// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Members of a cluster talk to each other, and many clients to their servers, and no
// span says so. Where the kernel of one machine tells that nothing which it sends to
// the other is acknowledged, and an agent there sees the process that took those
// connections all the while, both ends live and the way between is cut, or loses what is
// large, or a part of all.

// vain is a time in which nothing, or only a part, is acknowledged of what a host sends
// to an address.
type vain struct {
	since, at clock.Time    // when it was told first and last
	lives     clock.Time    // when agents at both ends were first heard of since
	interval  time.Duration // between two looks
	flipped   bool          // the other end's kernel tells it
	share     float64       // of what is sent, 0-1, that is lost
}

// vainBeyond is how much longer than it took to hear of the other end nothing must be
// acknowledged: a kernel waits twice as long each time before it sends again, and
// to a machine that was paused it may be late for that.
const vainBeyond = 3 * time.Second

// darkFrom is how long nothing must be acknowledged by a machine whose agent is silent.
const darkFrom = 8 * time.Second

// unnamed takes in how connections fare from a host to an address. Of those who are known
// to be there their callers tell more, but for what is lost of all that is answered.
func (e *Engine) unnamed(o *observer, b *report.Probe) {
	h := e.host(b.Host)
	if h == nil || !e.ofNow(o, b) {
		return
	}
	h.observer = o
	for _, a := range b.Addresses {
		e.vainly(tie{b.Host, a}, b, false)
	}
}

// unheardBy takes in that a machine does not acknowledge what a server sends it: the way
// is the one on which it is connected to that.
func (e *Engine) unheardBy(o *observer, b *report.Probe) {
	if o == nil || !e.ofNow(o, b) {
		return
	}
	if from := e.servers.hostAt(b.From, e.now); from != "" {
		for _, a := range b.Addresses {
			e.vainly(tie{from, a}, b, true)
		}
	}
}

// ofNow says whether what an observer tells is of now.
func (e *Engine) ofNow(o *observer, b *report.Probe) bool {
	e.place(o, &b.Stamp)
	return o.lateness(&b.Stamp, e.now) <= lateFrom && !o.justWoke()
}

func (e *Engine) vainly(k tie, b *report.Probe, flipped bool) {
	share, v := b.Loss, e.ties.vain[k]
	switch b.Outcome {
	case report.OutcomeUnacknowledged:
		share = 1
	case report.OutcomeConnectTimeout:
		if v == nil || v.share < 1 {
			return // one that hangs takes no new ones either
		}
		share = 1 // who waits for an answer gives up, and begins anew in vain
	}
	switch {
	case share == 0:
		if v != nil && v.flipped == flipped && v.share == 1 {
			delete(e.ties.vain, k)
		}
		return
	case v == nil && len(e.ties.vain) >= e.ties.cap:
		e.ties.dropped++
		return
	case v == nil:
		v = &vain{since: e.now}
		e.ties.vain[k] = v
	}
	v.at, v.interval, v.flipped, v.share = e.now, b.Interval, flipped, share
	if p, h := e.standsAt(k), e.host(k.host); v.lives == 0 && p != nil && p.at > v.since && h.livesAfter(v.since) {
		v.lives = e.now
	}
	e.cutSuspected = true
}

// standsAt is the process of another host that takes the connections of a tie, if the
// agent there tells of it and no other host has that address; else nil.
func (e *Engine) standsAt(k tie) *portHost {
	p := e.servers.ports[k.address]
	if p == nil || p.target == "" || p.host == k.host || !e.servers.ownAddress(k.address, e.now) {
		return nil
	}
	return p
}

// isDark says whether nothing has been acknowledged by the machine on which p takes
// connections for longer than machines pause, and its agent is silent, too.
func (e *Engine) isDark(p *portHost, v *vain) bool {
	o := e.host(p.host).observer
	return v.share == 1 && v.lives == 0 && v.at.Sub(v.since) >= darkFrom && o != nil && o.silent(e.now) && o.seen <= v.since.Add(underWay)
}

// unnamedSights are the ways on which nothing is acknowledged though both ends live.
func (e *Engine) unnamedSights(out []sight) []sight {
	var machines map[*hostState]bool // that have no processor to spare
	for _, k := range slices.SortedFunc(maps.Keys(e.ties.vain), tie.compare) {
		v := e.ties.vain[k]
		if e.now.Sub(v.at) > shortView+3*v.interval {
			delete(e.ties.vain, k)
			continue
		}
		p := e.standsAt(k)
		if p != nil && e.isDark(p, v) {
			out = append(out, sight{from: e.host(k.host), to: e.host(p.host), share: 1, broken: true, unacked: true, calls: callsFull, weight: callsFull / 2, since: v.since, good: v.since, bad: v.at, tried: v.at})
			continue
		}
		if p == nil || v.lives == 0 || v.at.Sub(v.lives) < v.lives.Sub(v.since)+vainBeyond || e.now.Sub(p.at) > shortView+3*v.interval {
			continue
		}
		from := e.host(k.host)
		if n := e.knownAt(k.address); n != nil && !v.flipped && !n.answersFrom(from, v.since) {
			continue // those who call it tell
		}
		if o := from.observer; o != nil && !o.credible(e.now) {
			continue
		}
		to := e.host(p.host)
		if v.share < 1 {
			if machines == nil {
				machines = e.outOfBreath()
			}
			if machines[from] || machines[to] {
				continue // it loses what it does not get to
			}
		}
		out = append(out, sight{from: from, to: to, broken: v.share == 1, unacked: v.share == 1, told: true, share: v.share, calls: callsFull, weight: callsFull / 2,
			since: v.since, good: v.since, bad: v.at, tried: v.at})
	}
	return out
}

// answersFrom says whether n has answered calls from a host that ended after t.
func (n *entity) answersFrom(h *hostState, t clock.Time) bool {
	return slices.ContainsFunc(n.views, func(w *view) bool { return w.from == h && w.caller != nil && w.lastGood > t })
}

// believeTold believes in the links on which something is not acknowledged though both
// ends live, where nothing wider explains it: that much goes well there all the same,
// such as all that is small, does not speak against it.
func (e *Engine) believeTold(sights []sight) {
	for i := range sights {
		s := &sights[i]
		if !s.told || slices.ContainsFunc(e.cuts, func(c *cutState) bool { return !c.slow && c.at == e.now && c.predicts(s) }) {
			continue
		}
		f := foundCut{cut: cut{near: side{host: s.from}, far: side{host: s.to}}, score: linkScoreFull, sure: 1, froms: 1}
		f.take(sights)
		f.share, f.lossy = s.share, s.share < 1
		if !e.absorbed(&f, sights) {
			e.believe(f, false)
		}
	}
}

// toldAcross says whether something is told not to be acknowledged across the cut.
func (c *cutState) toldAcross(sights []sight) bool {
	return !c.slow && slices.ContainsFunc(sights, func(s sight) bool { return s.told && c.predicts(&s) })
}

// mayBeCutOff says whether n, of whom nobody knows where it stands, may be whom its
// callers' machine gets nothing acknowledged by: somebody at the same port, if n tells
// one, who is not known by another name.
func (e *Engine) mayBeCutOff(n *entity) bool {
	if n.host != nil || len(n.addresses) > 0 {
		return false
	}
	_, port, told := strings.Cut(n.address, ":")
	for k, v := range e.ties.vain {
		if v.share < 1 || e.now.Sub(v.at) > shortView+3*v.interval || told && !strings.HasSuffix(k.address, ":"+port) || e.knownAt(k.address) != nil {
			continue
		}
		if slices.ContainsFunc(n.calledBy, func(ed *edge) bool { return ed.caller.host != nil && ed.caller.host.name == k.host }) {
			return true
		}
	}
	return false
}
