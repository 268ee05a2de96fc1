// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Calls as metrics count them, for those who send metrics and no spans: how many
// ended in which way since the point before, and whether they took far longer on
// average than is usual. The engine does not heed them where spans tell the same.

// callsOf reads a metric that counts calls, if m is one.
func (r *metricResource) callsOf(m pmetric.Metric) {
	c, ok := callMetrics[m.Name()]
	if !ok {
		return
	}
	src, _ := r.owner(itsResource, pcommon.Map{})
	if src == nil || src.Key == 0 {
		return
	}
	told := callTold{r: r, metric: &c, name: m.Name(), src: src}
	if m.Name() != "istio_requests_total" {
		told.read(m)
		told.finish()
		return
	}
	told.src = r.besides(m, src, "destination")
	told.read(m)
	told.finish()
	told = callTold{r: r, metric: &istioRequests, name: m.Name(), src: r.besides(m, src, "source")}
	told.read(m)
}

// besides is beside whom the proxy of a mesh stands, at one end of its calls. Proxies are
// often scraped together, under one name that is no service's.
func (r *metricResource) besides(m pmetric.Metric, src *report.Source, end string) *report.Source {
	if !hostAndPort(src.Instance) {
		return src // the service's own telemetry is known
	}
	name := ""
	points(m, func(p pmetric.NumberDataPoint, _ float64) {
		if name == "" && attribute(p, "reporter") == end {
			name = first(p.Attributes(), []string{end + "_canonical_service", end + "_app", end + "_workload"})
		}
	})
	if name == "" || name == "unknown" || name == src.Service.Name {
		return src
	}
	id := r.id
	id.name = name
	return r.x.source(&id)
}

// finish adds the calls that were served.
func (c *callTold) finish() {
	if c.served.OK+c.served.Failed > 0 {
		c.served.Source, c.served.Counted, c.served.Bare = c.src, true, c.metric.keys == goKit || c.metric.keys == grpcProm
		c.r.out.Served = append(c.r.out.Served, c.served)
	}
}

// callTold is what one metric tells of calls.
type callTold struct {
	r      *metricResource
	metric *callMetric
	name   string
	src    *report.Source
	served report.Served
	v      view

	// Of sums, see fresh: of all series together, and of those that were told before.
	total, added float64
	at           pcommon.Timestamp
	new          []newSeries
}

// newSeries is a sum that is told for the first time.
type newSeries struct {
	attrs      pcommon.Map
	count, sum float64
	at         pcommon.Timestamp
}

// read takes in the points of a metric. Only what came since the point before is
// told: the sums began when nobody listened.
func (c *callTold) read(m pmetric.Metric) {
	c.points(m)
	c.fresh()
}

// fresh tells of the series that are new: the first failure of its kind makes one. If
// what they hold is what all series together gained beyond those that were known, they
// have begun since.
func (c *callTold) fresh() {
	if c.at == 0 {
		return
	}
	key := mix(c.key(), 7)
	gained, over, ok := c.r.x.meters.since(key, c.total, c.at, c.r.now)
	held := 0.0
	for i := range c.new {
		held += c.new[i].count
	}
	if !ok || held > gained-c.added+0.5 {
		return
	}
	for i := range c.new {
		if s := &c.new[i]; s.count >= 1 {
			last := c.r.past(s.at)
			c.calls(s.attrs, int(min(s.count, 1<<30)), s.sum/s.count*c.metric.scale, last.Add(min(1-over, 0)), last)
		}
	}
}

// key is that of all series of the metric.
func (c *callTold) key() uint64 {
	return mixString(mixString(mix(mix(5, c.src.Key), uint64(c.metric.kind)), c.name), c.r.scope)
}

func (c *callTold) points(m pmetric.Metric) {
	switch m.Type() {
	case pmetric.MetricTypeSum:
		if m.Sum().IsMonotonic() {
			delta := m.Sum().AggregationTemporality() == pmetric.AggregationTemporalityDelta
			ps := m.Sum().DataPoints()
			for i := range ps.Len() {
				p := ps.At(i)
				v := p.DoubleValue()
				if p.ValueType() == pmetric.NumberDataPointValueTypeInt {
					v = float64(p.IntValue())
				}
				c.point(p.Attributes(), v, 0, p.StartTimestamp(), p.Timestamp(), delta, p.Flags())
			}
		}
	case pmetric.MetricTypeHistogram:
		delta := m.Histogram().AggregationTemporality() == pmetric.AggregationTemporalityDelta
		ps := m.Histogram().DataPoints()
		for i := range ps.Len() {
			p := ps.At(i)
			c.point(p.Attributes(), float64(p.Count()), p.Sum(), p.StartTimestamp(), p.Timestamp(), delta, p.Flags())
		}
	case pmetric.MetricTypeExponentialHistogram:
		delta := m.ExponentialHistogram().AggregationTemporality() == pmetric.AggregationTemporalityDelta
		ps := m.ExponentialHistogram().DataPoints()
		for i := range ps.Len() {
			p := ps.At(i)
			c.point(p.Attributes(), float64(p.Count()), p.Sum(), p.StartTimestamp(), p.Timestamp(), delta, p.Flags())
		}
	case pmetric.MetricTypeSummary:
		ps := m.Summary().DataPoints()
		for i := range ps.Len() {
			p := ps.At(i)
			c.point(p.Attributes(), float64(p.Count()), p.Sum(), p.StartTimestamp(), p.Timestamp(), false, p.Flags())
		}
	}
}

