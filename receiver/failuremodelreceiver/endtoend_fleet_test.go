// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.opentelemetry.io/collector/extension/extensiontest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.opentelemetry.io/collector/processor/processortest"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/faultline-otel/faultline/extension/failuremodelextension"
	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/processor/failuremodelprocessor"
	"github.com/faultline-otel/faultline/receiver/failuremodelreceiver"
)

type host map[component.ID]component.Component

func (h host) GetExtensions() map[component.ID]component.Component { return h }

// collector is the three components as a Collector puts them together, between
// the pdata of a fleet and sinks.
type collector struct {
	extension component.Component
	traces    processor.Traces
	logs      processor.Logs
	outputs   [2]component.Component // the receiver, once for each signal

	spans   consumertest.TracesSink // behind the processor
	records consumertest.LogsSink
	events  consumertest.LogsSink // behind the receiver
	states  consumertest.MetricsSink
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c, ctx := &collector{}, t.Context()
	id := component.MustNewID("failure_model")

	xf := failuremodelextension.NewFactory()
	xs := extensiontest.NewNopSettings(xf.Type())
	xs.ID = id
	var err error
	c.extension, err = xf.Create(ctx, xs, xf.CreateDefaultConfig())
	require.NoError(t, err)

	pf := failuremodelprocessor.NewFactory()
	ps, pc := processortest.NewNopSettings(pf.Type()), pf.CreateDefaultConfig()
	ps.ID = id
	c.traces, err = pf.CreateTraces(ctx, ps, pc, &c.spans)
	require.NoError(t, err)
	c.logs, err = pf.CreateLogs(ctx, ps, pc, &c.records)
	require.NoError(t, err)

	rf := failuremodelreceiver.NewFactory()
	rs, rc := receivertest.NewNopSettings(rf.Type()), rf.CreateDefaultConfig()
	rs.ID = id
	var logs receiver.Logs
	logs, err = rf.CreateLogs(ctx, rs, rc, &c.events)
	require.NoError(t, err)
	metrics, err := rf.CreateMetrics(ctx, rs, rc, &c.states)
	require.NoError(t, err)
	c.outputs = [2]component.Component{logs, metrics}

	h := host{id: c.extension}
	for _, x := range []component.Component{c.extension, c.traces, c.logs, logs, metrics} {
		require.NoError(t, x.Start(ctx, h))
	}
	require.NoError(t, c.extension.(extensioncapabilities.PipelineWatcher).Ready())
	t.Cleanup(func() { c.stop(t) })
	return c
}

// stop stops everything in the Collector's order. It may be called twice.
func (c *collector) stop(t *testing.T) {
	require.NoError(t, c.extension.(extensioncapabilities.PipelineWatcher).NotReady())
	for _, x := range []component.Component{c.outputs[0], c.outputs[1], c.traces, c.logs, c.extension} {
		require.NoError(t, x.Shutdown(context.Background()))
	}
}

// instance is a process of the fleet.
type instance struct {
	service, id, address string
	incarnation          int64
	seq                  int64
	down                 bool // it is gone: it says nothing, and its port is closed
	drained              bool // nobody calls it any more
}

// fleet is a gateway that calls a checkout, which calls two payments in turn.
// It lives on the bubble's clock and tells the collector all that it does.
type fleet struct {
	t                    *testing.T
	c                    *collector
	began                time.Time
	gateway, checkout    *instance
	payments             [2]*instance
	observerSeq, request int64
}

func newFleet(t *testing.T, c *collector) *fleet {
	return &fleet{
		t: t, c: c, began: time.Now(),
		gateway:  &instance{service: "gateway", id: "gateway-1", address: "10.0.0.1", incarnation: 1},
		checkout: &instance{service: "checkout", id: "checkout-1", address: "10.0.0.2", incarnation: 2},
		payments: [2]*instance{
			{service: "payment", id: "payment-1", address: "10.0.0.3", incarnation: 3},
			{service: "payment", id: "payment-2", address: "10.0.0.4", incarnation: 4},
		},
	}
}

// run lets the fleet live for d: ten requests a second, one heartbeat.
func (f *fleet) run(d time.Duration) {
	f.t.Helper()
	for range d / (100 * time.Millisecond) {
		time.Sleep(100 * time.Millisecond)
		f.serve()
		if f.request%10 == 0 {
			ld := plog.NewLogs()
			for _, i := range []*instance{f.gateway, f.checkout, f.payments[0], f.payments[1]} {
				if !i.down {
					f.beat(ld, i, contract.StatusReady)
				}
			}
			f.observe(ld)
			require.NoError(f.t, f.c.logs.ConsumeLogs(f.t.Context(), ld))
		}
	}
}

