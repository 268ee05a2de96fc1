// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/faultline-otel/faultline/internal/engine/report"

// Proxies such as nginx write a span of each request that they answer and none of the
// request that they pass on: the span of the server behind them hangs below their own.
// So it is known whom they call, and that a failure which they pass on is not theirs.

// passing joins a span of what may be a proxy with that of a server below it.
func (e *Engine) passing(p *report.Passing) {
	other, ok := e.book.hops[p.Span]
	switch {
	case !ok:
		e.book.wait(p.Span, pendingHop{source: p.Source, passes: true})
	case other.server && other.source.ServiceKey != p.Source.ServiceKey:
		delete(e.book.hops, p.Span)
		e.passedThrough(p.Source, &other)
	}
}

// passedThrough takes in that a request went through a proxy to a server.
func (e *Engine) passedThrough(proxy *report.Source, server *pendingHop) {
	caller, n := e.instance(proxy), e.instance(server.source)
	if caller == nil || n == nil || caller.service == n.service {
		return
	}
	n = e.wholeServiceInstead(n)
	ed := e.edge(caller, n)
	ed.through = true
	ed.use(e.now)
	ed.rate.Add(1, server.took, e.now, n.episode == nil)
	w := e.params.CallWindow
	if !server.failed {
		ed.ok.Add(1, e.now, w)
		ed.okEnd = max(ed.okEnd, server.at)
		return
	}
	ed.lastFail = e.now
	ed.failed.Add(1, e.now, w)
	ed.answeredBadly.Add(1, e.now, w)
}
