// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
)

// exportMetrics hands on the metrics of the contract at their interval.
func (r *heartbeatReceiver) exportMetrics(ctx context.Context) {
	ticker := time.NewTicker(r.cfg.MetricsInterval)
	defer ticker.Stop()
	var all []sender
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		at := r.now()
		all = r.senders.snapshot(at.now, all[:0])
		for rest, first := all, true; first || len(rest) > 0; first = false {
			part := rest[:min(len(rest), maxPartSenders)]
			rest = rest[len(part):]
			md := pmetric.NewMetrics()
			p := newPage(md, r, at.now)
			p.senders(part)
			if first {
				p.targets(r.targets)
				p.self(r.refusedTotal.Load(), r.health.value())
			}
			p.drop()
			obsCtx := r.obsrep.StartMetricsOp(ctx) // a shutdown does not wait for them
			n := md.DataPointCount()
			err := r.metrics.ConsumeMetrics(obsCtx, md)
			r.obsrep.EndMetricsOp(obsCtx, metadata.Type.String(), n, err)
			if err != nil && ctx.Err() == nil {
				r.set.Logger.Warn("The pipeline did not take the metrics", zap.Int("points", n), zap.Error(err))
			}
		}
		clear(all) // lets go of those forgotten meanwhile
	}
}

// maxPartSenders bounds one batch of metrics.
const maxPartSenders = 5000

// page is one batch of metrics while it is written.
type page struct {
	r        *heartbeatReceiver
	now      time.Time
	metrics  pmetric.MetricSlice
	up       pmetric.NumberDataPointSlice
	checks   pmetric.NumberDataPointSlice
	interval pmetric.NumberDataPointSlice
	rtt      pmetric.NumberDataPointSlice
	skew     pmetric.NumberDataPointSlice
	missed   pmetric.NumberDataPointSlice
	refused  pmetric.NumberDataPointSlice
	health   pmetric.NumberDataPointSlice
}

func newPage(md pmetric.Metrics, r *heartbeatReceiver, now time.Time) *page {
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr(attrHost, r.host)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(metadata.ScopeName)
	p := &page{r: r, now: now, metrics: sm.Metrics()}
	p.up = p.gauge(contract.MetricHeartbeatUp, "", "1 while heartbeats come or the latest probe went well, else 0.")
	p.checks = p.sum(contract.MetricHeartbeatChecks, "{check}", "Probes, by outcome.")
	p.interval = p.gauge(contract.MetricHeartbeatInterval, "s", "Time between heartbeats or probes: as declared, else as seen.")
	p.rtt = p.gauge(contract.MetricHeartbeatRTT, "s", "Duration of the latest probe.")
	p.skew = p.gauge(contract.MetricHeartbeatClockSkew, "s", "The sender's clock less the observer's, the way included.")
	p.missed = p.sum(contract.MetricHeartbeatMissed, "{heartbeat}", "Heartbeats that were due and did not come.")
	p.refused = p.sum(contract.MetricHeartbeatRefused, "{heartbeat}", "Heartbeats that the observer refused.")
	p.health = p.gauge(contract.MetricObserverHealth, "1", "How far the observer can be trusted: 1 is well.")
	return p
}

func (p *page) metric(name, unit, description string) pmetric.Metric {
	m := p.metrics.AppendEmpty()
	m.SetName(name)
	m.SetUnit(unit)
	m.SetDescription(description)
	return m
}

func (p *page) gauge(name, unit, description string) pmetric.NumberDataPointSlice {
	return p.metric(name, unit, description).SetEmptyGauge().DataPoints()
}

func (p *page) sum(name, unit, description string) pmetric.NumberDataPointSlice {
	s := p.metric(name, unit, description).SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	return s.DataPoints()
}

// drop removes the metrics that have no points.
func (p *page) drop() {
	p.metrics.RemoveIf(func(m pmetric.Metric) bool {
		if m.Type() == pmetric.MetricTypeSum {
			return m.Sum().DataPoints().Len() == 0
		}
		return m.Gauge().DataPoints().Len() == 0
	})
}

// point appends a point about id (nil: the observer itself).
func (p *page) point(dst pmetric.NumberDataPointSlice, id *identity, target string) pmetric.NumberDataPoint {
	dp := dst.AppendEmpty()
	dp.SetTimestamp(pcommon.NewTimestampFromTime(p.now))
	attrs := dp.Attributes()
	attrs.EnsureCapacity(5)
	attrs.PutStr(contract.HeartbeatObserver, p.r.observer)
	putStr(attrs, contract.HeartbeatTarget, target)
	if id == nil {
		return dp
	}
	putStr(attrs, attrService, id.service)
	putStr(attrs, attrNamespace, id.namespace)
	putStr(attrs, attrInstance, id.instance)
	putStr(attrs, attrEnvironment, id.environment)
	if id.instance == "" {
		putStr(attrs, attrHost, id.host) // what tells two apart, as in the table of senders
	}
	return dp
}

func (p *page) senders(all []sender) {
	for i := range all {
		s := &all[i]
		p.point(p.up, s.id, s.label).SetIntValue(oneIf(s.up(p.now)))
		if usual := s.interval(); usual > 0 {
			p.point(p.interval, s.id, s.label).SetDoubleValue(usual.Seconds())
		}
		if s.hasSkew {
			p.point(p.skew, s.id, s.label).SetDoubleValue(s.skew.Seconds())
		}
		dp := p.point(p.missed, s.id, s.label)
		dp.SetStartTimestamp(pcommon.NewTimestampFromTime(s.since))
		dp.SetIntValue(s.missed + s.overdue(p.now))
	}
}

func (p *page) targets(all []*target) {
	for _, t := range all {
		t.mu.Lock()
		for outcome, n := range t.checks {
			dp := p.point(p.checks, t.id, t.name)
			dp.Attributes().PutStr(contract.HeartbeatOutcome, outcome)
			dp.SetStartTimestamp(pcommon.NewTimestampFromTime(p.r.began))
			dp.SetIntValue(n)
		}
		if latest := t.latest; latest.Outcome != "" {
			p.point(p.up, t.id, t.name).SetIntValue(oneIf(latest.Outcome == contract.OutcomeOK))
			p.point(p.interval, t.id, t.name).SetDoubleValue(t.interval.Seconds())
			if latest.RTT > 0 {
				p.point(p.rtt, t.id, t.name).SetDoubleValue(latest.RTT.Seconds())
			}
		}
		t.mu.Unlock()
	}
}

func (p *page) self(refused int64, health float64) {
	dp := p.point(p.refused, nil, "")
	dp.SetStartTimestamp(pcommon.NewTimestampFromTime(p.r.began))
	dp.SetIntValue(refused)
	p.point(p.health, nil, "").SetDoubleValue(health)
}

func oneIf(yes bool) int64 {
	if yes {
		return 1
	}
	return 0
}
