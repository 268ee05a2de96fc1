// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// showLosses has the counters of what is lost be seen before they count: an alert on one that
// comes into being with the first loss does not see that rise.
func (x *failureModel) showLosses() {
	for _, c := range [...]metric.Int64Counter{
		x.telemetry.ExtensionFailureModelObservationsDropped, x.telemetry.ExtensionFailureModelBatchesDropped, x.telemetry.ExtensionFailureModelEventsDropped,
	} {
		c.Add(context.Background(), 0)
	}
}

// registerGauges has the engine's sizes and losses read when they are exported.
func (x *failureModel) registerGauges() error {
	t := x.telemetry
	return errors.Join(
		t.RegisterExtensionFailureModelQueueLengthCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(len(x.queue)))
			return nil
		}),
		t.RegisterExtensionFailureModelEntitiesCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(x.stats.Load().Instances))
			return nil
		}),
		t.RegisterExtensionFailureModelSuspectsCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(x.stats.Load().Suspects))
			return nil
		}),
		t.RegisterExtensionFailureModelVerdictsCallback(func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(x.stats.Load().Verdicts))
			return nil
		}),
		t.RegisterExtensionFailureModelTickLatenessCallback(func(_ context.Context, o metric.Float64Observer) error {
			o.Observe(time.Duration(x.lateness.Load()).Seconds())
			return nil
		}),
		t.RegisterExtensionFailureModelKeptCallback(func(_ context.Context, o metric.Int64Observer) error {
			s := x.stats.Load()
			for kind, n := range map[string]int{
				"instance": s.Instances, "service": s.Services, "observer": s.Observers, "address": s.Addresses,
				"span_kind": s.SpanKinds, "host": s.Hosts, "queue": s.Queues, "cut": s.Cuts, "incident": s.Incidents,
				"clock_pair": s.ClockPairs, "long_gap": s.LongGaps, "compared_service": s.ComparedServices, "hop": s.Hops,
			} {
				o.Observe(int64(n), metric.WithAttributes(attribute.String("kind", kind)))
			}
			return nil
		}),
		t.RegisterExtensionFailureModelForgottenCallback(func(_ context.Context, o metric.Int64Observer) error {
			s := x.stats.Load()
			for kind, n := range map[string]uint64{
				"instance": s.ForgottenInstances, "address": s.ForgottenAddresses,
				"edge": s.ForgottenEdges, "span_kind": s.ForgottenSpanKinds,
				"observer": s.ForgottenObservers, "host": s.ForgottenHosts, "queue": s.ForgottenQueues,
				"cut": s.ForgottenCuts, "incident": s.ForgottenIncidents, "verdict": s.ForgottenVerdicts,
				"long_gap": s.ForgottenGaps, "clock_pair": s.ForgottenClockPairs,
				"stream": s.ForgottenStreams, "probe": s.ForgottenProbes,
			} {
				o.Observe(int64(n), metric.WithAttributes(attribute.String("kind", kind)))
			}
			return nil
		}),
	)
}
