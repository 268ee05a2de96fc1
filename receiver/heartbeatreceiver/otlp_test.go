// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/faultline-otel/faultline/internal/contract"
)

// otlpBeat makes a request with one heartbeat; change edits it.
func otlpBeat(change func(res pcommon.Map, lr plog.LogRecord)) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "payment")
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetEventName("heartbeat")
	if change != nil {
		change(rl.Resource().Attributes(), lr)
	}
	return ld
}

// postOTLP sends ld and returns the status and the answer.
func (g *rig) postOTLP(ld plog.Logs, kind string) (int, plogotlp.ExportResponse) {
	g.t.Helper()
	req, resp := plogotlp.NewExportRequestFromLogs(ld), plogotlp.NewExportResponse()
	marshal, unmarshal := req.MarshalProto, resp.UnmarshalProto
	if kind == typeJSON {
		marshal, unmarshal = req.MarshalJSON, resp.UnmarshalJSON
	}
	body, err := marshal()
	require.NoError(g.t, err)
	status, text, h := g.do(http.MethodPost, "/v1/logs", string(body), "Content-Type", kind)
	if status == http.StatusOK {
		assert.Equal(g.t, kind, h.Get("Content-Type"))
		require.NoError(g.t, unmarshal([]byte(text)))
	}
	return status, resp
}

func TestOTLPHeartbeats(t *testing.T) {
	g := newRig(t, nil)
	for _, kind := range []string{typeProto, typeJSON} {
		t.Run(kind, func(t *testing.T) {
			g.logs.Reset()
			sent := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			status, resp := g.postOTLP(otlpBeat(func(res pcommon.Map, lr plog.LogRecord) {
				res.PutStr("service.instance.id", "p-1")
				res.PutStr("k8s.pod.uid", "uid-1")
				lr.SetTimestamp(pcommon.NewTimestampFromTime(sent))
				a := lr.Attributes()
				a.PutInt(contract.HeartbeatSeq, 9)
				a.PutInt(contract.HeartbeatIncarnation, 5)
				a.PutDouble(contract.HeartbeatInterval, 0.5)
				a.PutStr(contract.HeartbeatStatus, "ready")
				a.PutStr("my.own", "kept")
				a.PutBool(contract.HeartbeatAuthenticated, true) // a claim
			}), kind)
			require.Equal(t, http.StatusOK, status)
			assert.Zero(t, resp.PartialSuccess().RejectedLogRecords())
			b := g.beats(1)[0]
			assert.Equal(t, map[string]any{"service.name": "payment", "service.instance.id": "p-1", "k8s.pod.uid": "uid-1"}, b.res)
			assert.Equal(t, "heartbeat", b.EventName())
			assert.Equal(t, pcommon.NewTimestampFromTime(sent), b.Timestamp())
			assert.NotZero(t, b.ObservedTimestamp())
			assert.Equal(t, contract.ScopePrefix+"/receiver/heartbeatreceiver", b.scope)
			for k, v := range map[string]any{
				"event.name": "heartbeat", contract.HeartbeatSeq: int64(9), contract.HeartbeatIncarnation: int64(5),
				contract.HeartbeatInterval: 0.5, contract.HeartbeatStatus: "ready", contract.HeartbeatSentAt: sent.UnixNano(),
				contract.HeartbeatObserver: "rig", contract.HeartbeatRemoteAddress: "127.0.0.1", "my.own": "kept",
			} {
				assert.Equal(t, v, b.attrs[k], k)
			}
			assert.Contains(t, b.attrs, contract.HeartbeatObserverUptime)
			assert.Contains(t, b.attrs, contract.HeartbeatObserverSeq)
			assert.NotContains(t, b.attrs, contract.HeartbeatAuthenticated, "nobody can say so of himself")
		})
	}
}

func TestEventNameMayStandInTheAttribute(t *testing.T) {
	g := newRig(t, nil)
	_, resp := g.postOTLP(otlpBeat(func(_ pcommon.Map, lr plog.LogRecord) {
		lr.SetEventName("")
		lr.Attributes().PutStr("event.name", "heartbeat")
	}), typeProto)
	assert.Zero(t, resp.PartialSuccess().RejectedLogRecords())
	assert.Equal(t, "heartbeat", g.beats(1)[0].EventName())
}

