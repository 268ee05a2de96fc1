// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"net/http"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Many drivers write no span of a connection that they could not set up: psycopg2,
// PyMySQL, mysql2, amqplib, Jedis, MongoDB's. That it failed shows only beside
// the call: in the exception of the span that was being served, which names the
// address, or in the span of the socket that Node writes below it. Where the same
// caller's own span of the call tells less ("timeout of 1500ms exceeded", a bare
// gRPC code), what was heard beside it tells why.

// hearsay is a call of which other spans than its own tell how it ended.
type hearsay struct {
	src     *report.Source
	callee  *callee
	outcome report.Outcome
	calls   report.Calls
}

// maxHeard bounds what is heard in one batch.
const maxHeard = 64

// ofAnother is what the exception of a served call says when the failure is that
// of a call behind it.
const ofAnother = aboutCall | saysPool | saysOverloaded | saysUnavailable | saysNotServing | saysUndecided | saysTheirDisk | saysTheirMemory | saysCallFailed

// wantsAnother says whether an exception, or else the status that was answered with, tells
// that a call failed which whoever threw it made, and not for what it asked or who it is.
// That a pool of its own is used up, or that it turns its callers away, does not.
func (m meaning) wantsAnother(status int32) bool {
	gateway := status == http.StatusBadGateway || status == http.StatusGatewayTimeout
	return (gateway || m&(aboutCall|saysCallFailed) != 0) && m&(saysPool|saysRequest|saysClients) == 0
}

// overhear takes in a failed span that is not the client's: a socket's, or one
// of a call that was served.
func (sc *scratch) overhear(span ptrace.Span, kind ptrace.SpanKind, t *texts) {
	o := t.says.outcome()
	var id calleeID
	switch {
	case kind == ptrace.SpanKindInternal && (span.Name() == "tcp.connect" || span.Name() == "tls.connect"):
		id = sc.v.calleeID(sc.src)
		if o == report.OutcomeTimeout {
			o = report.OutcomeConnectTimeout
			if span.Name() == "tls.connect" {
				o = report.OutcomeNoAnswer
			}
		}
		o = sc.v.aim(&id, sc.src, o, t)
	case kind == ptrace.SpanKindServer || kind == ptrace.SpanKindConsumer:
		m := &t.mention
		if m.port == 0 || m.port >= firstEphemeral || o == report.OutcomeDNS {
			return
		}
		id = m.callee()
		if loopback(m.host) {
			id.place = placeOf(sc.src)
		}
	}
	switch o {
	case report.OutcomeReset, report.OutcomeTimeout, report.OutcomeNoAnswer,
		report.OutcomeOverloaded, report.OutcomeDiskFull, report.OutcomeMemoryFull:
	default:
		if !phase(o) {
			return
		}
	}
	c := sc.callee(&id)
	if c.none {
		return
	}
	first, last := sc.past(span.StartTimestamp()), sc.past(span.EndTimestamp())
	for i := range sc.heard {
		if h := &sc.heard[i]; h.src == sc.src && h.callee == c && h.outcome == o {
			h.calls.Count++
			h.calls.First, h.calls.Last = min(h.calls.First, first), max(h.calls.Last, last)
			return
		}
	}
	if len(sc.heard) < maxHeard {
		sc.heard = append(sc.heard, hearsay{sc.src, c, o, report.Calls{
			Caller: sc.src, Callee: c.Callee, Outcome: o, Count: 1, First: first, Last: last, Hearsay: kind != ptrace.SpanKindInternal,
		}})
	}
}

// hear adds what was heard to what the calls' own spans told: nothing where they
// told as much, the why where they told less.
func (sc *scratch) hear() {
	for i := range sc.heard {
		h := &sc.heard[i]
		left, told := h.calls.Count, false
		for j := range sc.out.Calls {
			c := &sc.out.Calls[j]
			if c.Caller != h.src || !sameCallee(&c.Callee, &h.calls.Callee) || !c.Outcome.Failed() {
				continue
			}
			told = true
			switch {
			case !vague(c.Outcome) || left == 0:
			case c.Count <= left:
				c.Outcome = h.outcome
				left -= c.Count
			default:
				rest := *c
				rest.Count -= left
				c.Outcome, c.Count, left = h.outcome, left, 0
				sc.out.Calls = append(sc.out.Calls, rest)
			}
		}
		if !told {
			sc.out.Calls = append(sc.out.Calls, h.calls)
		}
	}
	clear(sc.heard)
	sc.heard = sc.heard[:0]
}

// vague says whether an outcome leaves open in which phase the call failed.
func vague(o report.Outcome) bool {
	return o == report.OutcomeTimeout || o == report.OutcomeUnavailable || o == report.OutcomeOther || o == report.OutcomeCanceled
}

func sameCallee(a, b *report.Callee) bool {
	return a.Address == b.Address || a.Named != "" && a.Named == b.Address || b.Named != "" && a.Address == b.Named
}
