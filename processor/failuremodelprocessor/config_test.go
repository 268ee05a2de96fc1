// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

// load reads one section of testdata/config.yaml as the Collector does.
func load(t *testing.T, id string) *Config {
	t.Helper()
	cm, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := cm.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	require.NoError(t, xconfmap.Validate(cfg))
	return cfg
}

func TestConfigIsRead(t *testing.T) {
	documents := createDefaultConfig().(*Config)
	documents.Observe = false
	documents.Annotate.Metrics = metricsDatapoint
	for id, want := range map[string]*Config{
		"failure_model":           createDefaultConfig().(*Config),
		"failure_model/documents": documents,
		"failure_model/all": {
			Engine: component.MustNewIDWithName("failure_model", "other"), Observe: true, Heartbeats: heartbeatsPass,
			Annotate: AnnotateConfig{
				Enabled: true, Wait: 5 * time.Second, MaxWaiting: 100, MaxWaitingBytes: 1_000_000,
				Score: scoreAlways, ScoreThreshold: 0.9, JaegerWarnings: true, Metrics: metricsNone,
			},
			TraceMemory: TraceMemoryConfig{MaxTraces: 1000, TTL: 30 * time.Second},
		},
	} {
		t.Run(id, func(t *testing.T) { assert.Equal(t, want, load(t, id)) })
	}
}

func TestWrongConfigNamesTheKeyAndWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"heartbeats":      {func(c *Config) { c.Heartbeats = "drop" }, `heartbeats: "drop" is not one of consume, pass`},
		"score":           {func(c *Config) { c.Annotate.Score = "" }, `annotate::score: "" is not one of never, threshold, always`},
		"metrics":         {func(c *Config) { c.Annotate.Metrics = "all" }, `annotate::metrics: "all" is not one of none, datapoint`},
		"negative_wait":   {func(c *Config) { c.Annotate.Wait = -1 }, "annotate::wait: -1ns is not between 1ms and 1m: write 3s, or 0 to turn waiting off"},
		"bare_wait":       {func(c *Config) { c.Annotate.Wait = 3 }, "annotate::wait: 3ns is not between 1ms and 1m: write 3s, or 0 to turn waiting off"},
		"long_wait":       {func(c *Config) { c.Annotate.Wait = time.Hour }, "annotate::wait: 1h0m0s is not between 1ms and 1m: write 3s, or 0 to turn waiting off"},
		"max_waiting":     {func(c *Config) { c.Annotate.MaxWaiting = -1 }, "annotate::max_waiting: must not be negative, is -1: write 20000"},
		"max_bytes":       {func(c *Config) { c.Annotate.MaxWaitingBytes = -2 }, "annotate::max_waiting_bytes: must not be negative, is -2: write 67108864"},
		"threshold":       {func(c *Config) { c.Annotate.ScoreThreshold = 1.5 }, "annotate::score_threshold: 1.5 is not between 0 and 1: write 0.7"},
		"threshold_nan":   {func(c *Config) { c.Annotate.ScoreThreshold = math.NaN() }, "annotate::score_threshold: NaN is not between 0 and 1: write 0.7"},
		"no_traces":       {func(c *Config) { c.TraceMemory.MaxTraces = 0 }, "trace_memory::max_traces: 0 is not between 1 and 10000000: write 50000"},
		"too_many_traces": {func(c *Config) { c.TraceMemory.MaxTraces = 10_000_001 }, "trace_memory::max_traces: 10000001 is not between 1 and 10000000: write 50000"},
		"short_ttl":       {func(c *Config) { c.TraceMemory.TTL = 0 }, "trace_memory::ttl: 0s is not between 1s and 1h: write 60s"},
		"long_ttl":        {func(c *Config) { c.TraceMemory.TTL = 2 * time.Hour }, "trace_memory::ttl: 2h0m0s is not between 1s and 1h: write 60s"},
		"two_at_once": {func(c *Config) { c.Heartbeats, c.TraceMemory.TTL = "x", 0 },
			"heartbeats: \"x\" is not one of consume, pass\ntrace_memory::ttl: 0s is not between 1s and 1h: write 60s"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := createDefaultConfig().(*Config)
			c.change(cfg)
			assert.EqualError(t, cfg.Validate(), c.want)
		})
	}
}

func TestReadmeListsEveryKey(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	for _, key := range []string{
		"engine", "observe", "heartbeats", "annotate::enabled", "annotate::wait", "annotate::max_waiting",
		"annotate::max_waiting_bytes", "annotate::score", "annotate::score_threshold", "annotate::jaeger_warnings",
		"annotate::metrics", "trace_memory::max_traces", "trace_memory::ttl",
	} {
		assert.Contains(t, string(readme), "| `"+key+"` |")
	}
}
