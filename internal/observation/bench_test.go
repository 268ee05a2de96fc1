// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"encoding/binary"
	"fmt"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

const testNow = clock.Time(1_700_000_000_000_000_000)

// healthyTraces is a batch of n spans of 10 resources with about 10 attributes
// each: a third clients, a third servers, a third internal.
func healthyTraces(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	for r := range 10 {
		rs := td.ResourceSpans().AppendEmpty()
		a := rs.Resource().Attributes()
		a.PutStr("service.name", fmt.Sprintf("service-%d", r))
		a.PutStr("service.namespace", "shop")
		a.PutStr("service.instance.id", fmt.Sprintf("6ba7b810-9dad-41d1-80b4-00c04fd430c%d", r))
		a.PutStr("deployment.environment.name", "production")
		a.PutStr("k8s.pod.uid", fmt.Sprintf("pod-%d", r))
		a.PutStr("host.name", "node-1")
		a.PutStr("telemetry.sdk.language", "go")
		a.PutInt("process.pid", 1)
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp")
		for i := range n / 10 {
			s := ss.Spans().AppendEmpty()
			var trace [16]byte
			binary.BigEndian.PutUint64(trace[8:], uint64(i)*0x9E3779B97F4A7C15+uint64(r))
			s.SetTraceID(trace)
			s.SetSpanID(pcommon.SpanID{1, byte(i), byte(i >> 8), byte(r)})
			s.SetParentSpanID(pcommon.SpanID{2, byte(i), byte(i >> 8), byte(r)})
			s.SetStartTimestamp(pcommon.Timestamp(testNow) - 2_000_000_000)
			s.SetEndTimestamp(s.StartTimestamp() + pcommon.Timestamp(1_000_000+i*1000))
			at := s.Attributes()
			switch i % 3 {
			case 0:
				s.SetKind(ptrace.SpanKindClient)
				s.SetName("POST")
				at.PutStr("http.request.method", "POST")
				at.PutStr("url.full", "http://payment:8080/api/v1/charges?currency=eur")
				at.PutStr("server.address", fmt.Sprintf("service-%d", (r+1)%10))
				at.PutInt("server.port", 8080)
				at.PutStr("network.peer.address", fmt.Sprintf("10.0.0.%d", r))
				at.PutInt("network.peer.port", 8080)
				at.PutStr("network.protocol.version", "1.1")
				at.PutInt("http.response.status_code", 200)
				at.PutInt("http.response.body.size", 1234)
				at.PutStr("tenant", "acme")
			case 1:
				s.SetKind(ptrace.SpanKindServer)
				s.SetName("POST /api/v1/charges")
				at.PutStr("http.request.method", "POST")
				at.PutStr("url.path", "/api/v1/charges")
				at.PutStr("url.scheme", "http")
				at.PutStr("server.address", "payment")
				at.PutInt("server.port", 8080)
				at.PutStr("network.peer.address", "10.0.0.9")
				at.PutInt("network.peer.port", 34512)
				at.PutStr("user_agent.original", "Go-http-client/1.1")
				at.PutStr("http.route", "/api/v1/charges")
				at.PutInt("http.response.status_code", 200)
			default:
				s.SetKind(ptrace.SpanKindInternal)
				s.SetName("authorize")
				for j := range 10 {
					at.PutStr(fmt.Sprintf("app.attribute.%d", j), "value")
				}
			}
		}
	}
	return td
}

func BenchmarkTraces(b *testing.B) {
	td := healthyTraces(1000)
	n := td.SpanCount()
	x := New(Settings{})
	var batch report.Batch
	now := testNow
	x.Traces(td, now, nil, &batch)
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		now += 10_000_000 // 100 batches a second
		if odd := x.Traces(td, now, nil, &batch); len(odd) != 0 {
			b.Fatal(odd)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/span")
}

func BenchmarkLook(b *testing.B) {
	td := healthyTraces(30)
	x := New(Settings{})
	rs := td.ResourceSpans().At(0)
	src := x.Source(rs.Resource())
	span := rs.ScopeSpans().At(0).Spans().At(0)
	b.ReportAllocs()
	for b.Loop() {
		x.Look(src, span, nil)
	}
}

func BenchmarkLookFailed(b *testing.B) {
	_, span := spanOf(b, checkout, client, failed, `Post "http://payment:8080/charge": dial tcp 10.0.0.7:8080: connect: connection refused`,
		attrs{"server.address": "payment", "server.port": 8080, "error.type": "*net.OpError", "http.request.method": "POST"})
	x := New(Settings{})
	src := x.Source(resource(b, checkout))
	b.ReportAllocs()
	for b.Loop() {
		x.Look(src, span, nil)
	}
}

// BenchmarkLogLine reads ordinary INFO lines, of usual length and of the length
// up to which they are read.
func BenchmarkLogLine(b *testing.B) {
	const usual = `charged 12.50 EUR to card ending 4711 for order 6ba7b810 in 12.3 ms (attempt 1, provider acme, region eu-1)`
	for name, body := range map[string]string{"usual": usual, "long": usual + usual + usual} {
		b.Run(name, func(b *testing.B) {
			ld := logOf(b, checkout, info, body, attrs{"logger": "payment", "thread": "worker-7", "order.id": "6ba7b810"})
			records := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords()
			for range 999 {
				records.At(0).CopyTo(records.AppendEmpty())
			}
			x := New(Settings{})
			var batch report.Batch
			b.ReportAllocs()
			for b.Loop() {
				batch.Reset()
				x.Logs(ld, testNow, &batch)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/line")
		})
	}
}

func BenchmarkMetrics(b *testing.B) {
	md, ms := metricsOf(b, checkout, "go.opentelemetry.io/otel/sdk")
	for i := range 100 {
		gauge(b, ms, fmt.Sprintf("app.metric.%d", i), 1, attrs{"a": "b"})
	}
	x := New(Settings{})
	var batch report.Batch
	b.ReportAllocs()
	for b.Loop() {
		batch.Reset()
		x.Metrics(md, testNow, nil, &batch)
	}
}

func BenchmarkSource(b *testing.B) {
	x := New(Settings{})
	res := healthyTraces(10).ResourceSpans().At(0).Resource()
	b.ReportAllocs()
	for b.Loop() {
		x.Source(res)
	}
}
