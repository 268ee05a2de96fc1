// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// timed adds a histogram of one series: count calls that took mean seconds each.
func timed(t testing.TB, ms pmetric.MetricSlice, name string, at clock.Time, count uint64, mean float64, a attrs) {
	m := ms.AppendEmpty()
	m.SetName(name)
	h := m.SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := h.DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.Timestamp(at))
	p.SetStartTimestamp(1)
	p.SetCount(count)
	p.SetSum(float64(count) * mean)
	a.putTo(t, p.Attributes())
}

func sum(t testing.TB, ms pmetric.MetricSlice, name string, at clock.Time, count float64, a attrs) {
	m := ms.AppendEmpty()
	m.SetName(name)
	s := m.SetEmptySum()
	s.SetIsMonotonic(true)
	s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := s.DataPoints().AppendEmpty()
	p.SetTimestamp(pcommon.Timestamp(at))
	p.SetDoubleValue(count)
	a.putTo(t, p.Attributes())
}

func TestCallsThatMetricsCount(t *testing.T) {
	histogram := func(name string, a attrs) func(*testing.T, pmetric.MetricSlice, clock.Time, uint64) {
		return func(t *testing.T, ms pmetric.MetricSlice, at clock.Time, n uint64) {
			timed(t, ms, name, at, n, 0.01, a)
		}
	}
	counter := func(name string, a attrs) func(*testing.T, pmetric.MetricSlice, clock.Time, uint64) {
		return func(t *testing.T, ms pmetric.MetricSlice, at clock.Time, n uint64) {
			sum(t, ms, name, at, float64(n), a)
		}
	}
	for name, c := range map[string]struct {
		fill           func(*testing.T, pmetric.MetricSlice, clock.Time, uint64)
		ok, bad, fault int            // served
		outcome        report.Outcome // of calls; unset: served
		callee         string
	}{
		"served":                                         {histogram("http.server.request.duration", attrs{"http.request.method": "GET", "http.response.status_code": 200}), 30, 0, 0, 0, ""},
		"served_a_failure_of_its_own":                    {histogram("http.server.request.duration", attrs{"http.response.status_code": 500, "error.type": "500"}), 0, 30, 30, 0, ""},
		"served_a_bad_request":                           {histogram("http.server.request.duration", attrs{"http.response.status_code": 404}), 30, 0, 0, 0, ""},
		"passed_on_a_failure":                            {histogram("http.server.request.duration", attrs{"http.response.status_code": 503, "error.type": "503"}), 0, 30, 0, 0, ""},
		"served_under_the_old_name":                      {histogram("http.server.duration", attrs{"http.status_code": 500}), 0, 30, 30, 0, ""},
		"served_by_spring":                               {histogram("http_server_requests_seconds", attrs{"status": "500", "outcome": "SERVER_ERROR", "exception": "None", "uri": "/pay"}), 0, 30, 30, 0, ""},
		"served_by_a_Go_program":                         {counter("http_requests_total", attrs{"code": "200", "method": "get"}), 30, 0, 0, 0, ""},
		"served_by_gRPC":                                 {counter("grpc_server_handled_total", attrs{"grpc_code": "Internal", "grpc_method": "Pay"}), 0, 30, 30, 0, ""},
		"served_a_wrong_argument":                        {counter("grpc_server_handled_total", attrs{"grpc_code": "InvalidArgument"}), 30, 0, 0, 0, ""},
		"called":                                         {histogram("http.client.request.duration", attrs{"http.response.status_code": 200, "server.address": "payment", "server.port": 8080}), 0, 0, 0, report.OutcomeOK, "payment:8080"},
		"called_and_was_refused":                         {histogram("http.client.request.duration", attrs{"error.type": "java.net.ConnectException: Connection refused", "server.address": "payment", "server.port": 8080}), 0, 0, 0, report.OutcomeRefused, "payment:8080"},
		"called_in_vain":                                 {histogram("http.client.request.duration", attrs{"error.type": "timeout", "server.address": "payment", "server.port": 8080}), 0, 0, 0, report.OutcomeTimeout, "payment:8080"},
		"called_and_turned_away":                         {histogram("http.client.duration", attrs{"http.status_code": 429, "net.peer.name": "payment", "net.peer.port": 8080}), 0, 0, 0, report.OutcomeOverloaded, "payment:8080"},
		"called_and_no_answer_came":                      {histogram("http.client.duration", attrs{"http.method": "GET", "net.peer.name": "payment", "net.peer.port": 8080}), 0, 0, 0, report.OutcomeUnavailable, "payment:8080"},
		"called_by_one_who_is_scraped":                   {histogram("http_client_duration_milliseconds", attrs{"http_method": "GET", "http_status_code": "200", "net_peer_name": "payment", "net_peer_port": "8080"}), 0, 0, 0, report.OutcomeOK, "payment:8080"},
		"called_by_gRPC":                                 {histogram("rpc.client.duration", attrs{"rpc.grpc.status_code": 8, "server.address": "payment", "server.port": 50051}), 0, 0, 0, report.OutcomeOverloaded, "payment:50051"},
		"asked_a_database":                               {histogram("db.client.operation.duration", attrs{"db.system.name": "postgresql", "server.address": "db", "server.port": 5432}), 0, 0, 0, report.OutcomeOK, "db:5432"},
		"called_in_vain_by_one_who_is_scraped":           {histogram("http_client_request_duration_seconds", attrs{"error_type": "java.net.SocketTimeoutException", "server_address": "payment", "server_port": "8080"}), 0, 0, 0, report.OutcomeTimeout, "payment:8080"},
		"asked_a_database_and_is_scraped":                {histogram("db_client_operation_duration_seconds", attrs{"error_type": "Connection refused", "server_address": "db", "server_port": "5432"}), 0, 0, 0, report.OutcomeRefused, "db:5432"},
		"called_by_spring_in_vain":                       {histogram("http_client_requests_seconds", attrs{"status": "IO_ERROR", "outcome": "UNKNOWN", "exception": "HttpConnectTimeoutException", "client_name": "payment"}), 0, 0, 0, report.OutcomeConnectTimeout, "payment"},
		"called_by_spring":                               {histogram("http_client_requests_seconds", attrs{"status": "200", "outcome": "SUCCESS", "exception": "none", "error": "none", "client_name": "payment"}), 0, 0, 0, report.OutcomeOK, "payment"},
		"called_by_dotnet_and_no_name_was_found":         {histogram("http.client.request.duration", attrs{"error.type": "name_resolution_error", "server.address": "payment", "server.port": 8080}), 0, 0, 0, report.OutcomeDNS, "payment:8080"},
		"called_by_dotnet_and_why_it_failed_is_not_told": {histogram("http.client.request.duration", attrs{"error.type": "connection_error", "server.address": "payment", "server.port": 8080}), 0, 0, 0, report.OutcomeUnavailable, "payment:8080"},
		"a_proxy_asked_a_cluster":                        {counter("envoy_cluster_upstream_rq", attrs{"envoy_response_code": "503", "envoy_cluster_name": "outbound|80||payment.shop.svc.cluster.local"}), 0, 0, 0, report.OutcomeUnavailable, "payment.shop.svc.cluster.local:80"},
		"a_mesh_tells_at_the_source":                     {counter("istio_requests_total", attrs{"reporter": "source", "response_code": "0", "response_flags": "UF", "destination_service_name": "payment"}), 0, 0, 0, report.OutcomeUnavailable, "payment"},
		"a_mesh_tells_at_the_far_end":                    {counter("istio_requests_total", attrs{"reporter": "destination", "response_code": "200", "response_flags": "-"}), 30, 0, 0, 0, ""},
		"a_call_without_a_callee":                        {histogram("http.client.request.duration", attrs{"error.type": "timeout"}), 0, 0, 0, 0, ""},
		"a_metric_that_counts_no_call":                   {histogram("payment.amount", attrs{"http.response.status_code": 500}), 0, 0, 0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			var b report.Batch
			for round, n := range []uint64{1000, 1030} {
				at := testNow.Add(time.Duration(round) * 15 * time.Second)
				md, ms := metricsOf(t, checkout, "app")
				c.fill(t, ms, at, n)
				b = report.Batch{}
				x.Metrics(md, at, nil, &b)
				if round == 0 {
					require.Empty(t, b.Calls, "what came before is nobody's news")
					require.Empty(t, b.Served, "what came before is nobody's news")
				}
			}
			if c.ok+c.bad > 0 {
				require.Len(t, b.Served, 1)
				s := b.Served[0]
				assert.Equal(t, [3]int{c.ok, c.bad, c.fault}, [3]int{s.OK, s.Failed, s.Faults})
				assert.True(t, s.Counted)
			} else {
				assert.Empty(t, b.Served)
			}
			if c.callee == "" {
				assert.Empty(t, b.Calls)
				return
			}
			require.Len(t, b.Calls, 1)
			k := b.Calls[0]
			assert.Equal(t, c.outcome, k.Outcome, k.Outcome.String())
			assert.Equal(t, c.callee, k.Callee.Address+k.Callee.Service)
			assert.Equal(t, 30, k.Count)
			assert.Equal(t, 15*time.Second-1, k.Last.Sub(k.First), "what came before is another point's")
		})
	}
}

