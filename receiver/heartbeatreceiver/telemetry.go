// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"errors"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// options are the attribute sets with which an own metric counts, made once for each value
// of their only attribute.
func options[T ~string](key string, values ...T) map[T]metric.AddOption {
	of := make(map[T]metric.AddOption, len(values))
	for _, v := range values {
		of[v] = metric.WithAttributeSet(attribute.NewSet(attribute.String(key, string(v))))
	}
	return of
}

// registerGauges offers the sizes of all that is bounded.
func (r *heartbeatReceiver) registerGauges() error {
	gauge := func(size func() int) metric.Int64Callback {
		return func(_ context.Context, o metric.Int64Observer) error {
			o.Observe(int64(size()))
			return nil
		}
	}
	return errors.Join(
		r.telemetry.RegisterReceiverHeartbeatSendersCallback(gauge(r.senders.len)),
		r.telemetry.RegisterReceiverHeartbeatAutoCreatedChecksCallback(gauge(r.checks.autoCreated)),
		r.telemetry.RegisterReceiverHeartbeatQueueSizeCallback(gauge(func() int {
			if r.batch == nil {
				return 0
			}
			return r.batch.size()
		})),
	)
}

// health is how far this observer can be trusted, after Lifeguard's local
// health (Dadgar, Phillips, Currey: "Lifeguard: Local Health Awareness for More
// Accurate Failure Detection", 2018): a count of 0 to 7 that rises with each
// round in which the observer itself was late or overfull and falls with each
// clean one.
type health struct {
	mu     sync.Mutex
	misses int
	strain bool // since the latest round
}

const maxMisses = 7

// strained marks the round that is under way as a bad one.
func (h *health) strained() {
	h.mu.Lock()
	h.strain = true
	h.mu.Unlock()
}

// round ends a round in which the observer's own tick was late or not.
func (h *health) round(late bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if late || h.strain {
		h.misses = min(maxMisses, h.misses+1)
	} else {
		h.misses = max(0, h.misses-1)
	}
	h.strain = false
}

// value is 1 for a reliable observer and 1/8 for the worst.
func (h *health) value() float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return 1 / float64(1+h.misses)
}
