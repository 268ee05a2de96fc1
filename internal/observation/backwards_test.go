// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

func TestCountsThatRunBackwards(t *testing.T) {
	rising := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	for name, c := range map[string]struct {
		values []float64
		starts func(i int) int64
		facts  int
	}{
		"a fall after long good conduct": {append(append([]float64{}, rising...), 8, 9, 7), nil, 2},
		"a restart begins anew": {append(append([]float64{}, rising...), 0, 1), func(i int) int64 {
			if i >= 12 {
				return 2
			}
			return 1
		}, 0},
		"a gauge declared a count falls all the time": {[]float64{5, 2, 8, 3, 9, 1, 7, 2, 8, 3, 9, 1, 7, 2, 8, 3, 9, 1}, nil, 0},
		"a gauge that is emptied now and then":        {append(append(append([]float64{}, rising...), append([]float64{0}, rising...)...), 8, 9), nil, 0},
		"rounding":                                    {append(append([]float64{}, rising...), 11.95, 13), nil, 0},
		"a large count falls by little":               {append(append([]float64{}, rising...), 1e6, 1e6-100, 1e6-200), nil, 2},
		"two processes with one identity":             {[]float64{10, 1, 11, 2, 12, 3, 13, 4}, func(i int) int64 { return int64(i%2) + 1 }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			facts := 0
			for i, v := range c.values {
				start := int64(1)
				if c.starts != nil {
					start = c.starts(i)
				}
				md := pmetric.NewMetrics()
				rm := md.ResourceMetrics().AppendEmpty()
				rm.Resource().Attributes().PutStr("service.name", "shop")
				rm.Resource().Attributes().PutStr("service.instance.id", "shop-1")
				m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
				m.SetName("orders")
				s := m.SetEmptySum()
				s.SetIsMonotonic(true)
				s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				p := s.DataPoints().AppendEmpty()
				p.SetDoubleValue(v)
				p.SetStartTimestamp(pcommon.Timestamp(start))
				p.SetTimestamp(pcommon.Timestamp(1e18 + int64(i)*1e9))
				var b report.Batch
				x.Metrics(md, 2e18, nil, &b)
				facts += len(b.Facts)
			}
			assert.Equal(t, c.facts, facts)
		})
	}
}

func TestCountThatGoesBackAndForth(t *testing.T) {
	rising := []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}
	falls, twins, one := report.Fact{Kind: report.FactBackwards}, report.Fact{Kind: report.FactTwins}, report.Fact{Kind: report.FactTwins, Value: 1}
	for name, c := range map[string]struct {
		values []float64
		want   []report.Fact
	}{
		"by jumps":            {[]float64{8, 9, 14, 9, 15}, []report.Fact{falls, one, falls, one}},
		"by falls and climbs": {[]float64{8, 9, 10, 11, 12, 13, 8, 9, 10, 11, 12, 13, 14}, []report.Fact{falls, twins}},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			var got []report.Fact
			for i, v := range append(append([]float64{}, rising...), c.values...) {
				md := pmetric.NewMetrics()
				rm := md.ResourceMetrics().AppendEmpty()
				rm.Resource().Attributes().PutStr("service.name", "meter")
				rm.Resource().Attributes().PutStr("service.instance.id", "meter-1")
				m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
				m.SetName("energy")
				s := m.SetEmptySum()
				s.SetIsMonotonic(true)
				s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				p := s.DataPoints().AppendEmpty()
				p.SetDoubleValue(v)
				p.SetStartTimestamp(1)
				p.SetTimestamp(pcommon.Timestamp(1e18 + int64(i)*1e9))
				var b report.Batch
				x.Metrics(md, 2e18, nil, &b)
				for _, f := range b.Facts {
					got = append(got, report.Fact{Kind: f.Kind, Value: f.Value})
				}
			}
			assert.Equal(t, c.want, got)
		})
	}
}
