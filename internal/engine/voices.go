// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Each host from which somebody is called has one voice, however much it calls:
// where a single one complains and others, who called since, are content, the
// matter is more likely with the one who complains, or with its way.

const (
	// complainsFrom is the share of its calls that must fail for a host to complain.
	complainsFrom = 0.1
	// contentAfter is how long after the first failure a call must have ended
	// well: what was under way then says nothing.
	contentAfter = time.Second
	// contentMany others outweigh one.
	contentMany = 2
)

// complains says whether more than a few calls over an edge failed lately.
func (ed *edge) complains(e *Engine) bool {
	failed := ed.failed.Value(e.now, e.params.CallWindow)
	return failed >= 0.1 && failed >= complainsFrom*(failed+ed.ok.Value(e.now, e.params.CallWindow))
}

// complainer is the one host from which come all complaints about n; nil if there
// are none, or several.
func (e *Engine) complainer(n *entity) *hostState {
	var who *hostState
	for _, ed := range n.calledBy {
		if who != ed.caller.host && ed.complains(e) {
			if who != nil {
				return nil
			}
			who = ed.caller.host
		}
	}
	return who
}

// oneVoice is how much the complaints about n count, 0-1, that began at since:
// little if they come from one host alone, and others are content or it complains
// about everybody.
func (e *Engine) oneVoice(n *entity, since clock.Time) float64 {
	who := e.complainer(n)
	if who == nil {
		return 1
	}
	if who.doubted != 0 && e.now.Sub(who.doubted) < e.params.CallWindow {
		return doubtedVoice
	}
	var content [maxVoices]*hostState
	many := 0
	for _, ed := range n.calledBy {
		if h := ed.caller.host; h != who && ed.okEnd > since.Add(contentAfter) && many < maxVoices && !slices.Contains(content[:many], h) {
			content[many] = h
			many++
		}
	}
	if many < contentMany {
		return 1
	}
	return 1 / float64(1+many)
}

// doubtedVoice is what the word of one counts who finds fault with everybody.
const doubtedVoice = 0.2

// doubtHosts looks for hosts that alone complain, and about several on several
// hosts: one that is sick itself sees everybody fail.
func (e *Engine) doubtHosts() {
	type blames struct {
		count int
		host  *hostState // of the first who is blamed
		more  bool       // others of them stand elsewhere
		in    onePlace
		only  *service // whose instances all of them are
		wide  bool     // they are of several, or nothing else that it calls is well
	}
	var by map[*hostState]blames
	for _, n := range e.suspects {
		if n.kind > kindExternal || n.calls == nil {
			continue
		}
		who := e.complainer(n)
		if who == nil || who == n.host {
			continue
		}
		if by == nil {
			by = map[*hostState]blames{}
		}
		b := by[who]
		if b.count++; b.count == 1 {
			b.host, b.only = n.host, n.service
		} else if n.host != b.host || n.host == nil {
			b.more = true
		}
		b.in.add(n.host)
		b.wide = b.wide || n.service == nil || n.service != b.only || !contentBeside(n, who)
		by[who] = b
	}
	for who, b := range by {
		if b.count >= doubtFrom && b.more && b.wide && !b.in.away(who) {
			who.doubted = e.now
		}
	}
}

// contentBeside says whether callers on a host that complain about n were answered
// well by another service since: it is not all that they call.
func contentBeside(n *entity, who *hostState) bool {
	since := n.calls.firstFail.Add(contentAfter)
	for _, ed := range n.calledBy {
		if ed.caller.host != who {
			continue
		}
		for _, other := range ed.caller.callees {
			if other.callee.service != n.service && other.okEnd > since {
				return true
			}
		}
	}
	return false
}

// maxVoices is how many hosts are heard: more do not change anything.
const maxVoices = 8

// onePlace follows whether hosts are all in one zone.
type onePlace struct {
	zone  string
	mixed bool // they are not, or nobody knows
}

func (o *onePlace) add(h *hostState) {
	switch {
	case h == nil || h.zone == "" || o.zone != "" && h.zone != o.zone:
		o.mixed = true
	default:
		o.zone = h.zone
	}
}

// away says whether they are all in one zone, which is not that of from: it may be
// the way there that is broken, and not the one who says so.
func (o *onePlace) away(from *hostState) bool {
	return !o.mixed && o.zone != "" && from != nil && from.zone != o.zone
}