// point takes in one series: count calls that took sum together.
func (c *callTold) point(attrs pcommon.Map, count, sum float64, start, at pcommon.Timestamp, delta bool, flags pmetric.DataPointFlags) {
	if flags.NoRecordedValue() || !(count >= 0) || count > 1<<53 {
		return
	}
	for i := range c.metric.keys.only {
		if !c.metric.keys.only[i].holds(attrs) {
			return
		}
	}
	if at == 0 {
		at = pcommon.Timestamp(c.r.now)
	}
	over := time.Duration(0)
	if delta {
		if start != 0 && start < at {
			over = time.Duration(at - start)
		}
	} else {
		key := c.key()
		for k, a := range attrs.All() {
			key += mixString(mixString(0, k), a.AsString()) // in any order
		}
		var known, timed bool
		s := newSeries{attrs, count, sum, at}
		first := !c.r.x.meters.knows(key)
		if count, over, known = c.r.x.meters.since(key, count, at, c.r.now); !known {
			count = 0
		}
		if c.metric.scale != 0 {
			if sum, _, timed = c.r.x.meters.since(mix(key, 1), sum, at, c.r.now); !timed {
				sum = 0
			}
		}
		c.total, c.added, c.at = c.total+s.count, c.added+count, max(c.at, at)
		if first && len(c.new) < maxNewSeries {
			c.new = append(c.new, s)
		}
	}
	if count < 1 {
		return
	}
	last := c.r.past(at)
	c.calls(attrs, int(min(count, 1<<30)), sum/count*c.metric.scale, last.Add(min(1-over, 0)), last)
}

// calls tells of calls that ended alike and took mean seconds each on average.
func (c *callTold) calls(attrs pcommon.Map, count int, mean float64, first, last clock.Time) {
	v := &c.v
	*v = view{}
	v.read(attrs)
	c.more(attrs)
	t := v.counted()
	outcome, failed := report.OutcomeOK, false
	switch {
	case c.metric.keys.answers && v.http < 0 && v.errorType == "":
		outcome, failed = report.OutcomeUnavailable, true // why is not told
	case v.errorType != "" || v.odd(false, ptrace.SpanKindUnspecified):
		outcome = v.outcome(v.errorType != "", &t)
		failed = outcome.Failed()
		if c.metric.kind == ptrace.SpanKindServer {
			failed = v.serverFails(outcome)
		}
	}
	var peer *callee
	if c.metric.kind == ptrace.SpanKindClient {
		id := v.calleeID(c.src)
		if peer = c.r.x.callee(id.sum(), &id); peer.none {
			return
		}
	}
	slow := 0
	if !failed && mean > 0 && mean < maxMean {
		slow = c.timed(attrs, peer, count, time.Duration(mean*float64(time.Second)))
	}
	took := time.Duration(0)
	if mean > 0 && mean < maxMean {
		took = time.Duration(min(count, timedMost<<20)) * underWay(time.Duration(mean*float64(time.Second)))
	}
	if peer != nil {
		c.r.out.Calls = append(c.r.out.Calls, report.Calls{
			Caller: c.src, Callee: peer.Callee, Outcome: outcome, Count: count, Slow: slow, First: first, Last: last, Took: took, Counted: true,
		})
		return
	}
	s := &c.served
	s.Last = max(s.Last, last)
	s.Took += took
	if !failed {
		s.OK += count
		s.Slow += slow
		return
	}
	s.Failed += count
	switch {
	case c.waited(attrs, mean):
		s.Waited += count
	case outcome == report.OutcomeServerError || outcome == report.OutcomeOther:
		s.Faults += count
	}
}