func TestBadOTLPRecordsAreRefusedWithTheReason(t *testing.T) {
	g := newRig(t, func(c *Config) { c.Keys = []KeyConfig{{Service: "charger", Key: "0123456789abcdef"}} })
	for name, tt := range map[string]struct {
		change func(res pcommon.Map, lr plog.LogRecord)
		why    string
	}{
		"no_heartbeat":  {func(_ pcommon.Map, lr plog.LogRecord) { lr.SetEventName("login") }, "send other records to an otlp receiver"},
		"no_event_name": {func(_ pcommon.Map, lr plog.LogRecord) { lr.SetEventName("") }, "event.name: is not heartbeat"},
		"event_name_a_list": {func(_ pcommon.Map, lr plog.LogRecord) {
			lr.SetEventName("")
			lr.Attributes().PutEmptySlice("event.name")
		}, "event.name"},
		"no_service":        {func(res pcommon.Map, _ plog.LogRecord) { res.Clear() }, "service.name: is missing"},
		"number_as_service": {func(res pcommon.Map, _ plog.LogRecord) { res.PutInt("service.name", 1) }, "service.name: must be a string"},
		"empty_service":     {func(res pcommon.Map, _ plog.LogRecord) { res.PutStr("service.name", "") }, "service.name: must not be empty"},
		"long_instance":     {func(res pcommon.Map, _ plog.LogRecord) { res.PutStr("service.instance.id", repeat("x", 1000)) }, "service.instance.id: has 1000 characters"},
		"seq_as_string":     {func(_ pcommon.Map, lr plog.LogRecord) { lr.Attributes().PutStr(contract.HeartbeatSeq, "1") }, "heartbeat.seq: must be an int"},
		"negative_seq":      {func(_ pcommon.Map, lr plog.LogRecord) { lr.Attributes().PutInt(contract.HeartbeatSeq, -1) }, "heartbeat.seq: -1"},
		"nan_interval": {func(_ pcommon.Map, lr plog.LogRecord) {
			lr.Attributes().PutDouble(contract.HeartbeatInterval, math.NaN())
		}, "heartbeat.interval: NaN"},
		"infinite_interval": {func(_ pcommon.Map, lr plog.LogRecord) {
			lr.Attributes().PutDouble(contract.HeartbeatInterval, math.Inf(1))
		}, "heartbeat.interval: +Inf"},
		"negative_interval": {func(_ pcommon.Map, lr plog.LogRecord) { lr.Attributes().PutInt(contract.HeartbeatInterval, -1) }, "heartbeat.interval: -1"},
		"unknown_status":    {func(_ pcommon.Map, lr plog.LogRecord) { lr.Attributes().PutStr(contract.HeartbeatStatus, "fine") }, "heartbeat.status: "},
		"claims_of_another": {func(_ pcommon.Map, lr plog.LogRecord) { lr.Attributes().PutStr(contract.HeartbeatObserver, "o") }, "heartbeat.observer: is for observers"},
		"claims_another_address": {func(_ pcommon.Map, lr plog.LogRecord) {
			lr.Attributes().PutEmptySlice(contract.HeartbeatAddresses).AppendEmpty().SetStr("10.0.0.7:5432")
		}, "heartbeat.addresses: is for observers"},
		"made_up_probe":            {func(_ pcommon.Map, lr plog.LogRecord) { lr.Attributes().PutStr(contract.HeartbeatOutcome, "refused") }, "heartbeat.outcome: "},
		"made_up_process":          {func(_ pcommon.Map, lr plog.LogRecord) { lr.Attributes().PutStr(contract.ProcessState, "gone") }, "heartbeat.process.state: "},
		"unsigned_where_they_sign": {func(res pcommon.Map, _ plog.LogRecord) { res.PutStr("service.name", "charger") }, "mac: the service charger signs"},
		"crowd_of_attributes": {func(_ pcommon.Map, lr plog.LogRecord) {
			for i := range 200 {
				lr.Attributes().PutBool(repeat("k", i+1), true)
			}
		}, "attributes: has 200"},
	} {
		t.Run(name, func(t *testing.T) {
			g.logs.Reset()
			ld := otlpBeat(tt.change)
			otlpBeat(nil).ResourceLogs().MoveAndAppendTo(ld.ResourceLogs())
			status, resp := g.postOTLP(ld, typeProto)
			require.Equal(t, http.StatusOK, status)
			assert.EqualValues(t, 1, resp.PartialSuccess().RejectedLogRecords())
			assert.Contains(t, resp.PartialSuccess().ErrorMessage(), tt.why)
			g.beats(1) // the good one
		})
	}
}

func TestBadOTLPRequests(t *testing.T) {
	g := newRig(t, nil)
	empties := func(n int) string { // n empty records: two bytes each on the wire
		body := []byte(repeat("\x12\x00", n)) // log_records = 2, of length 0
		for _, field := range []protowire.Number{2, 1} {
			body = protowire.AppendBytes(protowire.AppendTag(nil, field, protowire.BytesType), body)
		}
		return string(body)
	}
	for name, tt := range map[string]struct {
		kind, body string
		status     int
		why        string
	}{
		"no_content_type":       {"", "{}", 415, "Content-Type must be"},
		"text":                  {"text/plain", "{}", 415, "Content-Type must be"},
		"broken_proto":          {typeProto, "\x0a\xff\xff\xff", 400, "not a valid OTLP"},
		"broken_json":           {typeJSON, `{"resourceLogs":[`, 400, "not a valid OTLP"},
		"json_of_a_wrong_type":  {typeJSON, `{"resourceLogs":7}`, 400, "not a valid OTLP"},
		"hundreds_of_thousands": {typeProto, empties(300_000), 413, "300000 records in one request"},
		"too_many_json_objects": {typeJSON, `{"resourceLogs":[{"scopeLogs":[{"logRecords":[` + repeat(`{},`, 200_000) + `{}]}]}]}`, 413, "too many objects"},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{}
			if tt.kind != "" {
				headers = []string{"Content-Type", tt.kind}
			}
			status, text, _ := g.do(http.MethodPost, "/v1/logs", tt.body, headers...)
			assert.Equal(t, tt.status, status)
			assert.Contains(t, text, tt.why)
		})
	}
	status, _, _ := g.do(http.MethodGet, "/v1/logs", "")
	assert.Equal(t, http.StatusMethodNotAllowed, status)
}

func TestOTLPInAFullQueueIsAskedToWait(t *testing.T) {
	g := newRig(t, nil)
	require.True(t, g.batch.reserve(g.cfg.QueueSize-g.batch.size()))
	defer func() { g.release(g.batch.size()) }()
	status, _ := g.postOTLP(otlpBeat(nil), typeProto)
	assert.Equal(t, http.StatusServiceUnavailable, status)
}
