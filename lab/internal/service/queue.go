// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// warn logs what failed beside the requests.
func (a *app) warn(ctx context.Context, what string, err error) {
	slog.WarnContext(ctx, what, "error", err)
}

// queueLimit is how many messages the broker keeps before it refuses more.
const queueLimit = 20_000

// maxTake is how many messages a consumer gets at once.
const maxTake = 50

// topic is the broker's one queue.
type topic struct {
	mu       sync.Mutex
	messages []string
	written  int64
	read     int64
	arrived  chan struct{}
}

// buildBroker makes a message broker. Like most it sends metrics and no spans;
// its lag is named as the Kafka metrics receiver names it.
func buildBroker(a *app) {
	t := &topic{arrived: make(chan struct{}, 1)}
	bare := a.c
	bare.Agent = "" // no spans of its routes
	b := &app{c: bare, faults: a.faults, mux: a.mux, client: a.client}
	b.handle("POST /topics/mail", func(r *http.Request) (string, error) {
		limit := queueLimit
		if n := a.faults.number(control.QueueLimit); n > 0 {
			limit = n
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		if len(t.messages) >= limit {
			return "", &ownError{fmt.Errorf("queue is full: %d messages", len(t.messages))}
		}
		t.messages = append(t.messages, r.URL.Query().Get("message"))
		t.written++
		a.served.Add(1)
		select {
		case t.arrived <- struct{}{}:
		default:
		}
		return strconv.FormatInt(t.written, 10), nil
	})
	b.handle("GET /topics/mail", func(r *http.Request) (string, error) { return t.take(r.Context()), nil })
	m := otel.Meter("lab")
	lag, err1 := m.Int64ObservableGauge("kafka.consumer_group.lag", metric.WithUnit("1"))
	read, err2 := m.Int64ObservableGauge("kafka.consumer_group.offset", metric.WithUnit("1"))
	written, err3 := m.Int64ObservableGauge("kafka.partition.current_offset", metric.WithUnit("1"))
	of := metric.WithAttributes(attribute.String("group", "mailer"), attribute.String("topic", "mail"), attribute.Int("partition", 0))
	_, err4 := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		o.ObserveInt64(lag, int64(len(t.messages)), of)
		o.ObserveInt64(read, t.read, of)
		o.ObserveInt64(written, t.written, metric.WithAttributes(attribute.String("topic", "mail"), attribute.Int("partition", 0)))
		return nil
	}, lag, read, written)
	a.trouble = errors.Join(a.trouble, err1, err2, err3, err4)
}

// take waits for messages for a while and returns them, one a line.
func (t *topic) take(ctx context.Context) string {
	wait := time.NewTimer(400 * time.Millisecond)
	defer wait.Stop()
	for {
		t.mu.Lock()
		n := min(len(t.messages), maxTake)
		if n > 0 {
			taken := strings.Join(t.messages[:n], "\n")
			t.messages = t.messages[n:]
			t.read += int64(n)
			t.mu.Unlock()
			return taken
		}
		t.mu.Unlock()
		select {
		case <-t.arrived:
		case <-wait.C:
			return ""
		case <-ctx.Done():
			return ""
		}
	}
}

// buildMailer makes the broker's consumer: each message becomes a mail, which
// is a line in its journal.
func buildMailer(a *app) {
	j := newJournal(a)
	tracer := otel.Tracer("lab")
	a.begin = func(ctx context.Context) {
		for ctx.Err() == nil {
			if a.faults.text(control.Consume) == "false" {
				time.Sleep(100 * time.Millisecond)
				continue
			}
			text, err := a.client.call(ctx, "broker", http.MethodGet, "/topics/mail")
			if err != nil {
				a.warn(ctx, "broker does not answer", err)
				time.Sleep(500 * time.Millisecond)
				continue
			}
			for message := range strings.Lines(text) {
				a.mail(ctx, tracer, j, strings.TrimSpace(message))
			}
		}
	}
}

// messaging are the attributes of a span of the semantic conventions.
func messaging(operation, kind string) trace.SpanStartEventOption {
	return trace.WithAttributes(
		attribute.String("messaging.system", "labqueue"), attribute.String("messaging.destination.name", "mail"),
		attribute.String("messaging.operation.name", operation), attribute.String("messaging.operation.type", kind))
}

// publish puts a message into the queue, and the trace that it belongs to along.
func (a *app) publish(ctx context.Context, message string) error {
	ctx, span := otel.Tracer("lab").Start(ctx, "send mail", trace.WithSpanKind(trace.SpanKindProducer), messaging("send", "send"))
	defer span.End()
	header := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, header)
	_, err := a.client.call(ctx, "broker", http.MethodPost, "/topics/mail?message="+url.QueryEscape(header["traceparent"]+" "+message))
	return err
}

func (a *app) mail(ctx context.Context, tracer trace.Tracer, j *journal, message string) {
	parent, message, _ := strings.Cut(message, " ")
	ctx = otel.GetTextMapPropagator().Extract(ctx, propagation.MapCarrier{"traceparent": parent})
	ctx, span := tracer.Start(ctx, "process mail", trace.WithSpanKind(trace.SpanKindConsumer), messaging("process", "process"))
	defer span.End()
	a.faults.gate.RLock()
	a.faults.gate.RUnlock() //nolint:staticcheck // passing the gate is all: in a deadlock nobody passes
	a.faults.delay()
	a.faults.work()
	if err := j.write(message); err != nil {
		span.RecordError(err)
		span.SetStatus(codes.Error, err.Error())
		slog.ErrorContext(ctx, "mail not written", "error", err)
		return
	}
	a.served.Add(1)
}
