// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/faultline-otel/faultline/internal/enginehost"
)

// Config is what a user writes under `processors: failure_model:`.
type Config struct {
	// Engine is the failure_model extension that is shown what passes.
	Engine component.ID `mapstructure:"engine"`
	// Observe shows the engine what passes. Where a fan-out gives several
	// pipelines the same data, only one of them may observe.
	Observe bool `mapstructure:"observe"`
	// Heartbeats says what becomes of heartbeat records once observed:
	// `consume` drops them, `pass` keeps them.
	Heartbeats string `mapstructure:"heartbeats"`
	// Annotate says what is written where.
	Annotate AnnotateConfig `mapstructure:"annotate"`
	// TraceMemory bounds what is remembered of traces with a blamed call.
	TraceMemory TraceMemoryConfig `mapstructure:"trace_memory"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// AnnotateConfig says what is written where.
type AnnotateConfig struct {
	// Enabled has anything written at all.
	Enabled bool `mapstructure:"enabled"`
	// Wait is how long a failed span waits for the verdict that it belongs to,
	// 1ms to 60s; 0 turns waiting off.
	Wait time.Duration `mapstructure:"wait"`
	// MaxWaiting (spans) and MaxWaitingBytes (their size as OTLP) bound what waits; the
	// rest passes at once and is counted. With 0 none waits.
	MaxWaiting      int `mapstructure:"max_waiting"`
	MaxWaitingBytes int `mapstructure:"max_waiting_bytes"`
	// Score says which spans get anomaly.score: `never`, `threshold` (failed or
	// slow spans from ScoreThreshold on, 0 to 1) or `always` (all spans).
	Score          string  `mapstructure:"score"`
	ScoreThreshold float64 `mapstructure:"score_threshold"`
	// JaegerWarnings also writes the reason where Jaeger shows warnings.
	JaegerWarnings bool `mapstructure:"jaeger_warnings"`
	// Metrics is `none`, or `datapoint` to write the class on the data points
	// of entities with a verdict.
	Metrics string `mapstructure:"metrics"`
}

// TraceMemoryConfig bounds what is remembered of traces with a blamed call.
type TraceMemoryConfig struct {
	// MaxTraces is how many traces are remembered, 1 to 10000000.
	MaxTraces int `mapstructure:"max_traces"`
	// TTL is for how long at least, 1s to 1h, unless there are more.
	TTL time.Duration `mapstructure:"ttl"`
}

const (
	heartbeatsConsume = "consume"
	heartbeatsPass    = "pass"

	scoreNever     = "never"
	scoreThreshold = "threshold"
	scoreAlways    = "always"

	metricsNone      = "none"
	metricsDatapoint = "datapoint"
)

func createDefaultConfig() component.Config {
	return &Config{
		Engine:     enginehost.DefaultID,
		Observe:    true,
		Heartbeats: heartbeatsConsume,
		Annotate: AnnotateConfig{
			Enabled: true, Wait: 3 * time.Second, MaxWaiting: 20_000, MaxWaitingBytes: 64 << 20,
			Score: scoreThreshold, ScoreThreshold: 0.7, Metrics: metricsNone,
		},
		TraceMemory: TraceMemoryConfig{MaxTraces: 50_000, TTL: time.Minute},
	}
}

// Validate reports every key that cannot be used, and what to write.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }
	oneOf := func(key, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			bad("%s: %q is not one of %s", key, value, strings.Join(allowed, ", "))
		}
	}
	oneOf("heartbeats", c.Heartbeats, heartbeatsConsume, heartbeatsPass)
	oneOf("annotate::score", c.Annotate.Score, scoreNever, scoreThreshold, scoreAlways)
	oneOf("annotate::metrics", c.Annotate.Metrics, metricsNone, metricsDatapoint)
	if w := c.Annotate.Wait; w != 0 && (w < time.Millisecond || w > time.Minute) { // a bare 3 is 3 ns
		bad("annotate::wait: %v is not between 1ms and 1m: write 3s, or 0 to turn waiting off", w)
	}
	if c.Annotate.MaxWaiting < 0 {
		bad("annotate::max_waiting: must not be negative, is %d: write 20000", c.Annotate.MaxWaiting)
	}
	if c.Annotate.MaxWaitingBytes < 0 {
		bad("annotate::max_waiting_bytes: must not be negative, is %d: write 67108864", c.Annotate.MaxWaitingBytes)
	}
	if t := c.Annotate.ScoreThreshold; !(t >= 0 && t <= 1) { // catches NaN, too
		bad("annotate::score_threshold: %v is not between 0 and 1: write 0.7", t)
	}
	if n := c.TraceMemory.MaxTraces; n < 1 || n > 10_000_000 {
		bad("trace_memory::max_traces: %d is not between 1 and 10000000: write 50000", n)
	}
	if c.TraceMemory.TTL < time.Second || c.TraceMemory.TTL > time.Hour {
		bad("trace_memory::ttl: %v is not between 1s and 1h: write 60s", c.TraceMemory.TTL)
	}
	return errors.Join(errs...)
}
