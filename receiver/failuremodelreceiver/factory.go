// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/faultline-otel/faultline/internal/shared"
	"github.com/faultline-otel/faultline/receiver/failuremodelreceiver/internal/metadata"
)

// NewFactory returns the factory of receiver failure_model.
func NewFactory() receiver.Factory {
	f := &factory{}
	return receiver.NewFactory(metadata.Type, createDefaultConfig,
		receiver.WithLogs(f.createLogs, metadata.LogsStability),
		receiver.WithMetrics(f.createMetrics, metadata.MetricsStability))
}

// factory lets the logs and the metrics pipelines of one ID share one receiver,
// so that the metrics of a verdict and its event come together.
type factory struct {
	shared shared.Table[Config, *failureModel]
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

func (f *factory) find(set receiver.Settings, cfg *Config) (*failureModel, error) {
	return f.shared.Of(cfg, func() (*failureModel, error) {
		r, err := newReceiver(set, cfg)
		if err == nil {
			r.forget = func() { f.shared.Forget(cfg) }
		}
		return r, err
	})
}
