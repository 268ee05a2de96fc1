// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/contract"
)

func TestFullHeartbeatBecomesOneRecord(t *testing.T) {
	g := newRig(t, nil)
	before := time.Now()
	status, text := g.postJSON(`{
		"service": "payment", "instance": "payment-1", "namespace": "shop", "environment": "prod", "host": "h1",
		"zone": "eu-1a", "group": "site-9", "version": "2.1.0", "incarnation": 1767225600000000001, "seq": 42,
		"interval": "1.5s", "boot_id": "b-7", "status": "degraded", "exit_code": 137, "digest": "abc",
		"sent_at": "2026-01-01T00:00:02.5Z", "mac": null}`)
	require.Equal(t, http.StatusAccepted, status, text)
	assert.JSONEq(t, `{"accepted": 1}`, text)

	b := g.beats(1)[0]
	assert.Equal(t, map[string]any{
		"service.name": "payment", "service.instance.id": "payment-1", "service.namespace": "shop",
		"deployment.environment.name": "prod", "host.name": "h1", "cloud.availability_zone": "eu-1a", "service.version": "2.1.0",
	}, b.res)
	assert.Equal(t, "heartbeat", b.EventName())
	assert.Equal(t, contract.ScopePrefix+"/receiver/heartbeatreceiver", b.scope)
	sent := time.Date(2026, 1, 1, 0, 0, 2, 5e8, time.UTC)
	assert.Equal(t, pcommon.NewTimestampFromTime(sent), b.Timestamp())
	seenAt := b.ObservedTimestamp().AsTime()
	assert.False(t, seenAt.Before(before.Truncate(time.Millisecond)) || seenAt.After(time.Now()))
	uptime := b.attrs[contract.HeartbeatObserverUptime].(int64)
	assert.Positive(t, uptime)
	delete(b.attrs, contract.HeartbeatObserverUptime)
	assert.GreaterOrEqual(t, b.attrs[contract.HeartbeatObserverSeq], int64(1))
	delete(b.attrs, contract.HeartbeatObserverSeq)
	assert.Equal(t, map[string]any{
		"event.name": "heartbeat", contract.HeartbeatObserver: "rig", contract.HeartbeatRemoteAddress: "127.0.0.1",
		contract.HeartbeatIncarnation: int64(1767225600000000001), contract.HeartbeatSeq: int64(42),
		contract.HeartbeatInterval: 1.5, contract.HeartbeatBootID: "b-7", contract.HeartbeatStatus: "degraded",
		contract.HeartbeatExitCode: int64(137), contract.HeartbeatDigest: "abc", contract.HeartbeatGroup: "site-9",
		contract.HeartbeatZone: "eu-1a", contract.HeartbeatSentAt: sent.UnixNano(),
	}, b.attrs)
	assert.Equal(t, "payment payment-1 is degraded", b.Body().Str())
}

func TestOnlyServiceIsRequired(t *testing.T) {
	g := newRig(t, nil)
	status, text := g.postJSON(`{"service":"a"}`)
	require.Equal(t, http.StatusAccepted, status, text)
	b := g.beats(1)[0]
	assert.Equal(t, map[string]any{"service.name": "a"}, b.res)
	assert.Zero(t, b.Timestamp())
	assert.NotContains(t, b.attrs, contract.HeartbeatSeq)
	assert.NotContains(t, b.attrs, contract.HeartbeatSentAt)
	assert.NotContains(t, b.attrs, contract.HeartbeatAuthenticated)
}

