// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"math"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// sane checks what must hold for every batch, whatever it was read from, and
// that the engine can take it.
func sane(t *testing.T, b *report.Batch, items int) {
	t.Helper()
	if n := b.Len(); n > 4*items+16 {
		t.Errorf("%d observations of %d items", n, items)
	}
	name := func(what, s string) {
		if len(s) > maxName+64 || !utf8.ValidString(s) {
			t.Errorf("%s %q", what, s)
		}
	}
	source := func(s *report.Source) {
		if s != nil {
			name("service", s.Service.Name)
			name("instance", s.Instance)
			name("host", s.Host)
		}
	}
	for _, f := range b.Facts {
		source(f.Source)
		if f.Source == nil || len(f.Text) > 200 || !utf8.ValidString(f.Text) || f.At > testNow {
			t.Errorf("fact %+v", f)
		}
	}
	for _, c := range b.Calls {
		source(c.Caller)
		name("address", c.Callee.Address)
		if c.Count < 1 || c.Last > testNow || c.First > testNow || c.Callee == (report.Callee{}) {
			t.Errorf("calls %+v", c)
		}
	}
	for _, s := range b.Spans {
		if s.Duration < 0 {
			t.Errorf("duration %v", s.Duration)
		}
	}
	for _, p := range b.Probes {
		source(p.Source)
		name("target", p.Target)
		if p.Interval < 0 || p.Outcome == report.OutcomeUnset {
			t.Errorf("probe %+v", p)
		}
	}
	for _, x := range b.Beats {
		if x.Source == nil || x.Source.Key == 0 || x.Interval < 0 || x.Grace < 0 {
			t.Errorf("beat %+v", x)
		}
	}
	b.Arrived = testNow
	e := engine.New(engine.DefaultParams())
	e.Observe(b)
	e.Tick(testNow.Add(time.Second))
}

