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

// A proxy without telemetry of its own sends no spans: that one of those behind it is
// gone shows in no call, and its callers are sent to the others. What it writes into
// its log tells, now and then: it keeps off one that failed it, and tries again
// after a while. Of the calls that went well nothing is written.

// proxyWord is what proxies wrote of their calls to an instance since it last
// answered anybody.
type proxyWord struct {
	who     string         // whose log it is, a host; "" if not told
	outcome report.Outcome // of the latest
	count   int
	first   clock.Time // event time of the first
	last    clock.Time // event time of the latest
	seen    clock.Time // engine time of the latest
}

const (
	// proxyStands is how long a word stands: nginx tries one that failed again after
	// ten seconds, some less often.
	proxyStands = 30 * time.Second
	// proxyLeast is for how long it must fail its proxy: balancers follow a stop in
	// order late.
	proxyLeast = 4 * time.Second
	// proxySure is for how long one must fail that nobody misses, since its callers
	// are sent elsewhere, to be more than a slow restart.
	proxySure = 18 * time.Second
)

// proxied takes in a failed call that only a proxy's log tells of. It says whether
// it was one to an instance that is known by its door.
func (e *Engine) proxied(c *report.Calls) bool {
	n := e.behindDoor(c.Callee.Address)
	if n == nil {
		return false
	}
	if callerRow[c.Outcome].kind == 0 || e.now.Sub(c.Last) > staleCalls || n.away() || n.returnedLate(c.Last) || n.dealtWith(c.Last) {
		return true
	}
	w := n.proxies
	if w == nil || e.now.Sub(w.seen) > proxyStands+proxyStands || n.served.last > w.last {
		w = &proxyWord{first: c.First}
		n.proxies = w
	}
	if c.Caller != nil {
		if w.who = c.Caller.Service.Name; w.who == "" {
			w.who = c.Caller.Host
		}
	}
	w.outcome, w.count, w.last, w.seen = c.Outcome, w.count+c.Count, max(w.last, c.Last), e.now
	if w.lasted() >= proxyLeast {
		e.suspect(n)
	}
	return true
}

func (w *proxyWord) lasted() time.Duration { return w.last.Sub(w.first) }

// stands says whether n failed its proxies for a while, and nothing shows that it
// has answered anybody since.
func (w *proxyWord) stands(n *entity, now clock.Time) bool {
	return w != nil && w.count > 1 && w.lasted() >= proxyLeast && now.Sub(w.seen) < proxyStands && n.served.last <= w.first.Add(stallLeast)
}

// detectProxies: its proxy gets no answer of it, and nobody else does. One that
// answers others is well, whatever a log says; and where none of its service is
// answered in time, they may all wait for somebody else.
func detectProxies(e *Engine, n *entity, p *episode) {
	w := n.proxies
	p.routedAround = w != nil && n.calls == nil && w.lasted() < proxySure
	if !w.stands(n, e.now) || e.successor(n) != nil {
		return
	}
	quiet, sure := e.stalled(n)
	goOn := e.siblings(n).goOn(n, w.first.Add(stallLeast))
	r := &callerRow[w.outcome]
	if sure == 0 || r.kind == belief.EvCallersTimeout && goOn == 0 {
		return
	}
	text := fmt.Sprintf("%s ×%d by the log of a proxy", r.says, w.count)
	if w.who != "" {
		text += " on " + w.who
	}
	if goOn > 0 && p.found[belief.EvCalleeFailing].now {
		p.note(belief.EvCalleeFailing, 0, e.now, "") // they depend on the same
	}
	p.startedBy(w.first)
	if f := &p.found[r.kind]; !f.now || f.strength < sure {
		p.blame(r.kind, sure, e.now, text)
	}
	if r.kind == belief.EvCallersRefused {
		p.direct = true
		p.note(belief.EvStillRefused, sure, e.now, fmt.Sprintf("and so for %s on end", inWords(w.lasted())))
	}
	if !p.found[belief.EvNoProgress].now {
		text = fmt.Sprintf("it has answered no call for %s", inWords(quiet))
		if goOn > 0 {
			text += fmt.Sprintf(", and %d of its siblings go on", goOn)
		}
		p.note(belief.EvNoProgress, sure*(1-p.found[belief.EvCalleeFailing].strength), e.now, text)
	}
}
