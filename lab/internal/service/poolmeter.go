// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package service

import (
	"context"
	"errors"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// poolMeter is a pool's metrics by the semantic conventions for databases.
type poolMeter struct{ waiting, timeouts atomic.Int64 }

func (pm *poolMeter) register(m metric.Meter, name string, p *pool) error {
	count, err1 := m.Int64ObservableUpDownCounter("db.client.connection.count", metric.WithUnit("{connection}"))
	most, err2 := m.Int64ObservableUpDownCounter("db.client.connection.max", metric.WithUnit("{connection}"))
	pending, err3 := m.Int64ObservableUpDownCounter("db.client.connection.pending_requests", metric.WithUnit("{request}"))
	timeouts, err4 := m.Int64ObservableCounter("db.client.connection.timeouts", metric.WithUnit("{timeout}"))
	of := attribute.String("db.client.connection.pool.name", name)
	_, err5 := m.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		used := int64(len(p.used))
		o.ObserveInt64(count, used, metric.WithAttributes(of, attribute.String("db.client.connection.state", "used")))
		o.ObserveInt64(count, max(0, int64(p.limit())-used), metric.WithAttributes(of, attribute.String("db.client.connection.state", "idle")))
		o.ObserveInt64(most, int64(p.limit()), metric.WithAttributes(of))
		o.ObserveInt64(pending, pm.waiting.Load(), metric.WithAttributes(of))
		o.ObserveInt64(timeouts, pm.timeouts.Load(), metric.WithAttributes(of))
		return nil
	}, count, most, pending, timeouts)
	return errors.Join(err1, err2, err3, err4, err5)
}
