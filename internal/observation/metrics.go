// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Who is alive when a metric's point arrives? Whoever sent it: the SDK inside
// the process, or the agent that looked at it from outside. Only the first is a
// sign of the resource's own life. An agent's points about others (kubelet,
// Docker, host) go on when the others are dead, and so do those that a connector
// makes of past spans under the name of the service that sent them. A scrape is
// the target's own answer, unless `up` says that it failed: then all other
// points of it are markers without a value.

const contribScope = "github.com/open-telemetry/opentelemetry-collector-contrib/"

// secondHand says whether a scope's metrics are about others than their sender.
func secondHand(scope string) bool {
	switch {
	case scraped(scope):
		return false
	case strings.HasPrefix(scope, contribScope), strings.HasPrefix(scope, "otelcol/"),
		strings.HasPrefix(scope, "go.opentelemetry.io/obi"), strings.HasPrefix(scope, "github.com/grafana/beyla"),
		strings.HasSuffix(scope, "connector"), scope == "traces_service_graph":
		return true
	}
	return false
}

// scraped says whether a scope is the prometheus receiver's.
func scraped(scope string) bool {
	return scope == contribScope+"receiver/prometheusreceiver" || scope == "otelcol/prometheusreceiver"
}

// metricResource is one resource of a batch of metrics.
type metricResource struct {
	x     *Extractor
	now   clock.Time
	out   *report.Batch
	bl    *engine.Baselines
	attrs pcommon.Map
	id    sourceID
	src   *report.Source // nil if the resource names neither service nor host

	scope      string
	down       bool              // a scrape of it failed
	alive      bool              // it has sent a point of its own
	dated      pcommon.Timestamp // of that point
	firstUp    int               // index of its first scrape result in out.Probes
	firstLevel int               // index of its first level in out.Levels
	firstQueue int               // index of its first queue in out.Queues
	took       time.Duration
	checks     []httpCheck
	levels     []level
	levelAt    map[levelKey]int // place in levels

	// Whom the resource speaks of, see owners.go.
	self      *report.Source
	address   string
	looked    bool
	metrics   pmetric.MetricSlice // of the current scope
	nodeName  string              // as node_exporter tells it
	unameRead bool
	fallen    fallen
}

// Metrics adds to b what metrics show: signs of life, results of scrapes and
// checks, what supervisors count, how full things are, how long queues are, and
// calls that were counted. now is the time on the engine's clock, bl how long
// calls usually take; it may be nil. md is only read and not kept.
func (x *Extractor) Metrics(md pmetric.Metrics, now clock.Time, bl *engine.Baselines, b *report.Batch) {
	resources := md.ResourceMetrics()
	firstSign := len(b.Signs)
	var r metricResource
	for i := range resources.Len() {
		rm := resources.At(i)
		attrs := rm.Resource().Attributes()
		r = metricResource{
			x: x, now: now, out: b, bl: bl, attrs: attrs, id: identify(attrs),
			firstUp: len(b.Probes), firstQueue: len(b.Queues), firstLevel: len(b.Levels),
			checks: r.checks[:0], levels: r.levels[:0],
		}
		r.src = x.source(&r.id)
		if r.id.podUID != "" && hostAndPort(r.id.instance) { // a scrape, named after its job
			if in := x.inPod(&r.id); in != nil && !in.Outside {
				r.src = in
			}
		}
		scopes := rm.ScopeMetrics()
		for j := range scopes.Len() {
			sm := scopes.At(j)
			if Own(sm.Scope()) {
				continue
			}
			r.scope = sm.Scope().Name()
			own := r.src != nil && r.src.Key != 0 && !secondHand(r.scope)
			metrics := sm.Metrics()
			r.metrics = metrics
			for k := range metrics.Len() {
				m := metrics.At(k)
				if read := metricReaders[m.Name()]; read != nil {
					read(&r, m)
					continue
				}
				if rules := levelMetrics[m.Name()]; rules != nil {
					r.levelOf(m, rules)
				} else if _, gc := gcMetrics[m.Name()]; gc {
					r.collections(m)
				} else if !r.queueOf(m) {
					r.callsOf(m)
				}
				if own {
					r.backwards(m)
				}
				if own && !r.alive && !strings.HasPrefix(m.Name(), "scrape_") {
					r.dated, r.alive = hasValue(m)
				}
			}
		}
		r.finish(firstSign)
		r.hostIPs()
	}
}

