// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
