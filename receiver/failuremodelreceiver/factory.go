// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

import (
	"context"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/faultline-otel/faultline/receiver/failuremodelreceiver/internal/metadata"
)

// NewFactory returns the factory of receiver failure_model.
func NewFactory() receiver.Factory {
	f := &factory{shared: map[*Config]*failureModel{}}
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithLogs(f.createLogs, metadata.LogsStability),
		receiver.WithMetrics(f.createMetrics, metadata.MetricsStability))
}

// factory lets the logs and the metrics pipelines of one ID share one receiver,
// so that the metrics of a verdict and its event come together.
type factory struct {
	mu     sync.Mutex
	shared map[*Config]*failureModel
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
func (f *factory) find(set receiver.Settings, cfg *Config) (*failureModel, error) {
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