func TestCallsAfterARestartAreCountedAnew(t *testing.T) {
	x := New(Settings{})
	served := []int{}
	for round, n := range []uint64{1000, 1030, 5, 25} {
		at := testNow.Add(time.Duration(round) * 15 * time.Second)
		md, ms := metricsOf(t, checkout, "app")
		timed(t, ms, "http.server.request.duration", at, n, 0.01, attrs{"http.response.status_code": 500})
		var b report.Batch
		x.Metrics(md, at, nil, &b)
		x.Metrics(md, at, nil, &b) // a duplicate tells nothing
		for _, s := range b.Served {
			served = append(served, s.Failed)
		}
	}
	assert.Equal(t, []int{30, 20}, served)
}

func TestCallsThatTakeLongerOnAverage(t *testing.T) {
	x, e := New(Settings{}), engine.New(engine.DefaultParams())
	count, total := uint64(0), 0.0
	see := func(round int, mean float64) *report.Batch {
		at := testNow.Add(time.Duration(round) * 15 * time.Second)
		count, total = count+30, total+30*mean
		md, ms := metricsOf(t, checkout, "app")
		timed(t, ms, "http.server.request.duration", at, count, total/float64(count), attrs{"http.response.status_code": 200, "http.route": "/pay"})
		b := &report.Batch{Arrived: at}
		x.Metrics(md, at, e.Baselines(), b)
		e.Observe(b)
		e.Tick(at)
		return b
	}
	for round := range 20 {
		if b := see(round, 0.010+float64(round%4)*0.001); len(b.Served) > 0 {
			assert.Zero(t, b.Served[0].Slow, "round %d", round)
		}
	}
	assert.Equal(t, 30, see(20, 0.2).Served[0].Slow)
}

