// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/enginehost"
	"github.com/faultline-otel/faultline/internal/observation"
	"github.com/faultline-otel/faultline/processor/failuremodelprocessor/internal/metadata"
	"github.com/faultline-otel/faultline/processor/failuremodelprocessor/internal/metadatatest"
)

// fakeEngine says what a test tells it to, on a clock that the test moves.
type fakeEngine struct {
	component.StartFunc
	component.ShutdownFunc

	now      atomic.Int64
	setBack  time.Duration // by how much its host's clock is behind
	snapshot atomic.Pointer[verdict.Snapshot]
	usual    atomic.Pointer[engine.Baselines]

	mu          sync.Mutex // guards all below
	observed    int        // observations that were shown
	subscribers map[int]func(enginehost.Update)
	next        int
}

var _ enginehost.Engine = (*fakeEngine)(nil)

// t0 is when the tests' failures begin.
const t0 = clock.Time(1_700_000_000_000_000_000)

func newFakeEngine() *fakeEngine {
	e := &fakeEngine{subscribers: map[int]func(enginehost.Update){}}
	e.now.Store(int64(t0))
	return e
}

func (e *fakeEngine) NewBatch() *report.Batch { return &report.Batch{} }

func (e *fakeEngine) Observe(b *report.Batch) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.observed += b.Len()
}

func (e *fakeEngine) Now() clock.Time               { return clock.Time(e.now.Load()) }
func (e *fakeEngine) Dated(t clock.Time) clock.Time { return t.Add(e.setBack) }
func (e *fakeEngine) Snapshot() *verdict.Snapshot   { return e.snapshot.Load() }
func (e *fakeEngine) Baselines() *engine.Baselines  { return e.usual.Load() }

func (e *fakeEngine) Subscribe(f func(enginehost.Update)) (cancel func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := e.next
	e.next++
	e.subscribers[id] = f
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.subscribers, id)
	}
}

// learn makes td's spans the usual, as an engine does that sees them 200 times.
func (e *fakeEngine) learn(td ptrace.Traces) {
	learned, x := engine.New(engine.DefaultParams()), observation.New(observation.Settings{})
	for range 200 {
		var b report.Batch
		x.Traces(td, e.Now(), nil, &b)
		learned.Observe(&b)
	}
	learned.Tick(e.Now().Add(time.Second))
	e.usual.Store(learned.Baselines())
}

func (e *fakeEngine) seen() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.observed
}

// pass moves the clock on and wakes those who wait.
func (e *fakeEngine) pass(d time.Duration) {
	now := e.now.Add(int64(d))
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, f := range e.subscribers {
		f(enginehost.Update{Now: clock.Time(now)})
	}
}

const paymentAddress = "payment:8080"

// verdictOf is one on the only instance of payment.
func verdictOf(class verdict.Class) *verdict.Verdict {
	subclass := verdict.SubclassProcessExit
	if class == verdict.ClassByzantine {
		subclass = verdict.SubclassWrongAnswer
	}
	return &verdict.Verdict{
		Class: class, Subclass: subclass, Confidence: 0.9, Incident: "i-1",
		Culprit: verdict.Culprit{Type: verdict.CulpritInstance, Name: "payment-1", Service: report.ServiceID{Name: "payment"}, Instance: "payment-1"},
		Reason:  "exited with 137", Evidence: []string{"exit status 137"}, RuledOut: []string{"network_partition: its host answers"},
		Since: t0, Decided: t0.Add(-settles),
	}
}

// convict makes class the verdict on payment-1, which is called at addresses, too.
func (e *fakeEngine) convict(class verdict.Class, addresses ...string) {
	src := report.NewSource(report.Source{Service: report.ServiceID{Name: "payment"}, Instance: "payment-1"})
	e.snapshot.Store(verdict.NewSnapshot(t0, []*verdict.Verdict{verdictOf(class)},
		[]verdict.Target{{Instance: src.Key, Service: src.ServiceKey, Addresses: append(addresses, paymentAddress)}}))
}

// doubt says that payment-1, who alone is called at addresses, may soon be convicted.
func (e *fakeEngine) doubt(addresses ...string) {
	src := report.NewSource(report.Source{Service: report.ServiceID{Name: "payment"}, Instance: "payment-1"})
	s := verdict.NewSnapshot(t0, nil, nil)
	s.Doubt(verdict.Target{Instance: src.Key, Service: src.ServiceKey, Alone: addresses})
	e.snapshot.Store(s)
}

