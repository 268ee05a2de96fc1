// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/runtime"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

const (
	spanDelay   = 500 * time.Millisecond
	metricDelay = 5 * time.Second
)

// startTelemetry sets up the stock SDK over OTLP/HTTP to the zone's agent.
// Without an agent there is none, and shutdown does nothing.
func startTelemetry(ctx context.Context, c Config) (shutdown func(context.Context) error, err error) {
	otel.SetTextMapPropagator(propagation.TraceContext{})
	if c.Agent == "" {
		return func(context.Context) error { return nil }, nil
	}
	address := c.Agent + ":4318"
	res, err := resource.New(ctx, resource.WithHost(), resource.WithTelemetrySDK(), resource.WithProcessPID(), resource.WithAttributes(
		attribute.String("service.name", c.Service),
		attribute.String("service.namespace", Namespace),
		attribute.String("service.instance.id", c.Instance),
		attribute.String("service.version", c.Version),
		attribute.String("deployment.environment.name", Environment),
		attribute.String("cloud.availability_zone", c.Zone),
	))
	if err != nil {
		return nil, err
	}
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(address), otlptracehttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	points, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(address), otlpmetrichttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	records, err := otlploghttp.New(ctx, otlploghttp.WithEndpoint(address), otlploghttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	// Of the broker only metrics come, as of most brokers.
	tracer := trace.NewTracerProvider(trace.WithResource(res), trace.WithBatcher(spans, trace.WithBatchTimeout(spanDelay)))
	meter := sdkmetric.NewMeterProvider(sdkmetric.WithResource(res),
		sdkmetric.WithReader(sdkmetric.NewPeriodicReader(points, sdkmetric.WithInterval(metricDelay))))
	logger := sdklog.NewLoggerProvider(sdklog.WithResource(res),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(records, sdklog.WithExportInterval(spanDelay))))
	otel.SetTracerProvider(tracer)
	otel.SetMeterProvider(meter)
	// That the Collector is away is the lab's own doing.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	slog.SetDefault(slog.New(&bridge{logger: logger.Logger("lab")}))
	if err := errors.Join(runtime.Start(), processMetrics(meter.Meter("lab"))); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		return errors.Join(tracer.Shutdown(ctx), meter.Shutdown(ctx), logger.Shutdown(ctx))
	}, nil
}

// processMetrics are those of the semantic conventions that the runtime's lack.
func processMetrics(m metric.Meter) error {
	memory, err1 := m.Int64ObservableUpDownCounter("process.memory.usage", metric.WithUnit("By"))
	files, err2 := m.Int64ObservableUpDownCounter("process.open_file_descriptor.count", metric.WithUnit("{file_descriptor}"))
	threads, err3 := m.Int64ObservableUpDownCounter("process.thread.count", metric.WithUnit("{thread}"))
	cpu, err4 := m.Float64ObservableCounter("process.cpu.time", metric.WithUnit("s"))
	_, err5 := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		if entries, err := os.ReadDir("/proc/self/fd"); err == nil {
			o.ObserveInt64(files, int64(len(entries)))
		}
		text, _ := os.ReadFile("/proc/self/stat") // empty: out of descriptors
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 22 {
			return nil
		}
		number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n }
		o.ObserveFloat64(cpu, float64(number(11))/100, metric.WithAttributes(attribute.String("cpu.mode", "user")))
		o.ObserveFloat64(cpu, float64(number(12))/100, metric.WithAttributes(attribute.String("cpu.mode", "system")))
		o.ObserveInt64(threads, number(17))
		o.ObserveInt64(memory, number(21)*int64(os.Getpagesize()))
		return nil
	}, memory, files, threads, cpu)
	return errors.Join(err1, err2, err3, err4, err5)
}

// bridge hands slog's records to the SDK, as the contrib bridge does.
type bridge struct {
	logger log.Logger
	attrs  []slog.Attr
}

func (b *bridge) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

func (b *bridge) Handle(ctx context.Context, r slog.Record) error {
	var out log.Record
	out.SetTimestamp(r.Time)
	out.SetBody(log.StringValue(r.Message))
	out.SetSeverity(log.Severity(int(r.Level) + int(log.SeverityInfo)))
	out.SetSeverityText(r.Level.String())
	add := func(a slog.Attr) bool {
		out.AddAttributes(log.String(a.Key, a.Value.String()))
		return true
	}
	for _, a := range b.attrs {
		add(a)
	}
	r.Attrs(add)
	b.logger.Emit(ctx, out)
	return nil
}

func (b *bridge) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &bridge{b.logger, append(b.attrs[:len(b.attrs):len(b.attrs)], attrs...)}
}

func (b *bridge) WithGroup(string) slog.Handler { return b }
