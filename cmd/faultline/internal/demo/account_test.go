// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/faultline-otel/faultline/e2e/backends"
	"github.com/faultline-otel/faultline/internal/contract"
)

func newAccount(t *testing.T) (a *account, url string) {
	t.Helper()
	ports, err := backends.FreePorts(1)
	require.NoError(t, err)
	a, err = listen(local(ports[0]))
	require.NoError(t, err)
	t.Cleanup(a.close)
	return a, "http://" + local(ports[0])
}

func post(t *testing.T, url string, body []byte) int {
	t.Helper()
	resp, err := http.Post(url, "application/x-protobuf", bytes.NewReader(body))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

func TestAccountKeepsWhatFaultlineSaysAndNothingElse(t *testing.T) {
	a, url := newAccount(t)
	logs := plog.NewLogs()
	sl := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	sl.Scope().SetName(contract.ScopePrefix + "/receiver/failuremodelreceiver")
	lr := sl.LogRecords().AppendEmpty()
	lr.SetEventName(contract.EventFailureDetected)
	lr.Body().SetStr("payment-1 crashed")
	for key, value := range map[string]string{
		contract.FailureClass: "crash", contract.FailureSubclass: "process_exit", contract.FailureCulpritName: "payment-1",
		contract.FailureCulpritInstanceID: "payment-1", contract.FailureReason: "it is gone",
		"service.name": "payment", "service.instance.id": "payment-1",
	} {
		lr.Attributes().PutStr(key, value)
	}
	lr.Attributes().PutDouble(contract.FailureConfidence, 0.9)
	sl.LogRecords().AppendEmpty().SetEventName(contract.EventHeartbeat)
	foreign := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	foreign.LogRecords().AppendEmpty().SetEventName(contract.EventFailureDetected) // anybody can say that

	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, post(t, url+"/v1/logs", body))
	select {
	case <-a.news:
	case <-time.After(5 * time.Second):
		t.Fatal("no news")
	}
	events := a.since(0)
	require.Len(t, events, 1)
	assert.WithinDuration(t, time.Now(), events[0].at, 10*time.Second)
	events[0].at = time.Time{}
	assert.Equal(t, said{event: contract.EventFailureDetected, entity: "payment/payment-1", class: "crash", subclass: "process_exit",
		culprit: "payment-1", instance: "payment-1", confidence: 0.9, reason: "it is gone", body: "payment-1 crashed"}, events[0])
	assert.Equal(t, 1, a.len())
	assert.Empty(t, a.since(1))
	assert.Empty(t, a.since(7))
}

func TestAccountTimesTheFirstFailedCall(t *testing.T) {
	a, url := newAccount(t)
	traces := ptrace.NewTraces()
	spans := traces.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for i, code := range []ptrace.StatusCode{ptrace.StatusCodeUnset, ptrace.StatusCodeError, ptrace.StatusCodeError} {
		sp := spans.AppendEmpty()
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(epoch.Add(time.Duration(i) * time.Second)))
		sp.Status().SetCode(code)
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, post(t, url+"/v1/traces", body))

	first := a.firstFailed(epoch.Add(-time.Second))
	require.NotNil(t, first)
	assert.Equal(t, epoch.Add(time.Second), first.ended, "the healthy one is no evidence")
	assert.WithinDuration(t, time.Now(), first.arrived, 10*time.Second)
	assert.Equal(t, epoch.Add(2*time.Second), a.firstFailed(epoch.Add(time.Second)).ended, "an earlier failure has another cause")
	assert.Nil(t, a.firstFailed(epoch.Add(time.Hour)))
}

func TestAccountRefusesWhatItCannotRead(t *testing.T) {
	a := &account{news: make(chan struct{}, 1)}
	for _, take := range []http.HandlerFunc{a.takeLogs, a.takeTraces} {
		for _, body := range [][]byte{[]byte("\xff\xff nonsense"), make([]byte, 9<<20)} {
			w := httptest.NewRecorder()
			take(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body)))
			assert.Equal(t, http.StatusBadRequest, w.Code)
		}
	}
	assert.Zero(t, a.len())
}

func TestAccountIsBounded(t *testing.T) {
	a, url := newAccount(t)
	logs := plog.NewLogs()
	sl := logs.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty()
	sl.Scope().SetName(contract.ScopePrefix)
	for range maxKept + 1 {
		sl.LogRecords().AppendEmpty().SetEventName(contract.EventPlannedStop)
	}
	body, err := plogotlp.NewExportRequestFromLogs(logs).MarshalProto()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, post(t, url+"/v1/logs", body))
	assert.Equal(t, maxKept, a.len())
}
