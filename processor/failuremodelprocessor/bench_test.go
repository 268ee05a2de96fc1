// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/connector/spanmetricsconnector"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/connector"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor/processortest"

	"github.com/faultline-otel/faultline/extension/failuremodelextension"
	"github.com/faultline-otel/faultline/processor/failuremodelprocessor/internal/metadata"
)

const benchSpans = 1000

// healthy is a batch of 1,000 spans of 10 resources with 10 attributes each: a
// third clients, a third servers, a third internal.
func healthy(now time.Time) ptrace.Traces {
	td := ptrace.NewTraces()
	for r := range 10 {
		rs := td.ResourceSpans().AppendEmpty()
		identity(rs.Resource(), fmt.Sprintf("service-%d", r), "instance-1")
		rs.Resource().Attributes().PutStr("host.name", "node-1")
		rs.Resource().Attributes().PutStr("deployment.environment.name", "production")
		ss := rs.ScopeSpans().AppendEmpty()
		ss.Scope().SetName("http")
		for i := range benchSpans / 10 {
			s := ss.Spans().AppendEmpty()
			var trace pcommon.TraceID
			binary.BigEndian.PutUint64(trace[8:], uint64(r*benchSpans+i)*0x9E3779B97F4A7C15)
			s.SetTraceID(trace)
			s.SetSpanID(pcommon.SpanID{1, byte(i), byte(r)})
			s.SetParentSpanID(pcommon.SpanID{2, byte(i), byte(r)})
			s.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
			s.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Millisecond - time.Duration(i)*time.Microsecond)))
			a := s.Attributes()
			if i%3 == 2 {
				s.SetKind(ptrace.SpanKindInternal)
				s.SetName("authorize")
				for j := range 10 {
					a.PutStr(fmt.Sprintf("app.attribute.%d", j), "value")
				}
				continue
			}
			a.PutStr("http.request.method", "POST")
			a.PutStr("server.address", fmt.Sprintf("service-%d", (r+1)%10))
			a.PutInt("server.port", 8080)
			a.PutStr("network.peer.address", fmt.Sprintf("10.0.0.%d", r))
			a.PutInt("network.peer.port", 8080)
			a.PutStr("network.protocol.version", "1.1")
			a.PutInt("http.response.status_code", 200)
			a.PutInt("http.response.body.size", 1234)
			a.PutStr("tenant", "acme")
			if i%3 == 0 {
				s.SetKind(ptrace.SpanKindClient)
				s.SetName("POST")
				a.PutStr("url.full", "http://payment:8080/api/v1/charges")
			} else {
				s.SetKind(ptrace.SpanKindServer)
				s.SetName("POST /api/v1/charges")
				a.PutStr("http.route", "/api/v1/charges")
			}
		}
	}
	return td
}

// BenchmarkHealthyTraces is what a caller pays for spans without anything odd,
// with the extension as host. One operation is a batch; ns/span is beside it.
func BenchmarkHealthyTraces(b *testing.B) {
	ctx := context.Background()
	f := failuremodelextension.NewFactory()
	set := extensiontest.NewNopSettings(f.Type())
	set.ID = component.NewID(f.Type())
	x, err := f.Create(ctx, set, f.CreateDefaultConfig())
	if err != nil {
		b.Fatal(err)
	}
	host := &engineHost{map[component.ID]component.Component{set.ID: x}}
	p, err := NewFactory().CreateTraces(ctx, processortest.NewNopSettings(metadata.Type), createDefaultConfig(), consumertest.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range []component.Component{x, p} {
		if err := c.Start(ctx, host); err != nil {
			b.Fatal(err)
		}
		defer func() { _ = c.Shutdown(ctx) }()
	}
	consumeHealthy(b, p)
}

// BenchmarkHealthyTracesSpanmetrics is what contrib's spanmetrics connector
// takes for the same batch, as a yardstick.
func BenchmarkHealthyTracesSpanmetrics(b *testing.B) {
	ctx := context.Background()
	f := spanmetricsconnector.NewFactory()
	set := connector.Settings{ID: component.NewID(f.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings()}
	c, err := f.CreateTracesToMetrics(ctx, set, f.CreateDefaultConfig(), consumertest.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(ctx, componenttest.NewNopHost()); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = c.Shutdown(ctx) }()
	consumeHealthy(b, c)
}

func consumeHealthy(b *testing.B, to consumer.Traces) {
	td := healthy(time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if err := to.ConsumeTraces(context.Background(), td); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchSpans, "ns/span")
}
