// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// told are the records behind the receiver whose event begins with prefix.
func (c *collector) told(prefix string) []plog.LogRecord {
	var found []plog.LogRecord
	for _, ld := range c.events.AllLogs() {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					if strings.HasPrefix(lr.EventName(), prefix) {
						found = append(found, lr)
					}
				}
			}
		}
	}
	return found
}

// passed are the spans that came out of the processor.
func (c *collector) passed() []ptrace.Span {
	var found []ptrace.Span
	for _, td := range c.spans.AllTraces() {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					found = append(found, s)
				}
			}
		}
	}
	return found
}

// state is the last value of a metric whose point has all of want; -1 if the
// last collection has no such point.
func (c *collector) state(metric string, want map[string]string) float64 {
	all := c.states.AllMetrics()
	if len(all) == 0 {
		return -1
	}
	for _, rm := range all[len(all)-1].ResourceMetrics().All() {
		for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
			if m.Name() != metric {
				continue
			}
			dps := pmetric.NumberDataPointSlice{}
			switch m.Type() {
			case pmetric.MetricTypeGauge:
				dps = m.Gauge().DataPoints()
			case pmetric.MetricTypeSum:
				dps = m.Sum().DataPoints()
			}
			for _, dp := range dps.All() {
				if has(dp.Attributes(), want) {
					return dp.DoubleValue() + float64(dp.IntValue())
				}
			}
		}
	}
	return -1
}

func has(attrs pcommon.Map, want map[string]string) bool {
	for k, v := range want {
		if str(attrs, k) != v {
			return false
		}
	}
	return true
}

func str(attrs pcommon.Map, key string) string {
	v, _ := attrs.Get(key)
	return v.AsString()
}

// judged says whether a span carries a word of ours.
func judged(s ptrace.Span) bool {
	for k := range s.Attributes().All() {
		if strings.HasPrefix(k, "failure.") || k == "incident.id" {
			return true
		}
	}
	return false
}

// TestEndToEnd joins the three components as a Collector does: what a fleet
// emits goes in as pdata, and what a user would see is read at the other end.
func TestEndToEnd(t *testing.T) {
	t.Run("a_crash_is_told_measured_and_tagged", func(t *testing.T) { synctest.Test(t, crash) })
	t.Run("a_planned_stop_accuses_nobody", func(t *testing.T) { synctest.Test(t, plannedStop) })
	t.Run("a_shutdown_accuses_nobody", func(t *testing.T) { synctest.Test(t, shutdown) })
}

func crash(t *testing.T) {
	c := newCollector(t)
	f := newFleet(t, c)
	f.run(time.Minute)
	require.Empty(t, c.told(""), "nothing happened yet")
	require.Zero(t, c.states.DataPointCount())
	require.Zero(t, c.records.LogRecordCount(), "heartbeats end where they are observed")

	died := time.Now()
	f.payments[0].down = true
	f.run(20 * time.Second)

	// Events: detected within seconds, at last as a crash, and of nobody else.
	failures := c.told("failure.")
	require.NotEmpty(t, failures)
	assert.Equal(t, "failure.detected", failures[0].EventName())
	assert.Less(t, failures[0].Timestamp().AsTime().Sub(died), 6*time.Second)
	last := failures[len(failures)-1]
	assert.Equal(t, "crash", str(last.Attributes(), "failure.class"))
	incident := str(last.Attributes(), "incident.id")
	require.NotEmpty(t, incident)
	for _, lr := range failures {
		assert.Equal(t, "payment-1", str(lr.Attributes(), "failure.culprit.name"), lr.Body().Str())
		assert.Equal(t, incident, str(lr.Attributes(), "incident.id"))
		assert.Equal(t, lr.EventName(), str(lr.Attributes(), "event.name"))
	}
	opened := c.told("incident.opened")
	require.Len(t, opened, 1)
	assert.Equal(t, incident, str(opened[0].Attributes(), "incident.id"))

	// Metrics.
	culprit := map[string]string{
		"failure.class": "crash", "failure.culprit.type": "instance", "failure.culprit.name": "payment-1",
		"service.name": "payment", "service.instance.id": "payment-1",
	}
	series := map[string]string{"failure.class": "crash", "service.name": "payment", "service.instance.id": "payment-1"}
	assert.EqualValues(t, 1, c.state("failure.state", culprit))
	assert.EqualValues(t, 1, c.state("failure.detections", series))
	assert.EqualValues(t, 1, c.state("incident.active", map[string]string{"failure.class": "crash"}))
	assert.Greater(t, c.state("failure.confidence", series), 0.5)
	assert.EqualValues(t, -1, c.state("failure.state", map[string]string{"failure.culprit.name": "payment-2"}))

	// Spans: those of requests that failed, up to the customer, and no others.
	failed := 0
	for _, s := range c.passed() {
		if s.Status().Code() != ptrace.StatusCodeError {
			assert.False(t, judged(s), "a healthy span is left as it was")
			continue
		}
		failed++
		assert.Equal(t, "crash", str(s.Attributes(), "failure.class"), s.EndTimestamp().AsTime().Sub(died))
		assert.Equal(t, "victim", str(s.Attributes(), "failure.role"))
		assert.Equal(t, "payment-1", str(s.Attributes(), "failure.culprit.service.instance.id"))
		assert.Equal(t, incident, str(s.Attributes(), "incident.id"))
	}
	assert.Equal(t, 4*100, failed, "four spans of every second request for 20 s")

	// It comes back: cleared and resolved, 0 for ten minutes, then the end.
	f.restart(f.payments[0])
	f.run(time.Minute)
	cleared := c.told("failure.cleared")
	require.Len(t, cleared, 1)
	assert.Equal(t, incident, str(cleared[0].Attributes(), "incident.id"))
	assert.Len(t, c.told("incident.resolved"), 1)
	f.run(8 * time.Minute)
	assert.EqualValues(t, 0, c.state("failure.state", culprit))
	assert.EqualValues(t, 1, c.state("failure.detections", series))
	assert.EqualValues(t, 0, c.state("incident.active", map[string]string{"failure.class": "crash"}))
	f.run(3 * time.Minute)
	c.states.Reset()
	f.run(time.Minute)
	assert.Zero(t, c.states.DataPointCount(), "the series have ended")
	assert.Len(t, c.told("failure.detected"), 1)
}

func plannedStop(t *testing.T) {
	c := newCollector(t)
	f := newFleet(t, c)
	f.run(time.Minute)
	f.stopInOrder(f.payments[0])
	f.run(time.Minute)
	f.restart(f.payments[0])
	f.run(time.Minute)

	assert.Empty(t, c.told("failure."))
	assert.Empty(t, c.told("incident."))
	stops := c.told("planned.stop")
	require.Len(t, stops, 1)
	assert.Equal(t, "payment-1", str(stops[0].Attributes(), "service.instance.id"))
	assert.Zero(t, c.states.DataPointCount())
	require.Len(t, c.passed(), 5*1800, "every span has passed")
	for _, s := range c.passed() {
		assert.False(t, judged(s))
	}
}

func shutdown(t *testing.T) {
	c := newCollector(t)
	f := newFleet(t, c)
	f.run(time.Minute)
	require.NoError(t, c.extension.(extensioncapabilities.PipelineWatcher).NotReady())
	time.Sleep(time.Minute) // receivers that hold evidence have stopped, others are slow to
	c.stop(t)
	assert.Empty(t, c.told(""))
	assert.Zero(t, c.states.DataPointCount())
	assert.Len(t, c.passed(), 5*600)
}
