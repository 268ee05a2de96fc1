// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// What others, or another Faultline, have written under our names is no evidence.
func TestContractAttributesFromOutsideAreNoEvidence(t *testing.T) {
	claims := attrs{
		contract.FailureClass: "byzantine", contract.FailureRole: "culprit", contract.FailureCulpritName: "payment-1",
		contract.FailureReason: "connection refused; no space left on device; too many open files", contract.FailureConfidence: 1.0,
		contract.IncidentID: "x", contract.AnomalyScore: 1.0, contract.JaegerWarnings: "panic: out of memory",
	}
	plain, claimed := report.Batch{}, report.Batch{}
	x := New(Settings{})
	for _, c := range []struct {
		with attrs
		b    *report.Batch
	}{{nil, &plain}, {claims, &claimed}} {
		td, s := spanOf(t, checkout, client, ptrace.StatusCodeOk, "", attrs{"server.address": "payment", "server.port": 8080})
		for k, v := range c.with {
			assert.NoError(t, s.Attributes().PutEmpty(k).FromRaw(v))
		}
		x.Traces(td, testNow, nil, c.b)
		ld := logOf(t, checkout, errorLevel, "it is late", c.with)
		x.Logs(ld, testNow, c.b)
		md, ms := metricsOf(t, checkout, "app")
		gauge(t, ms, "failure.state", 1, c.with)
		gauge(t, ms, "heartbeat.up", 0, c.with)
		x.Metrics(md, testNow, nil, c.b)
	}
	assert.Equal(t, plain, claimed)
	assert.Empty(t, claimed.Facts)
	assert.Empty(t, claimed.Probes)
}

// A relay that drops scopes, such as Prometheus between us and another engine,
// makes our own output look like anybody's metrics: at most a sign of life of the
// one who is scraped.
func TestOwnMetricsThatComeBackScrapedAreNoEvidence(t *testing.T) {
	md, ms := metricsOf(t, attrs{"service.name": "faultline", "service.instance.id": "gw:9464"}, promScope)
	for _, name := range []string{"failure_state", "failure_confidence_ratio", "heartbeat_up", "observer_health_ratio", "incident_active"} {
		gauge(t, ms, name, 1, attrs{"failure_class": "crash", "service_name": "payment", "service_instance_id": "payment-1"})
	}
	var b report.Batch
	New(Settings{}).Metrics(md, testNow, nil, &b)
	assert.Empty(t, b.Facts)
	assert.Empty(t, b.Probes)
	assert.Empty(t, b.Levels)
	for _, s := range b.Signs {
		assert.Equal(t, "faultline", s.Source.Service.Name)
	}
}

func TestSpansOfAbsurdTimes(t *testing.T) {
	for name, c := range map[string]struct{ start, end pcommon.Timestamp }{
		"never":               {0, 0},
		"before_it_began":     {pcommon.Timestamp(testNow), pcommon.Timestamp(testNow) - 1e9},
		"in_1970":             {1, 2},
		"in_a_hundred_years":  {pcommon.Timestamp(testNow) + 1e18, pcommon.Timestamp(testNow) + 1e18 + 1e9},
		"at_the_end_of_time":  {1, math.MaxUint64},
		"for_a_hundred_years": {1, pcommon.Timestamp(testNow)},
		"only_the_end":        {0, pcommon.Timestamp(testNow)},
	} {
		t.Run(name, func(t *testing.T) {
			td, s := spanOf(t, checkout, client, failed, "connection refused", attrs{"server.address": "payment", "server.port": 8080})
			s.SetStartTimestamp(c.start)
			s.SetEndTimestamp(c.end)
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			assert.Len(t, b.Calls, 1)
			for _, call := range b.Calls {
				assert.LessOrEqual(t, call.First, testNow)
				assert.LessOrEqual(t, call.Last, testNow)
				assert.GreaterOrEqual(t, call.First, clock.Time(0))
			}
			sane(t, &b, td.SpanCount())
		})
	}
}

