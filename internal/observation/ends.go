// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine"
)

// spansEnd is when the spans of an instrumentation end. Most end with the answer,
// so one without an error shows a callee that answered. Some end before, and are
// well while nobody is there.
type spansEnd uint8

const (
	atAnswer     spansEnd = iota
	whenSent              // as soon as the request is written to a connection
	atQueue               // as soon as it waits in a queue of the caller's own
	poolConnects          // connect ends well with a pooled connection, or whatever comes of it
)

// endOfSpans tells it by the instrumentation's scope. Observed with servers that
// were stopped or gone.
func endOfSpans(scope string) spansEnd {
	switch {
	case strings.HasPrefix(scope, "io.opentelemetry.jedis"),
		scope == "opentelemetry.instrumentation.pika",
		scope == "@opentelemetry/instrumentation-amqplib":
		return whenSent
	case scope == "opentelemetry.instrumentation.kafka",
		scope == "opentelemetry.instrumentation.confluent_kafka":
		return atQueue
	case scope == "@opentelemetry/instrumentation-ioredis",
		scope == "@opentelemetry/instrumentation-pg",
		scope == "opentelemetry.instrumentation.sqlalchemy":
		return poolConnects
	}
	return atAnswer
}

// outcome is what a call was whose span ended well; unset if it shows nothing.
func (s spansEnd) outcome(name string) engine.Outcome {
	switch {
	case s == whenSent:
		return engine.OutcomeSent
	case s == atQueue, s == poolConnects && (name == "connect" || name == "pg-pool.connect"):
		return engine.OutcomeUnset
	}
	return engine.OutcomeOK
}

// gaveUp takes a call that the caller gave up after far longer than such a call
// usually takes for one that got no answer in time: wait_for, AbortSignal.timeout,
// a deadline of whoever called the caller and many a driver's own time-out are
// written as a cancellation.
func (sc *scratch) gaveUp(span ptrace.Span, kind ptrace.SpanKind, peer *callee, o engine.Outcome) engine.Outcome {
	if o != engine.OutcomeCanceled {
		return o
	}
	if d, ok := duration(span); ok {
		if _, tail := sc.kind(span, kind, peer); tail.Slow(d) {
			return engine.OutcomeTimeout
		}
	}
	return o
}

// neverAnswered says whether a server's span ended without an answer: its caller
// gave up, or the caller's deadline, which gRPC hands on, passed at the server as
// well. A gateway's 504 is an answer.
func (v *view) neverAnswered(o engine.Outcome) bool {
	return o == engine.OutcomeCanceled || lost(o) && v.http < 100
}
