// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// point is one data point, flattened.
type point struct {
	attrs map[string]any
	value float64
	start bool
}

// points lists the points of the metric that came last.
func points(all []pmetric.Metrics, name string) (out []point, m pmetric.Metric, found bool) {
	for i := len(all) - 1; i >= 0 && !found; i-- {
		for _, rm := range all[i].ResourceMetrics().All() {
			for _, sm := range rm.ScopeMetrics().All() {
				for _, one := range sm.Metrics().All() {
					if one.Name() == name {
						m, found = one, true
					}
				}
			}
		}
	}
	if !found {
		return nil, m, false
	}
	var dps pmetric.NumberDataPointSlice
	if m.Type() == pmetric.MetricTypeSum {
		dps = m.Sum().DataPoints()
	} else {
		dps = m.Gauge().DataPoints()
	}
	for _, dp := range dps.All() {
		v := dp.DoubleValue()
		if dp.ValueType() == pmetric.NumberDataPointValueTypeInt {
			v = float64(dp.IntValue())
		}
		out = append(out, point{dp.Attributes().AsRaw(), v, dp.StartTimestamp() != 0})
	}
	return out, m, true
}

// the finds the one point whose attributes include want.
func the(t *testing.T, all []point, want map[string]any) point {
	t.Helper()
	var found []point
next:
	for _, p := range all {
		for k, v := range want {
			if p.attrs[k] != v {
				continue next
			}
		}
		found = append(found, p)
	}
	require.Len(t, found, 1, "points with %v in %v", want, all)
	return found[0]
}

