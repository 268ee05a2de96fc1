// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
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
		scope == "opentelemetry.instrumentation.sqlalchemy",
		scope == "github.com/XSAM/otelsql":
		return poolConnects
	}
	return atAnswer
}

// outcome is what a call was whose span ended well; unset if it shows nothing.
func (s spansEnd) outcome(name string) report.Outcome {
	switch {
	case s == whenSent, s == poolConnects && (name == "pg.connect" || name == "sql.connector.connect"): // a database that lets somebody in may answer nobody
		return report.OutcomeSent
	case s == atQueue, s == poolConnects && (name == "connect" || name == "pg-pool.connect" || name == "sql.conn.reset_session"):
		return report.OutcomeUnset
	}
	return report.OutcomeOK
}

// gaveUp takes a call that the caller gave up after far longer than such a call
// usually takes for one that got no answer in time: wait_for, AbortSignal.timeout,
// a deadline of whoever called the caller and many a driver's own time-out are
// written as a cancellation.
//
// So is an attempt to connect that breaks off after long: who accepts a connection
// and then dies, or refuses, does it sooner, and drivers close what they have waited
// for in vain ("Connection terminated unexpectedly"). And so is a connection that
// broke after long, if it is not told how: the driver's own patience may have ended.
func gaveUp(span ptrace.Span, o report.Outcome, said meaning, tail *stat.Tail) report.Outcome {
	d, ok := duration(span)
	switch {
	case !ok:
	case o == report.OutcomeReset && strings.HasSuffix(span.Name(), "connect"):
		if d >= connectsLong {
			return report.OutcomeNoAnswer
		}
	case o == report.OutcomeCanceled, o == report.OutcomeReset && said&(saysBroken|saysReset) == saysBroken:
		if tail.Slow(d) {
			return report.OutcomeTimeout
		}
	}
	return o
}

// neverAnswered says whether a server's span ended without an answer: its caller
// gave up, or the caller's deadline, which gRPC hands on, passed at the server as
// well. A gateway's 504 is an answer, and so is any other status of gRPC, though its
// words may tell of a call that ran out of time.
func (v *view) neverAnswered(o report.Outcome) bool {
	return o == report.OutcomeCanceled || lost(o) && v.http < 100 && (v.grpc < 0 || v.grpc == grpcDeadlineExceeded)
}

// connectsLong is more than setting up a connection takes, and less than what is
// waited for it.
const connectsLong = 900 * time.Millisecond
