// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"gopkg.in/yaml.v3"

	"github.com/faultline-otel/faultline/cmd/faultline/internal/recording"
	"github.com/faultline-otel/faultline/extension/failuremodelextension"
	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/enginehost"
	"github.com/faultline-otel/faultline/processor/failuremodelprocessor"
)

// settings are the failure_model sections of a Collector's configuration.
type settings struct {
	extension *failuremodelextension.Config
	processor *failuremodelprocessor.Config
}

// readConfig takes the sections extensions::failure_model and
// processors::failure_model of a Collector YAML; defaults for "".
func readConfig(name string) (*settings, error) {
	s := &settings{
		extension: failuremodelextension.NewFactory().CreateDefaultConfig().(*failuremodelextension.Config),
		processor: failuremodelprocessor.NewFactory().CreateDefaultConfig().(*failuremodelprocessor.Config),
	}
	if name == "" {
		return s, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var raw map[string]any
	if err := yaml.Unmarshal(text, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	conf := confmap.NewFromStringMap(raw)
	for key, into := range map[string]any{"extensions::failure_model": s.extension, "processors::failure_model": s.processor} {
		if conf.Get(key) == nil {
			continue
		}
		sub, err := conf.Sub(key)
		if err == nil {
			err = sub.Unmarshal(into)
		}
		if err == nil {
			err = xconfmap.Validate(into)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, key, err)
		}
	}
	return s, nil
}

// pipeline is the processor for the three signals, with nothing behind it.
type pipeline struct {
	traces  processor.Traces
	metrics processor.Metrics
	logs    processor.Logs
}

func newPipeline(ctx context.Context, cfg *failuremodelprocessor.Config, host component.Host) (*pipeline, error) {
	f := failuremodelprocessor.NewFactory()
	set := processor.Settings{ID: component.NewID(f.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(), BuildInfo: component.NewDefaultBuildInfo()}
	var p pipeline
	var errs [3]error
	p.traces, errs[0] = f.CreateTraces(ctx, set, cfg, sink{})
	p.metrics, errs[1] = f.CreateMetrics(ctx, set, cfg, sink{})
	p.logs, errs[2] = f.CreateLogs(ctx, set, cfg, sink{})
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return &p, errors.Join(p.traces.Start(ctx, host), p.metrics.Start(ctx, host), p.logs.Start(ctx, host))
}

func (p *pipeline) consume(ctx context.Context, l *recording.Line) error {
	switch l.Signal {
	case recording.Traces:
		return p.traces.ConsumeTraces(ctx, l.Traces)
	case recording.Metrics:
		return p.metrics.ConsumeMetrics(ctx, l.Metrics)
	default:
		return p.logs.ConsumeLogs(ctx, l.Logs)
	}
}

func (p *pipeline) shutdown(ctx context.Context) error {
	return errors.Join(p.traces.Shutdown(ctx), p.metrics.Shutdown(ctx), p.logs.Shutdown(ctx))
}

// play runs the recordings and returns how much time they cover.
func play(ctx context.Context, s *settings, files []string, onEvent func(engine.Event), onBad func(error)) (covered time.Duration, err error) {
	lines, err := recording.Merge(files, onBad)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, lines.Close()) }()
	clock := enginehost.NewSync(s.extension.EngineParams(), onEvent)
	p, err := newPipeline(ctx, s.processor, clock.Host(s.processor.Engine))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, p.shutdown(context.WithoutCancel(ctx))) }()
	var first engine.Time
	for {
		l, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return clock.Now().Sub(first), nil
		case err != nil:
			return 0, err
		case ctx.Err() != nil:
			return 0, ctx.Err()
		}
		if l.Time != 0 {
			clock.Advance(l.Time)
		}
		if first == 0 {
			first = clock.Now()
		}
		if err := p.consume(ctx, l); err != nil {
			return 0, err
		}
	}
}

// sink is the end of the pipeline.
type sink struct{}

func (sink) Capabilities() consumer.Capabilities                   { return consumer.Capabilities{} }
func (sink) ConsumeTraces(context.Context, ptrace.Traces) error    { return nil }
func (sink) ConsumeMetrics(context.Context, pmetric.Metrics) error { return nil }
func (sink) ConsumeLogs(context.Context, plog.Logs) error          { return nil }
