// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/receiver"

	"github.com/faultline-otel/faultline/internal/shared"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
)

// NewFactory returns the factory of receiver heartbeat.
func NewFactory() receiver.Factory {
	f := &factory{}
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
	shared shared.Table[Config, *heartbeatReceiver]
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

func (f *factory) find(set receiver.Settings, cfg *Config) (*heartbeatReceiver, error) {
	return f.shared.Of(cfg, func() (*heartbeatReceiver, error) {
		r, err := newReceiver(set, cfg)
		if err == nil {
			r.forget = func() { f.shared.Forget(cfg) }
		}
		return r, err
	})
}
