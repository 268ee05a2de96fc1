// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// exportsOf are the exports of a healthy service, one each ten seconds: counts that rise,
// as its SDK tells them, and that begin anew when it is started anew at half time.
func exportsOf(t *testing.T, n int, temporality pmetric.AggregationTemporality) []pmetric.Metrics {
	var out []pmetric.Metrics
	for i := range n {
		since, life := i, "checkout-1"
		if i >= n/2 {
			since = i - n/2
		}
		md, ms := metricsOf(t, attrs{"service.name": "checkout", "service.instance.id": life, "host.name": "node-1"}, "app")
		at := testNow.Add(time.Duration(i-n) * 10 * time.Second)
		start := at.Add(-time.Duration(since+1) * 10 * time.Second)
		for _, name := range []string{"orders", "http_requests_total"} {
			m := ms.AppendEmpty()
			m.SetName(name)
			s := m.SetEmptySum()
			s.SetIsMonotonic(true)
			s.SetAggregationTemporality(temporality)
			p := s.DataPoints().AppendEmpty()
			p.SetTimestamp(pcommon.Timestamp(at))
			p.SetStartTimestamp(pcommon.Timestamp(start))
			p.SetIntValue(int64(since+1) * 100)
			if temporality == pmetric.AggregationTemporalityDelta {
				p.SetStartTimestamp(pcommon.Timestamp(at.Add(-10 * time.Second)))
				p.SetIntValue(100)
			}
			p.Attributes().PutStr("code", "200")
		}
		out = append(out, md)
	}
	return out
}

// Exports that come twice, in any order, or whose counts begin anew are no counts that
// run backwards, and tell of no more calls than there were.
func TestExportsInAnyOrderAccuseNobody(t *testing.T) {
	const n = 60
	for _, temporality := range []pmetric.AggregationTemporality{pmetric.AggregationTemporalityCumulative, pmetric.AggregationTemporalityDelta, pmetric.AggregationTemporalityUnspecified} {
		for seed := range uint64(8) {
			t.Run(fmt.Sprint(temporality, seed), func(t *testing.T) {
				r := rand.New(rand.NewPCG(seed, 5))
				all := exportsOf(t, n, temporality)
				late := append([]pmetric.Metrics(nil), all...)
				for i := range late {
					if j := i + r.IntN(4); j < n && seed > 0 {
						late[i], late[j] = late[j], late[i]
					}
				}
				x, e := New(Settings{}), engine.New(engine.DefaultParams())
				answered := 0
				for i, md := range late {
					now := testNow.Add(time.Duration(i) * 10 * time.Second)
					for range 1 + r.IntN(2) {
						b := report.Batch{Arrived: now}
						x.Metrics(md, now, nil, &b)
						assert.Empty(t, b.Facts)
						for _, s := range b.Served {
							answered += s.OK + s.Failed
						}
						e.Observe(&b)
					}
					e.Tick(now)
				}
				if temporality == pmetric.AggregationTemporalityCumulative {
					assert.LessOrEqual(t, answered, n*100)
				}
				for _, ev := range e.Events() {
					if ev.Verdict != nil {
						t.Error(ev.Body)
					}
				}
			})
		}
	}
}

