// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Span is a full look at one span.
type Span struct {
	// Failed: its status is an error, or its status code is one of those that
	// are (HTTP 5xx, gRPC's failing codes). What a client did wrong itself (4xx)
	// is no failure, whatever the status says.
	Failed  bool
	Client  bool // client or producer: it speaks of a callee
	Outcome report.Outcome
	Callee  report.Callee // of a client; empty if it tells none
	// Surprise is −log10 of the probability that a span of its kind takes so
	// long; 0 while too few are known.
	Surprise float64
	// Slow: far longer than usual. Late: longer than usual at all, or turned away by
	// the server: hurt, if somebody is known to hurt it.
	Slow, Late bool
	// Over is how much longer it took than 99 of 100 of its kind; 0 if it did not, or too few
	// are known.
	Over time.Duration
	// Unresolved: a name server did not answer in time. Which, no span tells.
	Unresolved bool
}

// TurnedAway says whether the server answered that it has had enough: hurt, and at
// once.
func (s *Span) TurnedAway() bool { return s.Outcome == report.OutcomeOverloaded }

// Look reads everything that there is to say of one span. src is who its
// resource is, or nil.
func (x *Extractor) Look(src *report.Source, span ptrace.Span, bl *engine.Baselines) Span {
	var v view
	kind := span.Kind()
	errored := span.Status().Code() == ptrace.StatusCodeError
	s := Span{Client: kind == ptrace.SpanKindClient || kind == ptrace.SpanKindProducer, Outcome: report.OutcomeOK}
	peer, shape, said := "", uint64(0), meaning(0)
	if hasCodes(kind) || errored {
		v.read(span.Attributes())
		id := v.calleeID(src)
		errored = errored || v.failedSilently(span, kind)
		if v.odd(errored, kind) {
			var t texts
			s.Outcome, s.Failed, t = v.judge(span, kind, errored)
			said = t.says
			if s.Client {
				s.Outcome = v.aim(&id, src, s.Outcome, &t)
				s.Unresolved = s.Outcome == report.OutcomeDNS && said&saysTimeout != 0
			}
		}
		if s.Client {
			c := x.callee(id.sum(), &id)
			s.Callee, peer, shape = c.Callee, c.peer, shapeOf(v.statement)
		}
	}
	if d, ok := duration(span); ok {
		tail := bl.Of(spanKey(src, span, peer, shape))
		if s.Client {
			s.Outcome = gaveUp(span, s.Outcome, said, tail)
		}
		s.Surprise, s.Over = tail.Surprise(d), tail.Over(d)
		s.Slow, s.Late = !s.Failed && tail.Slow(d), !s.Failed && tail.Late(d)
	}
	s.Late = s.Late || !s.Failed && s.TurnedAway()
	return s
}

// hasCodes says whether spans of a kind carry status codes or a callee; the
// others are looked at only if their status is an error.
func hasCodes(kind ptrace.SpanKind) bool {
	return kind == ptrace.SpanKindClient || kind == ptrace.SpanKindServer || kind == ptrace.SpanKindProducer
}

// odd says whether a span is worth a second look: cheap, and false for the
// healthy.
func (v *view) odd(errored bool, kind ptrace.SpanKind) bool {
	return errored || v.http >= 400 || v.grpc > 0 || v.flags != "" && v.flags != "-" || v.unanswered(kind)
}

// unanswered says whether a span is a request of HTTP to which no answer came. By
// the conventions it would tell the status if one had: asyncio, fetch and others
// end the span of a request that was given up without any error.
func (v *view) unanswered(kind ptrace.SpanKind) bool {
	return v.request && v.http < 0 && v.grpc < 0 && kind == ptrace.SpanKindClient
}

// failedSilently says whether a call to a database holds an exception and has no
// status: the command of a driver that ran out of time ends so.
func (v *view) failedSilently(span ptrace.Span, kind ptrace.SpanKind) bool {
	if v.system == "" || kind != ptrace.SpanKindClient || span.Status().Code() != ptrace.StatusCodeUnset {
		return false
	}
	for i, events := 0, span.Events(); i < min(events.Len(), maxEventsRead); i++ {
		if events.At(i).Name() == "exception" {
			return true
		}
	}
	return false
}

