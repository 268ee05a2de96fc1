// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/processor"

	"github.com/faultline-otel/faultline/internal/shared"
	"github.com/faultline-otel/faultline/processor/failuremodelprocessor/internal/metadata"
)

// NewFactory returns the factory of processor failure_model.
func NewFactory() processor.Factory {
	f := &factory{}
	return processor.NewFactory(metadata.Type, createDefaultConfig,
		processor.WithTraces(f.createTraces, metadata.TracesStability),
		processor.WithMetrics(f.createMetrics, metadata.MetricsStability),
		processor.WithLogs(f.createLogs, metadata.LogsStability))
}

// factory lets the pipelines of one ID share a core: logs are tagged by what
// traces have shown, and sources are interned once.
type factory struct {
	shared shared.Table[Config, *core]
}

func (f *factory) core(set processor.Settings, cfg *Config) (*core, error) {
	return f.shared.Of(cfg, func() (*core, error) {
		c, err := newCore(set, cfg)
		if err == nil {
			c.leave = func() (last bool) { return f.shared.Leave(cfg) }
		}
		return c, err
	})
}

func (f *factory) createTraces(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Traces) (processor.Traces, error) {
	c, err := f.core(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	return newTraces(c, next), nil
}

func (f *factory) createMetrics(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Metrics) (processor.Metrics, error) {
	c, err := f.core(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	return &metrics{member: member{core: c}, next: next}, nil
}

func (f *factory) createLogs(_ context.Context, set processor.Settings, cfg component.Config, next consumer.Logs) (processor.Logs, error) {
	c, err := f.core(set, cfg.(*Config))
	if err != nil {
		return nil, err
	}
	return &logs{member: member{core: c}, next: next}, nil
}
