// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestTraces_calls_are_added_up(t *testing.T) {
	x := New(Settings{})
	td := ptrace.NewTraces()
	add := func(res attrs, status int, peer string, start, end time.Duration) {
		one, span := spanOf(t, res, client, unset, "", attrs{"http.response.status_code": status, "network.peer.address": peer, "network.peer.port": 8080})
		span.SetStartTimestamp(pcommon.Timestamp(testNow.Add(start)))
		span.SetEndTimestamp(pcommon.Timestamp(testNow.Add(end)))
		one.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
	add(checkout, 200, "10.0.0.7", -5*time.Second, -4*time.Second)
	add(checkout, 200, "10.0.0.7", -9*time.Second, -2*time.Second)
	add(checkout, 500, "10.0.0.7", -1*time.Second, -1*time.Second)
	add(checkout, 200, "10.0.0.8", -1*time.Second, -1*time.Second)
	add(attrs{"service.name": "cart"}, 200, "10.0.0.7", -1*time.Second, time.Hour)
	var b report.Batch
	if odd := x.Traces(td, testNow, nil, &b); len(odd) != 1 {
		t.Errorf("%d odd, want 1", odd)
	}
	type row struct {
		caller, address string
		outcome         report.Outcome
		count           int
		first, last     time.Duration
		took            time.Duration // together
	}
	want := []row{
		{"checkout", "10.0.0.7:8080", report.OutcomeOK, 2, -9 * time.Second, -2 * time.Second, 8 * time.Second},
		{"checkout", "10.0.0.7:8080", report.OutcomeServerError, 1, -1 * time.Second, -1 * time.Second, 0},
		{"checkout", "10.0.0.8:8080", report.OutcomeOK, 1, -1 * time.Second, -1 * time.Second, 0},
		{"cart", "10.0.0.7:8080", report.OutcomeOK, 1, -1 * time.Second, 0, time.Minute}, // a clock that is ahead ends now
	}
	if len(b.Calls) != len(want) {
		t.Fatalf("%d calls, want %d: %+v", len(b.Calls), len(want), b.Calls)
	}
	for i, c := range b.Calls {
		got := row{c.Caller.Service.Name, c.Callee.Address, c.Outcome, c.Count, c.First.Sub(testNow), c.Last.Sub(testNow), c.Took}
		if got != want[i] {
			t.Errorf("call %d: %+v, want %+v", i, got, want[i])
		}
	}
	// The next batch counts anew.
	b.Reset()
	x.Traces(td, testNow, nil, &b)
	if len(b.Calls) != len(want) || b.Calls[0].Count != 2 {
		t.Errorf("second batch: %+v", b.Calls)
	}
}

func TestTraces_very_many_callees_lose_no_call(t *testing.T) {
	x := New(Settings{})
	td := ptrace.NewTraces()
	for i := range 5000 {
		one, _ := spanOf(t, checkout, client, unset, "", attrs{"network.peer.address": fmt.Sprintf("10.1.%d.%d", i/250%20, i%250), "network.peer.port": 80})
		one.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	}
	var b report.Batch
	x.Traces(td, testNow, nil, &b)
	calls := 0
	for _, c := range b.Calls {
		calls += c.Count
	}
	if calls != 5000 {
		t.Errorf("%d calls of 5000", calls)
	}
}

func TestTraces_served(t *testing.T) {
	x := New(Settings{})
	td, first := spanOf(t, attrs{"service.name": "payment"}, server, unset, "", attrs{"http.response.status_code": 200})
	spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
	for _, status := range []int{500, 404} {
		s := spans.AppendEmpty()
		first.CopyTo(s)
		s.Attributes().PutInt("http.response.status_code", int64(status))
	}
	c := spans.AppendEmpty()
	c.SetKind(consumer) // no answer to anybody
	var b report.Batch
	if odd := x.Traces(td, testNow, nil, &b); len(odd) != 1 {
		t.Errorf("%d odd", len(odd))
	}
	if len(b.Served) != 1 || b.Served[0].OK != 2 || b.Served[0].Failed != 1 || b.Served[0].Source.Service.Name != "payment" ||
		b.Served[0].Last != clock.Time(first.EndTimestamp()) {
		t.Errorf("%+v", b.Served)
	}
}