// waited says whether calls that failed took far longer on average than such calls
// usually do: they waited for something, as scratch.waited has it.
func (c *callTold) waited(attrs pcommon.Map, mean float64) bool {
	if mean <= 0 || mean >= maxMean {
		return false
	}
	d := time.Duration(mean * float64(time.Second))
	tail := c.r.bl.Of(c.timedKey(attrs, nil))
	return tail.Slow(d) || tail == nil && d >= waitedLong
}

// more reads what is written otherwise than the conventions have it.
func (c *callTold) more(attrs pcommon.Map) {
	v, k := &c.v, c.metric.keys
	if v.http < 0 {
		v.http = status(first(attrs, k.status))
	}
	if v.grpc < 0 {
		v.grpc = int32(grpcCode(first(attrs, k.grpc)))
	}
	if v.flags == "" {
		v.flags = first(attrs, k.flags)
	}
	if v.errorType == "" && v.http < 100 {
		if failure := first(attrs, k.failure); !strings.EqualFold(failure, "none") {
			v.errorType = failure
		}
	}
	if v.system == "" {
		v.system = first(attrs, k.system)
	}
	if v.serverPort == 0 {
		if port, ok := portNumber(first(attrs, k.port)); ok {
			v.serverPort = port
		}
	}
	if v.server == "" && v.peer == "" && v.peerService == "" && v.oldServer == "" {
		switch name := first(attrs, k.peer); {
		case name == "" || name == "none":
		case strings.Contains(name, "|"): // Envoy's clusters in a mesh: outbound|80||payment.shop.svc.cluster.local
			if parts := strings.Split(name, "|"); len(parts) == 4 && parts[0] == "outbound" {
				v.server = parts[3]
				if port, ok := portNumber(parts[1]); ok {
					v.serverPort = port
				}
			}
		case hostAndPort(name), strings.Contains(name, "."), v.serverPort > 0:
			v.server = strings.TrimPrefix(name, "dns:///")
		default:
			v.peerService = name
		}
	}
}

func first(attrs pcommon.Map, names []string) string {
	for _, name := range names {
		if v, ok := attrs.Get(name); ok {
			if s := text(v); s != "" {
				return s
			}
		}
	}
	return ""
}

// status reads a status code, or a class of them: 5xx.
func status(s string) int32 {
	if len(s) != 3 || s[0] < '1' || s[0] > '5' {
		return -1
	}
	if s[1] == 'x' && s[2] == 'x' {
		return int32(s[0]-'0') * 100
	}
	if n, ok := portNumber(s); ok {
		return n
	}
	return -1
}

// counted is what a point says in words of how its calls failed.
func (v *view) counted() texts {
	t := texts{status: -1, grpc: -1, coded: v.system != ""}
	if v.errorType == "" {
		return t
	}
	if n := status(v.errorType); n > 0 {
		t.status = n
	} else if v.grpc < 0 && v.http < 0 {
		t.grpc = int32(grpcCode(v.errorType))
	}
	t.take(v.errorType)
	return t
}

// serverFails says whether a server's answer is a failure of its own.
func (v *view) serverFails(o report.Outcome) bool {
	switch {
	case v.http >= 100:
		return v.http >= 500
	case v.grpc > 0 && v.grpc < numGRPC:
		return grpcServerFails>>v.grpc&1 != 0
	}
	return v.errorType != "" && o != report.OutcomeClientError && o != report.OutcomeCanceled
}

// timed learns how long calls of one kind take on average, and says how many are
// far slower than usual: all or none.
func (c *callTold) timed(attrs pcommon.Map, peer *callee, count int, mean time.Duration) int {
	key := c.timedKey(attrs, peer)
	for range min(count, timedMost) {
		c.r.out.Spans = append(c.r.out.Spans, report.SpanSample{Key: key, Duration: mean})
	}
	if c.r.bl.Of(key).Slow(mean) {
		return count
	}
	return 0
}

// timedKey names calls of one kind, whichever way they ended.
func (c *callTold) timedKey(attrs pcommon.Map, peer *callee) uint64 {
	to := ""
	if peer != nil {
		to = peer.peer
	}
	what := c.name
	for _, name := range [...]string{"http.route", "http_route", "uri", "rpc.method", "rpc_method", "method", "http.request.method", "http_request_method", "db.operation.name"} {
		what += " " + word(attrs, name)
	}
	return report.SpanKey(c.src.ServiceKey, cut(what, maxName), int32(c.metric.kind), to)
}

// maxNewSeries is how many series of a metric may begin at once.
const maxNewSeries = 64

// maxMean is the longest average in seconds that is believed.
const maxMean = 3600

// timedMost is as how many calls an average is learned.
const timedMost = 8