// Who fails after a long wait lacked something, and made no failure of its own.
func TestCallsThatFailAfterALongWait(t *testing.T) {
	for name, c := range map[string]struct {
		usual, mean    float64
		faults, waited int
	}{
		"in_time":                         {0.01, 0.012, 30, 0},
		"after_far_longer_than_usual":     {0.01, 3, 0, 30},
		"after_long_and_nothing_is_usual": {0, 3, 0, 30},
		"they_always_take_as_long":        {3, 3, 30, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x, e := New(Settings{}), engine.New(engine.DefaultParams())
			var b report.Batch
			see := func(round int, ok, bad uint64) {
				at := testNow.Add(time.Duration(round) * 15 * time.Second)
				md, ms := metricsOf(t, checkout, "app")
				if c.usual > 0 {
					timed(t, ms, "http.server.request.duration", at, ok, c.usual, attrs{"http.response.status_code": 200, "http.route": "/pay"})
				}
				timed(t, ms, "http.server.request.duration", at, bad, c.mean, attrs{"http.response.status_code": 500, "http.route": "/pay"})
				b = report.Batch{Arrived: at}
				x.Metrics(md, at, e.Baselines(), &b)
				e.Observe(&b)
				e.Tick(at)
			}
			for round := range 20 {
				see(round, uint64(1000+30*round), 1000)
			}
			see(20, 1600, 1030)
			bad := b.Served[len(b.Served)-1]
			assert.Equal(t, [3]int{30, c.faults, c.waited}, [3]int{bad.Failed, bad.Faults, bad.Waited})
		})
	}
}

// Proxies of a mesh are scraped together; their labels say beside whom they stand.
func TestCallsThatProxiesTellAreThoseOfWhomTheyStandBeside(t *testing.T) {
	x := New(Settings{})
	var b report.Batch
	for round, n := range []float64{1000, 1030} {
		at := testNow.Add(time.Duration(round) * 15 * time.Second)
		md, ms := metricsOf(t, attrs{"service.name": "istio-proxies", "service.instance.id": "10.0.0.5:15020"}, promScope)
		m := ms.AppendEmpty()
		m.SetName("istio_requests_total")
		s := m.SetEmptySum()
		s.SetIsMonotonic(true)
		s.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
		for _, of := range []attrs{
			{"reporter": "destination", "source_canonical_service": "web", "destination_canonical_service": "checkout", "response_code": "500", "response_flags": "-"},
			{"reporter": "source", "source_canonical_service": "checkout", "destination_canonical_service": "payment", "response_code": "503", "response_flags": "UF"},
		} {
			p := s.DataPoints().AppendEmpty()
			p.SetTimestamp(pcommon.Timestamp(at))
			p.SetDoubleValue(n)
			of.putTo(t, p.Attributes())
		}
		b = report.Batch{}
		x.Metrics(md, at, nil, &b)
	}
	require.Len(t, b.Served, 1)
	assert.Equal(t, "checkout", b.Served[0].Source.Service.Name)
	require.Len(t, b.Calls, 1)
	assert.Equal(t, "checkout", b.Calls[0].Caller.Service.Name)
	assert.Equal(t, "payment", b.Calls[0].Callee.Service)
}

