// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/observation"
)

// metrics is the processor of one metrics pipeline.
type metrics struct {
	member
	next consumer.Metrics
}

// Capabilities says whether points may be written to: by default they are not,
// because an added label makes a new Prometheus series.
func (m *metrics) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: m.annotates()}
}

func (m *metrics) annotates() bool {
	return m.config.Annotate.Enabled && m.config.Annotate.Metrics == metricsDatapoint
}

// ConsumeMetrics shows the engine what passes and, where that is wanted, writes
// the class on the points of those with a verdict.
func (m *metrics) ConsumeMetrics(ctx context.Context, md pmetric.Metrics) error {
	now := m.engine.Now()
	if m.config.Observe {
		b := m.engine.NewBatch()
		b.Arrived = now
		m.extractor.Metrics(md, now, m.engine.Baselines(), b)
		m.engine.Observe(b)
	}
	if m.annotates() {
		if snapshot := m.engine.Snapshot(); !snapshot.Empty() {
			m.annotate(md, snapshot, now)
		}
	}
	return m.next.ConsumeMetrics(ctx, md)
}

func (m *metrics) annotate(md pmetric.Metrics, snapshot *verdict.Snapshot, now clock.Time) {
	for _, rm := range md.ResourceMetrics().All() {
		v := snapshot.Verdict(m.extractor.Source(rm.Resource()), now)
		if v == nil || !v.Holds() {
			continue
		}
		for _, sm := range rm.ScopeMetrics().All() {
			if observation.Own(sm.Scope()) {
				continue
			}
			for _, metric := range sm.Metrics().All() {
				eachPoint(metric, func(attrs pcommon.Map) {
					attrs.PutStr(contract.FailureClass, string(v.Class))
					attrs.PutDouble(contract.FailureConfidence, v.Confidence)
				})
			}
		}
	}
}

// eachPoint calls f with the attributes of every data point of a metric.
func eachPoint(m pmetric.Metric, f func(pcommon.Map)) {
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		for _, dp := range m.Gauge().DataPoints().All() {
			f(dp.Attributes())
		}
	case pmetric.MetricTypeSum:
		for _, dp := range m.Sum().DataPoints().All() {
			f(dp.Attributes())
		}
	case pmetric.MetricTypeHistogram:
		for _, dp := range m.Histogram().DataPoints().All() {
			f(dp.Attributes())
		}
	case pmetric.MetricTypeExponentialHistogram:
		for _, dp := range m.ExponentialHistogram().DataPoints().All() {
			f(dp.Attributes())
		}
	case pmetric.MetricTypeSummary:
		for _, dp := range m.Summary().DataPoints().All() {
			f(dp.Attributes())
		}
	}
}
