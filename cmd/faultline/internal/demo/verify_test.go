// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
)

// fault is a kill of payment-1 at epoch, named after 5 s, over after 20 s.
func fault() result {
	named := event(5, contract.EventFailureDetected, "crash", "process_exit", "payment-1")
	return result{
		step:  step{want: expectation{"crash", "process_exit", "payment-1"}},
		began: epoch, ended: epoch.Add(20 * time.Second), named: &named,
	}
}

// spanAt is a span that ended some seconds after epoch.
func spanAt(seconds float64, failed bool, class, instance string, more ...tag) span {
	const reason = "connection refused ×3 from checkout"
	end := epoch.Add(time.Duration(seconds * float64(time.Second)))
	s := span{TraceID: "t", Start: end.UnixMicro() - 1000, Duration: 1000}
	if failed {
		s.Tags = append(s.Tags, tag{"error", true})
	}
	if class != "" {
		s.Tags = append(s.Tags, tag{contract.FailureClass, class}, tag{contract.FailureCulpritInstanceID, instance}, tag{contract.FailureReason, reason})
		s.Warnings = []string{reason}
	}
	s.Tags = append(s.Tags, more...)
	return s
}

func TestCountLooksAtFailedSpansOfTheFault(t *testing.T) {
	r := fault()
	unwarned := spanAt(9, true, "crash", "payment-1")
	unwarned.Warnings = nil
	c := count([]trace{{Spans: []span{
		spanAt(-1, true, "", ""), // before
		spanAt(21, true, "", ""), // after
		spanAt(6, false, "", ""), // served
		spanAt(1, true, "", ""),  // earlier than 3 s before the verdict: not promised
		spanAt(1.5, true, "crash", "payment-1"),
		spanAt(3, true, "crash", "payment-1"),
		spanAt(4, true, "unknown", "payment-1"), // another class
		spanAt(6, true, "crash", "payment-2"),   // another culprit
		unwarned,
	}}}, &r)
	assert.Equal(t, counts{failed: 6, tagged: 3, failedSince: 4, taggedSince: 2, warned: 2}, c)
	assert.Equal(t, "failed spans without it", c.judge())
}

func TestCountsJudge(t *testing.T) {
	assert.Empty(t, (&counts{failed: 120, tagged: 99, failedSince: 100, taggedSince: 99, warned: 99}).judge())
	assert.Equal(t, "no payment failed", (&counts{}).judge(), "a fault that hurts nobody shows nothing")
	assert.Equal(t, "failed spans without it", (&counts{failed: 100, failedSince: 100, tagged: 94, taggedSince: 94, warned: 94}).judge())
	assert.Equal(t, "tagged spans without a warning", (&counts{failed: 100, failedSince: 100, tagged: 100, taggedSince: 100, warned: 99}).judge())
}

func TestStraysAreThoseThatNoFaultExplains(t *testing.T) {
	planned := result{began: epoch.Add(30 * time.Second), ended: epoch.Add(40 * time.Second)}
	results := []result{fault(), planned}
	slow := tag{contract.AnomalyScore, 0.9}
	tests := []struct {
		name  string
		span  span
		stray bool
	}{
		{"failed_in_the_fault", spanAt(6, true, "crash", "payment-1"), false},
		{"slow_in_the_fault", spanAt(6, false, "crash", "payment-1", slow), false},
		{"healthy_in_the_fault", spanAt(6, false, "crash", "payment-1"), true},
		{"untagged", spanAt(25, true, "", ""), false},
		{"after_the_fault", spanAt(25, true, "crash", "payment-1"), true},
		{"before_the_fault", spanAt(-1, true, "crash", "payment-1"), true},
		{"another_class_in_the_fault", spanAt(6, true, "network_partition", "payment-1"), true},
		{"another_culprit_in_the_fault", spanAt(6, true, "crash", "gateway-1"), true},
		{"in_a_planned_stop", spanAt(35, true, "crash", "payment-1"), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			n, example := strays([]trace{{Spans: []span{tt.span}}}, results)
			assert.Equal(t, tt.stray, n == 1)
			assert.Equal(t, tt.stray, example != nil)
		})
	}
}

func TestJaegerIsAskedByServiceTimeAndClass(t *testing.T) {
	var asked url.Values
	answer := `{"data":[{"traceID":"ab","spans":[{"traceID":"ab","operationName":"GET /pay","startTime":1000000,"duration":500000,
		"warnings":["gone"],"tags":[{"key":"error","type":"bool","value":true}]}]}]}`
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.Query()
		w.WriteHeader(status)
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	q := jaegerQuery{url: server.URL}

	found, err := q.between(t.Context(), "gateway", "crash", epoch, epoch.Add(time.Second))
	require.NoError(t, err)
	assert.Equal(t, "gateway", asked.Get("service"))
	assert.Equal(t, `{"failure.class":"crash"}`, asked.Get("tags"))
	assert.Equal(t, "1767323045000000", asked.Get("start"))
	assert.Equal(t, "1767323046000000", asked.Get("end"))
	require.Len(t, found, 1)
	require.Len(t, found[0].Spans, 1)
	sp := found[0].Spans[0]
	assert.True(t, sp.failed())
	assert.Equal(t, time.UnixMicro(1_500_000), sp.end())
	assert.Equal(t, []string{"gone"}, sp.Warnings)

	_, err = q.between(t.Context(), "gateway", "", epoch, epoch)
	require.NoError(t, err)
	assert.False(t, asked.Has("tags"))

	answer = `{"data":[` + strings.Repeat(`{},`, maxTraces-1) + `{}]}`
	_, err = q.between(t.Context(), "gateway", "", epoch, epoch)
	require.ErrorContains(t, err, "more than 5000 traces", "a cut answer proves nothing")

	answer = `{"data":`
	_, err = q.between(t.Context(), "gateway", "", epoch, epoch)
	require.ErrorContains(t, err, "reading jaeger's answer")

	status, answer = http.StatusInternalServerError, "no storage"
	_, err = q.between(t.Context(), "gateway", "", epoch, epoch)
	require.ErrorContains(t, err, "no storage")
}

func TestLinkGoesToThePageOrToTheAPI(t *testing.T) {
	until := epoch.Add(time.Second)
	const query = "limit=100&%sservice=gateway&start=1767323045000000&tags=%%7B%%22failure.class%%22%%3A%%22crash%%22%%7D"
	page := jaegerQuery{url: "http://j:1", hasUI: true}
	assert.Equal(t, "http://j:1/search?end=1767323046000000&"+fmt.Sprintf(query, "lookback=custom&"), page.link("gateway", "crash", epoch, until))
	api := jaegerQuery{url: "http://j:1"}
	assert.Equal(t, "http://j:1/api/traces?end=1767323046000000&"+fmt.Sprintf(query, ""), api.link("gateway", "crash", epoch, until))
}