func TestRecordsCountOnAndKeepTheirOrder(t *testing.T) {
	g := newRig(t, nil)
	for i := range 3 {
		status, text := g.postJSON(fmt.Sprintf(`[{"service":"a","seq":%d},{"service":"a","seq":%d}]`, 2*i, 2*i+1))
		require.Equal(t, http.StatusAccepted, status, text)
	}
	all := g.beats(6)
	for i, b := range all {
		assert.Equal(t, int64(i), b.attrs[contract.HeartbeatSeq])
		if i > 0 {
			assert.Equal(t, all[i-1].attrs[contract.HeartbeatObserverSeq].(int64)+1, b.attrs[contract.HeartbeatObserverSeq])
			assert.GreaterOrEqual(t, b.attrs[contract.HeartbeatObserverUptime], all[i-1].attrs[contract.HeartbeatObserverUptime])
		}
	}
}

func TestBadHeartbeats(t *testing.T) {
	g := newRig(t, nil)
	cases := map[string]struct{ body, field, why string }{
		"empty":                       {``, "", "not valid JSON at byte 0: it ends too early"},
		"truncated":                   {`{"service":"a","seq":1`, "", "ends too early"},
		"truncated_in_a_string":       {`{"service":"a`, "", "a string does not end"},
		"no_json":                     {`service=a`, "", "not valid JSON at byte 0"},
		"something_follows":           {`{} x`, "service", "is missing"},
		"no_object":                   {`"a"`, "", "must be an object"},
		"a_number":                    {`17`, "", "must be an object"},
		"empty_object":                {`{}`, "service", "is missing"},
		"empty_service":               {`{"service":""}`, "service", "must not be empty"},
		"null_service":                {`{"service":null}`, "service", "is missing"},
		"number_as_service":           {`{"service":1}`, "service", "must be a string, not a number"},
		"object_as_service":           {`{"service":{"name":"a"}}`, "service", "must be a string"},
		"bool_as_seq":                 {`{"service":"a","seq":true}`, "seq", "must be a string or a number"},
		"unknown_field":               {`{"service":"a","servise":"b"}`, "servise", "is not a field"},
		"field_given_twice":           {`{"service":"a","service":"b"}`, "service", "is given twice"},
		"long_service":                {`{"service":"` + repeat("x", 257) + `"}`, "service", "257 characters, more than the 256"},
		"a_megabyte_of_service":       {`{"service":"` + repeat("x", 1<<20-100) + `"}`, "service", "more than the 256"},
		"invalid_utf8":                {"{\"service\":\"\xff\xfe\"}", "service", "not valid UTF-8"},
		"half_a_surrogate":            {`{"service":"\ud800"}`, "service", "escape"},
		"control_character":           {`{"service":"a\nb"}`, "service", "control character"},
		"raw_control_character":       {"{\"service\":\"a\nb\"}", "service", "control character"},
		"unknown_escape":              {`{"service":"\x41"}`, "service", "escape"},
		"negative_interval":           {`{"service":"a","interval":"-1s"}`, "interval", "is not between 10ms and 366 days"},
		"absurd_interval":             {`{"service":"a","interval":"9000h"}`, "interval", "is not between"},
		"overflowing_interval":        {`{"service":"a","interval":"99999999999h"}`, "interval", "is no time span"},
		"interval_without_unit":       {`{"service":"a","interval":"5"}`, "interval", `write one such as "1s"`},
		"interval_as_number":          {`{"service":"a","interval":5}`, "interval", "unit"},
		"unknown_status":              {`{"service":"a","status":"fine"}`, "status", "write starting, ready"},
		"negative_seq":                {`{"service":"a","seq":-1}`, "seq", "whole number"},
		"fraction_as_seq":             {`{"service":"a","seq":1.5}`, "seq", "whole number"},
		"overflowing_seq":             {`{"service":"a","seq":9223372036854775808}`, "seq", "whole number"},
		"leading_zero":                {`{"service":"a","seq":01}`, "", "must not begin with 0"},
		"exit_code_as_string":         {`{"service":"a","exit_code":"1"}`, "exit_code", "must be a number"},
		"overflowing_exit_code":       {`{"service":"a","exit_code":4294967296}`, "exit_code", "exit status"},
		"sent_before_1970":            {`{"service":"a","sent_at":"1969-12-31T23:59:59Z"}`, "sent_at", "between 1970 and 2262"},
		"sent_before_1970_in_ns":      {`{"service":"a","sent_at":-1}`, "sent_at", "before 1970"},
		"sent_after_2262":             {`{"service":"a","sent_at":"2263-01-01T00:00:00Z"}`, "sent_at", "between 1970 and 2262"},
		"sent_at_no_time":             {`{"service":"a","sent_at":"yesterday"}`, "sent_at", "RFC 3339"},
		"deep_value_of_unknown_field": {`{"service":"a","x":` + repeat(`[{"k":`, 20) + `1` + repeat(`}]`, 20) + `}`, "x", "is not a field"},
		"too_deep":                    {`{"service":"a","x":` + repeat(`[`, 100_000), "", "nested deeper than 64"},
		"literal_misspelt":            {`{"service":"a","seq":nul}`, "", "want a value"},
	}
	for name, tt := range cases {
		t.Run(name, func(t *testing.T) {
			status, text := g.postJSON(tt.body)
			assert.Equal(t, http.StatusBadRequest, status)
			var p reply
			require.NoError(t, json.Unmarshal([]byte(text), &p), text)
			require.NotEmpty(t, p.Errors)
			assert.Equal(t, tt.field, p.Errors[0].Field)
			assert.Contains(t, p.Errors[0].Text, tt.why)
			assert.Contains(t, p.Error, tt.field)
			assert.Less(t, len(text), 1000, "an answer stays short")
		})
	}
	assert.Zero(t, len(g.senders.snapshot(time.Now(), nil)))
	assert.EqualValues(t, len(cases)+1, g.refusals(reasonInvalid), "each counts once, and something_follows has two flaws")
}