// testBench is a processor under test, in a host with a fake engine.
type testBench struct {
	*fakeEngine
	host      component.Host
	telemetry *componenttest.Telemetry
	settings  processor.Settings
	factory   processor.Factory
	config    *Config
}

func newBench(t *testing.T, change func(*Config)) *testBench {
	b := &testBench{fakeEngine: newFakeEngine(), telemetry: componenttest.NewTelemetry(), factory: NewFactory()}
	t.Cleanup(func() { require.NoError(t, b.telemetry.Shutdown(context.Background())) })
	b.host = &engineHost{map[component.ID]component.Component{component.NewID(metadata.Type): b.fakeEngine}}
	b.settings = metadatatest.NewSettings(b.telemetry)
	b.config = createDefaultConfig().(*Config)
	if change != nil {
		change(b.config)
	}
	require.NoError(t, b.config.Validate())
	return b
}

// start starts p, and stops it with the test.
func (b *testBench) start(t *testing.T, p component.Component) {
	require.NoError(t, p.Start(context.Background(), b.host))
	t.Cleanup(func() { require.NoError(t, p.Shutdown(context.Background())) })
}

func (b *testBench) traces(t *testing.T) (*traces, *consumertest.TracesSink) {
	sink := new(consumertest.TracesSink)
	p, err := b.factory.CreateTraces(context.Background(), b.settings, b.config, sink)
	require.NoError(t, err)
	b.start(t, p)
	return p.(*traces), sink
}

// counter is the sum of a counter of our own, over all its attributes.
func (b *testBench) counter(t *testing.T, name string) (sum int64) {
	m, err := b.telemetry.GetMetric("otelcol_processor_failure_model_" + name)
	if err != nil {
		return 0 // it has not counted yet
	}
	return sumOf(t, m)
}

// spanOption changes a span that is made for a test.
type spanOption func(ptrace.Span)

// batch returns traces with one resource.
func batch(service, instance string, spans ...func(ptrace.Span)) ptrace.Traces {
	td := ptrace.NewTraces()
	addSpans(td, service, instance, spans...)
	return td
}

func addSpans(td ptrace.Traces, service, instance string, spans ...func(ptrace.Span)) {
	rs := td.ResourceSpans().AppendEmpty()
	identity(rs.Resource(), service, instance)
	ss := rs.ScopeSpans().AppendEmpty()
	ss.Scope().SetName("shop")
	for _, f := range spans {
		f(ss.Spans().AppendEmpty())
	}
}

func identity(r pcommon.Resource, service, instance string) {
	r.Attributes().PutStr("service.name", service)
	r.Attributes().PutStr("service.instance.id", instance)
}

// span returns one that ran for 100 ms from t0 on. id and parent are unique in a
// trace.
func span(trace, id, parent byte, kind ptrace.SpanKind, options ...spanOption) func(ptrace.Span) {
	return func(s ptrace.Span) {
		s.SetTraceID(pcommon.TraceID{trace})
		s.SetSpanID(pcommon.SpanID{id})
		if parent != 0 {
			s.SetParentSpanID(pcommon.SpanID{parent})
		}
		s.SetName("op")
		s.SetKind(kind)
		s.SetStartTimestamp(pcommon.Timestamp(t0))
		s.SetEndTimestamp(pcommon.Timestamp(t0.Add(100 * time.Millisecond)))
		for _, o := range options {
			o(s)
		}
	}
}

func failed(s ptrace.Span) {
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage("it failed")
	s.Attributes().PutStr("error.type", "Boom")
}

// toPayment makes a span a call to payment that was refused.
func toPayment(s ptrace.Span) {
	s.Attributes().PutStr("server.address", "payment")
	s.Attributes().PutInt("server.port", 8080)
	s.Status().SetCode(ptrace.StatusCodeError)
	s.Status().SetMessage("dial tcp: connection refused")
	s.Attributes().PutStr("error.type", "ECONNREFUSED")
}

// took makes a span run for d.
func took(d time.Duration) spanOption {
	return func(s ptrace.Span) { s.SetEndTimestamp(s.StartTimestamp() + pcommon.Timestamp(d)) }
}

func with(key, value string) spanOption {
	return func(s ptrace.Span) { s.Attributes().PutStr(key, value) }
}

// spansOf returns the spans of all batches by their id.
func spansOf(all []ptrace.Traces) map[byte]ptrace.Span {
	spans := map[byte]ptrace.Span{}
	for _, td := range all {
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					spans[s.SpanID()[0]] = s
				}
			}
		}
	}
	return spans
}