func TestMetricsOfTheContract(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	alive := "tcp://" + ln.Addr().String()
	dead := "tcp://" + closedPort(t)
	g := newRig(t, func(c *Config) {
		withChecks(c)
		c.MetricsInterval = 200 * time.Millisecond
		c.Targets = []probe.Config{
			{Endpoint: alive, Service: "cache", Instance: "c-1", CollectionInterval: 100 * time.Millisecond, Timeout: time.Second},
			{Endpoint: dead, Service: "ledger", CollectionInterval: 100 * time.Millisecond, Timeout: time.Second},
		}
	})
	defer func() { _ = ln.Close() }()
	status, text := g.postJSON(`[{"service":"payment","instance":"p-1","namespace":"shop","environment":"prod","interval":"2s","sent_at":"2020-01-01T00:00:00Z"},{"service":""}]`)
	require.Equal(t, http.StatusAccepted, status, text)

	last := func(name string) ([]point, pmetric.Metric) {
		var out []point
		var m pmetric.Metric
		require.Eventually(t, func() bool {
			var ok bool
			out, m, ok = points(g.metrics.AllMetrics(), name)
			return ok
		}, 10*time.Second, 10*time.Millisecond, name)
		return out, m
	}
	require.Eventually(t, func() bool {
		checks, _, _ := points(g.metrics.AllMetrics(), contract.MetricHeartbeatChecks)
		return len(checks) == 2
	}, 10*time.Second, 10*time.Millisecond)

	payment := map[string]any{
		"heartbeat.observer": "rig", "service.name": "payment", "service.instance.id": "p-1",
		"service.namespace": "shop", "deployment.environment.name": "prod",
	}
	up, m := last(contract.MetricHeartbeatUp)
	assert.Equal(t, pmetric.MetricTypeGauge, m.Type())
	assert.Empty(t, m.Unit(), "a unit would change the name in Prometheus")
	p := the(t, up, map[string]any{"service.name": "payment"})
	assert.Equal(t, payment, p.attrs)
	assert.Equal(t, 1.0, p.value)
	assert.Equal(t, 1.0, the(t, up, map[string]any{"heartbeat.target": alive}).value)
	assert.Equal(t, 0.0, the(t, up, map[string]any{"heartbeat.target": dead}).value)
	assert.Equal(t, 1.0, the(t, up, map[string]any{"service.name": "backup"}).value, "a configured check that is not yet due")

	checks, m := last(contract.MetricHeartbeatChecks)
	assert.Equal(t, "{check}", m.Unit())
	assert.True(t, m.Sum().IsMonotonic())
	assert.Equal(t, pmetric.AggregationTemporalityCumulative, m.Sum().AggregationTemporality())
	p = the(t, checks, map[string]any{"heartbeat.target": dead})
	assert.Equal(t, map[string]any{
		"heartbeat.observer": "rig", "heartbeat.target": dead, "heartbeat.outcome": "refused", "service.name": "ledger",
	}, p.attrs)
	assert.True(t, p.value >= 1 && p.start)
	assert.Equal(t, "ok", the(t, checks, map[string]any{"heartbeat.target": alive}).attrs["heartbeat.outcome"])

	interval, m := last(contract.MetricHeartbeatInterval)
	assert.Equal(t, "s", m.Unit())
	assert.Equal(t, 2.0, the(t, interval, payment).value)
	skew, _ := last(contract.MetricHeartbeatClockSkew)
	assert.Less(t, the(t, skew, payment).value, -1e8, "a clock that stands in 2020")
	rtt, _ := last(contract.MetricHeartbeatRTT)
	assert.Positive(t, the(t, rtt, map[string]any{"heartbeat.target": alive}).value)
	missed, m := last(contract.MetricHeartbeatMissed)
	assert.Equal(t, "{heartbeat}", m.Unit())
	assert.True(t, the(t, missed, payment).start)
	refused, _ := last(contract.MetricHeartbeatRefused)
	assert.Equal(t, map[string]any{"heartbeat.observer": "rig"}, refused[0].attrs)
	assert.Equal(t, 1.0, refused[0].value)
	health, m := last(contract.MetricObserverHealth)
	assert.Equal(t, "1", m.Unit())
	assert.True(t, health[0].value > 0 && health[0].value <= 1)

	t.Run("probes_are_heartbeat_records", func(t *testing.T) {
		var found int
		for _, b := range flatten(g.logs.AllLogs()) {
			if b.attrs[contract.HeartbeatTarget] != dead {
				continue
			}
			found++
			assert.Equal(t, "heartbeat", b.EventName())
			assert.Equal(t, "refused", b.attrs[contract.HeartbeatOutcome])
			assert.Equal(t, 0.1, b.attrs[contract.HeartbeatInterval])
			assert.Contains(t, b.attrs, contract.HeartbeatObserverUptime)
			assert.Equal(t, map[string]any{"service.name": "ledger"}, b.res)
			assert.Contains(t, b.Body().Str(), "probe of "+dead+": refused")
		}
		assert.Positive(t, found)
	})
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	return ln.Addr().String()
}

func TestMetricsOfManySendersComeInParts(t *testing.T) {
	g := newRig(t, func(c *Config) { c.MetricsInterval = 300 * time.Millisecond })
	for range 2 {
		doc := []byte{'['}
		for i := range maxPartSenders + 10 {
			doc = append(doc, `{"service":"s","instance":"`...)
			doc = append(doc, byte('a'+i%26), byte('a'+i/26%26), byte('a'+i/676%26))
			doc = append(doc, `","interval":"1s"},`...)
		}
		doc[len(doc)-1] = ']'
		status, _ := g.postJSON(string(doc))
		require.Equal(t, http.StatusAccepted, status)
	}
	require.Eventually(t, func() bool {
		series := map[string]bool{}
		for _, md := range g.metrics.AllMetrics() {
			ps, _, _ := points([]pmetric.Metrics{md}, contract.MetricHeartbeatUp)
			require.LessOrEqual(t, len(ps), maxPartSenders)
			for _, p := range ps {
				series[p.attrs["service.instance.id"].(string)] = true
			}
		}
		return len(series) == maxPartSenders+10
	}, 10*time.Second, 20*time.Millisecond)
}