func TestOddButValidHeartbeats(t *testing.T) {
	g := newRig(t, nil)
	for _, tt := range []struct {
		name, body string
		key        string
		want       any
	}{
		{"clock_in_1970", `{"service":"a","sent_at":"1970-01-01T00:00:12Z"}`, contract.HeartbeatSentAt, int64(12e9)},
		{"clock_in_2262", `{"service":"a","sent_at":9223372036854775807}`, contract.HeartbeatSentAt, int64(1<<63 - 1)},
		{"ns_as_string_for_javascript", `{"service":"a","sent_at":"1767225600000000001"}`, contract.HeartbeatSentAt, int64(1767225600000000001)},
		{"seq_zero", `{"service":"a","seq":0}`, contract.HeartbeatSeq, int64(0)},
		{"shortest_interval", `{"service":"a","interval":"10ms"}`, contract.HeartbeatInterval, 0.01},
		{"longest_interval", `{"service":"a","interval":"8784h"}`, contract.HeartbeatInterval, 8784 * 3600.0},
		{"nulls_mean_not_given", `{"service":"a","seq":null,"digest":"d","mac":null}`, contract.HeartbeatDigest, "d"},
		{"escapes", `{"\u0073ervice":"a","digest":"\u00e9\ud83d\ude00\/\\"}`, contract.HeartbeatDigest, "é😀/\\"},
		{"white_space", " \n{ \"service\" :\t\"a\" ,\r\n\"digest\": \"w\" } \n", contract.HeartbeatDigest, "w"},
		{"256_runes_of_two_bytes", `{"service":"a","digest":"` + repeat("é", 256) + `"}`, contract.HeartbeatDigest, repeat("é", 256)},
		{"windows_exit_code", `{"service":"a","exit_code":3221225477}`, contract.HeartbeatExitCode, int64(3221225477)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.logs.Reset()
			status, text := g.postJSON(tt.body)
			require.Equal(t, http.StatusAccepted, status, text)
			assert.Equal(t, tt.want, g.beats(1)[0].attrs[tt.key])
		})
	}
}

