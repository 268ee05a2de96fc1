// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/enginehost"
	"github.com/faultline-otel/faultline/receiver/failuremodelreceiver/internal/metadata"
	"github.com/faultline-otel/faultline/receiver/failuremodelreceiver/internal/metadatatest"
)

// fakeEngine says what a test tells it to.
type fakeEngine struct {
	component.StartFunc
	component.ShutdownFunc

	snapshot atomic.Pointer[verdict.Snapshot]

	mu          sync.Mutex // guards subscribers
	subscribers map[int]func(enginehost.Update)
	next        int
}

var _ enginehost.Engine = (*fakeEngine)(nil)

func (*fakeEngine) NewBatch() *report.Batch        { return &report.Batch{} }
func (*fakeEngine) Observe(*report.Batch)          {}
func (*fakeEngine) Now() clock.Time                { return t0 }
func (*fakeEngine) Dated(t clock.Time) clock.Time  { return t }
func (e *fakeEngine) Snapshot() *verdict.Snapshot  { return e.snapshot.Load() }
func (e *fakeEngine) Baselines() *engine.Baselines { return nil }

func (e *fakeEngine) Subscribe(f func(enginehost.Update)) (cancel func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := e.next
	e.next++
	e.subscribers[id] = f
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.subscribers, id)
	}
}

// say tells everybody events.
func (e *fakeEngine) say(events ...verdict.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.subscribers {
		f(enginehost.Update{Now: t0, Events: events})
	}
}

func (e *fakeEngine) listeners() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.subscribers)
}

// t0 is when the tests' failures begin.
const t0 = clock.Time(1_700_000_000_000_000_000)

// pipeline takes what the receiver sends, or refuses it.
type pipeline struct {
	refuse func(attempt int) error // nil accepts all
	spoil  bool                    // it changes what it gets before it refuses

	mu       sync.Mutex // guards all below
	attempts int
	logs     []plog.Logs
	metrics  []pmetric.Metrics
}

func (p *pipeline) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: true}
}

func (p *pipeline) take(take func()) error {
	p.mu.Lock()
	p.attempts++
	attempt := p.attempts
	p.mu.Unlock()
	if p.refuse != nil {
		if err := p.refuse(attempt); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	take()
	return nil
}

func (p *pipeline) ConsumeLogs(_ context.Context, ld plog.Logs) error {
	err := p.take(func() { p.logs = append(p.logs, ld) })
	if err != nil && p.spoil {
		ld.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { return true })
	}
	return err
}

func (p *pipeline) ConsumeMetrics(_ context.Context, md pmetric.Metrics) error {
	return p.take(func() { p.metrics = append(p.metrics, md) })
}

// records are all log records that it took, in order.
func (p *pipeline) records() []plog.LogRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []plog.LogRecord
	for _, ld := range p.logs {
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					out = append(out, lr)
				}
			}
		}
	}
	return out
}

func (p *pipeline) bodies() []string {
	var out []string
	for _, lr := range p.records() {
		out = append(out, lr.Body().Str())
	}
	return out
}

func (p *pipeline) collections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.metrics)
}

// bench is a receiver in a logs and a metrics pipeline, with a fake engine.
type bench struct {
	*fakeEngine
	telemetry *componenttest.Telemetry
	said      *observer.ObservedLogs
	settings  receiver.Settings
	factory   receiver.Factory
	config    *Config
	host      component.Host

	events, states pipeline
	logs           receiver.Logs
	metrics        receiver.Metrics
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{
		fakeEngine: &fakeEngine{subscribers: map[int]func(enginehost.Update){}},
		telemetry:  componenttest.NewTelemetry(), factory: NewFactory(),
	}
	t.Cleanup(func() { require.NoError(t, b.telemetry.Shutdown(context.Background())) })
	b.host = &engineHost{map[component.ID]component.Component{component.NewID(metadata.Type): b.fakeEngine}}
	b.settings = metadatatest.NewSettings(b.telemetry)
	core, said := observer.New(zap.WarnLevel)
	b.settings.Logger, b.said = zap.New(core), said
	b.settings.Resource.Attributes().PutStr("service.name", "otelcol-faultline")
	b.settings.BuildInfo.Version = "9.9.9"
	b.config = createDefaultConfig().(*Config)
	var err error
	b.logs, err = b.factory.CreateLogs(t.Context(), b.settings, b.config, &b.events)
	require.NoError(t, err)
	b.metrics, err = b.factory.CreateMetrics(t.Context(), b.settings, b.config, &b.states)
	require.NoError(t, err)
	t.Cleanup(func() { b.end(t) })
	return b
}

