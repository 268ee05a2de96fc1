// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
)

// NewFactory returns the factory of receiver heartbeat.
func NewFactory() receiver.Factory {
	f := &factory{shared: map[*Config]*heartbeatReceiver{}}
	return receiver.NewFactory(
		metadata.Type,
		createDefaultConfig,
		receiver.WithLogs(f.createLogs, metadata.LogsStability),
		receiver.WithMetrics(f.createMetrics, metadata.MetricsStability),
	)
}

// factory lets the logs and the metrics pipelines of one ID share one receiver:
// there is one port to listen on and every target is to be probed once.
type factory struct {
	mu     sync.Mutex
	shared map[*Config]*heartbeatReceiver
}

func (f *factory) createLogs(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Logs) (receiver.Logs, error) {
	r, err := f.find(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	r.logs = next
	return r, nil
}

func (f *factory) createMetrics(_ context.Context, set receiver.Settings, cfg component.Config, next consumer.Metrics) (receiver.Metrics, error) {
	r, err := f.find(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	r.metrics = next
	return r, nil
}

// find returns the receiver of cfg. The Collector hands the same pointer for
// each signal of an ID, and a new one after a reload.
func (f *factory) find(set receiver.Settings, cfg *Config) (*heartbeatReceiver, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if r, ok := f.shared[cfg]; ok {
		return r, nil
	}
	r, err := newReceiver(set, cfg)
	if err != nil {
		return nil, err
	}
	r.forget = func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.shared, cfg)
	}
	f.shared[cfg] = r
	return r, nil
}
