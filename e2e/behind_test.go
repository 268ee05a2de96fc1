// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// behind has servicegraph and tail_sampling behind the processor, with the
// timers that the documentation asks for: failed spans reach them up to 3 s later
// than the others of their trace.
const behind = `
extensions:
  health_check: {endpoint: %[1]q}
  failure_model: {}
receivers:
  otlp: {protocols: {http: {endpoint: %[2]q}}}
processors:
  failure_model: {}
  tail_sampling:
    decision_wait: 5s
    policies:
      - {name: errors, type: status_code, status_code: {status_codes: [ERROR]}}
connectors:
  servicegraph:
    store: {ttl: 6s, max_items: 10000}
    store_expiration_loop: 1s
    metrics_flush_interval: 1s
  routing:
    default_pipelines: [traces/sampled]
    table: [{context: resource, condition: "true", pipelines: [traces/sampled]}]
exporters:
  otlp_grpc: {endpoint: %[3]q, tls: {insecure: true}}
service:
  extensions: [health_check, failure_model]
  telemetry: {metrics: {level: none}}
  pipelines:
    traces: {receivers: [otlp], processors: [failure_model], exporters: [servicegraph, routing]}
    traces/sampled: {receivers: [routing], processors: [tail_sampling], exporters: [otlp_grpc]}
    metrics: {receivers: [servicegraph], exporters: [otlp_grpc]}
`

func TestEveryEdgeAndEveryErrorIsSeenBehindTheProcessor(t *testing.T) {
	bin := builtBinary(t, "otelcol-faultline")
	free := freePorts(t, 2)
	out := newSink(t)
	config := filepath.Join(t.TempDir(), "behind.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, behind, free[0], free[1], out.address), 0o600))
	c := spawn(t, "collector", collector(bin, nil, "", config))
	c.awaitHTTP(t, "http://"+free[0]+"/")

	sent := sendChains(t, "http://"+free[1]+"/v1/traces", 200)
	eventually(t, 30*time.Second, func() string {
		if edges := out.edges(); !assert.ObjectsAreEqual(sent.edges, edges) {
			return fmt.Sprintf("edges %v, sent %v", edges, sent.edges)
		}
		for id, size := range sent.failed {
			if got := out.spansOf(id); got != size {
				return fmt.Sprintf("%d of %d spans of the failed trace %s", got, size, id)
			}
		}
		return ""
	})
	for id, seen := range out.received() {
		assert.Equal(t, 1, seen.times, "span %s came more than once", id)
		assert.Contains(t, sent.failed, seen.trace, "tail_sampling let a sound trace pass")
	}
	c.terminate(t)
	assert.Empty(t, c.errorLines())
}

// edge is a call from one service to another.
type edge struct{ client, server string }

type chains struct {
	edges  map[edge]int   // calls
	failed map[string]int // spans, by trace id
}

// sendChains sends traces of web → shop → stock, a batch for each service as
// SDKs do. Of ten traces, one fails in the call to stock at both ends; one runs
// into the client's time-out while the server is well, so that one half of the
// edge waits and the other does not; and one calls mail, which always times out.
func sendChains(t *testing.T, url string, traces int) chains {
	t.Helper()
	sent := chains{edges: map[edge]int{}, failed: map[string]int{}}
	services := map[string]ptrace.Traces{}
	next := uint64(1)
	for i := range traces {
		id := traceID(uint64(i) + 1)
		before := next
		kind := i % 10
		add := func(service string, kind ptrace.SpanKind, parent uint64, failed bool) uint64 {
			td, ok := services[service]
			if !ok {
				td = ptrace.NewTraces()
				rs := td.ResourceSpans().AppendEmpty()
				rs.Resource().Attributes().PutStr("service.name", service)
				rs.Resource().Attributes().PutStr("service.instance.id", service+"-1")
				rs.ScopeSpans().AppendEmpty()
				services[service] = td
			}
			span := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
			span.SetTraceID(id)
			span.SetSpanID(spanID(next))
			if parent != 0 {
				span.SetParentSpanID(spanID(parent))
			}
			span.SetKind(kind)
			span.SetName("call")
			now := time.Now()
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-20 * time.Millisecond)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
			if failed {
				span.Status().SetCode(ptrace.StatusCodeError)
			}
			next++
			return next - 1
		}
		call := func(from, to string, parent uint64, clientFails, serverFails bool) uint64 {
			sent.edges[edge{from, to}]++
			return add(to, ptrace.SpanKindServer, add(from, ptrace.SpanKindClient, parent, clientFails), serverFails)
		}
		anyFails := kind < 3
		root := add("web", ptrace.SpanKindServer, 0, anyFails)
		shop := call("web", "shop", root, anyFails, anyFails)
		call("shop", "stock", shop, kind < 2, kind == 0)
		if kind == 2 {
			call("shop", "mail", shop, true, false)
		}
		if anyFails {
			sent.failed[id.String()] = int(next - before)
		}
	}
	for service, td := range services {
		body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
		require.NoError(t, err)
		require.True(t, post(url, body), service)
	}
	return sent
}

// edges are the calls that servicegraph has counted so far, its guesses about
// callers without spans left out.
func (s *sink) edges() map[edge]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	series := map[string]int{}
	edges := map[string]edge{}
	for _, md := range s.metrics {
		for _, rm := range md.ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, m := range sm.Metrics().All() {
					if m.Name() != "traces_service_graph_request_total" {
						continue
					}
					for _, point := range m.Sum().DataPoints().All() {
						attributes := point.Attributes().AsRaw()
						if attributes["connection_type"] == "virtual_node" {
							continue
						}
						key := fmt.Sprint(attributes)
						series[key] = max(series[key], int(point.IntValue())) // cumulative
						edges[key] = edge{fmt.Sprint(attributes["client"]), fmt.Sprint(attributes["server"])}
					}
				}
			}
		}
	}
	found := map[edge]int{}
	for key, calls := range series {
		found[edges[key]] += calls
	}
	return found
}

// spansOf counts the spans of a trace.
func (s *sink) spansOf(trace string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, seen := range s.spans {
		if seen.trace == trace {
			n++
		}
	}
	return n
}
