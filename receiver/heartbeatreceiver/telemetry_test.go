// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// sumOf adds up the points of an own metric that carry key = value (any, if key is empty).
func sumOf(t *testing.T, tel *componenttest.Telemetry, metric, key, value string) int64 {
	t.Helper()
	m, err := tel.GetMetric(metric)
	if err != nil {
		return 0 // nothing counted yet
	}
	var points []metricdata.DataPoint[int64]
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		points = d.DataPoints
	case metricdata.Gauge[int64]:
		points = d.DataPoints
	default:
		t.Fatalf("%s is a %T", metric, d)
	}
	var sum int64
	for _, p := range points {
		if v, ok := p.Attributes.Value("reason"); key == "reason" && (!ok || v.AsString() != value) {
			continue
		}
		if v, ok := p.Attributes.Value("source"); key == "source" && (!ok || v.AsString() != value) {
			continue
		}
		sum += p.Value
	}
	return sum
}

func TestHealthFallsWithBadRoundsAndRecovers(t *testing.T) {
	var h health
	assert.Equal(t, 1.0, h.value())
	h.round(true)
	assert.Equal(t, 0.5, h.value())
	h.strained()
	h.round(false)
	assert.InDelta(t, 1.0/3, h.value(), 1e-9, "a full queue is a bad round too")
	for range 20 {
		h.round(true)
	}
	assert.Equal(t, 1.0/8, h.value(), "the worst")
	for range 7 {
		h.round(false)
	}
	assert.Equal(t, 1.0, h.value())
}
