// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
)

const (
	incident = "21e447fbc7a36556"
	trace    = "0af7651916cd43dd8448eb211c80319c"
)

// explained runs the command as main does.
func explained(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := Command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

// event appends one of the receiver's events.
func event(sl plog.ScopeLogs, second int, name, body string) pcommon.Map {
	lr := sl.LogRecords().AppendEmpty()
	lr.SetEventName(name)
	lr.SetTimestamp(pcommon.NewTimestampFromTime(time.Date(2026, 1, 5, 9, 1, second, 0, time.UTC)))
	lr.Body().SetStr(body)
	a := lr.Attributes()
	a.PutStr(contract.EventName, name)
	a.PutStr(contract.IncidentID, incident)
	return a
}

func putVerdict(a pcommon.Map, class string, confidence float64, evidence, ruledOut []any) {
	a.PutStr(contract.FailureClass, class)
	a.PutStr(contract.FailureSubclass, "process_exit")
	a.PutDouble(contract.FailureConfidence, confidence)
	a.PutStr(contract.FailureCulpritType, "instance")
	a.PutStr(contract.FailureCulpritName, "payment-1")
	a.PutStr(contract.FailureReason, "a reason")
	_ = a.PutEmptySlice(contract.FailureEvidence).FromRaw(evidence)
	_ = a.PutEmptySlice(contract.FailureRuledOut).FromRaw(ruledOut)
}

// eventsFile is an incident that was revised once, and another, amid other lines.
func eventsFile(t *testing.T) string {
	t.Helper()
	ld := plog.NewLogs()
	sl := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	putVerdict(event(sl, 2, contract.EventFailureDetected, "payment-1: unknown"), "unknown", 0.5, []any{"no heartbeat for 5 s"}, nil)
	putVerdict(event(sl, 9, contract.EventFailureRevised, "payment-1: crash"), "crash", 0.93,
		[]any{"connection refused ×41 from checkout", "no heartbeat for 9 s"}, []any{"network_partition: its host answers"})
	opened := event(sl, 1, contract.EventIncidentOpened, "incident opened")
	opened.PutStr(contract.FailureClass, "unknown")
	opened.PutStr(contract.FailureReason, "of the incident itself")
	other := event(sl, 3, contract.EventFailureDetected, "somebody else")
	other.PutStr(contract.IncidentID, "ffffffffffffffff")
	text, err := (&plog.JSONMarshaler{}).MarshalLogs(ld)
	require.NoError(t, err)
	return write(t, "not a line\n"+string(text)+"\n"+`{"resourceSpans":[]}`+"\n")
}

func write(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "events.jsonl")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

const wantVerdict = `crash (process_exit) of instance payment-1, confidence 0.93
incident 21e447fbc7a36556
because
  - connection refused ×41 from checkout
  - no heartbeat for 9 s
ruled out
  - network_partition: its host answers

`

const wantTimeline = `what was said
  09:01:01.000  incident.opened    incident opened
  09:01:02.000  failure.detected   payment-1: unknown
  09:01:09.000  failure.revised    payment-1: crash

`

const wantSpans = `spans that carry it
       1  checkout (victim)
       1  payment (culprit)
`

func TestEvents(t *testing.T) {
	name := eventsFile(t)
	got, err := explained(t, incident, "--events", name)
	require.NoError(t, err)
	assert.Equal(t, wantVerdict+wantTimeline, got)
	got, err = explained(t, strings.ToUpper(incident), "--events", name)
	require.NoError(t, err)
	assert.NotEmpty(t, got)
}

// jaeger answers as the query service of Jaeger 2 does: two services, one trace
// that carries the verdict, in the words that a span was tagged with.
func jaeger(t *testing.T, class string) string {
	t.Helper()
	tags := func(role string) string {
		return fmt.Sprintf(`[{"key":"span.kind","type":"string","value":"client"},{"key":"error","type":"bool","value":true},
			{"key":"failure.class","type":"string","value":"%s"},{"key":"failure.subclass","type":"string","value":"process_exit"},
			{"key":"failure.confidence","type":"float64","value":0.93},{"key":"failure.role","type":"string","value":"%s"},
			{"key":"failure.culprit.type","type":"string","value":"instance"},{"key":"failure.culprit.name","type":"string","value":"payment-1"},
			{"key":"failure.reason","type":"string","value":"a reason"},{"key":"incident.id","type":"string","value":"%s"},
			{"key":"failure.evidence","type":"string","value":"[\"connection refused ×41 from checkout\",\"no heartbeat for 9 s\"]"},
			{"key":"failure.ruled_out","type":"string","value":"[\"network_partition: its host answers\"]"}]`, class, role, incident)
	}
	found := fmt.Sprintf(`{"data":[{"traceID":"%[1]s","spans":[
		{"traceID":"%[1]s","spanID":"b7ad6b7169203331","operationName":"POST","references":[],"startTime":1767603660000000,"duration":900,"tags":%[2]s,"logs":[],"processID":"p1","warnings":null},
		{"traceID":"%[1]s","spanID":"00f067aa0ba902b7","operationName":"POST /charge","references":[],"startTime":1767603660000100,"duration":700,"tags":%[3]s,"logs":[],"processID":"p2","warnings":null},
		{"traceID":"%[1]s","spanID":"00f067aa0ba902b8","operationName":"healthy","references":[],"startTime":1767603660000100,"duration":700,"tags":[],"logs":[],"processID":"p2","warnings":null}],
		"processes":{"p1":{"serviceName":"checkout","tags":[]},"p2":{"serviceName":"payment","tags":[]}},"warnings":null}],
		"total":0,"limit":0,"offset":0,"errors":null}`, trace, tags("victim"), tags("culprit"))
	const nothing = `{"data":[],"total":0,"limit":0,"offset":0,"errors":null}`
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, text string) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, text)
	}
	mux.HandleFunc("GET /api/services", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, `{"data":["checkout","payment"],"total":2,"limit":0,"offset":0,"errors":null}`)
	})
	mux.HandleFunc("GET /api/traces", func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("service") == "" {
			http.Error(w, `{"errors":[{"code":400,"msg":"parameter 'service' is required"}]}`, http.StatusBadRequest)
			return
		}
		if r.FormValue("tags") != `{"incident.id":"`+incident+`"}` {
			answer(w, nothing)
			return
		}
		answer(w, found)
	})
	mux.HandleFunc("GET /api/traces/{id}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("id") != trace {
			w.WriteHeader(http.StatusNotFound)
			answer(w, `{"data":null,"total":0,"limit":0,"offset":0,"errors":[{"code":404,"msg":"trace not found"}]}`)
			return
		}
		answer(w, found)
	})
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestJaeger(t *testing.T) {
	for name, id := range map[string]string{"incident": incident, "trace": trace} {
		t.Run(name, func(t *testing.T) {
			got, err := explained(t, id, "--jaeger", jaeger(t, "crash")+"/")
			require.NoError(t, err)
			assert.Equal(t, wantVerdict+wantSpans, got)
		})
	}
	t.Run("events_have_the_last_word", func(t *testing.T) {
		got, err := explained(t, incident, "--jaeger", jaeger(t, "network_partition"), "--events", eventsFile(t))
		require.NoError(t, err)
		assert.Equal(t, wantVerdict+wantTimeline+wantSpans, got)
	})
}

