// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/processor"
	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/enginehost"
	"github.com/faultline-otel/faultline/internal/observation"
	"github.com/faultline-otel/faultline/processor/failuremodelprocessor/internal/metadata"
)

// core is what the pipelines of one ID share.
type core struct {
	config    *Config
	logger    *zap.Logger
	telemetry *metadata.TelemetryBuilder
	extractor *observation.Extractor
	memory    *memory
	leave     func() (last bool)

	mu     sync.Mutex // guards engine while pipelines start
	engine enginehost.Engine

	waitingSpans, waitingBytes atomic.Int64
	scratch                    sync.Pool // *report.Batch, of those who only look
}

func newCore(set processor.Settings, cfg *Config) (*core, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	c := &core{
		config: cfg, logger: set.Logger, telemetry: telemetry,
		extractor: observation.New(observation.Settings{}),
		memory:    newMemory(cfg.TraceMemory.MaxTraces, cfg.TraceMemory.TTL),
	}
	c.scratch.New = func() any { return &report.Batch{} }
	c.memory.forgotten = func(n int64) {
		telemetry.ProcessorFailureModelTracesForgotten.Add(context.Background(), n)
	}
	if err := c.registerGauges(); err != nil {
		return nil, err
	}
	return c, nil
}

// mayWait says whether spans may wait for a verdict at all.
func (c *core) mayWait() bool {
	a := &c.config.Annotate
	return a.Enabled && a.Wait > 0 && a.MaxWaiting > 0
}

// look finds the odd spans of td without showing them to the engine.
func (c *core) look(td ptrace.Traces, now clock.Time) []int32 {
	b := c.scratch.Get().(*report.Batch)
	odd := c.extractor.Traces(td, now, c.engine.Baselines(), b)
	b.Reset()
	c.scratch.Put(b)
	return odd
}

// member is what the processors of the three signals have in common.
type member struct {
	*core
	left bool // guarded by the service: start and shutdown do not overlap
}

// Start finds the engine.
func (m *member) Start(_ context.Context, host component.Host) error {
	e, err := enginehost.Find(host, m.config.Engine)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.engine = e
	return nil
}

// Shutdown leaves the core; the last one closes it. It is safe without Start,
// and twice.
func (m *member) Shutdown(context.Context) error {
	if m.left {
		return nil
	}
	m.left = true
	if m.leave() {
		m.telemetry.Shutdown()
	}
	return nil
}