// judge says how an odd span ended and whether it failed.
func (v *view) judge(span ptrace.Span, kind ptrace.SpanKind, errored bool) (o report.Outcome, failed bool, t texts) {
	t.status, t.grpc = -1, -1
	if errored || v.grpc > 0 || v.errorText != "" {
		t = v.texts(span)
	}
	o = v.outcome(errored, &t)
	switch kind {
	case ptrace.SpanKindServer:
		failed = v.http >= 500 || v.grpc > 0 && v.grpc < numGRPC && grpcServerFails>>v.grpc&1 != 0 ||
			errored && o != report.OutcomeClientError && !(v.http >= 400 && v.http < 500)
	case ptrace.SpanKindClient, ptrace.SpanKindProducer:
		failed = o.Failed()
	default:
		failed = errored
	}
	return o, failed, t
}

// outcome reads, in this order: proxy flags, gRPC's code, HTTP's, and words.
// Codes come before words, because the callee sent them; only where the
// caller's own library makes up the code do its words tell more.
func (v *view) outcome(errored bool, t *texts) report.Outcome {
	http, grpc := v.http, v.grpc
	if http < 0 && t.status >= 400 && t.status < 600 {
		http = t.status
	}
	if grpc < 0 {
		grpc = t.grpc
	}
	if o := flagged(v.flags); o != report.OutcomeUnset && (errored || http < 100 || http >= 400) {
		if words := t.says.outcome(); o == report.OutcomeUnavailable && phase(words) {
			return words
		}
		return o
	}
	if grpc > 0 && grpc < numGRPC {
		o := grpcOutcomes[grpc]
		words := t.says.outcome()
		switch {
		case grpc == grpcUnavailable && words != report.OutcomeOther && words != report.OutcomeCanceled:
			return words
		case grpc == grpcDeadlineExceeded && phase(words):
			return words
		}
		return o
	}
	if o := httpOutcome(http, v.retryAfter); o.Failed() || o == report.OutcomeClientError {
		if (http == 400 || http == 503) && t.says&saysOverloaded != 0 {
			return report.OutcomeOverloaded // so do the services of AWS turn callers away
		}
		return o
	}
	if !errored {
		if http < 0 && v.request && v.grpc < 0 {
			return report.OutcomeCanceled
		}
		return report.OutcomeOK
	}
	return t.says.outcome()
}

// phase says whether an outcome is one of setting up the connection: only the
// caller's own side can tell it.
func phase(o report.Outcome) bool {
	switch o {
	case report.OutcomeRefused, report.OutcomeConnectTimeout, report.OutcomeUnreachable, report.OutcomeDNS, report.OutcomeTLS:
		return true
	}
	return false
}

// aim points a failed call at the address that its message names: a client that
// could not connect has no peer to tell. It returns the outcome, changed where
// the message turns out to be about somebody else.
func (v *view) aim(id *calleeID, src *report.Source, o report.Outcome, t *texts) report.Outcome {
	m := &t.mention
	if m.host == "" || !(phase(o) || o == report.OutcomeReset || o == report.OutcomeTimeout || o == report.OutcomeNoAnswer) ||
		o == report.OutcomeDNS || v.http >= 400 {
		return o // a failed look-up names the name server
	}
	if !m.ip {
		if id.server == "" && id.peer == "" {
			id.server, id.serverPort = clip(m.host), m.port
		}
		return o
	}
	if known := id.knownIP(); v.grpc > 0 && known != "" && known != canonicalIP(m.host) {
		// A status that the callee passed on: the callee itself answered, and
		// its own client span tells of the one behind it.
		return report.OutcomeServerError
	}
	if m.port >= firstEphemeral && !phase(o) {
		return o // the caller's own end of the connection, perhaps
	}
	id.peer, id.peerPort = m.host, m.port
	if id.server == "" {
		id.server, id.serverPort = clip(m.name), m.port
	}
	if loopback(id.peer) {
		id.place = placeOf(src)
	}
	return o
}

// knownIP is the callee's IP address as the span tells it, "" if it tells none.
func (id *calleeID) knownIP() string {
	if id.peer != "" {
		return canonicalIP(id.peer)
	}
	return canonicalIP(id.server)
}

func canonicalIP(host string) string {
	if s, ip := canonical(host, 0, 0, ""); ip {
		if h, _, ok := splitPort(s); ok {
			return h
		}
		return s
	}
	return ""
}

// duration is how long a span took; not ok if its times make no sense.
func duration(span ptrace.Span) (time.Duration, bool) {
	start, end := span.StartTimestamp(), span.EndTimestamp()
	if start == 0 || end < start || end-start > maxDuration {
		return 0, false
	}
	return time.Duration(end - start), true
}

const maxDuration = pcommon.Timestamp(30 * 24 * time.Hour)