// Of tags that differ the latest span's count, in whatever order they come.
func TestLatestSpanWins(t *testing.T) {
	span := func(id string, start int64, class string) jaegerSpan {
		return jaegerSpan{TraceID: trace, SpanID: id, StartTime: start, Tags: []jaegerTag{
			{contract.FailureClass, class}, {contract.FailureCulpritName, "payment-1"}, {contract.IncidentID, incident},
		}}
	}
	early, late := span("1", 1_000, "unknown"), span("2", 2_000, "crash")
	for _, order := range [][]jaegerSpan{{early, late}, {late, early}} {
		var e explanation
		e.addTraces([]jaegerTrace{{Spans: order}}, incident, map[string]bool{})
		require.Len(t, e.verdicts, 1)
		assert.Equal(t, "crash", e.verdicts[0].class)
	}
}

func TestNothingToExplain(t *testing.T) {
	other := func(status int, body string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}))
		t.Cleanup(srv.Close)
		return srv.URL
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	unknownTrace := strings.Repeat("0", 31) + "1"
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"nowhere_to_look", []string{incident}, "nowhere to look: give --jaeger URL, --events FILE, or both"},
		{"no_identifier", []string{"payment", "--events", "x"}, `"payment" is neither an incident id (16 hex digits) nor a trace id (32)`},
		{"incident_unknown_to_the_events", []string{"0000000000000001", "--events", eventsFile(t)}, "nothing is known of 0000000000000001"},
		{"incident_unknown_to_Jaeger", []string{"0000000000000001", "--jaeger", jaeger(t, "crash")}, "nothing is known of 0000000000000001"},
		{"trace_unknown_to_Jaeger", []string{unknownTrace, "--jaeger", jaeger(t, "crash")}, "nothing is known of " + unknownTrace},
		{"missing_file", []string{incident, "--events", "none.jsonl"}, "none.jsonl"},
		{"file_of_something_else", []string{incident, "--events", write(t, "a,b\n1,2\n")}, "--events: no line can be read; "},
		{"another_server's_404", []string{trace, "--jaeger", other(http.StatusNotFound, "404 page not found")}, "answered 404 Not Found: 404 page not found"},
		{"server_error", []string{trace, "--jaeger", other(http.StatusInternalServerError, "broken")}, "answered 500 Internal Server Error: broken"},
		{"no_Jaeger", []string{trace, "--jaeger", other(http.StatusOK, "<html>")}, "does not answer like Jaeger's query API"},
		{"wrong_JSON", []string{incident, "--jaeger", other(http.StatusOK, `{"data":5}`)}, "does not answer like Jaeger's query API"},
		{"nobody_listens", []string{trace, "--jaeger", gone.URL}, "--jaeger: "},
		{"no_URL", []string{trace, "--jaeger", "::"}, "--jaeger: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := explained(t, tt.args...)
			require.ErrorContains(t, err, tt.want)
			assert.Empty(t, out)
		})
	}
}