// stopInOrder has an instance leave as an operator would: drained, announced.
func (f *fleet) stopInOrder(i *instance) {
	i.drained = true
	ld := plog.NewLogs()
	f.beat(ld, i, contract.StatusStopping)
	require.NoError(f.t, f.c.logs.ConsumeLogs(f.t.Context(), ld))
	i.down = true
}

func (f *fleet) restart(i *instance) {
	i.down, i.drained, i.seq = false, false, 0
	i.incarnation += 100
}

// record adds a heartbeat record as the heartbeat receiver of agent-1 writes it.
func (f *fleet) record(ld plog.Logs) (resource, attrs pcommon.Map) {
	f.observerSeq++
	rl := ld.ResourceLogs().AppendEmpty()
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetEventName(contract.EventHeartbeat)
	lr.SetObservedTimestamp(pcommon.NewTimestampFromTime(time.Now()))
	attrs = lr.Attributes()
	attrs.PutStr(contract.HeartbeatObserver, "agent-1")
	attrs.PutInt(contract.HeartbeatObserverUptime, int64(time.Since(f.began)+time.Hour))
	attrs.PutInt(contract.HeartbeatObserverSeq, f.observerSeq)
	attrs.PutDouble(contract.HeartbeatInterval, 1)
	return rl.Resource().Attributes(), attrs
}

func (f *fleet) beat(ld plog.Logs, i *instance, status string) {
	i.seq++
	resource, attrs := f.record(ld)
	i.identify(resource)
	attrs.PutInt(contract.HeartbeatIncarnation, i.incarnation)
	attrs.PutInt(contract.HeartbeatSeq, i.seq)
	attrs.PutStr(contract.HeartbeatStatus, status)
}

func (f *fleet) observe(ld plog.Logs) {
	resource, attrs := f.record(ld)
	resource.PutStr("host.name", "agent-host")
	attrs.PutDouble(contract.HeartbeatObserverLate, 0)
}

func (i *instance) identify(resource pcommon.Map) {
	resource.PutStr("service.name", i.service)
	resource.PutStr("service.instance.id", i.id)
	resource.PutStr("host.name", "host-"+i.id)
}

// serve has one request go through the fleet, and its spans to the collector,
// callees first, as they end.
func (f *fleet) serve() {
	f.request++
	called := f.payments[f.request%2]
	if called.drained {
		called = f.payments[(f.request+1)%2]
	}
	var trace pcommon.TraceID
	binary.BigEndian.PutUint64(trace[8:], uint64(f.request))
	trace[0] = 1
	end := time.Now()
	td := ptrace.NewTraces()
	span := func(of *instance, kind ptrace.SpanKind, id, parent byte, took time.Duration) ptrace.Span {
		rs := td.ResourceSpans().AppendEmpty()
		of.identify(rs.Resource().Attributes())
		s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		s.SetName("POST /pay")
		s.SetKind(kind)
		s.SetTraceID(trace)
		s.SetSpanID(pcommon.SpanID{id, 1})
		if parent != 0 {
			s.SetParentSpanID(pcommon.SpanID{parent, 1})
		}
		s.SetStartTimestamp(pcommon.NewTimestampFromTime(end.Add(-took)))
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(end))
		if called.down {
			s.Status().SetCode(ptrace.StatusCodeError)
		} else {
			s.Attributes().PutInt("http.response.status_code", 200)
		}
		return s
	}
	if !called.down {
		span(called, ptrace.SpanKindServer, 5, 4, 4*time.Millisecond)
	}
	call := span(f.checkout, ptrace.SpanKindClient, 4, 3, 5*time.Millisecond)
	call.Attributes().PutStr("server.address", called.address)
	call.Attributes().PutInt("server.port", 8080)
	if called.down {
		call.Attributes().PutStr("error.type", "connect")
		call.Status().SetMessage("dial tcp " + called.address + ":8080: connect: connection refused")
	}
	above := []ptrace.Span{
		span(f.checkout, ptrace.SpanKindServer, 3, 2, 6*time.Millisecond),
		span(f.gateway, ptrace.SpanKindClient, 2, 1, 7*time.Millisecond),
		span(f.gateway, ptrace.SpanKindServer, 1, 0, 8*time.Millisecond),
	}
	above[1].Attributes().PutStr("server.address", f.checkout.address)
	above[1].Attributes().PutInt("server.port", 8080)
	if called.down {
		for _, s := range above {
			s.Attributes().PutInt("http.response.status_code", 500)
		}
	}
	require.NoError(f.t, f.c.traces.ConsumeTraces(f.t.Context(), td))
}
