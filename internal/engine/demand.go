// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math"
	"time"
)

// rate follows how often an entity is called: the usual, learned slowly, and
// the current.
type rate struct {
	usual float64 // calls a second
	count float64 // since began
	began Time
	now   float64 // calls a second, of the last full span
}

const (
	rateSpan     = 5 * time.Second
	rateHalfLife = 5 * time.Minute
	// demandFrom is how many times the usual rate is more than usual.
	demandFrom = 1.4
	slowFrom   = 0.25 // share of answers that are far slower than usual
	slowFull   = 0.60
	slowMany   = 5.0
)

// add counts calls; while something is wrong the usual is not learned anew.
func (r *rate) add(calls float64, now Time, learn bool) {
	if r.began == 0 {
		r.began = now
	}
	if span := now.Sub(r.began); span >= rateSpan {
		r.now = r.count / span.Seconds()
		if learn || r.usual == 0 {
			keep := math.Exp2(-float64(span) / float64(rateHalfLife))
			if r.usual == 0 {
				keep = 0
			}
			r.usual = keep*r.usual + (1-keep)*r.now
		}
		r.count, r.began = 0, now
	}
	r.count += calls
}

// more says whether the current rate is clearly more than times the usual: by
// more than three standard deviations of a count by chance.
func (r *rate) more(times float64) bool {
	span := rateSpan.Seconds()
	usual := r.usual * span
	return usual > 0 && r.now >= times*r.usual && r.now*span-usual >= 3*math.Sqrt(usual)+3
}

// slowness is the share of n's answers that are far slower than usual, in its
// own words, else in its callers', and how many there were.
func (e *Engine) slowness(n *entity) (share, many float64) {
	w := e.params.CallWindow
	if n.served.total > 0 {
		slow, ok := n.served.slow.value(e.now, w), n.served.ok.value(e.now, w)
		return min(slow/max(ok, 1), 1), slow
	}
	if s := n.calls; s != nil {
		slow, ok := s.slow.value(e.now, w), s.ok.value(e.now, w)
		return min(slow/max(ok, 1), 1), slow
	}
	return 0, 0
}

// slowed is called when answers of n were far slower than usual.
func (e *Engine) slowed(n *entity) {
	if share, many := e.slowness(n); share >= slowFrom && many >= slowMany {
		e.suspect(n)
	}
}

// detectDemand: it answers, but late, because it waits or because more is asked
// of it than it can do.
func detectDemand(e *Engine, n *entity, p *episode) {
	share, many := e.slowness(n)
	slow := share >= slowFrom && many >= slowMany
	if slow {
		p.note(evSlow, clamp(share/slowFull, 0.4, 1), e.now, fmt.Sprintf("%.0f %% of its answers take far longer than usual", 100*share))
		p.latest = e.now
		for _, ed := range n.callees {
			s, ok := ed.slow.value(e.now, e.params.CallWindow), ed.ok.value(e.now, e.params.CallWindow)
			if s >= 2 && s/max(ok, 1) >= slowFrom/2 {
				p.note(evCalleeSlow, 1, e.now, fmt.Sprintf("it waits for %s, which is slow", ed.callee.name()))
				break
			}
		}
	}
	if !slow && !p.bad[groupCallers] {
		return
	}
	if len(n.callees) > 0 && p.found[evCalleeSlow].strength == 0 && p.found[evCalleeFailing].strength == 0 && !e.calleesFail(n) {
		p.note(evCalleesWell, 1, e.now, "those that it calls are well")
	}
	if r := &n.rate; r.more(demandFrom) {
		p.note(evDemand, clamp((r.now/r.usual-1)/1.5, 0.3, 1), e.now,
			fmt.Sprintf("it is asked %.1f times as often as usual (%.0f/s)", r.now/r.usual, r.now))
	}
}

// pusher is the caller to blame where n turns callers away: the only one that
// asks clearly more often than it used to, and is turned away itself.
func (e *Engine) pusher(n *entity) *entity {
	var who *entity
	for _, ed := range n.calledBy {
		full := ed.full.value(e.now, e.params.CallWindow)
		if full < 1 || ed.caller.service == nil {
			continue
		}
		if !ed.rate.more(pushFrom) {
			continue
		}
		if who != nil && who.service != ed.caller.service {
			return nil // all ask more
		}
		who = ed.caller
	}
	return who
}

// pushFrom is how many times its usual rate a caller has to ask to be blamed.
const pushFrom = 1.8