func TestTraces_both_ends_of_a_call_meet(t *testing.T) {
	x := New(Settings{})
	caller, cs := spanOf(t, checkout, client, unset, "", attrs{"network.peer.address": "10.0.0.7", "network.peer.port": 8080, "server.address": "payment"})
	callee, ss := spanOf(t, attrs{"service.name": "payment"}, server, unset, "", attrs{})
	ss.SetTraceID(cs.TraceID())
	ss.SetParentSpanID(cs.SpanID())
	ss.SetSpanID(pcommon.SpanID{9})
	var b report.Batch
	x.Traces(caller, testNow, nil, &b)
	x.Traces(callee, testNow, nil, &b)
	if len(b.Hops) != 2 || b.Hops[0].Span != b.Hops[1].Span || b.Hops[0].Server || !b.Hops[1].Server {
		t.Fatalf("%+v", b.Hops)
	}
	if c := b.Hops[0].Callee; c.Address != "10.0.0.7:8080" || c.Named != "payment" {
		t.Errorf("callee %+v", c)
	}
	if b.Hops[1].Source.Service.Name != "payment" {
		t.Errorf("server %+v", b.Hops[1].Source)
	}
}

func TestTraces_ends_of_a_call_meet_where_only_the_interface_is_told(t *testing.T) {
	for name, c := range map[string]struct {
		told attrs
		hops int
	}{
		"of a remote procedure": {attrs{"rpc.system": "grpc", "rpc.service": "shop.Ledger", "rpc.method": "Post"}, 1},
		"of a database":         {attrs{"db.system": "redis"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			td, _ := spanOf(t, checkout, client, unset, "", c.told)
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			if len(b.Hops) != c.hops {
				t.Errorf("%+v", b.Hops)
			}
		})
	}
}

// The engine must be able to make use of it: the whole way from spans to who
// stands behind an address.
func TestTraces_engine_learns_who_is_behind_an_address(t *testing.T) {
	x := New(Settings{})
	caller, cs := spanOf(t, checkout, client, unset, "", attrs{"network.peer.address": "10.0.0.7", "network.peer.port": 8080})
	callee, ss := spanOf(t, attrs{"service.name": "payment", "service.instance.id": "payment-1"}, server, unset, "", attrs{})
	ss.SetParentSpanID(cs.SpanID())
	e := engine.New(engine.DefaultParams())
	now := testNow
	observe := func(tds ...ptrace.Traces) {
		b := &report.Batch{Arrived: now}
		for _, td := range tds {
			x.Traces(td, now, nil, b)
		}
		e.Observe(b)
		e.Tick(now)
	}
	observe(caller, callee)
	_, panicked := spanOf(t, checkout, client, failed, "dial tcp 10.0.0.7:8080: connect: connection refused", attrs{})
	var v *verdict.Verdict
	for range 40 {
		now = now.Add(250 * time.Millisecond)
		td, s := spanOf(t, checkout, client, failed, "dial tcp 10.0.0.7:8080: connect: connection refused", attrs{})
		s.SetStartTimestamp(pcommon.Timestamp(now) - 1000)
		s.SetEndTimestamp(pcommon.Timestamp(now))
		observe(td)
		look := x.Look(x.Source(resource(t, checkout)), panicked, nil)
		if v = e.Snapshot().Blame(nil, look.Callee, look.Outcome, now); v != nil {
			break
		}
	}
	if v == nil || v.Culprit.Service.Name != "payment" {
		t.Errorf("verdict %+v", v)
	}
}

func TestTraces_no_hops_of_messages_and_databases(t *testing.T) {
	x := New(Settings{})
	var b report.Batch
	for _, c := range []struct {
		kind  ptrace.SpanKind
		attrs attrs
	}{
		{producer, attrs{"messaging.system": "kafka", "server.address": "kafka", "server.port": 9092}},
		{consumer, attrs{"messaging.system": "kafka"}},
		{client, attrs{"db.system": "postgresql", "server.address": "db"}},
		{client, attrs{"peer.service": "payment"}}, // no address to learn
	} {
		td, _ := spanOf(t, checkout, c.kind, unset, "", c.attrs)
		x.Traces(td, testNow, nil, &b)
	}
	if len(b.Hops) != 0 {
		t.Errorf("%+v", b.Hops)
	}
	if len(b.Calls) != 3 {
		t.Errorf("%d calls, want those of the producer and both clients", len(b.Calls))
	}
}

