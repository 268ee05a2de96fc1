// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// payments are spans of the culprit from a time on, twenty a second, each in a trace of its own.
func payments(from float64, n int, long time.Duration) []Span {
	var out []Span
	for i := range n {
		out = append(out, Span{Trace: traceID{9, byte(from), byte(i)}, ID: spanID{1}, Service: "pay", Instance: pay1.Instance, Operation: "POST /pay",
			Start: sec(from + float64(i)/20), Duration: long, Tag: &Tag{Class: "crash", Culprit: pay1}})
	}
	return out
}

func TestFaultIsFeltForAsLongAsManyAreSlow(t *testing.T) {
	tagged := func(more ...Span) []int {
		spans := slices.Concat(spansOf()[:100], more)
		s := Judge([]ledger.Injection{kill(0, 30)}, []Verdict{said1(5, "detected", "crash", 0.9, pay1)}, spans, nil).Spans
		return []int{s.Tagged, s.TaggedHurt}
	}
	assert.Equal(t, []int{18, 18}, tagged(payments(30.1, 18, 100*time.Millisecond)...))
	assert.Equal(t, []int{19, 18}, tagged(append(payments(30.1, 18, 100*time.Millisecond), payments(34, 1, 100*time.Millisecond)...)...), "one long after it")
	few := payments(30.1, 18, 10*time.Millisecond)
	few[3].Duration = 100 * time.Millisecond
	assert.Equal(t, []int{18, 0}, tagged(few...), "one in twenty is slow by chance")
}

func TestUsualIsLearnedBetweenTwoFaults(t *testing.T) {
	second := kill(100, 130)
	second.ID = "2"
	windows := windowsOf([]*ledger.Injection{ptr(kill(0, 30)), &second})
	spans := payments(10, 100, time.Second) // while one lasts
	spans = append(spans, payments(31, 20, time.Second)...)
	spans = append(spans, payments(40, 100, 7*time.Millisecond)...)
	assert.Equal(t, map[operation]time.Duration{{"pay", "POST /pay"}: 7 * time.Millisecond}, cleanP99(windows, recoveries(windows, nil), spans))
}

func TestTagOnASpanOfWhoseKindTooFewAreKnownIsNeitherRightNorWrong(t *testing.T) {
	spans := payments(10, 1, 10*time.Millisecond)
	stray := payments(10, 1, 10*time.Millisecond)
	stray[0].Trace, stray[0].Service, stray[0].Instance = traceID{8}, "stock", "stock-1"
	s := Judge([]ledger.Injection{kill(0, 30)}, []Verdict{said1(5, "detected", "crash", 0.9, pay1)}, append(spans, stray...), nil).Spans
	assert.Equal(t, []int{1, 0}, []int{s.Tagged, s.TaggedHurt}, "but for one that has nothing to do with the fault")
}

func TestWhoIsTurnedAwayByGRPCFailedAsByHTTP(t *testing.T) {
	for key, codes := range map[string]map[int64]bool{"rpc.grpc.status_code": {8: true, 5: false}, "http.response.status_code": {429: true, 404: false}} {
		for code, want := range codes {
			sp := ptrace.NewSpan()
			sp.Attributes().PutInt(key, code)
			assert.Equal(t, want, failedSpan(sp), "%s %d", key, code)
		}
	}
}

func ptr[T any](v T) *T { return &v }
