// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"fmt"
	"math"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Counts that only rise cannot fall while their process runs: one that does is
// a lie or a corrupted memory. Instruments that were declared wrongly, such as
// the Python runtime's count of objects since the last collection, fall all the
// time or back to nothing; whoever did so once is not followed any more. Where
// several counts fall together, or one rises back to where it was, two processes
// are heard under one name: a scrape by a virtual address, a copied id. One that
// jumps back is followed on: heartbeats may tell that there is only one.

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
	rises uint8   // at most risesEnough; noCount: it is no count
	since uint8   // points since it fell, at most reboundsWithin; 0 if it did not
	high  float64 // before it fell
	low   float64 // after it
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
	// reboundsWithin so many points a count that is back where it was is another's.
	reboundsWithin = 8
	// jumpsBack is the part of its fall that a count makes good at once where two
	// states of it are told in turn.
	jumpsBack = 0.5
	noCount   = math.MaxUint8
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
				s.since, s.high, s.low = 1, s.value, v
				r.fell(m.Name(), s.value, v, p.Timestamp())
			}
		} else if v > s.value && s.rises < risesEnough {
			s.rises++
		}
		if s.since > 0 && s.rises == risesEnough && v >= s.high {
			s.since = 0
			if v-s.value < jumpsBack*(s.high-s.low) {
				s.rises = noCount // it goes up and down
			} else {
				r.fallen.jumps = true
			}
			r.fallen.twins = fmt.Sprintf("its count %s goes back and forth", own(cut(m.Name(), maxName)))
		} else if s.since > 0 {
			s.since = (s.since + 1) % (reboundsWithin + 1)
		}
		s.value, s.at = v, p.Timestamp()
	}
}

// fallen is which counts of one resource fell in a batch.
type fallen struct {
	fact  report.Fact
	name  string // of the metric that fell; "" if none
	twins string // why several processes must be heard; "" if one may be
	jumps bool   // that is one count, which is told in two states in turn
}

// fell notes that a count fell.
func (r *metricResource) fell(name string, from, to float64, at pcommon.Timestamp) {
	f := &r.fallen
	if f.name != "" && f.name != name {
		f.twins, f.jumps = "several of its counts fell together", false
		return
	}
	f.name = name
	f.fact = report.Fact{
		Source: r.src, Kind: report.FactBackwards, At: r.past(at),
		Text: fmt.Sprintf("its count %s fell from %g to %g in one run of the process", own(cut(name, maxName)), from, to),
	}
}

// finishFallen tells what the falls of a resource's counts mean.
func (r *metricResource) finishFallen() {
	switch f := &r.fallen; {
	case f.twins != "":
		twins := report.Fact{Source: r.src, Kind: report.FactTwins, At: r.now, Text: f.twins}
		if f.jumps {
			twins.Value = 1
		}
		r.out.Facts = append(r.out.Facts, twins)
	case f.name != "":
		r.out.Facts = append(r.out.Facts, f.fact)
	}
}