func TestTraces_hops_are_bounded_and_chosen_by_trace(t *testing.T) {
	x := New(Settings{MaxHops: 100})
	now, traces := testNow, uint64(0)
	second := func(calls int) (hops int, pairs int) {
		ends := map[uint64]int{}
		for range 10 {
			td := ptrace.NewTraces()
			for range calls / 10 {
				traces++
				a, cs := spanOf(t, checkout, client, unset, "", attrs{"network.peer.address": "10.0.0.7"})
				z, ss := spanOf(t, attrs{"service.name": "payment"}, server, unset, "", attrs{})
				var id pcommon.TraceID
				binary.BigEndian.PutUint64(id[8:], traces)
				cs.SetTraceID(id)
				ss.SetTraceID(id)
				ss.SetParentSpanID(cs.SpanID())
				a.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
				z.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
			}
			var b report.Batch
			x.Traces(td, now, nil, &b)
			now = now.Add(100 * time.Millisecond)
			hops += len(b.Hops)
			for _, h := range b.Hops {
				ends[h.Span]++
			}
		}
		for _, n := range ends {
			if n == 2 {
				pairs++
			}
		}
		return hops, pairs
	}
	if hops, pairs := second(10); hops != 20 || pairs != 10 {
		t.Errorf("at a low rate: %d hops, %d pairs; want all", hops, pairs)
	}
	second(5000) // the burst is cut down
	for i := range 3 {
		hops, pairs := second(5000)
		if hops > 400 || pairs < 5 || hops > 3*pairs {
			t.Errorf("second %d at a high rate: %d hops, %d pairs", i, hops, pairs)
		}
	}
	for range 12 {
		second(10)
	}
	if hops, _ := second(10); hops != 20 {
		t.Errorf("back at a low rate: %d hops, want all", hops)
	}
}

func TestTraces_samples(t *testing.T) {
	x := New(Settings{})
	td, _ := spanOf(t, checkout, internal, unset, "", attrs{})
	bad, _ := spanOf(t, checkout, internal, failed, "", attrs{})
	bad.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	var b report.Batch
	if odd := x.Traces(td, testNow, nil, &b); len(odd) != 1 {
		t.Errorf("%d odd", len(odd))
	}
	// What failed at once, or after a time-out, tells not how long it usually takes.
	if len(b.Spans) != 1 || b.Spans[0].Duration != 10*time.Millisecond {
		t.Errorf("%+v", b.Spans)
	}
	src := x.Source(resource(t, checkout))
	if want := report.SpanKey(src.ServiceKey, "charge", int32(internal), ""); b.Spans[0].Key != want {
		t.Errorf("key %x, want %x", b.Spans[0].Key, want)
	}
	b.Reset()
	x.Traces(healthyTraces(20_000), testNow, nil, &b)
	if n := len(b.Spans); n < samplesInFull || n > samplesInFull+20_000/sampleEvery*3/2 {
		t.Errorf("%d samples of a huge batch", n)
	}
}

func TestTraces_own_spans_are_no_evidence(t *testing.T) {
	x := New(Settings{})
	td, _ := spanOf(t, checkout, client, failed, "connection refused", attrs{"server.address": "payment"})
	td.ResourceSpans().At(0).ScopeSpans().At(0).Scope().SetName(contract.ScopePrefix + "/processor/failuremodelprocessor")
	var b report.Batch
	if odd := x.Traces(td, testNow, nil, &b); len(odd) != 0 || !b.Empty() {
		t.Errorf("odd %v, batch %+v", odd, b)
	}
}

func TestTraces_without_a_source(t *testing.T) {
	x := New(Settings{})
	td, _ := spanOf(t, attrs{}, client, failed, "connection refused", attrs{"server.address": "payment", "server.port": 80})
	s, _ := spanOf(t, attrs{}, server, unset, "", attrs{})
	s.ResourceSpans().MoveAndAppendTo(td.ResourceSpans())
	b := report.Batch{Arrived: testNow}
	if odd := x.Traces(td, testNow, nil, &b); len(odd) != 1 || len(b.Calls) != 1 || b.Calls[0].Caller != nil || len(b.Served) != 0 {
		t.Errorf("odd %v, calls %+v", odd, b.Calls)
	}
	engine.New(engine.DefaultParams()).Observe(&b) // must not mind
}

