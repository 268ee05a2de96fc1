// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
)

// rig is a receiver on a real socket, with what its pipelines got.
type rig struct {
	*heartbeatReceiver
	t       *testing.T
	tel     *componenttest.Telemetry
	logs    *consumertest.LogsSink
	metrics *consumertest.MetricsSink
	url     string
	client  *http.Client
}

// newRig starts a receiver as the Collector does: created once a signal, from
// one Config. change edits its configuration first.
func newRig(t *testing.T, change func(*Config), next ...consumer.Logs) *rig {
	t.Helper()
	cfg := createDefaultConfig().(*Config)
	cfg.HTTP.NetAddr.Endpoint = "127.0.0.1:0"
	cfg.Observer = "rig"
	cfg.ObserverInterval = time.Minute
	cfg.MetricsInterval = time.Hour
	if change != nil {
		change(cfg)
	}
	g := &rig{t: t, tel: componenttest.NewTelemetry(), logs: new(consumertest.LogsSink), metrics: new(consumertest.MetricsSink)}
	set := receivertest.NewNopSettings(metadata.Type)
	set.TelemetrySettings = g.tel.NewTelemetrySettings()
	f := NewFactory()
	var sink consumer.Logs = g.logs
	if len(next) > 0 {
		sink = next[0]
	}
	l, err := f.CreateLogs(t.Context(), set, cfg, sink)
	require.NoError(t, err)
	m, err := f.CreateMetrics(t.Context(), set, cfg, g.metrics)
	require.NoError(t, err)
	host := componenttest.NewNopHost()
	for _, c := range []component.Component{l, m} {
		require.NoError(t, c.Start(t.Context(), host))
	}
	g.heartbeatReceiver = l.(*heartbeatReceiver)
	if g.addr != nil {
		g.url = "http://" + g.addr.String()
	}
	transport := &http.Transport{}
	g.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		assert.NoError(t, l.Shutdown(context.Background()))
		assert.NoError(t, m.Shutdown(context.Background()))
		assert.NoError(t, g.tel.Shutdown(context.Background()))
	})
	return g
}

// do sends a request and returns the status, the body and the headers.
func (g *rig) do(method, path, body string, headers ...string) (int, string, http.Header) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, bytes.NewReader([]byte(body)))
	require.NoError(g.t, err)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := g.client.Do(req)
	require.NoError(g.t, err)
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	require.NoError(g.t, err)
	return resp.StatusCode, string(text), resp.Header
}

func (g *rig) postJSON(body string) (int, string) {
	status, text, _ := g.do(http.MethodPost, "/v1/heartbeats", body, "Content-Type", "application/json")
	return status, text
}

// seen is one record that came out, flattened.
type seen struct {
	plog.LogRecord
	res   map[string]any
	attrs map[string]any
	scope string
}

// flatten lists the records of what a sink got.
func flatten(all []plog.Logs) []seen {
	var out []seen
	for _, ld := range all {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					out = append(out, seen{lr, rl.Resource().Attributes().AsRaw(), lr.Attributes().AsRaw(), sl.Scope().Name()})
				}
			}
		}
	}
	return out
}

// beats waits for n records of others than the observer itself and returns them.
func (g *rig) beats(n int) []seen {
	g.t.Helper()
	var got []seen
	require.Eventually(g.t, func() bool {
		got = got[:0]
		for _, s := range flatten(g.logs.AllLogs()) {
			if _, own := s.attrs[contract.HeartbeatObserverLate]; !own {
				got = append(got, s)
			}
		}
		return len(got) >= n
	}, 10*time.Second, 5*time.Millisecond, "want %d records", n)
	require.Len(g.t, got, n)
	return got
}

// refusals is how often the receiver's own metric says that it refused for a reason.
func (g *rig) refusals(why reason) int64 {
	g.t.Helper()
	return g.count("otelcol_receiver_heartbeat_refused", "reason", string(why))
}

func (g *rig) count(metric, key, value string) int64 {
	g.t.Helper()
	return sumOf(g.t, g.tel, metric, key, value)
}

func repeat(s string, n int) string { return strings.Repeat(s, n) }
