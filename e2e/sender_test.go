// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// sender sends spans and remembers which of them the Collector has acknowledged.
// What was not acknowledged is sent again, as every SDK does.
type sender struct {
	url     string
	stopped chan struct{}
	halt    context.CancelFunc

	mu    sync.Mutex
	acked map[string]bool // span id → failed
}

// spansABatch and one failed span among failedEach.
const (
	spansABatch = 20
	failedEach  = 10
)

// startSender sends a batch every interval until stop.
func startSender(t *testing.T, address string, interval time.Duration) *sender {
	t.Helper()
	ctx, halt := context.WithCancel(context.Background())
	s := &sender{url: "http://" + address + "/v1/traces", stopped: make(chan struct{}), halt: halt, acked: map[string]bool{}}
	go func() {
		defer close(s.stopped)
		tick := time.NewTicker(interval)
		defer tick.Stop()
		for next := uint64(time.Now().UnixNano()); ; next += spansABatch {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			s.send(next)
		}
	}()
	t.Cleanup(s.stop)
	return s
}

// stop ends the sending, once the last batch is acknowledged.
func (s *sender) stop() {
	s.halt()
	<-s.stopped
}

// send sends a batch until it is acknowledged, for a minute at most.
func (s *sender) send(first uint64) {
	body, failed := batch(first)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if !post(s.url, body) {
			continue
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for id := range failed {
			s.acked[id] = failed[id]
		}
		return
	}
}

func post(url string, body []byte) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

// batch makes spans of work inside of a service. The failed ones have to wait in
// the processor, which is where they could get lost.
func batch(first uint64) (body []byte, failed map[string]bool) {
	traces := ptrace.NewTraces()
	rs := traces.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "accountant")
	rs.Resource().Attributes().PutStr("service.instance.id", "accountant-1")
	spans := rs.ScopeSpans().AppendEmpty().Spans()
	failed = map[string]bool{}
	now := time.Now()
	for i := range uint64(spansABatch) {
		span := spans.AppendEmpty()
		span.SetName("work")
		span.SetKind(ptrace.SpanKindInternal)
		span.SetTraceID(traceID(first + i))
		span.SetSpanID(spanID(first + i))
		span.SetStartTimestamp(pcommon.NewTimestampFromTime(now.Add(-10 * time.Millisecond)))
		span.SetEndTimestamp(pcommon.NewTimestampFromTime(now))
		if i%failedEach == 0 {
			span.Status().SetCode(ptrace.StatusCodeError)
		}
		failed[span.SpanID().String()] = i%failedEach == 0
	}
	body, _ = ptraceotlp.NewExportRequestFromTraces(traces).MarshalProto() // our own data
	return body, failed
}

func spanID(n uint64) (id pcommon.SpanID) {
	binary.BigEndian.PutUint64(id[:], n)
	return id
}

func traceID(n uint64) (id pcommon.TraceID) {
	id[0] = 0xfa
	binary.BigEndian.PutUint64(id[8:], n)
	return id
}

// acknowledged returns the number of spans that the Collector has taken on.
func (s *sender) acknowledged() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.acked)
}

// lost are the spans that were acknowledged and are not in the sink.
func (s *sender) lost(out *sink) []string {
	received := out.received()
	s.mu.Lock()
	defer s.mu.Unlock()
	var missing []string
	for id, failed := range s.acked {
		if seen := received[id]; seen.times == 0 {
			if failed {
				id += " (failed)"
			}
			missing = append(missing, id)
		}
	}
	return missing
}

// requireNothingLost waits for what is still on its way.
func (s *sender) requireNothingLost(t *testing.T, out *sink) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); ; time.Sleep(200 * time.Millisecond) {
		missing := s.lost(out)
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			require.Empty(t, missing[:min(len(missing), 20)], "%d of %d acknowledged spans are lost", len(missing), s.acknowledged())
		}
	}
}