func TestBadElementsDoNotCostTheGoodOnes(t *testing.T) {
	g := newRig(t, nil)
	status, text := g.postJSON(`[{"service":"a"},{"service":5},7,{"service":"b","interval":"-3s"},[[]],{"service":"c"}]`)
	require.Equal(t, http.StatusAccepted, status, text)
	assert.JSONEq(t, `{"accepted":2,"error":"service: must be a string, not a number","errors":[
		{"index":1,"field":"service","error":"must be a string, not a number"},
		{"index":2,"error":"a heartbeat must be an object such as {\"service\": \"checkout\"}"},
		{"index":3,"field":"interval","error":"-3s is not between 10ms and 366 days"},
		{"index":4,"error":"a heartbeat must be an object such as {\"service\": \"checkout\"}"}]}`, text)
	all := g.beats(2)
	assert.Equal(t, "a", all[0].res["service.name"])
	assert.Equal(t, "c", all[1].res["service.name"])
	assert.EqualValues(t, 4, g.refusals(reasonInvalid))
	assert.EqualValues(t, 2, g.count("otelcol_receiver_heartbeat_accepted", "source", "json"))
}

func TestTruncatedArrayKeepsWhatWasWhole(t *testing.T) {
	g := newRig(t, nil)
	status, text := g.postJSON(`[{"service":"a"},{"service":"b"},{"serv`)
	require.Equal(t, http.StatusAccepted, status, text)
	assert.Contains(t, text, `"index":2`)
	g.beats(2)
}

func TestTooManyElements(t *testing.T) {
	g := newRig(t, nil)
	body := "[" + repeat(`{"service":"a"},`, maxElements) + `{"service":"last"}]`
	status, text := g.postJSON(body)
	require.Equal(t, http.StatusAccepted, status)
	assert.Contains(t, text, "send the rest in another")
	g.beats(maxElements)
}

func TestManyErrorsMakeAShortAnswer(t *testing.T) {
	g := newRig(t, nil)
	status, text := g.postJSON("[" + repeat(`1,`, 5000) + `1]`)
	assert.Equal(t, http.StatusBadRequest, status)
	assert.Contains(t, text, `"errors_omitted":4901`)
	assert.Less(t, len(text), 20_000)
}

func TestBodyLimits(t *testing.T) {
	g := newRig(t, nil)
	t.Run("oversized", func(t *testing.T) {
		status, text := g.postJSON(repeat(" ", 1<<20+1))
		assert.Equal(t, http.StatusRequestEntityTooLarge, status)
		assert.Contains(t, text, "larger than 1048576 bytes")
		assert.EqualValues(t, 1, g.refusals(reasonTooLarge))
	})
	t.Run("oversized_when_unpacked", func(t *testing.T) {
		status, text, _ := g.do(http.MethodPost, "/v1/heartbeats", gzipped(t, repeat(" ", 100<<20)), "Content-Encoding", "gzip")
		assert.Equal(t, http.StatusRequestEntityTooLarge, status, text)
	})
	t.Run("gzip", func(t *testing.T) {
		status, text, _ := g.do(http.MethodPost, "/v1/heartbeats", gzipped(t, `{"service":"zipped"}`), "Content-Encoding", "gzip")
		assert.Equal(t, http.StatusAccepted, status, text)
	})
	t.Run("broken_gzip", func(t *testing.T) {
		status, text, _ := g.do(http.MethodPost, "/v1/heartbeats", gzipped(t, `{"service":"zipped"}`)[:15], "Content-Encoding", "gzip")
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Contains(t, text, `"error":"the body cannot be read`)
	})
	t.Run("plain_called_gzip", func(t *testing.T) {
		status, text, _ := g.do(http.MethodPost, "/v1/heartbeats", `{"service":"a"}`, "Content-Encoding", "gzip")
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Contains(t, text, "error")
	})
	for _, c := range []string{"snappy", "deflate", "br", "lz4"} {
		t.Run(c, func(t *testing.T) {
			status, text, _ := g.do(http.MethodPost, "/v1/heartbeats", `{"service":"a"}`, "Content-Encoding", c)
			assert.Equal(t, http.StatusBadRequest, status)
			assert.Contains(t, text, "unsupported Content-Encoding: "+c)
			assert.Contains(t, text, "gzip or zstd")
		})
	}
	t.Run("wrong_method", func(t *testing.T) {
		status, text, h := g.do(http.MethodGet, "/v1/heartbeats", "")
		assert.Equal(t, http.StatusMethodNotAllowed, status)
		assert.Equal(t, "POST", h.Get("Allow"))
		assert.Contains(t, text, "use POST")
	})
}

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	_, err := w.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return buf.String()
}

