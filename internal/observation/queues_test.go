// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// tell adds a gauge with a point for each row of attributes and a value.
func tell(rm pmetric.ResourceMetrics, name string, rows ...map[string]any) {
	m := rm.ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	m.SetName(name)
	ps := m.SetEmptyGauge().DataPoints()
	for _, row := range rows {
		p := ps.AppendEmpty()
		for k, v := range row {
			if k == "" {
				p.SetDoubleValue(v.(float64))
			} else {
				p.Attributes().PutStr(k, v.(string))
			}
		}
	}
}

func TestSendersTellTheQueue(t *testing.T) {
	for name, c := range map[string]struct {
		span attrs
		want string
	}{
		"by_its_name":          {attrs{"messaging.system": "kafka", "messaging.destination.name": "ship"}, "ship"},
		"older":                {attrs{"messaging.system": "kafka", "messaging.destination": "ship"}, "ship"},
		"the_default_exchange": {attrs{"messaging.system": "rabbitmq", "messaging.destination": "", "messaging.rabbitmq.routing_key": "ship"}, "ship"},
		"an_exchange_is_none":  {attrs{"messaging.system": "rabbitmq", "messaging.destination": "orders", "messaging.rabbitmq.routing_key": "ship"}, "orders"},
		"nobody_says_which":    {attrs{"messaging.system": "rabbitmq"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			td, _ := spanOf(t, checkout, ptrace.SpanKindProducer, ptrace.StatusCodeUnset, "", c.span)
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			got := ""
			if len(b.Sent) > 0 {
				got = b.Sent[0].Queue
			}
			if got != c.want {
				t.Errorf("told %v, want %q", b.Sent, c.want)
			}
		})
	}
}

func TestQueuesOfStockReceivers(t *testing.T) {
	for name, c := range map[string]struct {
		fill func(rm pmetric.ResourceMetrics)
		want []report.Queue
	}{
		"partitions of a topic": {func(rm pmetric.ResourceMetrics) {
			tell(rm, "kafka.consumer_group.lag", map[string]any{"topic": "mail", "group": "g", "partition": "0", "": 3.0},
				map[string]any{"topic": "mail", "group": "g", "partition": "1", "": 4.0}, map[string]any{"topic": "mail", "group": "h", "": 9.0})
			tell(rm, "kafka.consumer_group.offset", map[string]any{"topic": "mail", "group": "g", "": 100.0})
		}, []report.Queue{{Name: "mail", Group: "g", Waiting: 7, Read: 100}, {Name: "mail", Group: "h", Waiting: 9, Read: -1}}},
		"a queue that is the resource": {func(rm pmetric.ResourceMetrics) {
			rm.Resource().Attributes().PutStr("rabbitmq.queue.name", "orders")
			tell(rm, "rabbitmq.message.current", map[string]any{"state": "ready", "": 5.0}, map[string]any{"state": "unacknowledged", "": 1.0})
		}, []report.Queue{{Name: "orders", Waiting: 6, Read: -1}}},
		"no name": {func(rm pmetric.ResourceMetrics) {
			tell(rm, "kafka.consumer_group.lag", map[string]any{"group": "g", "": 3.0})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			md := pmetric.NewMetrics()
			c.fill(md.ResourceMetrics().AppendEmpty())
			var b report.Batch
			New(Settings{}).Metrics(md, testNow, nil, &b)
			assert.Equal(t, c.want, b.Queues)
		})
	}
}

func TestConsumersOfQueues(t *testing.T) {
	td, _ := spanOf(t, checkout, ptrace.SpanKindConsumer, unset, "", attrs{"messaging.destination.name": "mail", "messaging.consumer.group.name": "g"})
	td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).CopyTo(td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().AppendEmpty())
	var b report.Batch
	New(Settings{}).Traces(td, testNow, nil, &b)
	require.Len(t, b.Consumed, 1)
	assert.Equal(t, "mail", b.Consumed[0].Queue)
	assert.Equal(t, "g", b.Consumed[0].Group)
	assert.Equal(t, 2, b.Consumed[0].Count)
}

// What fails for another, or is one message that is tried again, is no failure of the
// reader's own making.
func TestMessagesThatAReaderFailsAt(t *testing.T) {
	process := attrs{"messaging.destination.name": "mail", "messaging.operation.type": "process"}
	for name, c := range map[string]struct {
		fill   func(ptrace.SpanSlice)
		faults int
	}{
		"of two traces": {func(s ptrace.SpanSlice) { s.At(1).SetTraceID(pcommon.TraceID{7}) }, 2},
		"of one trace":  {func(ptrace.SpanSlice) {}, 1},
		"for a call that failed": {func(s ptrace.SpanSlice) {
			for i := range s.Len() {
				ev := s.At(i).Events().AppendEmpty()
				ev.SetName("exception")
				ev.Attributes().PutStr("exception.message", "connect ECONNREFUSED 10.0.0.7:5432")
			}
		}, 0},
		"for a message that it cannot read": {func(s ptrace.SpanSlice) {
			for i := range s.Len() {
				ev := s.At(i).Events().AppendEmpty()
				ev.SetName("exception")
				ev.Attributes().PutStr("exception.type", "org.apache.kafka.common.errors.SerializationException")
				ev.Attributes().PutStr("exception.message", "Error deserializing key/value for partition mail-0 at offset 7")
			}
		}, 0},
		"in a call whose callee nobody tells": {func(s ptrace.SpanSlice) {
			for _, parent := range []int{0, 1} {
				call := s.AppendEmpty()
				call.SetKind(client)
				call.SetTraceID(s.At(parent).TraceID())
				call.SetSpanID(pcommon.SpanID{9})
				call.SetParentSpanID(s.At(parent).SpanID())
				call.Status().SetCode(failed)
				call.SetStartTimestamp(s.At(parent).StartTimestamp())
				call.SetEndTimestamp(s.At(parent).EndTimestamp())
			}
		}, 0},
		"when it merely polls": {func(s ptrace.SpanSlice) {
			for i := range s.Len() {
				s.At(i).Attributes().PutStr("messaging.operation.type", "receive")
			}
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			td, first := spanOf(t, checkout, ptrace.SpanKindConsumer, failed, "no such account", process)
			spans := td.ResourceSpans().At(0).ScopeSpans().At(0).Spans()
			first.CopyTo(spans.AppendEmpty())
			c.fill(spans)
			var b report.Batch
			New(Settings{}).Traces(td, testNow, nil, &b)
			require.Len(t, b.Consumed, 1)
			if got := b.Consumed[0]; got.Count != 2 || got.Faults != c.faults || (got.Failed != 0) != (c.faults > 0) {
				t.Errorf("%+v", got)
			}
		})
	}
}