func TestTraces_failed_call_tells_of_the_callers_own_want(t *testing.T) {
	x := New(Settings{})
	td := ptrace.NewTraces()
	for range 3 {
		one, s := spanOf(t, checkout, client, failed, "dial tcp 10.0.0.7:80: socket: too many open files", attrs{})
		s.MoveTo(appendSpan(td, one))
	}
	var b report.Batch
	x.Traces(td, testNow, nil, &b)
	if got := kinds(&b); !equalKinds(got, []report.FactKind{report.FactNoDescriptor}) {
		t.Fatalf("facts %v", got)
	}
	if f := b.Facts[0]; f.Source.Service.Name != "checkout" || f.Text != "dial tcp 10.0.0.7:80: socket: too many open files" {
		t.Errorf("%+v", f)
	}
}

// appendSpan makes room for a span in the first resource of td, made after the
// one of like.
func appendSpan(td, like ptrace.Traces) ptrace.Span {
	if td.ResourceSpans().Len() == 0 {
		like.ResourceSpans().At(0).Resource().CopyTo(td.ResourceSpans().AppendEmpty().Resource())
		td.ResourceSpans().At(0).ScopeSpans().AppendEmpty()
	}
	return td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty()
}

func TestTraces_healthy_spans_cost_no_allocation(t *testing.T) {
	x := New(Settings{})
	td := healthyTraces(1000)
	var b report.Batch
	now := testNow
	x.Traces(td, now, nil, &b)
	n := testing.AllocsPerRun(50, func() {
		b.Reset()
		now = now.Add(10 * time.Millisecond)
		x.Traces(td, now, nil, &b)
	})
	if n > 1 { // the pool may have been emptied by a collection
		t.Errorf("%v allocations for 1000 spans", n)
	}
}

func TestTraces_concurrent(t *testing.T) {
	x := New(Settings{MaxSources: 16})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			td := healthyTraces(300)
			for range 20 {
				var b report.Batch
				x.Traces(td, testNow, nil, &b)
				calls := 0
				for _, c := range b.Calls {
					calls += c.Count
				}
				if calls != 100 {
					t.Errorf("%d calls, want 100", calls)
				}
			}
		})
	}
	wg.Wait()
}

func TestTraces_a_request_that_its_caller_gave_up_was_not_answered(t *testing.T) {
	for name, c := range map[string]struct {
		attrs  attrs
		says   string
		served int
	}{
		"grpc_ok":       {attrs{"rpc.grpc.status_code": 0}, "", 1},
		"grpc_canceled": {attrs{"rpc.grpc.status_code": 1}, "", 0},
		"grpc_deadline": {attrs{"rpc.grpc.status_code": 4}, "", 0},
		"grpc_unavailable_for_want_of_another": {attrs{"rpc.response.status_code": "UNAVAILABLE"},
			`Get "http://fraud:8080/": net/http: request canceled (Client.Timeout exceeded while awaiting headers)`, 1},
		"grpc_new_name_of_a_deadline": {attrs{"rpc.response.status_code": "DEADLINE_EXCEEDED"}, "context deadline exceeded", 0},
		"http_504":                    {attrs{"http.response.status_code": 504}, "", 1},
		"http_499":                    {attrs{"http.response.status_code": 499}, "", 0},
		"http_404":                    {attrs{"http.response.status_code": 404}, "", 1},
	} {
		status := unset
		if c.says != "" {
			status = failed
		}
		td, _ := spanOf(t, checkout, server, status, c.says, c.attrs)
		var b report.Batch
		New(Settings{}).Traces(td, testNow, nil, &b)
		got := 0
		for _, s := range b.Served {
			got += s.OK + s.Failed
			if s.Coded != s.OK {
				t.Errorf("%s: %d of %d answers tell a code", name, s.Coded, s.OK)
			}
		}
		if got != c.served {
			t.Errorf("%s: %d served, want %d", name, got, c.served)
		}
	}
}