// start starts the receiver as the Collector does: once for each signal.
func (b *bench) start(t *testing.T) {
	t.Helper()
	require.NoError(t, b.logs.Start(t.Context(), b.host))
	require.NoError(t, b.metrics.Start(t.Context(), b.host))
}

func (b *bench) end(t *testing.T) {
	t.Helper()
	require.NoError(t, b.logs.Shutdown(context.Background()))
	require.NoError(t, b.metrics.Shutdown(context.Background()))
}

// lines writes metrics as "name kind unit {attributes} value", one point each.
func lines(md pmetric.Metrics) []string {
	var out []string
	for _, rm := range md.ResourceMetrics().All() {
		for _, sm := range rm.ScopeMetrics().All() {
			for _, m := range sm.Metrics().All() {
				kind, dps := "gauge", dataPoints(m)
				if m.Type() == pmetric.MetricTypeSum {
					kind = "sum"
					if m.Sum().IsMonotonic() {
						kind = "counter"
					}
					if m.Sum().AggregationTemporality() != pmetric.AggregationTemporalityCumulative {
						kind += " not cumulative"
					}
				}
				for _, dp := range dps.All() {
					value := fmt.Sprint(dp.DoubleValue())
					if dp.ValueType() == pmetric.NumberDataPointValueTypeInt {
						value = fmt.Sprint(dp.IntValue(), "i")
					}
					out = append(out, fmt.Sprintf("%s %s [%s] %s %s", m.Name(), kind, m.Unit(), attributes(dp.Attributes()), value))
				}
			}
		}
	}
	return out
}

func dataPoints(m pmetric.Metric) pmetric.NumberDataPointSlice {
	if m.Type() == pmetric.MetricTypeSum {
		return m.Sum().DataPoints()
	}
	return m.Gauge().DataPoints()
}

func attributes(m pcommon.Map) string {
	raw := m.AsRaw()
	out := "{"
	for _, k := range slices.Sorted(maps.Keys(raw)) {
		out += fmt.Sprintf(" %s=%v", k, raw[k])
	}
	return out + " }"
}

// crashOf is a crash of an instance of payment.
func crashOf(instance string) *verdict.Verdict {
	return &verdict.Verdict{
		Class: verdict.ClassCrash, Subclass: "process_exit", Confidence: 0.9, Incident: "i-1",
		Culprit: verdict.Culprit{
			Type: verdict.CulpritInstance, Name: instance, Instance: instance,
			Service: report.ServiceID{Name: "payment", Namespace: "shop"},
		},
		Reason: "exited with 137", Evidence: []string{"exit status 137", "refused"}, RuledOut: []string{"network_partition: its host answers"},
		Since: t0, Decided: t0,
	}
}

func detected(body string) verdict.Event {
	return verdict.Event{Kind: contract.EventFailureDetected, At: t0, Verdict: crashOf("payment-1"), Body: body}
}

// holds is the reading of a verdict in force.
func holds(v *verdict.Verdict, detections uint64) verdict.Reading {
	return verdict.Reading{
		Culprit: v.Culprit, Class: v.Class, Active: true, Confidence: v.Confidence, Suspicion: 4.5, Detections: detections, Incident: v.Incident,
	}
}
