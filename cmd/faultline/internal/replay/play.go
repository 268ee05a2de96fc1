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
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/enginehost"
	"github.com/faultline-otel/faultline/processor/failuremodelprocessor"
)

// settings are the failure_model sections of a Collector's configuration.
type settings struct {
	extension *failuremodelextension.Config
	processor *failuremodelprocessor.Config
}

// readConfig takes the sections processors::failure_model of a Collector YAML
// and that of the extension that its `engine` names; defaults for "".
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
	processorKey := "processors::failure_model"
	hasProcessor, err := readSection(conf, processorKey, s.processor)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", name, processorKey, err)
	}
	extensionKey := "extensions::" + s.processor.Engine.String()
	hasExtension, err := readSection(conf, extensionKey, s.extension)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %s: %w", name, extensionKey, err)
	case !hasProcessor && !hasExtension:
		return nil, fmt.Errorf("%s: has neither %s nor %s: write one of them, or leave out --config for the defaults", name, extensionKey, processorKey)
	case !s.processor.Observe:
		return nil, fmt.Errorf("%s: %s: observe is false, so the engine would see nothing: write true", name, processorKey)
	}
	return s, nil
}

// readSection says whether the section key is there.
func readSection(conf *confmap.Conf, key string, into any) (bool, error) {
	if !conf.IsSet(key) {
		return false, nil
	}
	if conf.Get(key) == nil {
		return true, nil // the defaults
	}
	sub, err := conf.Sub(key)
	if err != nil {
		return true, err
	}
	if err := sub.Unmarshal(into); err != nil {
		return true, err
	}
	return true, xconfmap.Validate(into)
}

// pipeline is the processor for the three signals.
type pipeline struct {
	traces  processor.Traces
	metrics processor.Metrics
	logs    processor.Logs
}

func newPipeline(ctx context.Context, cfg *failuremodelprocessor.Config, host component.Host, end consumer.Traces) (*pipeline, error) {
	f := failuremodelprocessor.NewFactory()
	set := processor.Settings{ID: component.NewID(f.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(), BuildInfo: component.NewDefaultBuildInfo()}
	var p pipeline
	var errs [3]error
	p.traces, errs[0] = f.CreateTraces(ctx, set, cfg, end)
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

// play runs the recordings. It returns how many lines it read and how much time
// they cover. Into a folder out, if given, it writes what would have been sent on.
func play(ctx context.Context, s *settings, files []string, out string, onEvent func(verdict.Event), report func(error)) (read int, covered time.Duration, err error) {
	lines, err := recording.Merge(files, report)
	if err != nil {
		return read, 0, err
	}
	defer func() { err = errors.Join(err, lines.Close()) }()
	driven := enginehost.NewSync(s.extension.EngineParams(), onEvent)
	host := driven.Host(s.processor.Engine)
	var end consumer.Traces = sink{}
	if out != "" {
		w, failed := newWritten(out, files)
		if failed != nil {
			return read, 0, failed
		}
		defer func() { err = errors.Join(err, w.close()) }()
		r, failed := w.follow(ctx, s.processor.Engine, host)
		if failed != nil {
			return read, 0, failed
		}
		defer func() { err = errors.Join(err, r.Shutdown(context.WithoutCancel(ctx))) }()
		end = w
	}
	p, err := newPipeline(ctx, s.processor, host, end)
	if err != nil {
		return read, 0, err
	}
	defer func() { err = errors.Join(err, p.shutdown(context.WithoutCancel(ctx))) }()
	var first clock.Time
	for {
		l, err := lines.Next()
		switch {
		case errors.Is(err, io.EOF):
			return read, driven.Now().Sub(first), nil
		case err != nil:
			return read, 0, err
		case ctx.Err() != nil:
			return read, 0, ctx.Err()
		}
		read++
		if l.Time != 0 {
			driven.Advance(l.Time)
		}
		if first == 0 {
			first = driven.Now()
		}
		if err := p.consume(ctx, l); err != nil {
			return read, 0, err
		}
	}
}

// sink is the end of the pipeline.
type sink struct{}

func (sink) Capabilities() consumer.Capabilities                   { return consumer.Capabilities{} }
func (sink) ConsumeTraces(context.Context, ptrace.Traces) error    { return nil }
func (sink) ConsumeMetrics(context.Context, pmetric.Metrics) error { return nil }
func (sink) ConsumeLogs(context.Context, plog.Logs) error          { return nil }
