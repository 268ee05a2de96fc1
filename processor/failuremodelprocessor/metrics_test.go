// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// points returns one metric of every kind with one point each.
func points(service, instance, scope string) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	identity(rm.Resource(), service, instance)
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scope)
	ms := sm.Metrics()
	ms.AppendEmpty().SetEmptyGauge().DataPoints().AppendEmpty().SetIntValue(1)
	ms.AppendEmpty().SetEmptySum().DataPoints().AppendEmpty().SetIntValue(1)
	ms.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty()
	ms.AppendEmpty().SetEmptyExponentialHistogram().DataPoints().AppendEmpty()
	ms.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty()
	return md
}

func TestWhichPointsAreTagged(t *testing.T) {
	cleared := verdictOf(verdict.ClassCrash)
	cleared.Until = t0
	for name, c := range map[string]struct {
		metrics                  string
		service, instance, scope string
		cleared                  bool
		want                     bool
	}{
		"none_by_default":          {metricsNone, "payment", "payment-1", "shop", false, false},
		"datapoint_of_culprit":     {metricsDatapoint, "payment", "payment-1", "shop", false, true},
		"datapoint_of_sibling":     {metricsDatapoint, "payment", "payment-2", "shop", false, false},
		"datapoint_once_cleared":   {metricsDatapoint, "payment", "payment-1", "shop", true, false},
		"datapoint_of_own_metrics": {metricsDatapoint, "payment", "payment-1", contract.ScopePrefix + "/x", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, func(cfg *Config) { cfg.Annotate.Metrics = c.metrics })
			b.convict(verdict.ClassCrash)
			if c.cleared {
				src := report.NewSource(report.Source{Service: cleared.Culprit.Service, Instance: "payment-1"})
				b.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{cleared}, []verdict.Target{{Instance: src.Key, Service: src.ServiceKey}}))
			}
			sink := new(consumertest.MetricsSink)
			p, err := b.factory.CreateMetrics(context.Background(), b.settings, b.config, sink)
			require.NoError(t, err)
			b.start(t, p)
			assert.Equal(t, c.metrics == metricsDatapoint, p.Capabilities().MutatesData)
			require.NoError(t, p.ConsumeMetrics(context.Background(), points(c.service, c.instance, c.scope)))
			tagged := 0
			for _, m := range sink.AllMetrics()[0].ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
				eachPoint(m, func(attrs pcommon.Map) {
					if attrs.Len() == 0 {
						return
					}
					tagged++
					assert.Equal(t, map[string]any{"failure.class": "crash", "failure.confidence": 0.9}, attrs.AsRaw())
				})
			}
			assert.Equal(t, map[bool]int{true: 5}[c.want], tagged)
		})
	}
}

func TestPipelinesOfOneIDShareACoreUntilTheLastLeaves(t *testing.T) {
	b := newBench(t, nil)
	create := func(cfg *Config) *traces {
		p, err := b.factory.CreateTraces(context.Background(), b.settings, cfg, consumertest.NewNop())
		require.NoError(t, err)
		return p.(*traces)
	}
	one, two := create(b.config), create(b.config)
	assert.Same(t, one.core, two.core)
	other := create(createDefaultConfig().(*Config))
	assert.NotSame(t, one.core, other.core)
	require.NoError(t, other.Shutdown(context.Background()))

	require.NoError(t, one.Shutdown(context.Background()))
	require.NoError(t, one.Shutdown(context.Background()), "twice is once")
	three := create(b.config)
	assert.Same(t, two.core, three.core, "two still holds it")
	require.NoError(t, two.Shutdown(context.Background()))
	require.NoError(t, three.Shutdown(context.Background()))
	four := create(b.config)
	assert.NotSame(t, one.core, four.core)
	require.NoError(t, four.Shutdown(context.Background()))
}

func TestStartNamesTheMissingEngine(t *testing.T) {
	b := newBench(t, nil)
	p, err := b.factory.CreateTraces(context.Background(), b.settings, b.config, consumertest.NewNop())
	require.NoError(t, err)
	err = p.Start(context.Background(), &engineHost{})
	assert.ErrorContains(t, err, `engine: extension "failure_model" is not started`)
	require.NoError(t, p.Shutdown(context.Background()))
}

func TestWhatIsKeptAndWhatIsNotTakenInIsTold(t *testing.T) {
	b := newBench(t, nil)
	p, _ := b.traces(t)
	require.NoError(t, p.ConsumeTraces(t.Context(), batch("checkout", "checkout-1", span(1, 1, 0, ptrace.SpanKindServer))))
	kept, err := b.telemetry.GetMetric("otelcol_processor_failure_model_names_kept")
	require.NoError(t, err)
	known := map[string]int64{}
	for _, dp := range kept.Data.(metricdata.Gauge[int64]).DataPoints {
		kind, _ := dp.Attributes.Value("kind")
		known[kind.AsString()] = dp.Value
	}
	assert.Equal(t, map[string]int64{"callee": 0, "pod": 1, "source": 1, "state": 0}, known)
	for _, name := range []string{"names_forgotten", "evidence_skipped"} {
		_, err := b.telemetry.GetMetric("otelcol_processor_failure_model_" + name)
		assert.NoError(t, err)
	}
}