// finish adds what needed all of the resource's metrics.
func (r *metricResource) finish(firstSign int) {
	if r.took > 0 {
		for i := r.firstUp; i < len(r.out.Probes); i++ {
			r.out.Probes[i].RTT = r.took
		}
	}
	for i := range r.checks {
		r.checked(&r.checks[i])
	}
	r.remember()
	r.finishLevels()
	r.placed()
	r.finishFallen()
	if !r.alive || r.down {
		return
	}
	// The resources of one source mostly stand side by side.
	for i := len(r.out.Signs) - 1; i >= firstSign && i >= len(r.out.Signs)-8; i-- {
		if r.out.Signs[i].Source == r.src {
			return
		}
	}
	r.out.Signs = append(r.out.Signs, report.Sign{Source: r.src, At: r.now, Dated: clock.Time(min(r.dated, pcommon.Timestamp(r.now)))})
}

// hasValue says whether a metric's first few points hold a value, and are not
// mere markers of its absence, and the date of the first that does.
func hasValue(m pmetric.Metric) (dated pcommon.Timestamp, found bool) {
	const few = 8
	look := func(n int, point func(int) dataPoint) {
		for i := 0; i < min(n, few) && !found; i++ {
			p := point(i)
			dated, found = p.Timestamp(), !p.Flags().NoRecordedValue()
		}
	}
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		p := m.Gauge().DataPoints()
		look(p.Len(), func(i int) dataPoint { return p.At(i) })
	case pmetric.MetricTypeSum:
		p := m.Sum().DataPoints()
		look(p.Len(), func(i int) dataPoint { return p.At(i) })
	case pmetric.MetricTypeHistogram:
		p := m.Histogram().DataPoints()
		look(p.Len(), func(i int) dataPoint { return p.At(i) })
	case pmetric.MetricTypeExponentialHistogram:
		p := m.ExponentialHistogram().DataPoints()
		look(p.Len(), func(i int) dataPoint { return p.At(i) })
	case pmetric.MetricTypeSummary:
		p := m.Summary().DataPoints()
		look(p.Len(), func(i int) dataPoint { return p.At(i) })
	}
	return dated, found
}

// dataPoint is a point of any kind of metric.
type dataPoint interface {
	Timestamp() pcommon.Timestamp
	Flags() pmetric.DataPointFlags
}

// points calls f for the points of a gauge or sum that hold a value.
func points(m pmetric.Metric, f func(p pmetric.NumberDataPoint, value float64)) {
	var ps pmetric.NumberDataPointSlice
	switch m.Type() {
	case pmetric.MetricTypeGauge:
		ps = m.Gauge().DataPoints()
	case pmetric.MetricTypeSum:
		ps = m.Sum().DataPoints()
	default:
		return
	}
	for i := range ps.Len() {
		p := ps.At(i)
		switch {
		case p.Flags().NoRecordedValue():
		case p.ValueType() == pmetric.NumberDataPointValueTypeInt:
			f(p, float64(p.IntValue()))
		case p.ValueType() == pmetric.NumberDataPointValueTypeDouble:
			f(p, p.DoubleValue())
		}
	}
}

// past is a point's time, never after now.
func (r *metricResource) past(t pcommon.Timestamp) clock.Time {
	if t == 0 || t > pcommon.Timestamp(r.now) {
		return r.now
	}
	return clock.Time(t)
}

// attribute is a string attribute of a point, "" if it has none.
func attribute(p pmetric.NumberDataPoint, name string) string { return word(p.Attributes(), name) }

// word is an attribute that is a string, "" if there is none.
func word(attrs pcommon.Map, name string) string {
	if v, ok := attrs.Get(name); ok {
		return clip(v.Str())
	}
	return ""
}
