// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // the Collector compresses

	"github.com/faultline-otel/faultline/internal/contract"
)

// sink is an OTLP/gRPC server that keeps what the tests ask for: it stands where
// a user's backend stands.
type sink struct {
	address string

	mu      sync.Mutex
	spans   map[string]spanSeen // by span id
	records []recordSeen        // log records, heartbeats left out
	metrics []pmetric.Metrics
}

type spanSeen struct {
	times  int
	trace  string
	failed bool
	class  string
}

type recordSeen struct {
	event, class, instance, body string
}

func newSink(t *testing.T) *sink {
	t.Helper()
	s := &sink{spans: map[string]spanSeen{}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = listener.Addr().String()
	server := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	ptraceotlp.RegisterGRPCServer(server, &traceSink{sink: s})
	plogotlp.RegisterGRPCServer(server, &logSink{sink: s})
	pmetricotlp.RegisterGRPCServer(server, &metricSink{sink: s})
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	return s
}

type traceSink struct {
	ptraceotlp.UnimplementedGRPCServer
	*sink
}

func (s *traceSink) Export(_ context.Context, req ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range req.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, span := range ss.Spans().All() {
				seen := s.spans[span.SpanID().String()]
				seen.times++
				seen.trace = span.TraceID().String()
				seen.failed = span.Status().Code() == ptrace.StatusCodeError
				if class, ok := span.Attributes().Get(contract.FailureClass); ok {
					seen.class = class.Str()
				}
				s.spans[span.SpanID().String()] = seen
			}
		}
	}
	return ptraceotlp.NewExportResponse(), nil
}

type logSink struct {
	plogotlp.UnimplementedGRPCServer
	*sink
}

func (s *logSink) Export(_ context.Context, req plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rl := range req.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, record := range sl.LogRecords().All() {
				if seen := readRecord(record); seen.event != contract.EventHeartbeat {
					s.records = append(s.records, seen)
				}
			}
		}
	}
	return plogotlp.NewExportResponse(), nil
}

func readRecord(record plog.LogRecord) recordSeen {
	text := func(key string) string {
		if v, ok := record.Attributes().Get(key); ok {
			return v.AsString()
		}
		return ""
	}
	event := record.EventName()
	if event == "" {
		event = text(contract.EventName)
	}
	return recordSeen{
		event: event, class: text(contract.FailureClass), instance: text(contract.FailureCulpritInstanceID),
		body: record.Body().AsString(),
	}
}

type metricSink struct {
	pmetricotlp.UnimplementedGRPCServer
	*sink
}

func (s *metricSink) Export(_ context.Context, req pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.metrics) < 10_000 {
		s.metrics = append(s.metrics, req.Metrics())
	}
	return pmetricotlp.NewExportResponse(), nil
}

// received returns a copy of the spans so far.
func (s *sink) received() map[string]spanSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.spans)
}

// events returns a copy of the log records so far, heartbeats left out.
func (s *sink) events() []recordSeen {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records)
}

// accusations are the events and spans that carry one of the four classes.
func (s *sink) accusations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
	for _, r := range s.records {
		if isClass(r.class) {
			found = append(found, r.event+": "+r.body)
		}
	}
	for id, seen := range s.spans {
		if isClass(seen.class) {
			found = append(found, "span "+id+": "+seen.class)
		}
	}
	return found
}

// theFour are the classes; `unknown` accuses nobody.
var theFour = []string{"crash", "network_partition", "byzantine", "resource_exhaustion"}

func isClass(class string) bool {
	return slices.Contains(theFour, class)
}

// newDocumentSink answers bulk requests as Elasticsearch does, and keeps nothing.
// It is for tests that are about something else.
func newDocumentSink(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
		w.Header().Set("Content-Type", "application/json")
		var plain io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			unzipped, err := gzip.NewReader(r.Body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			plain = unzipped
		}
		body := bufio.NewScanner(plain)
		body.Buffer(nil, 16<<20)
		items := 0
		for body.Scan() {
			if strings.HasPrefix(body.Text(), `{"create":`) || strings.HasPrefix(body.Text(), `{"index":`) {
				items++
			}
		}
		item := `{"create":{"status":201}}`
		fmt.Fprintf(w, `{"took":1,"errors":false,"items":[%s]}`, strings.TrimSuffix(strings.Repeat(item+",", items), ","))
	}))
	t.Cleanup(server.Close)
	return server.URL
}
