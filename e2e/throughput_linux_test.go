// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"

	"github.com/faultline-otel/faultline/e2e/backends"
)

// discard takes spans in and forgets them.
type discard struct {
	ptraceotlp.UnimplementedGRPCServer
}

func (*discard) Export(context.Context, ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	return ptraceotlp.NewExportResponse(), nil
}

// BenchmarkWholeCollector compares the real Collector, OTLP in and OTLP out,
// with and without the processor, in turns on the same batches of 1,000 healthy
// spans. A Collector that is given all it can take is bound by its CPU, so its
// throughput is the inverse of the CPU time that a span costs;
// throughput_of_bare_% is that with the processor over that without.
func BenchmarkWholeCollector(b *testing.B) {
	top, err := backends.Root()
	require.NoError(b, err)
	binary := filepath.Join(top, "bin", "otelcol-faultline")
	if _, err := os.Stat(binary); err != nil {
		b.Skip("run `make build` first")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := grpc.NewServer()
	ptraceotlp.RegisterGRPCServer(server, &discard{})
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(server.Stop)

	bare := newMeasured(b, binary, listener.Addr().String(), "[]", "")
	with := newMeasured(b, binary, listener.Addr().String(), "[failure_model]", `
processors: {failure_model: {}}
extensions: {failure_model: {}}`)
	for range 20 { // so that both have learned and grown
		bare.send(b)
		with.send(b)
	}
	bare.spent, with.spent = 0, 0
	b.ResetTimer()
	for b.Loop() {
		bare.measure(b)
		with.measure(b)
	}
	b.ReportMetric(100*bare.spent.Seconds()/with.spent.Seconds(), "throughput_of_bare_%")
	b.ReportMetric(float64((with.spent-bare.spent).Nanoseconds())/float64(b.N*spansARound), "ns/span_more")
}

const (
	fullBatch     = 1000
	batchesARound = 40
	spansARound   = fullBatch * batchesARound
)

// measured is a Collector whose CPU time is read.
type measured struct {
	pid     int
	url     string
	batches [][]byte
	next    int
	spent   time.Duration
}

func newMeasured(b *testing.B, collector, out, processors, more string) *measured {
	b.Helper()
	ports, err := backends.FreePorts(1)
	require.NoError(b, err)
	in := fmt.Sprintf("127.0.0.1:%d", ports[0])
	services := "[]"
	if more != "" {
		services = "[failure_model]"
	}
	config := filepath.Join(b.TempDir(), "config.yaml")
	require.NoError(b, os.WriteFile(config, []byte(fmt.Sprintf(`
receivers: {otlp: {protocols: {http: {endpoint: %q}}}}
exporters: {otlp_grpc: {endpoint: %q, tls: {insecure: true}}}%s
service:
  extensions: %s
  telemetry: {metrics: {level: none}, logs: {level: error}}
  pipelines: {traces: {receivers: [otlp], processors: %s, exporters: [otlp_grpc]}}
`, in, out, more, services, processors)), 0o600))
	cmd := exec.Command(collector, "--config", config)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	backends.EndWithParent(cmd.SysProcAttr)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	m := &measured{pid: cmd.Process.Pid, url: "http://" + in + "/v1/traces"}
	for i := range 16 {
		m.batches = append(m.batches, healthyBatch(b, uint64(i)))
	}
	require.Eventually(b, func() bool {
		conn, err := net.Dial("tcp", in)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 30*time.Second, 50*time.Millisecond)
	return m
}

func (m *measured) send(b *testing.B) {
	resp, err := http.Post(m.url, "application/x-protobuf", bytes.NewReader(m.batches[m.next%len(m.batches)]))
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, resp.StatusCode)
	require.NoError(b, resp.Body.Close())
	m.next++
}

func (m *measured) measure(b *testing.B) {
	before := m.cpu(b)
	for range batchesARound {
		m.send(b)
	}
	m.spent += m.cpu(b) - before
}

// cpu is the CPU time of all threads so far: fields 14 and 15 of
// /proc/PID/stat, in ticks of 10 ms.
func (m *measured) cpu(b *testing.B) time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", m.pid))
	require.NoError(b, err)
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, err := strconv.Atoi(fields[11])
	require.NoError(b, err)
	system, err := strconv.Atoi(fields[12])
	require.NoError(b, err)
	return time.Duration(user+system) * 10 * time.Millisecond
}

// healthyBatch is 1,000 spans of ten services that call each other.
func healthyBatch(b *testing.B, seed uint64) []byte {
	td := ptrace.NewTraces()
	now := time.Now()
	for s := range 10 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", fmt.Sprint("service-", s))
		rs.Resource().Attributes().PutStr("service.instance.id", fmt.Sprint("service-", s, "-1"))
		rs.Resource().Attributes().PutStr("host.name", fmt.Sprint("host-", s))
		spans := rs.ScopeSpans().AppendEmpty().Spans()
		for i := range fullBatch / 10 {
			span := spans.AppendEmpty()
			var trace pcommon.TraceID
			var id pcommon.SpanID
			binary.BigEndian.PutUint64(trace[:], seed<<32|uint64(i))
			binary.BigEndian.PutUint64(id[:], seed<<32|uint64(s)<<16|uint64(i)+1)
			span.SetTraceID(trace)
			span.SetSpanID(id)
			span.SetName("GET /items")
			span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(5+i%7) * time.Millisecond)))
			span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
			attrs := span.Attributes()
			attrs.PutStr("http.request.method", "GET")
			attrs.PutInt("http.response.status_code", 200)
			attrs.PutStr("url.path", "/items")
			span.SetKind(ptrace.SpanKindServer)
			if i%2 == 0 {
				span.SetKind(ptrace.SpanKindClient)
				attrs.PutStr("server.address", fmt.Sprintf("service-%d", (s+1)%10))
				attrs.PutInt("server.port", 8080)
			}
		}
	}
	body, err := ptraceotlp.NewExportRequestFromTraces(td).MarshalProto()
	require.NoError(b, err)
	return body
}
