// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package recording

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// latest moves the line's time on.
func (l *Line) latest(t pcommon.Timestamp) { l.Time = max(l.Time, clock.Time(t)) }

func (l *Line) timeTraces() {
	for _, rs := range l.Traces.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				l.latest(s.EndTimestamp())
			}
		}
	}
}

func (l *Line) timeLogs() {
	for _, rl := range l.Logs.ResourceLogs().All() {
		for _, sl := range rl.ScopeLogs().All() {
			for _, r := range sl.LogRecords().All() {
				if t := r.ObservedTimestamp(); t != 0 {
					l.latest(t)
				} else {
					l.latest(r.Timestamp())
				}
			}
		}
	}
}

func (l *Line) timeMetrics() {
	for _, rm := range l.Metrics.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				l.timeMetric(m)
			}
		}
	}
}

func (l *Line) timeMetric(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, p := range m.Gauge().DataPoints().All() {
			l.latest(p.Timestamp())
		}
	case pmetric.MetricTypeSum:
		for _, p := range m.Sum().DataPoints().All() {
			l.latest(p.Timestamp())
		}
	case pmetric.MetricTypeHistogram:
		for _, p := range m.Histogram().DataPoints().All() {
			l.latest(p.Timestamp())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, p := range m.ExponentialHistogram().DataPoints().All() {
			l.latest(p.Timestamp())
		}
	case pmetric.MetricTypeSummary:
		for _, p := range m.Summary().DataPoints().All() {
			l.latest(p.Timestamp())
		}
	}
}