func TestSignedHeartbeats(t *testing.T) {
	const secret = "0123456789abcdef0123456789abcdef"
	g := newRig(t, func(c *Config) {
		c.Keys = []KeyConfig{{Service: "charger", Key: secret}, {Service: "charger", Instance: "c-2", Key: "another key of c-2"}}
	})
	mac := func(key string, fields ...any) []byte {
		var b beat
		for i := 0; i < len(fields); i += 2 {
			require.NoError(t, b.put(fields[i].(field), fields[i+1].(string)))
		}
		return sign([]byte(key), &b)
	}
	good := mac(secret, fService, "charger", fSeq, "7", fInterval, "1s")
	// The same by another implementation, so that the form which senders sign cannot change unseen:
	// printf 'service=charger\nseq=7\ninterval=1s\n' | openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef
	require.Equal(t, "a466485389be4bda854a70fdd6873c8cc9f927c2691866446c313b89dbf236a4", hex.EncodeToString(good))
	const body = `{"mac":%q,"interval":"1s","service":"charger","seq":7}`

	for _, tt := range []struct {
		name, body string
		status     int
	}{
		{"hex", fmt.Sprintf(body, hex.EncodeToString(good)), 202},
		{"base64", fmt.Sprintf(body, base64.StdEncoding.EncodeToString(good)), 202},
		{"base64_for_urls", fmt.Sprintf(body, base64.RawURLEncoding.EncodeToString(good)), 202},
		{"missing", `{"service":"charger","seq":7,"interval":"1s"}`, 403},
		{"of_another_beat", fmt.Sprintf(`{"service":"charger","seq":8,"interval":"1s","mac":%q}`, hex.EncodeToString(good)), 403},
		{"with_a_field_added", fmt.Sprintf(`{"service":"charger","seq":7,"interval":"1s","status":"stopping","mac":%q}`, hex.EncodeToString(good)), 403},
		{"garbage", fmt.Sprintf(body, "nonsense"), 403},
		{"with_the_key_of_all_for_one_that_has_its_own", fmt.Sprintf(`{"service":"charger","instance":"c-2","mac":%q}`,
			hex.EncodeToString(mac(secret, fService, "charger", fInstance, "c-2"))), 403},
		{"with_its_own_key", fmt.Sprintf(`{"service":"charger","instance":"c-2","mac":%q}`,
			hex.EncodeToString(mac("another key of c-2", fService, "charger", fInstance, "c-2"))), 202},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g.logs.Reset()
			status, text := g.postJSON(tt.body)
			require.Equal(t, tt.status, status, text)
			if status == http.StatusAccepted {
				assert.Equal(t, true, g.beats(1)[0].attrs[contract.HeartbeatAuthenticated])
			} else {
				assert.Contains(t, text, `"field":"mac"`)
				assert.NotContains(t, text, secret)
			}
		})
	}
	assert.EqualValues(t, 5, g.refusals(reasonForbidden))

	t.Run("others_need_none", func(t *testing.T) {
		g.logs.Reset()
		status, _ := g.postJSON(`{"service":"free","mac":"whatever"}`)
		require.Equal(t, http.StatusAccepted, status)
		assert.NotContains(t, g.beats(1)[0].attrs, contract.HeartbeatAuthenticated, "what nobody verified is not proven")
	})
}
