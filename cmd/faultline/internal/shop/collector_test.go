// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package shop

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

// collector takes what a service sends, over a real socket.
type collector struct {
	address string
	mu      sync.Mutex
	spans   []seen
	beats   []beat
}

// seen is a span with its resource.
type seen struct {
	ptrace.Span
	resource map[string]any
}

func newCollector(t *testing.T) *collector {
	c := &collector{}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(_ http.ResponseWriter, r *http.Request) {
		req := ptraceotlp.NewExportRequest()
		if !assert.NoError(t, req.UnmarshalProto(readBody(t, r))) {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range req.Traces().ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					c.spans = append(c.spans, seen{sp, rs.Resource().Attributes().AsRaw()})
				}
			}
		}
	})
	mux.HandleFunc("POST /v1/metrics", func(_ http.ResponseWriter, r *http.Request) { readBody(t, r) })
	mux.HandleFunc("POST /v1/heartbeats", func(w http.ResponseWriter, r *http.Request) {
		var b beat
		assert.NoError(t, json.Unmarshal(readBody(t, r), &b))
		c.mu.Lock()
		c.beats = append(c.beats, b)
		c.mu.Unlock()
		w.WriteHeader(http.StatusAccepted)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	c.address = server.Listener.Addr().String()
	return c
}

func readBody(t *testing.T, r *http.Request) []byte {
	body := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(r.Body)
		if !assert.NoError(t, err) {
			return nil
		}
		body = z
	}
	b, err := io.ReadAll(body)
	assert.NoError(t, err)
	return b
}

// await returns the spans once there are n of them, and no more.
func (c *collector) await(t *testing.T, n int) []seen {
	t.Helper()
	count := func() int {
		c.mu.Lock()
		defer c.mu.Unlock()
		return len(c.spans)
	}
	require.Eventually(t, func() bool { return count() >= n }, 10*time.Second, 20*time.Millisecond)
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Len(t, c.spans, n)
	return slices.Clone(c.spans)
}

func (c *collector) beatsOf(instance string) []beat {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []beat
	for _, b := range c.beats {
		if b.Instance == instance {
			found = append(found, b)
		}
	}
	return found
}

// untilSIGTERM ends as main's context does.
func untilSIGTERM() context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM) // until the process ends
	return ctx
}
