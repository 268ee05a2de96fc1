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

// counted makes a batch with counts of one process at a time.
func counted(at int, counts map[string]float64) pmetric.Metrics {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("service.name", "shop")
	rm.Resource().Attributes().PutStr("service.instance.id", "shop-1")
	metrics := rm.ScopeMetrics().AppendEmpty().Metrics()
	for name, v := range counts {
		m := metrics.AppendEmpty()
		m.SetName(name)
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		p := s.DataPoints().AppendEmpty()
		p.SetDoubleValue(v)
		p.SetStartTimestamp(1)
		p.SetTimestamp(pcommon.Timestamp(1e18 + int64(at)*1e9))
	}
	return md
}

func TestScrapeByAVirtualAddressShowsTwins(t *testing.T) {
	for name, values := range map[string][][]float64{
		"one_count_goes_back_and_forth":   {{5000, 4001, 5002, 4003, 5004}},
		"it_stays_with_one_for_a_while":   {{5000, 4001, 4002, 4003, 5004, 4004}},
		"several_counts_fall_at_one_time": {{5000, 4001, 4002}, {900, 800, 801}},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			var b report.Batch
			at := 0
			take := func(i int) {
				counts := map[string]float64{}
				for k, vs := range values {
					v := vs[max(i, 0)]
					if i < 0 {
						v += float64(i) // it rises for long before
					}
					counts[string(rune('a'+k))] = v
				}
				at++
				x.Metrics(counted(at, counts), 2e18, nil, &b)
			}
			for i := -20; i < len(values[0]); i++ {
				take(i)
			}
			falls, twins := 0, 0
			for _, f := range b.Facts {
				switch {
				case f.Kind == report.FactTwins:
					twins++
				case f.Kind == report.FactBackwards && twins == 0:
					falls++
				}
			}
			assert.Positive(t, twins, b.Facts)
			assert.LessOrEqual(t, falls, 1, "twice is proof, unless they are known to be two")
		})
	}
}
