// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// asked returns a trace in which checkout serves a request and calls inventory
// meanwhile. says is what the serving span ends with.
func asked(t *testing.T, status int, says string, call attrs) ptrace.Traces {
	td, serves := spanOf(t, checkout, ptrace.SpanKindServer, failed, "", attrs{"http.response.status_code": status})
	serves.SetSpanID(pcommon.SpanID{9})
	ev := serves.Events().AppendEmpty()
	ev.SetName("exception")
	attrs{"exception.type": "ValueError", "exception.message": says}.putTo(t, ev.Attributes())
	if call == nil {
		return td
	}
	c := td.ResourceSpans().At(0).ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	c.SetKind(client)
	c.SetTraceID(serves.TraceID())
	c.SetSpanID(pcommon.SpanID{10})
	c.SetParentSpanID(serves.SpanID())
	c.SetStartTimestamp(serves.StartTimestamp() + pcommon.Timestamp(time.Millisecond))
	c.SetEndTimestamp(serves.StartTimestamp() + pcommon.Timestamp(2*time.Millisecond))
	call.putTo(t, c.Attributes())
	return td
}

func TestTraces_an_answer_that_the_caller_could_not_use_is_wrong(t *testing.T) {
	inventory := func(status int) attrs {
		return attrs{"network.peer.address": "10.0.0.7", "network.peer.port": 80, "http.response.status_code": status}
	}
	for _, c := range []struct {
		name   string
		status int
		says   string
		call   attrs
		wrong  int // calls that were answered wrongly
		faults int // failures of its own making
	}{
		{"checksum_of_the_answer", 500, "invalid response: checksum mismatch", inventory(200), 1, 0},
		{"answer_is_no_json", 500, "Expecting value: JSONDecodeError", inventory(200), 1, 0},
		{"the_callee_said_that_it_failed", 500, "inventory answered 500: checksum mismatch", inventory(500), 0, 1},
		{"it_called_nobody", 500, "checksum mismatch", nil, 0, 1},
		{"the_request_was_bad", 400, "JSONDecodeError", inventory(200), 0, 0},
		{"another_error_of_its_own", 500, "list index out of range", inventory(200), 0, 1},
		{"the_connection_broke_off", 500, "cannot unmarshal: connection reset by peer", inventory(200), 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b report.Batch
			New(Settings{}).Traces(asked(t, c.status, c.says, c.call), testNow, nil, &b)
			wrong := 0
			for _, call := range b.Calls {
				if call.Outcome == report.OutcomeWrongAnswer {
					wrong += call.Count
					if call.Callee.Address != "10.0.0.7:80" {
						t.Errorf("blames %q", call.Callee.Address)
					}
				}
			}
			if wrong != c.wrong || len(b.Served) != 1 || b.Served[0].Faults != c.faults {
				t.Errorf("%d wrong answers, want %d; served %+v, want %d faults", wrong, c.wrong, b.Served, c.faults)
			}
		})
	}
}

func TestTraces_what_a_callee_said_of_itself_is_not_the_callers_want(t *testing.T) {
	const says = "open /data: too many open files"
	for _, c := range []struct {
		name string
		call attrs
		want []report.FactKind
	}{
		{"its_own_words", nil, []report.FactKind{report.FactNoDescriptor}},
		{"after_a_call_that_went_well", attrs{"server.address": "inventory", "http.response.status_code": 200}, []report.FactKind{report.FactNoDescriptor}},
		{"after_a_call_that_was_answered_so", attrs{"server.address": "inventory", "http.response.status_code": 500}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b report.Batch
			New(Settings{}).Traces(asked(t, 500, says, c.call), testNow, nil, &b)
			if !equalKinds(kinds(&b), c.want) {
				t.Errorf("facts %v, want %v", kinds(&b), c.want)
			}
		})
	}
}
