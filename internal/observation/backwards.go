// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"fmt"
	"math"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine"
)

// Counts that only rise cannot fall while their process runs: one that does is
// a lie or a corrupted memory. Instruments that were declared wrongly, such as
// the Python runtime's count of objects since the last collection, fall all the
// time or back to nothing; whoever did so once is not followed any more.

// counts remembers the latest of many counts in a table of fixed size: two that
// meet in a slot displace each other and begin anew.
type counts struct {
	mu    sync.Mutex
	slots []countSlot
}

type countSlot struct {
	key   uint64
	value float64
	start pcommon.Timestamp
	at    pcommon.Timestamp
	rises uint8 // at most risesEnough; noCount: it is no count
}

const (
	countSlots  = 1 << 15
	countPoints = 32 // of one metric that are followed
	// risesEnough is how often a count must have risen before its fall counts.
	risesEnough = 10
	// fallFrom is by what part of itself, and at least by one, a count must fall:
	// less is rounding.
	fallFrom = 1e-6
	// resetTo is the part of itself below which a count has begun anew.
	resetTo = 0.5
	noCount = math.MaxUint8
)

// backwards looks whether a count of the resource's own process fell.
func (r *metricResource) backwards(m pmetric.Metric) {
	if m.Type() != pmetric.MetricTypeSum || !m.Sum().IsMonotonic() ||
		m.Sum().AggregationTemporality() != pmetric.AggregationTemporalityCumulative || r.src.Instance == "" {
		return
	}
	points := m.Sum().DataPoints()
	c := &r.x.counts
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.slots == nil {
		c.slots = make([]countSlot, countSlots)
	}
	base := mixString(mix(r.src.Key, r.src.Incarnation), m.Name())
	for i := range min(points.Len(), countPoints) {
		p := points.At(i)
		if p.StartTimestamp() == 0 || p.Flags().NoRecordedValue() {
			continue
		}
		v := p.DoubleValue()
		if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
			v = float64(p.IntValue())
		}
		key := base
		for k, a := range p.Attributes().All() {
			key += mixString(mixString(0, k), a.AsString()) // in any order
		}
		s := &c.slots[key%countSlots]
		if s.key != key || s.start != p.StartTimestamp() {
			*s = countSlot{key: key, value: v, start: p.StartTimestamp(), at: p.Timestamp()}
			continue
		}
		if p.Timestamp() <= s.at {
			continue // overtaken, or sent twice
		}
		if fall := s.value - v; fall > math.Max(1, fallFrom*s.value) {
			switch {
			case s.rises != risesEnough || v < resetTo*s.value:
				s.rises = noCount
			default:
				r.out.Facts = append(r.out.Facts, engine.Fact{
					Source: r.src, Kind: engine.FactBackwards, At: r.past(p.Timestamp()),
					Text: fmt.Sprintf("its count %s fell from %g to %g in one run of the process", own(cut(m.Name(), maxName)), s.value, v),
				})
			}
		} else if v > s.value && s.rises < risesEnough {
			s.rises++
		}
		s.value, s.at = v, p.Timestamp()
	}
}
