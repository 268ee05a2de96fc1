// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// How many messages wait, as receivers that look at brokers and clients that
// read from them tell it; and who reads, by the spans of those who do.

// queuePart is what a metric tells of a queue.
type queuePart uint8

const (
	queueWaiting queuePart = iota // messages that wait
	queueRead                     // cumulative: messages read, or the place in the log up to which was read
)

// queueMetrics are the metrics that tell of queues, with the attributes that
// name the queue and who reads it.
var queueMetrics = map[string]struct {
	part        queuePart
	name, group string
}{
	// kafkametrics
	"kafka.consumer_group.lag":    {queueWaiting, "topic", "group"},
	"kafka.consumer_group.offset": {queueRead, "topic", "group"},
	// Kafka's own exporter for Prometheus
	"kafka_consumergroup_lag":            {queueWaiting, "topic", "consumergroup"},
	"kafka_consumergroup_current_offset": {queueRead, "topic", "consumergroup"},
	// rabbitmq
	"rabbitmq.message.current":            {queueWaiting, "rabbitmq.queue.name", ""},
	"rabbitmq.message.acknowledged":       {queueRead, "rabbitmq.queue.name", ""},
	"rabbitmq_queue_messages":             {queueWaiting, "queue", ""},
	"rabbitmq_queue_messages_acked_total": {queueRead, "queue", ""},
	"rabbitmq_detailed_queue_messages":    {queueWaiting, "queue", ""},
	// consumers of Kafka tell of their own partitions
	"kafka.consumer.records_lag": {queueWaiting, "topic", "client-id"},
	// CloudWatch's queues, as its exporters write them
	"aws_sqs_approximate_number_of_messages_visible_average": {queueWaiting, "dimension_QueueName", ""},
	"sqs_approximate_number_of_messages":                     {queueWaiting, "queue", ""},
	// NATS, Pulsar, Celery, Sidekiq
	"jetstream_consumer_num_pending": {queueWaiting, "stream_name", "consumer_name"},
	"nats_consumer_num_pending":      {queueWaiting, "stream_name", "consumer_name"},
	"pulsar_subscription_back_log":   {queueWaiting, "topic", "subscription"},
	"celery_queue_length":            {queueWaiting, "queue_name", ""},
	"sidekiq_queue_backlog":          {queueWaiting, "queue", ""},
	// activemq
	"activemq.message.current":  {queueWaiting, "destination", ""},
	"activemq.message.dequeued": {queueRead, "destination", ""},
}

// queueOf reads a metric that tells of a queue and says whether m is one. The
// partitions of a topic count together.
func (r *metricResource) queueOf(m pmetric.Metric) bool {
	d, ok := queueMetrics[m.Name()]
	if !ok {
		return false
	}
	points(m, func(p pmetric.NumberDataPoint, v float64) {
		name, group := r.either(p, d.name), ""
		if d.group != "" {
			group = r.either(p, d.group)
		}
		if name == "" || v < 0 {
			return
		}
		q := r.queue(cut(name, maxName), cut(group, maxName))
		if q == nil {
			return
		}
		if d.part == queueWaiting {
			q.Waiting = max(q.Waiting, 0) + v
		} else {
			q.Read = max(q.Read, 0) + v
		}
	})
	return true
}

// either reads an attribute of a point, else of the resource.
func (r *metricResource) either(p pmetric.NumberDataPoint, key string) string {
	if s := attribute(p, key); s != "" {
		return s
	}
	if v, ok := r.attrs.Get(key); ok {
		return clip(v.Str())
	}
	return ""
}

// maxQueues is how many queues one resource may tell of in a batch.
const maxQueues = 256

// queue returns what this resource tells of a queue, new if need be.
func (r *metricResource) queue(name, group string) *report.Queue {
	all := r.out.Queues[r.firstQueue:]
	for i := range all {
		if all[i].Name == name && all[i].Group == group {
			return &all[i]
		}
	}
	if len(all) >= maxQueues {
		return nil
	}
	r.out.Queues = append(r.out.Queues, report.Queue{Source: r.src, Name: own(name), Group: own(group), Waiting: -1, Read: -1})
	return &r.out.Queues[len(r.out.Queues)-1]
}

// consumed notes that a message was taken from a queue and worked on. fault is the trace
// of one at which that failed by the reader's own making, 0 else.
func (sc *scratch) consumed(span ptrace.Span, last clock.Time, fault uint64) {
	if sc.src == nil || sc.src.Key == 0 {
		return
	}
	name, group, polls := destination(span.Attributes())
	if name == "" {
		return
	}
	faults := 0
	switch {
	case polls:
		fault = 0 // that failed between it and the broker
	case fault != 0:
		faults = 1
	}
	for i := len(sc.out.Consumed) - 1; i >= max(0, len(sc.out.Consumed)-consumedNear); i-- {
		if c := &sc.out.Consumed[i]; c.Source == sc.src && c.Queue == name && c.Group == group {
			c.Count++
			c.Last = max(c.Last, last)
			if fault != 0 && fault != c.Failed {
				c.Faults, c.Failed = c.Faults+1, fault
			}
			return
		}
	}
	sc.out.Consumed = append(sc.out.Consumed, report.Consumed{Source: sc.src, Queue: own(name), Group: own(group), Count: 1, Faults: faults, Failed: fault, Last: last})
}

// sent notes that a message was put into a queue. To RabbitMQ's default exchange the
// routing key is its name.
func (sc *scratch) sent(last clock.Time) {
	name := sc.v.destination
	if name == "" || name == "<default>" || name == "amq.default" {
		name = sc.v.routingKey
	}
	if name = cut(name, maxName); name == "" {
		return
	}
	for i := len(sc.out.Sent) - 1; i >= max(0, len(sc.out.Sent)-consumedNear); i-- {
		if s := &sc.out.Sent[i]; s.Queue == name && s.Source == sc.src {
			s.Count++
			s.Last = max(s.Last, last)
			return
		}
	}
	if sc.queue != name {
		sc.queue = own(name)
	}
	sc.out.Sent = append(sc.out.Sent, report.Sent{Source: sc.src, Queue: sc.queue, Count: 1, Last: last})
}

// consumedNear is how far back a batch is searched for the same queue.
const consumedNear = 8

// destination names the queue that a consumer's span read from, and the group
// for which, and says whether it merely asked for messages.
func destination(attrs pcommon.Map) (name, group string, polls bool) {
	for k, v := range attrs.All() {
		switch k {
		case "messaging.destination.name", "messaging.destination":
			name = cut(v.Str(), maxName)
		case "messaging.consumer.group.name", "messaging.kafka.consumer.group", "messaging.kafka.consumer_group":
			group = cut(v.Str(), maxName)
		case "messaging.operation.type", "messaging.operation":
			polls = v.Str() == "receive"
		}
	}
	return name, group, polls
}
