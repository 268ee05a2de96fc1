// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
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

// Drivers of databases, such as Go's through database/sql, often tell neither system nor
// address. Whose call of that kind failed fails for want of somebody.
func TestTraces_a_failure_after_a_call_to_nobody_that_is_named_is_none_of_its_own(t *testing.T) {
	const pooler = "FATAL: server login has been failing, try again later (server_login_retry) (SQLSTATE 08P01)"
	for _, c := range []struct {
		name   string
		status ptrace.StatusCode
		error  string
		call   attrs
		faults int
	}{
		{"that_failed", failed, pooler, attrs{"db.query.text": "SELECT 1"}, 0},
		{"of_which_only_the_time_is_told", failed, "", attrs{}, 0},
		{"whose_statement_was_wrong", failed, `ERROR: relation "ordres" does not exist (SQLSTATE 42P01)`, attrs{"db.query.text": "SELECT 1"}, 1},
		{"that_it_gave_up_itself", failed, "context canceled", attrs{"db.query.text": "SELECT 1"}, 1},
		{"that_went_well", unset, "", attrs{"db.query.text": "SELECT 1"}, 1},
		{"while_the_one_that_failed_names_its_callee", failed, pooler, attrs{"db.query.text": "SELECT 1", "server.address": "pgbouncer", "server.port": 6432}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			td := asked(t, 500, "cannot hold a seat", c.call)
			call := td.ResourceSpans().At(0).ScopeSpans().At(1).Spans().At(0)
			call.Status().SetCode(c.status)
			call.Status().SetMessage(c.error)
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			if len(b.Served) != 1 || b.Served[0].Failed != 1 || b.Served[0].Faults != c.faults {
				t.Errorf("served %+v, want %d faults", b.Served, c.faults)
			}
		})
	}
}

func TestTraces_who_finds_fault_with_what_it_was_given_says_from_whom(t *testing.T) {
	for says, want := range map[string][2]string{
		"invalid quote from fares: price is not positive":            {"invalid quote from fares: price is not positive", "fares: price is not positive"},
		"booking: Unexpected answer from seats":                      {"Unexpected answer from seats", "seats"},
		"RangeError: fares: impossible price -1505":                  {"fares: impossible price -1505", " fares"},
		"cannot book: seats returned a negative count":               {"seats returned a negative count", " seats"},
		"fares: invalid amount":                                      {},
		"fares: unexpected answer":                                   {"fares: unexpected answer", "fares"},
		"fares: invalid response: {}":                                {"fares: invalid response: {}", "fares"},
		"fares returned an unexpected status 404":                    {},
		"cannot read from stock":                                     {},
		"invalid argument":                                           {},
		"it is bad that so many bytes of words are far away from it": {},
	} {
		td := asked(t, 500, says, nil)
		var b report.Batch
		New(Settings{}).Traces(td, testNow, nil, &b)
		got := [2]string{}
		for _, f := range b.Facts {
			if f.Kind == report.FactDoubts {
				got = [2]string{f.Text, f.Whom}
			}
		}
		if want[1] = strings.TrimSpace(want[1]); got != want {
			t.Errorf("%q tells %q, want %q", says, got, want)
		}
	}
}

func TestLinesOfARequestThatFindFaultSayWithWhom(t *testing.T) {
	for name, c := range map[string]struct {
		says     string
		severity plog.SeverityNumber
		ofTrace  bool
		want     string
	}{
		"at_error":               {"tariff: impossible price", plog.SeverityNumberError, true, "tariff"},
		"of_no_request":          {"tariff: impossible price", plog.SeverityNumberError, false, ""},
		"as_a_warning":           {"tariff: impossible price", plog.SeverityNumberWarn, true, ""},
		"of_a_call_that_failed":  {"tariff: corrupt answer: connection reset by peer", plog.SeverityNumberError, true, ""},
		"that_names_nobody_else": {"impossible price", plog.SeverityNumberError, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ld := logOf(t, checkout, c.severity, c.says, nil)
			if c.ofTrace {
				ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTraceID(pcommon.TraceID{1})
			}
			var b report.Batch
			New(Settings{}).Logs(ld, testNow, &b)
			got := ""
			for _, f := range b.Facts {
				if f.Kind == report.FactDoubts {
					got = f.Whom
				}
			}
			if got != c.want {
				t.Errorf("tells %q, want %q", got, c.want)
			}
		})
	}
}

func TestTraces_what_a_proxy_passes_on_is_no_fault_of_its_own(t *testing.T) {
	for _, c := range []struct {
		name   string
		to     string
		faults int
	}{
		{"to_others", "web", 0},
		{"to_nobody", "-", 1},
		{"to_the_application_that_it_stands_beside", "inbound|8080||", 1},
		{"which_it_does_not_tell", "", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := attrs{"http.status_code": "500", "response_flags": "-", "component": "proxy"}
			if c.to != "" {
				a["upstream_cluster"] = c.to
			}
			td, _ := spanOf(t, checkout, server, failed, "", a)
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			if len(b.Served) != 1 || b.Served[0].Failed != 1 || b.Served[0].Faults != c.faults {
				t.Errorf("served %+v, want %d faults", b.Served, c.faults)
			}
		})
	}
}