func TestHugeValuesAreCutAndKeptByNobody(t *testing.T) {
	huge := long(1 << 20)
	td, s := spanOf(t, attrs{"service.name": huge, "service.instance.id": huge, "host.name": huge, "cloud.availability_zone": huge, "service.version": huge},
		client, failed, huge+" connection refused", attrs{"server.address": huge, "url.full": "http://" + huge, "peer.service": huge, "error.type": huge, "db.system": huge, "messaging.destination.name": huge})
	for range 1000 {
		e := s.Events().AppendEmpty()
		e.SetName("exception")
		e.Attributes().PutStr("exception.message", "x")
	}
	began := time.Now()
	x := New(Settings{})
	var b report.Batch
	x.Traces(td, testNow, nil, &b)
	x.Logs(logOf(t, checkout, errorLevel, huge+" no space left on device", attrs{"error": huge}), testNow, &b)
	assert.Less(t, time.Since(began), 20*time.Second, "and not by the square of the length")
	sane(t, &b, 2)
}

func TestMetricsThatAreNoNumbers(t *testing.T) {
	for _, v := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, math.MaxFloat64, -math.MaxFloat64} {
		e := engine.New(engine.DefaultParams())
		x := New(Settings{})
		now := testNow
		for range 20 {
			now = now.Add(time.Second)
			md, ms := metricsOf(t, checkout, promScope)
			for name := range levelMetrics {
				gauge(t, ms, name, v, attrs{"state": "used"})
			}
			for name, d := range queueMetrics {
				gauge(t, ms, name, v, attrs{d.name: "q", d.group: "g"})
			}
			for name := range metricReaders {
				gauge(t, ms, name, v, attrs{"http.url": "http://a:1/", "reason": "OOMKilled", "state": "used", "mountpoint": "/"})
			}
			m := ms.AppendEmpty()
			m.SetName("orders")
			sum := m.SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			p := sum.DataPoints().AppendEmpty()
			p.SetDoubleValue(v)
			p.SetStartTimestamp(1)
			p.SetTimestamp(pcommon.Timestamp(now))
			b := report.Batch{Arrived: now}
			x.Metrics(md, now, nil, &b)
			for _, f := range b.Facts {
				assert.NotEqual(t, report.FactBackwards, f.Kind)
			}
			e.Observe(&b)
			e.Tick(now)
		}
		for _, ev := range e.Events() {
			if ev.Verdict != nil && ev.Verdict.Class != verdict.ClassUnknown {
				t.Errorf("%v: %s", v, ev.Body)
			}
		}
	}
}

func TestCountsWithoutAStartAreNotFollowed(t *testing.T) {
	x := New(Settings{})
	for i, v := range []float64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 7, 6} {
		md := counted(i, map[string]float64{"orders": v})
		md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().At(0).Sum().DataPoints().At(0).SetStartTimestamp(0)
		var b report.Batch
		x.Metrics(md, 2e18, nil, &b)
		assert.Empty(t, b.Facts)
	}
}

// Event time that jumps back and forth between the calls of one process.
func TestEventTimeThatJumpsConvictsNobody(t *testing.T) {
	e := engine.New(engine.DefaultParams())
	x := New(Settings{})
	now := testNow
	for i := range 600 {
		now = now.Add(100 * time.Millisecond)
		td, s := spanOf(t, checkout, client, ptrace.StatusCodeOk, "", attrs{"server.address": "10.0.0.9", "server.port": 8080})
		at := pcommon.Timestamp(now)
		switch i % 4 {
		case 1:
			at -= 3600e9
		case 2:
			at += 3600e9
		case 3:
			at -= 30e9
		}
		s.SetStartTimestamp(at - 5e6)
		s.SetEndTimestamp(at)
		if i%50 == 1 { // an old failure, again and again
			s.Status().SetCode(ptrace.StatusCodeError)
			s.Status().SetMessage("connection refused")
		}
		b := report.Batch{Arrived: now}
		x.Traces(td, now, nil, &b)
		e.Observe(&b)
		e.Tick(now)
	}
	for _, ev := range e.Events() {
		if ev.Verdict != nil {
			t.Error(ev.Body)
		}
	}
}
