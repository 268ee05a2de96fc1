// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// errorLines are those that records at a severity, each of its own trace, tell.
func errorLines(t *testing.T, severity plog.SeverityNumber, traced bool, bodies ...string) []report.ErrorLine {
	t.Helper()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	checkout.putTo(t, rl.Resource().Attributes())
	records := rl.ScopeLogs().AppendEmpty().LogRecords()
	for i, body := range bodies {
		lr := records.AppendEmpty()
		lr.SetSeverityNumber(severity)
		lr.Body().SetStr(body)
		lr.SetTimestamp(pcommon.Timestamp(testNow))
		if traced {
			lr.SetTraceID(pcommon.TraceID{1, byte(i), byte(i >> 8)})
		}
	}
	var b report.Batch
	New(Settings{}).Logs(ld, testNow, &b)
	return b.Errors
}

func TestLogs_errors_of_requests(t *testing.T) {
	for name, c := range map[string]struct {
		body   string
		told   bool
		quoted bool
	}{
		"own":                  {"16:43:17.120 ERROR c.s.StockService#37 TraceID: 0af7651916cd43dd8448eb211c80319c no stock of item 17", true, false},
		"own_exception":        {"Servlet.service() threw exception [Request processing failed] java.lang.NullPointerException: null", true, false},
		"answered_by_a_callee": {"HttpServerErrorException$InternalServerError: 500 Internal Server Error: [{\"path\":\"/stock\"}]", true, true},
		"callee_not_found":     {"java.lang.IllegalStateException: No instances available for stock", true, true},
		"callee_not_connected": {"no connection to rabbitmq", true, true},
		"call_that_timed_out":  {"could not get stock: context deadline exceeded", true, true},
		"short_of_memory":      {"java.lang.OutOfMemoryError: Java heap space", true, true},
		"client_may_not":       {"Access denied for bob: invalid token", false, false},
		"client_asks_badly":    {"MethodArgumentNotValidException: quantity must be positive", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := errorLines(t, plog.SeverityNumberError, true, c.body)
			if !c.told {
				assert.Empty(t, got)
				return
			}
			require.Len(t, got, 1)
			assert.Equal(t, c.quoted, got[0].Quoted)
			assert.NotZero(t, got[0].Trace)
			assert.Equal(t, "checkout-1", got[0].Source.Instance)
		})
	}
	assert.Empty(t, errorLines(t, plog.SeverityNumberWarn, true, "no stock of item 17"), "a warning is none")
	assert.Empty(t, errorLines(t, plog.SeverityNumberError, false, "no stock of item 17"), "whose request it was is not told")
}

func TestLogs_lines_that_blame_others_count_without_their_request(t *testing.T) {
	refused := "GET /track failed: failed to connect to database: dial tcp 10.0.0.9:5432: connect: connection refused"
	got := errorLines(t, plog.SeverityNumberUnspecified, false, refused, refused, refused)
	require.Len(t, got, 1)
	assert.True(t, got[0].Quoted)
	assert.Equal(t, 3, got[0].Count)
	assert.Equal(t, "checkout-1", got[0].Source.Instance)
	assert.Empty(t, errorLines(t, plog.SeverityNumberInfo, false, refused))
	assert.Empty(t, errorLines(t, plog.SeverityNumberError, false, "HikariPool-1 - Connection is not available, request timed out after 30000ms"),
		"a pool that is used up is its own want")
}

func TestLogs_of_a_pod_are_those_of_the_service_in_it(t *testing.T) {
	x := New(Settings{})
	pod := attrs{"k8s.pod.uid": "9b7af60a-072a-404f-a0b1-c87b0b9c7efd", "k8s.container.name": "checkout"}
	of := func(res attrs) *report.Source {
		ld := plog.NewLogs()
		rl := ld.ResourceLogs().AppendEmpty()
		res.putTo(t, rl.Resource().Attributes())
		lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		lr.Body().SetStr("2026-07-02T09:00:01Z ERROR could not get stock: connection refused")
		lr.SetTimestamp(pcommon.Timestamp(testNow))
		var b report.Batch
		x.Logs(ld, testNow, &b)
		if len(b.Errors) == 0 {
			return nil
		}
		return b.Errors[0].Source
	}
	assert.Nil(t, of(pod), "nobody in it is known")
	service := attrs{"service.name": "checkout"}
	for k, v := range pod {
		service[k] = v
	}
	known := of(service)
	require.NotNil(t, known)
	assert.Same(t, known, of(pod))
	pod["k8s.container.name"] = "istio-proxy"
	assert.Nil(t, of(pod))
}

func TestLogs_kind_of_an_error_is_what_does_not_vary(t *testing.T) {
	same := errorLines(t, plog.SeverityNumberError, true,
		"16:43:17.120 ERROR Stock#37 order 5a4f-77b1: no stock of item 17", "17:01:02.001 ERROR Stock#37 order 19c0-1122: no stock of item 4")
	require.Len(t, same, 2)
	assert.Equal(t, same[0].Kind, same[1].Kind)
	assert.Equal(t, "ERROR Stock order no stock of item", same[0].Text)
	other := errorLines(t, plog.SeverityNumberError, true, "16:43:17.120 ERROR Stock#37 order 5a4f-77b1: no price of item 17")
	assert.NotEqual(t, same[0].Kind, other[0].Kind)
}

func TestLogs_flood_of_errors_is_bounded(t *testing.T) {
	var bodies []string
	for i := range 4 * maxErrorLines {
		bodies = append(bodies, fmt.Sprint("no stock of item ", i))
	}
	assert.Len(t, errorLines(t, plog.SeverityNumberError, true, bodies...), maxErrorLines)
}