// Points that name nobody, values and times beyond all bounds, attributes of any type.
func TestPointsOfNobody(t *testing.T) {
	names := []string{"", "up", "orders"}
	for name := range metricReaders {
		names = append(names, name)
	}
	for name := range levelMetrics {
		names = append(names, name)
	}
	for name := range queueMetrics {
		names = append(names, name)
	}
	for name := range callMetrics {
		names = append(names, name)
	}
	for name := range gcMetrics {
		names = append(names, name)
	}
	x, e := New(Settings{MaxSources: 64}), engine.New(engine.DefaultParams())
	times := []pcommon.Timestamp{0, 1, math.MaxInt64, math.MaxUint64, pcommon.Timestamp(testNow)}
	for round := range 12 {
		now := testNow.Add(time.Duration(round) * time.Second)
		for i, res := range []attrs{nil, {"service.name": 7, "host.name": true}, {"service.name": "\xff\xfe", "service.instance.id": []any{1, "a"}, "host.name": map[string]any{"a": 1}}, checkout} {
			md, ms := metricsOf(t, res, promScope)
			for k, name := range names {
				m := ms.AppendEmpty()
				m.SetName(name)
				at, start := times[(round+k)%len(times)], times[(round/2+k+i)%len(times)]
				odd := attrs{"state": 1, "http.url": []any{"a"}, "reason": map[string]any{"x": []any{1}}, "code": math.NaN(), "uid": true, "server.address": -1, "device": "\xff", "error.type": []byte{0xff}}
				switch (round + k) % 5 {
				case 0, 1:
					s := m.SetEmptySum()
					s.SetIsMonotonic(true)
					s.SetAggregationTemporality(pmetric.AggregationTemporality(1 + round%2))
					p := s.DataPoints().AppendEmpty()
					p.SetIntValue([]int64{math.MinInt64, math.MaxInt64, -1, 0}[round%4])
					p.SetTimestamp(at)
					p.SetStartTimestamp(start)
					odd.putTo(t, p.Attributes())
				case 2:
					h := m.SetEmptyHistogram()
					h.SetAggregationTemporality(pmetric.AggregationTemporality(1 + round%2))
					p := h.DataPoints().AppendEmpty()
					p.SetCount([]uint64{0, 1, 1 << 40, math.MaxUint64}[round%4])
					p.SetSum([]float64{math.NaN(), math.Inf(1), -1, math.MaxFloat64}[round%4])
					p.SetTimestamp(at)
					p.SetStartTimestamp(start)
					odd.putTo(t, p.Attributes())
				case 3:
					m.SetEmptyGauge().DataPoints().AppendEmpty() // neither a value nor a time
				case 4:
					m.SetEmptySummary().DataPoints().AppendEmpty().SetCount(uint64(round))
				}
			}
			b := report.Batch{Arrived: now}
			x.Metrics(md, now, nil, &b)
			e.Observe(&b)
		}
		e.Tick(now)
	}
	for _, ev := range e.Events() {
		if v := ev.Verdict; v != nil && v.Class != verdict.ClassUnknown {
			t.Error(ev.Body)
		}
	}
}

// A span may carry as much as a batch has room for.
func TestSpanWithThousandsOfEverything(t *testing.T) {
	td, s := spanOf(t, checkout, client, failed, "connection refused", attrs{"server.address": "payment", "server.port": 8080})
	for i := range 10_000 {
		s.Attributes().PutStr(fmt.Sprint("k", i), "v")
		s.Links().AppendEmpty().SetTraceID(pcommon.TraceID{byte(i), byte(i >> 8)})
		ev := s.Events().AppendEmpty()
		ev.SetName("exception")
		ev.Attributes().PutStr("exception.type", "E")
		ev.Attributes().PutStr("exception.message", fmt.Sprint("too many open files ", i, "\xff"))
	}
	many := ptrace.NewTraces()
	for range 4 {
		td.ResourceSpans().At(0).CopyTo(many.ResourceSpans().AppendEmpty())
	}
	var b report.Batch
	x := New(Settings{})
	odd := x.Traces(many, testNow, nil, &b)
	assert.Len(t, odd, 4)
	sane(t, &b, 4)
}

// Each span calls somebody else and fails in other words: the engine is told of calls
// and of no more, and remembers as many names as it may.
func TestStormOfErrorsThatAllDiffer(t *testing.T) {
	x := New(Settings{MaxSources: 64})
	e := engine.New(engine.DefaultParams())
	for round := range 20 {
		now := testNow.Add(time.Duration(round) * 100 * time.Millisecond)
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		checkout.putTo(t, rs.Resource().Attributes())
		ss := rs.ScopeSpans().AppendEmpty()
		for i := range 1000 {
			s := ss.Spans().AppendEmpty()
			s.SetKind(client)
			s.SetName(fmt.Sprint("call ", round, i))
			s.SetTraceID(pcommon.TraceID{byte(i), byte(i >> 8), byte(round)})
			s.SetSpanID(pcommon.SpanID{1, byte(i)})
			s.SetStartTimestamp(pcommon.Timestamp(now.Add(-time.Second)))
			s.SetEndTimestamp(pcommon.Timestamp(now))
			s.Status().SetCode(failed)
			s.Status().SetMessage(fmt.Sprintf("failure %x of %x", i*7919, round))
			s.Attributes().PutStr("server.address", fmt.Sprintf("peer-%d-%d", round, i))
		}
		b := report.Batch{Arrived: now}
		x.Traces(td, now, nil, &b)
		assert.LessOrEqual(t, b.Len(), 4*1000)
		e.Observe(&b)
		e.Tick(now)
	}
	for name, n := range x.Names() {
		t.Logf("%s: %+v", name, n)
	}
	for _, ev := range e.Events() {
		if v := ev.Verdict; v != nil && v.Culprit.Name == "checkout-1" && v.Class != verdict.ClassUnknown {
			t.Error(ev.Body)
		}
	}
}
