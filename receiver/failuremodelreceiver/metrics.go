// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/tags"
)

// stateMetrics writes the readings of a snapshot. The metrics are made by hand
// and not by a generated builder, because series come and go with verdicts.
func (r *failureModel) stateMetrics(s *verdict.Snapshot) pmetric.Metrics {
	md := pmetric.NewMetrics()
	if s == nil || len(s.Readings) == 0 {
		return md
	}
	rm := md.ResourceMetrics().AppendEmpty()
	r.settings.Resource.CopyTo(rm.Resource())
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scopeName)
	sm.Scope().SetVersion(r.settings.BuildInfo.Version)

	w := writer{now: pcommon.NewTimestampFromTime(time.Now()), start: pcommon.NewTimestampFromTime(r.began), metrics: sm.Metrics()}
	state := w.gauge(contract.MetricFailureState, "", "1 while the entity is the culprit of a failure of this class.")
	confidence := w.gauge(contract.MetricFailureConfidence, "1", "How sure the verdict is, 0 to 1.")
	suspicion := w.gauge(contract.MetricFailureSuspicion, "{decade}", "−log10 of the probability that a silence this long is normal.")
	detections := w.sum(contract.MetricFailureDetections, "{failure}", "Failures that were detected.", true)
	active := w.sum(contract.MetricIncidentActive, "{incident}", "Incidents that are open.", false)

	incidents := map[verdict.Class]map[string]bool{}
	suspected := map[verdict.Culprit]bool{}
	for i := range s.Readings {
		rd := &s.Readings[i]
		on := 0.0
		if rd.Active {
			on = 1
		}
		dp := w.point(state, rd, true)
		dp.SetDoubleValue(on)
		dp.Attributes().PutStr(contract.FailureCulpritType, string(rd.Culprit.Type))
		dp.Attributes().PutStr(contract.FailureCulpritName, rd.Culprit.Name)
		w.point(confidence, rd, true).SetDoubleValue(rd.Confidence)
		w.point(detections, rd, true).SetIntValue(int64(rd.Detections))
		if !suspected[rd.Culprit] { // it has no class: once for a culprit of several
			suspected[rd.Culprit] = true
			w.point(suspicion, rd, false).SetDoubleValue(rd.Suspicion)
		}
		if incidents[rd.Class] == nil {
			incidents[rd.Class] = map[string]bool{}
		}
		if rd.Active {
			incidents[rd.Class][rd.Incident] = true
		}
	}
	for _, class := range []verdict.Class{verdict.ClassCrash, verdict.ClassPartition, verdict.ClassByzantine, verdict.ClassExhaustion, verdict.ClassUnknown} {
		if open := incidents[class]; open != nil {
			dp := w.add(active)
			dp.SetIntValue(int64(len(open)))
			dp.Attributes().PutStr(contract.FailureClass, string(class))
		}
	}
	return md
}

// writer makes metrics with common times.
type writer struct {
	now, start pcommon.Timestamp
	metrics    pmetric.MetricSlice
}

func (w *writer) metric(name, unit, description string) pmetric.Metric {
	m := w.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	m.SetDescription(description)
	return m
}

func (w *writer) gauge(name, unit, description string) pmetric.NumberDataPointSlice {
	return w.metric(name, unit, description).SetEmptyGauge().DataPoints()
}

func (w *writer) sum(name, unit, description string, monotonic bool) pmetric.NumberDataPointSlice {
	s := w.metric(name, unit, description).SetEmptySum()
	s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	s.SetIsMonotonic(monotonic)
	return s.DataPoints()
}

func (w *writer) add(dps pmetric.NumberDataPointSlice) pmetric.NumberDataPoint {
	dp := dps.AppendEmpty()
	dp.SetTimestamp(w.now)
	dp.SetStartTimestamp(w.start)
	return dp
}

// point adds a point with the culprit's identity, and with its class if wanted.
// No two culprits may share a series: exporters refuse or merge the second.
func (w *writer) point(dps pmetric.NumberDataPointSlice, rd *verdict.Reading, class bool) pmetric.NumberDataPoint {
	dp := w.add(dps)
	attrs := dp.Attributes()
	if class {
		attrs.PutStr(contract.FailureClass, string(rd.Class))
	}
	c := &rd.Culprit
	tags.PutUnlessEmpty(attrs, "service.name", c.Service.Name)
	tags.PutUnlessEmpty(attrs, "service.namespace", c.Service.Namespace)
	tags.PutUnlessEmpty(attrs, "service.instance.id", c.Instance)
	tags.PutUnlessEmpty(attrs, "deployment.environment.name", c.Service.Environment)
	tags.PutUnlessEmpty(attrs, "k8s.cluster.name", c.Service.Cluster)
	if c.Instance == "" && c.Type != verdict.CulpritService {
		// Only its name tells the series of, say, an external or a version apart.
		attrs.PutStr(contract.FailureCulpritName, c.Name)
	}
	return dp
}
