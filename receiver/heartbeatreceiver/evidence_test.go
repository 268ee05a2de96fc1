// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/observation"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// TestEngineUnderstandsTheRecords follows what comes in by each door to what
// the engine is shown, since nothing but log records travels between them.
func TestEngineUnderstandsTheRecords(t *testing.T) {
	dead := closedPort(t)
	g := newRig(t, func(c *Config) {
		withChecks(c)
		c.Targets = []probe.Config{{Endpoint: "tcp://" + dead, Service: "ledger", CollectionInterval: 100 * time.Millisecond, Timeout: time.Second}}
	})
	status, _ := g.postJSON(`{"service":"payment","instance":"p-1","seq":7,"incarnation":5,"interval":"2s","status":"stopping","boot_id":"b",
		"digest":"d","sent_at":"2026-01-01T00:00:00Z"}`)
	require.Equal(t, http.StatusAccepted, status)
	status, _, _ = g.do(http.MethodGet, "/ping/"+nightly+"/137", "")
	require.Equal(t, http.StatusOK, status)
	status, _ = g.postOTLP(otlpBeat(nil), typeProto)
	require.Equal(t, http.StatusOK, status)
	status, _, _ = g.do(http.MethodPost, "/ping/"+nightly+"/log", "shutting down") // no sign of life, and nobody's word
	require.Equal(t, http.StatusOK, status)

	x := observation.New(observation.Settings{})
	var got report.Batch
	require.Eventually(t, func() bool {
		got = report.Batch{}
		for _, ld := range g.logs.AllLogs() {
			x.Logs(ld, clock.Time(time.Now().UnixNano()), &got)
		}
		return len(got.Beats) == 3 && len(got.Probes) > 0 && len(got.Observers) > 0
	}, 10*time.Second, 10*time.Millisecond)
	assert.Empty(t, got.Facts)

	b := got.Beats[0]
	assert.Equal(t, "rig", b.Observer)
	assert.Positive(t, b.Uptime)
	assert.Positive(t, b.Stamp.Seq)
	assert.Equal(t, "payment", b.Source.Service.Name)
	assert.Equal(t, 2*time.Second, b.Interval)
	assert.EqualValues(t, 7, b.Seq)
	assert.EqualValues(t, 5, b.Incarnation)
	assert.Equal(t, report.StatusStopping, b.Status)
	assert.Equal(t, "b", b.BootID)
	assert.Equal(t, "d", b.Digest)
	assert.Equal(t, "127.0.0.1", b.Remote)
	assert.Equal(t, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano(), int64(b.SentAt))

	b = got.Beats[1]
	assert.Equal(t, "backup", b.Source.Service.Name)
	assert.Equal(t, report.StatusFailed, b.Status)
	assert.True(t, b.HasExitCode)
	assert.Equal(t, 137, b.ExitCode)
	assert.Equal(t, 5*time.Minute, b.Grace)
	assert.Positive(t, b.Due)

	p := got.Probes[0]
	assert.Equal(t, "tcp://"+dead, p.Target)
	assert.Equal(t, report.OutcomeRefused, p.Outcome)
	assert.Equal(t, "ledger", p.Source.Service.Name)
	assert.Equal(t, "rig", got.Observers[0].Observer)
	assert.Equal(t, g.host, got.Observers[0].Host)
	for reason, n := range x.Skipped() {
		assert.Zero(t, n, reason)
	}
}