// The first failure of its kind makes a new series. It is told at once if it is new, and
// not if it was only forgotten.
func TestCallsOfASeriesThatBegins(t *testing.T) {
	for name, c := range map[string]struct {
		before, old, bad uint64 // of the series that is known, and of the other
		failed           int
	}{
		"since_the_point_before":      {1000, 1030, 12, 12},
		"and_all_calls_are_of_it":     {1000, 1000, 12, 12},
		"before_it_was_forgotten":     {1000, 1030, 900, 0}, // see below: the sum of all says so
		"as_the_process_begins_anew":  {1000, 5, 12, 0},
		"with_nothing_that_was_known": {0, 1000, 12, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			see := func(at clock.Time, ok, bad uint64) *report.Batch {
				md, ms := metricsOf(t, checkout, "app")
				m := ms.AppendEmpty()
				m.SetName("http.server.request.duration")
				h := m.SetEmptyHistogram()
				h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
				for status, n := range map[int64]uint64{200: ok, 500: bad} {
					if n > 0 {
						p := h.DataPoints().AppendEmpty()
						p.SetTimestamp(pcommon.Timestamp(at))
						p.SetCount(n)
						p.SetSum(float64(n) * 0.01)
						p.Attributes().PutInt("http.response.status_code", status)
					}
				}
				b := &report.Batch{}
				x.Metrics(md, at, nil, b)
				return b
			}
			forgotten := uint64(0)
			if name == "before_it_was_forgotten" {
				forgotten = c.bad - 10
			}
			if c.before > 0 {
				see(testNow, c.before, forgotten)
			}
			if forgotten > 0 { // a flood of others took its place
				told := callTold{r: &metricResource{x: x, scope: "app"}, metric: &callMetric{kind: ptrace.SpanKindServer}, name: "http.server.request.duration", src: x.Source(resource(t, checkout))}
				key := told.key()
				a := pcommon.NewMap()
				a.PutInt("http.response.status_code", 500)
				for k, v := range a.All() {
					key += mixString(mixString(0, k), v.AsString())
				}
				require.True(t, x.meters.knows(key))
				for i := range x.meters.slots {
					if x.meters.slots[i].key == key {
						x.meters.slots[i] = meterSlot{}
					}
				}
			}
			b := see(testNow.Add(time.Minute), c.old, c.bad)
			failed := 0
			for _, s := range b.Served {
				failed += s.Failed
			}
			assert.Equal(t, c.failed, failed)
		})
	}
}

// Libraries of Prometheus count what is answered, and nothing of what is called.
func TestMetrics_counts_of_nothing_but_answers_are_told_so(t *testing.T) {
	for name, bare := range map[string]bool{"http_requests_total": true, "http_server_requests_seconds": false} {
		x := New(Settings{})
		var b report.Batch
		for i := range 3 {
			md := pmetric.NewMetrics()
			rm := md.ResourceMetrics().AppendEmpty()
			checkout.putTo(t, rm.Resource().Attributes())
			m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
			m.SetName(name)
			sum := m.SetEmptySum()
			sum.SetIsMonotonic(true)
			sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
			p := sum.DataPoints().AppendEmpty()
			p.SetDoubleValue(float64(10 * (i + 1)))
			p.SetTimestamp(pcommon.Timestamp(testNow.Add(time.Duration(i) * 15 * time.Second)))
			attrs{"code": "200", "status": "200"}.putTo(t, p.Attributes())
			x.Metrics(md, testNow.Add(time.Duration(i)*15*time.Second), nil, &b)
		}
		if len(b.Served) == 0 || b.Served[0].Bare != bare || !b.Served[0].Counted {
			t.Errorf("%s: %+v", name, b.Served)
		}
	}
}
