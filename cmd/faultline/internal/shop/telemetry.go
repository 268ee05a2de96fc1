// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package shop

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
)

// ExportInterval is how long a span waits in the SDK before it is sent: what it
// adds to every delay in the demo.
const ExportInterval = 500 * time.Millisecond

// Namespace and Environment complete the identity of every service of the shop.
const (
	Namespace   = "shop"
	Environment = "demo"
	version     = "1.0.0"
)

// startTelemetry sets up the stock SDK: traces and metrics over OTLP/HTTP.
func startTelemetry(ctx context.Context, s Settings) (shutdown func(context.Context) error, err error) {
	res, err := resource.New(ctx, resource.WithHost(), resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", s.Service),
		attribute.String("service.namespace", Namespace),
		attribute.String("service.instance.id", s.Instance),
		attribute.String("service.version", version),
		attribute.String("deployment.environment.name", Environment),
	))
	if err != nil {
		return nil, err
	}
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(s.OTLP), otlptracehttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	points, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(s.OTLP), otlpmetrichttp.WithInsecure())
	if err != nil {
		return nil, err
	}
	tracer := trace.NewTracerProvider(trace.WithResource(res), trace.WithBatcher(spans, trace.WithBatchTimeout(ExportInterval)))
	meter := metric.NewMeterProvider(metric.WithResource(res), metric.WithReader(metric.NewPeriodicReader(points, metric.WithInterval(5*time.Second))))
	otel.SetTracerProvider(tracer)
	otel.SetMeterProvider(meter)
	otel.SetTextMapPropagator(propagation.TraceContext{})
	// An exporter that cannot reach the Collector is no news here: the demo
	// pauses it on purpose.
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	return func(ctx context.Context) error {
		return errors.Join(tracer.Shutdown(ctx), meter.Shutdown(ctx))
	}, nil
}
