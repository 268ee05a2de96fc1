// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Who fails for want of another says so in the words of a client, and as a rule a span
// tells whom it called. Many libraries write none, to brokers and directories above all.
// Where nothing that is known of somebody accounts for that, it is unknown what it wants;
// that its callers are failed is not.

// wants is what is remembered of failures for want of another.
type wants struct {
	ownFailures
	lately stat.Fading
	says   string // the words of one of late
}

const (
	// wantsFrom is by how much their share of all answers must exceed the usual, and
	// wantsFor for how long more than usual must have failed: a server that is started
	// again in order is back sooner.
	wantsFrom = 0.3
	wantsFor  = 15 * time.Second
	// wantsKnown is how many answers tell what is usual.
	wantsKnown = 100.0
	// wantsAfter is how long after a callee was found ill failures may still come from it.
	wantsAfter = 30 * time.Second
)

// wantsOf notices when n fails for want of another more than usual.
func (e *Engine) wantsOf(n *entity, v *report.Served) {
	r := &n.wants
	r.learn(n, v.Wants, v.OK+v.Failed)
	r.lately.Add(float64(v.Wants), e.now, e.params.CallWindow)
	if v.Wants > 0 {
		r.last, r.says = e.now, v.Says
	}
	switch share, many := n.wantsShare(e); {
	case share < r.usual+errorsOver || r.taught < wantsKnown || e.now.Sub(r.last) > errorsStop+n.served.told.Slack():
		r.since = 0
	case r.since == 0:
		r.since = e.now
	case v.Wants > 0 && many >= errorsMany && share >= r.usual+wantsFrom && e.now.Sub(r.since) >= wantsFor:
		e.suspect(n)
		if s := n.service; s != nil && s.wantsTogether(e) {
			whole := e.wholeService(s)
			whole.alive, whole.answered = true, true
			e.suspect(whole)
		}
	}
}

// wantsShare is the share of n's answers of late that failed for want of another, and
// how many did.
func (n *entity) wantsShare(e *Engine) (share, many float64) {
	w := e.params.CallWindow
	many = n.wants.lately.Value(e.now, w)
	return many / max(n.served.ok.Value(e.now, w)+n.served.failed.Value(e.now, w), 1), many
}

// inWant says whether n goes on failing for want of another.
func (n *entity) inWant(e *Engine) bool {
	r := &n.wants
	share, _ := n.wantsShare(e)
	return r.since != 0 && share >= r.usual+wantsFrom/2 && e.now.Sub(r.since) >= wantsFor && e.now.Sub(r.last) < errorsStop+n.served.told.Slack()
}

// wantsTogether says whether all instances of the service that answer want another, and
// they are several: the service is named.
func (s *service) wantsTogether(e *Engine) bool {
	several := 0
	for _, i := range s.instances {
		if i.left || i.served.total == 0 || e.now.Sub(i.served.seen) > e.params.CallWindow+i.served.told.Slack() {
			continue
		}
		if !i.inWant(e) {
			return false
		}
		several++
	}
	return several > 1
}

// detectWants: its answers fail for want of one of whom nothing is told.
func detectWants(e *Engine, n *entity, p *episode) {
	one := n
	switch n.kind {
	case kindService:
		if !n.service.wantsTogether(e) {
			return
		}
		for _, i := range n.service.instances {
			if i.inWant(e) {
				one = i
			}
			if e.accountedFor(i, p) {
				return
			}
		}
	case kindInstance:
		if !n.inWant(e) || n.service.wantsTogether(e) || e.accountedFor(n, p) {
			return
		}
	default:
		return
	}
	r := &one.wants
	share, _ := one.wantsShare(e)
	says := ""
	if r.says != "" {
		says = " (" + r.says + ")"
	}
	p.blame(belief.EvWants, 1, e.now, fmt.Sprintf("%.0f %% of its answers fail for want of another by what it says%s, for %s on end", 100*share, says, inWords(e.now.Sub(r.since))))
	p.startedBy(r.since)
}

// accountedFor says whether something that is known of n, or of those that it calls,
// may be why it fails for want of another.
func (e *Engine) accountedFor(n *entity, p *episode) bool {
	if n.wants.since == 0 {
		return false
	}
	if p.saysWhy() || n.episode != nil && n.episode.saysWhy() {
		return true
	}
	since, lately := n.wants.since.Add(-n.served.told.Slack()), e.now.Add(-wantsAfter)
	return n.cleared >= n.wants.since || e.calleesFailed(n, since) || e.missesSince(n, since) || e.missesSome(n) || e.lostOne(n, since) || e.fellFor(n, since) != nil ||
		e.isShort(n, p) || n.eachCallee(func(ed *edge) bool { return ed.callee.illSince(lately) })
}

// saysWhy says whether another, or failures of its own, are held against it already.
func (p *episode) saysWhy() bool {
	for _, kind := range [...]belief.Evidence{belief.EvCalleeFailing, belief.EvCalleeSlow, belief.EvExplainedByCut, belief.EvOwnErrors, belief.EvErrorLines} {
		if p.found[kind].strength > 0 {
			return true
		}
	}
	return false
}

// illSince says whether n, or one of a service, is held to have failed, or was since t.
func (n *entity) illSince(t clock.Time) bool {
	if n.kind == kindService && slices.ContainsFunc(n.service.instances, func(i *entity) bool { return i.illSince(t) }) {
		return true
	}
	return n.verdict != nil || n.cutOff != nil || n.cleared != 0 && n.cleared >= t
}
