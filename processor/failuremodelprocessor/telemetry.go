// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// registerGauges has the sizes and losses of all that is kept read when they are
// exported.
func (c *core) registerGauges() error {
	t := c.telemetry
	return errors.Join(
		t.RegisterProcessorFailureModelWaitingSpansCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(c.waitingSpans.Load())
			return nil
		}),
		t.RegisterProcessorFailureModelWaitingBytesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(c.waitingBytes.Load())
			return nil
		}),
		t.RegisterProcessorFailureModelTracesRememberedCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(c.memory.len()))
			return nil
		}),
		t.RegisterProcessorFailureModelNamesKeptCallback(func(_ context.Context, o metric.Int64Observer) error {
			for kind, n := range c.extractor.Names() {
				o.Observe(int64(n.Kept), metric.WithAttributes(attribute.String("kind", kind)))
			}
			return nil
		}),
		t.RegisterProcessorFailureModelNamesForgottenCallback(func(_ context.Context, o metric.Int64Observer) error {
			for kind, n := range c.extractor.Names() {
				o.Observe(int64(n.Forgotten), metric.WithAttributes(attribute.String("kind", kind)))
			}
			return nil
		}),
		t.RegisterProcessorFailureModelEvidenceSkippedCallback(func(_ context.Context, o metric.Int64Observer) error {
			for reason, n := range c.extractor.Skipped() {
				o.Observe(int64(n), metric.WithAttributes(attribute.String("reason", reason)))
			}
			return nil
		}),
	)
}
