// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/faultline-otel/faultline/internal/contract"
)

// said is one event as it came from the Collector.
type said struct {
	at         time.Time // when it reached us
	event      string
	class      string
	subclass   string
	service    string
	culprit    string
	instance   string
	confidence float64
	reason     string
	incident   string
	body       string
}

// failure says whether somebody is accused.
func (s *said) failure() bool {
	return s.event == contract.EventFailureDetected || s.event == contract.EventFailureRevised
}

// account listens for the events that the Collector sends by OTLP/HTTP.
type account struct {
	server *http.Server
	mu     sync.Mutex
	all    []said
	news   chan struct{} // holds a token when something was added
}

func listen(address string) (*account, error) {
	a := &account{news: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/logs", a.take)
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	l, err := net.Listen("tcp", address) //nolint:noctx // a listener on loopback
	if err != nil {
		return nil, err
	}
	go a.server.Serve(l) //nolint:errcheck // ends with close
	return a, nil
}

func (a *account) close() { _ = a.server.Shutdown(context.Background()) }

func (a *account) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 8<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	req := plogotlp.NewExportRequest()
	if err := req.UnmarshalProto(body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	now := time.Now()
	a.mu.Lock()
	for _, rl := range req.Logs().ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, lr := range sl.LogRecords().All() {
				if strings.HasPrefix(sl.Scope().Name(), contract.ScopePrefix) {
					a.all = append(a.all, read(lr, now))
				}
			}
		}
	}
	a.mu.Unlock()
	select {
	case a.news <- struct{}{}:
	default:
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	answer, _ := plogotlp.NewExportResponse().MarshalProto()
	_, _ = w.Write(answer)
}

func read(lr plog.LogRecord, now time.Time) said {
	attrs := lr.Attributes()
	s := said{
		at: now, event: lr.EventName(), body: lr.Body().AsString(),
		class: str(attrs, contract.FailureClass), subclass: str(attrs, contract.FailureSubclass),
		service: str(attrs, contract.FailureCulpritService), culprit: str(attrs, contract.FailureCulpritName),
		instance: str(attrs, contract.FailureCulpritInstanceID), reason: str(attrs, contract.FailureReason),
		incident: str(attrs, contract.IncidentID),
	}
	if v, ok := attrs.Get(contract.FailureConfidence); ok {
		s.confidence = v.Double()
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
	return append([]said(nil), a.all[min(index, len(a.all)):]...)
}

func (a *account) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all)
}
