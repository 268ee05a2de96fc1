// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"

	"github.com/faultline-otel/faultline/internal/contract"
)

// said is one event as it came from the Collector.
type said struct {
	at         time.Time // when it reached us
	event      string
	entity     string // whom it is about: service/instance, or the culprit's name
	class      string
	subclass   string
	culprit    string
	instance   string
	confidence float64
	reason     string
	body       string
}

// accuses says whether the event puts the blame on somebody.
func (s *said) accuses() bool {
	return s.event == contract.EventFailureDetected || s.event == contract.EventFailureRevised
}

// failedCall is a failed span that reached the Collector: what a verdict may be
// based on.
type failedCall struct {
	ended   time.Time // by the service's clock
	arrived time.Time // when the Collector passed it on to us, at once
}

// maxKept bounds what an account keeps of each kind: far more than a demo makes,
// far less than memory holds if it is left running.
const maxKept = 20_000

// account listens for what the Collector sends by OTLP/HTTP: the events, and the
// failed spans at the moment they arrive there.
type account struct {
	server *http.Server
	news   chan struct{} // holds a token when an event was added

	mu     sync.Mutex
	events []said
	failed []failedCall
}

func listen(address string) (*account, error) {
	a := &account{news: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/logs", a.takeLogs)
	mux.HandleFunc("POST /v1/traces", a.takeTraces)
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	l, err := net.Listen("tcp", address) //nolint:noctx // a listener on loopback
	if err != nil {
		return nil, err
	}
	go a.server.Serve(l) //nolint:errcheck // ends with close
	return a, nil
}

func (a *account) close() { _ = a.server.Close() }

func (a *account) takeLogs(w http.ResponseWriter, r *http.Request) {
	req := plogotlp.NewExportRequest()
	if !readRequest(w, r, req.UnmarshalProto) {
		return
	}
	now := time.Now()
	a.mu.Lock()
	for _, rl := range req.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			if !strings.HasPrefix(sl.Scope().Name(), contract.ScopePrefix) {
				continue
			}
			for _, lr := range sl.LogRecords().All() {
				if lr.EventName() != contract.EventHeartbeat && len(a.events) < maxKept {
					a.events = append(a.events, read(lr, now))
				}
			}
		}
	}
	a.mu.Unlock()
	select {
	case a.news <- struct{}{}:
	default:
	}
	answer(w, plogotlp.NewExportResponse().MarshalProto)
}

func (a *account) takeTraces(w http.ResponseWriter, r *http.Request) {
	req := ptraceotlp.NewExportRequest()
	if !readRequest(w, r, req.UnmarshalProto) {
		return
	}
	now := time.Now()
	a.mu.Lock()
	for _, rs := range req.Traces().ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, sp := range ss.Spans().All() {
				if sp.Status().Code() == ptrace.StatusCodeError && len(a.failed) < maxKept {
					a.failed = append(a.failed, failedCall{sp.EndTimestamp().AsTime(), now})
				}
			}
		}
	}
	a.mu.Unlock()
	answer(w, ptraceotlp.NewExportResponse().MarshalProto)
}

func readRequest(w http.ResponseWriter, r *http.Request, decode func([]byte) error) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if err == nil {
		err = decode(body)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return err == nil
}

func answer(w http.ResponseWriter, encode func() ([]byte, error)) {
	body, err := encode()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	_, _ = w.Write(body)
}

func read(lr plog.LogRecord, now time.Time) said {
	attrs := lr.Attributes()
	s := said{
		at: now, event: lr.EventName(), body: lr.Body().AsString(),
		class: str(attrs, contract.FailureClass), subclass: str(attrs, contract.FailureSubclass),
		culprit: str(attrs, contract.FailureCulpritName), instance: str(attrs, contract.FailureCulpritInstanceID),
		reason: str(attrs, contract.FailureReason),
	}
	if v, ok := attrs.Get(contract.FailureConfidence); ok {
		s.confidence = v.Double()
	}
	// A change of mind may name another culprit; whom it is about stays.
	s.entity = str(attrs, "service.name") + "/" + str(attrs, "service.instance.id")
	if s.entity == "/" {
		s.entity = s.culprit
	}
	return s
}

func str(attrs pcommon.Map, key string) string {
	v, ok := attrs.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

// since returns what was said from index on.
func (a *account) since(index int) []said {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.events[min(index, len(a.events)):])
}

func (a *account) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.events)
}

// firstFailed is the failed call that reached the Collector first, of those that
// ended after t; nil if there is none.
func (a *account) firstFailed(t time.Time) *failedCall {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.failed {
		if c.ended.After(t) {
			return &c
		}
	}
	return nil
}
