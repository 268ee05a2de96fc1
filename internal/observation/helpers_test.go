// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

type attrs map[string]any

func (a attrs) putTo(t testing.TB, m pcommon.Map) {
	t.Helper()
	if err := m.FromRaw(a); err != nil {
		t.Fatal(err)
	}
}

func resource(t testing.TB, a attrs) pcommon.Resource {
	r := pcommon.NewResource()
	a.putTo(t, r.Attributes())
	return r
}

// checkout is the caller in most tests.
var checkout = attrs{"service.name": "checkout", "service.instance.id": "checkout-1", "host.name": "node-1"}

// spanOf returns traces with one span, and the span.
func spanOf(t testing.TB, res attrs, kind ptrace.SpanKind, status ptrace.StatusCode, message string, a attrs) (ptrace.Traces, ptrace.Span) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	res.putTo(t, rs.Resource().Attributes())
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName("charge")
	s.SetKind(kind)
	s.SetTraceID(pcommon.TraceID{1})
	s.SetSpanID(pcommon.SpanID{2})
	s.SetStartTimestamp(pcommon.Timestamp(testNow.Add(-time.Second)))
	s.SetEndTimestamp(pcommon.Timestamp(testNow.Add(-time.Second + 10*time.Millisecond)))
	s.Status().SetCode(status)
	s.Status().SetMessage(message)
	a.putTo(t, s.Attributes())
	return td, s
}

func logOf(t testing.TB, res attrs, severity plog.SeverityNumber, body string, a attrs) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	res.putTo(t, rl.Resource().Attributes())
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetSeverityNumber(severity)
	lr.Body().SetStr(body)
	lr.SetTimestamp(pcommon.Timestamp(testNow.Add(-time.Second)))
	a.putTo(t, lr.Attributes())
	return ld
}

// metricsOf returns metrics of one resource with an empty scope.
func metricsOf(t testing.TB, res attrs, scope string) (pmetric.Metrics, pmetric.MetricSlice) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	res.putTo(t, rm.Resource().Attributes())
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scope)
	return md, sm.Metrics()
}

func gauge(t testing.TB, ms pmetric.MetricSlice, name string, value float64, a attrs) pmetric.NumberDataPoint {
	m := ms.AppendEmpty()
	m.SetName(name)
	p := m.SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetDoubleValue(value)
	p.SetTimestamp(pcommon.Timestamp(testNow))
	a.putTo(t, p.Attributes())
	return p
}

// baselines learns one kind of span from an engine: 10 ms, hardly ever more.
func baselines(t testing.TB, key uint64) *engine.Baselines {
	e := engine.New(engine.DefaultParams())
	b := &report.Batch{Arrived: testNow}
	for i := range 512 {
		b.Spans = append(b.Spans, report.SpanSample{Key: key, Duration: 10*time.Millisecond + time.Duration(i%8)*100*time.Microsecond})
	}
	e.Observe(b)
	e.Tick(testNow.Add(time.Second))
	if e.Baselines().Of(key) == nil {
		t.Fatal("the engine has learned no baseline")
	}
	return e.Baselines()
}

// kinds are the facts of a batch, by kind.
func kinds(b *report.Batch) []report.FactKind {
	var ks []report.FactKind
	for _, f := range b.Facts {
		ks = append(ks, f.Kind)
	}
	return ks
}

func equalKinds(a, b []report.FactKind) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y) || len(a) == 0 && len(b) == 0
}

func long(n int) string { return strings.Repeat("n", n) }