func FuzzTraces(f *testing.F) {
	m := ptrace.ProtoMarshaler{}
	add := func(td ptrace.Traces) {
		raw, err := m.MarshalTraces(td)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	add(healthyTraces(30))
	td, s := spanOf(f, checkout, client, failed, "dial tcp 10.0.0.7:8080: connect: connection refused", attrs{
		"server.address": long(1 << 12), "server.port": -1, "url.full": "://", "rpc.grpc.status_code": 1 << 40, "error.type": "\xff", "response_flags": ",,UF,",
	})
	s.Events().AppendEmpty().SetName("exception")
	add(td)
	f.Fuzz(func(t *testing.T, raw []byte) {
		u := ptrace.ProtoUnmarshaler{}
		td, err := u.UnmarshalTraces(raw)
		if err != nil {
			return
		}
		x := New(Settings{MaxSources: 16})
		var b report.Batch
		odd := x.Traces(td, testNow, nil, &b)
		for i, at := range odd {
			if int(at) >= td.SpanCount() || i > 0 && at <= odd[i-1] {
				t.Errorf("odd %v of %d", odd, td.SpanCount())
			}
		}
		// Look must agree with Traces on what failed.
		looked := 0
		for i := range td.ResourceSpans().Len() {
			rs := td.ResourceSpans().At(i)
			src := x.Source(rs.Resource())
			for j := range rs.ScopeSpans().Len() {
				if Own(rs.ScopeSpans().At(j).Scope()) {
					continue
				}
				for k := range rs.ScopeSpans().At(j).Spans().Len() {
					if look := x.Look(src, rs.ScopeSpans().At(j).Spans().At(k), nil); look.Failed || look.Slow {
						looked++
					}
				}
			}
		}
		if looked != len(odd) {
			t.Errorf("Look finds %d odd spans, Traces %d", looked, len(odd))
		}
		sane(t, &b, td.SpanCount())
	})
}

func FuzzMetrics(f *testing.F) {
	m := pmetric.ProtoMarshaler{}
	names := []string{}
	for name := range metricReaders {
		names = append(names, name)
	}
	for name := range levelMetrics {
		names = append(names, name)
	}
	for name := range callMetrics {
		names = append(names, name)
	}
	for name := range gcMetrics {
		names = append(names, name)
	}
	for i, name := range names {
		md, ms := metricsOf(f, attrs{"service.name": "payment", "service.instance.id": "10.0.0.7:9090", "k8s.pod.uid": "p", "k8s.node.name": "n"}, promScope)
		gauge(f, ms, name, 1, attrs{"http.url": "http://a:1/", "reason": "CrashLoopBackOff", "http.status_class": "2xx", "error.message": "eof", "uid": "p", "state": "used", "code": "500", "server.address": "a"})
		if i%2 == 0 {
			timed(f, ms, name, testNow, math.MaxUint64, math.Inf(1), attrs{"error.type": 500, "server.address": "::1", "status": "5xx", "envoy_cluster_name": "outbound|||"})
			gauge(f, ms, name, math.NaN(), attrs{"pool": 7, "device": "/dev/loop0", "id": "/docker/"})
		}
		raw, err := m.MarshalMetrics(md)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		u := pmetric.ProtoUnmarshaler{}
		md, err := u.UnmarshalMetrics(raw)
		if err != nil {
			return
		}
		x := New(Settings{MaxSources: 16})
		for round := range 2 { // sums tell only what was added
			var b report.Batch
			x.Metrics(md, testNow.Add(time.Duration(round)*time.Minute), nil, &b)
			sane(t, &b, (2+timedMost)*md.DataPointCount()+md.ResourceMetrics().Len())
			for _, l := range b.Levels {
				if l.Source == nil && l.Address == "" || !(l.Share >= -1) || !(l.Waiting >= 0) {
					t.Errorf("level %+v", l)
				}
			}
			for i := range md.ResourceMetrics().Len() { // the next export
				for j := range md.ResourceMetrics().At(i).ScopeMetrics().Len() {
					for k := range md.ResourceMetrics().At(i).ScopeMetrics().At(j).Metrics().Len() {
						m := md.ResourceMetrics().At(i).ScopeMetrics().At(j).Metrics().At(k)
						if m.Type() == pmetric.MetricTypeHistogram {
							for n := range m.Histogram().DataPoints().Len() {
								p := m.Histogram().DataPoints().At(n)
								p.SetCount(p.Count() + 7)
								p.SetTimestamp(p.Timestamp() + 1e9)
							}
						}
					}
				}
			}
		}
	})
}

func FuzzLogs(f *testing.F) {
	m := plog.ProtoMarshaler{}
	for _, ld := range []plog.Logs{
		heartbeatOf(f, checkout, attrs{contract.HeartbeatSeq: 1, contract.HeartbeatInterval: 1.0, contract.HeartbeatObserver: "o"}),
		heartbeatOf(f, checkout, attrs{contract.HeartbeatTarget: "process:x", contract.ProcessState: "gone", contract.ProcessPID: 1}),
		logOf(f, checkout, errorLevel, "dial tcp 10.0.0.7:8080: connection refused", attrs{"error": "no space left on device"}),
		logOf(f, attrs{"service.name": "s", "k8s.pod.uid": "p"}, noSeverity, "panic: boom", nil),
		logOf(f, attrs{"k8s.object.kind": "Node", "k8s.object.name": "n"}, warn, "gone", attrs{"k8s.event.reason": "NodeNotReady"}),
		logOf(f, attrs{"k8s.object.kind": "Pod", "k8s.object.uid": "p"}, warn, "Liveness probe failed", attrs{"k8s.event.reason": "Unhealthy"}),
	} {
		raw, err := m.MarshalLogs(ld)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		u := plog.ProtoUnmarshaler{}
		ld, err := u.UnmarshalLogs(raw)
		if err != nil {
			return
		}
		x := New(Settings{MaxSources: 16})
		x.Source(resource(t, attrs{"service.name": "payment", "k8s.pod.uid": "p"}))
		var b report.Batch
		x.Logs(ld, testNow, &b)
		sane(t, &b, ld.LogRecordCount())
	})
}
