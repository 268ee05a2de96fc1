// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

// load reads a section of a configuration as the Collector does.
func load(conf *confmap.Conf, id string) (*Config, error) {
	sub, err := conf.Sub(id)
	if err != nil {
		return nil, err
	}
	cfg := createDefaultConfig().(*Config)
	if err := sub.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, xconfmap.Validate(cfg)
}

func TestConfig(t *testing.T) {
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)

	file, redis := component.MustNewID("file_storage"), component.MustNewIDWithName("redis_storage", "state")
	all := createDefaultConfig().(*Config)
	all.Storage, all.Heartbeat.MistakeRecurrence, all.QueueSize = &file, 24*time.Hour, 50
	all.Limits = LimitsConfig{MaxInstances: 1000, MaxAddresses: 500, MaxObservers: 20, MaxSpanKinds: 800}
	bounds := createDefaultConfig().(*Config)
	bounds.Heartbeat.MistakeRecurrence, bounds.Limits.MaxInstances, bounds.Limits.MaxAddresses, bounds.QueueSize = time.Minute, 10, maxLimit, 1
	named := createDefaultConfig().(*Config)
	named.Storage = &redis
	valid := map[string]*Config{
		"failure_model": createDefaultConfig().(*Config), "failure_model/all": all,
		"failure_model/bounds": bounds, "failure_model/named_storage": named,
	}
	invalid := map[string]string{
		"invalid/short_recurrence": "heartbeat::mistake_recurrence: 10s is not between 1m and 8760h: write 12h",
		"invalid/long_recurrence":  "heartbeat::mistake_recurrence: 8761h0m0s is not between 1m and 8760h: write 12h",
		"invalid/no_instances":     "limits::max_instances: 0 is not between 10 and 10000000: leave it out for the default",
		"invalid/few_addresses":    "limits::max_addresses: 9 is not between 10 and 10000000: leave it out for the default",
		"invalid/one_observer":     "limits::max_observers: 1 is not between 2 and 10000000: leave it out for the default",
		"invalid/many_span_kinds":  "limits::max_span_kinds: 10000001 is not between 10 and 10000000: leave it out for the default",
		"invalid/no_queue":         "queue_size: 0 is not between 1 and 10000000: leave it out for the default",
		"invalid/two_at_once": "heartbeat::mistake_recurrence: 0s is not between 1m and 8760h: write 12h\n" +
			"queue_size: -1 is not between 1 and 10000000: leave it out for the default",
		"invalid/unknown_key":   "max_instances",
		"invalid/empty_storage": "id must not be empty",
	}
	require.Len(t, conf.ToStringMap(), len(valid)+len(invalid), "every entry is tested")
	for id, want := range valid {
		t.Run(id, func(t *testing.T) {
			got, err := load(conf, id)
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
	for id, want := range invalid {
		t.Run(id, func(t *testing.T) {
			_, err := load(conf, id)
			assert.ErrorContains(t, err, want)
		})
	}
}

func TestConfigReachesTheEngine(t *testing.T) {
	conf, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	cfg, err := load(conf, "failure_model/all")
	require.NoError(t, err)
	p := cfg.EngineParams()
	assert.Equal(t, 24*time.Hour, p.MistakeRecurrence)
	assert.Equal(t, cfg.Limits, LimitsConfig{p.MaxInstances, p.MaxAddresses, p.MaxObservers, p.MaxSpanKinds})
}

func TestReadme(t *testing.T) {
	raw, err := os.ReadFile("README.md")
	require.NoError(t, err)
	readme := string(raw)

	t.Run("its_example_is_valid", func(t *testing.T) {
		_, rest, found := strings.Cut(readme, "```yaml\n")
		require.True(t, found)
		example, _, _ := strings.Cut(rest, "```")
		retrieved, err := confmap.NewRetrievedFromYAML([]byte(example))
		require.NoError(t, err)
		conf, err := retrieved.AsConf()
		require.NoError(t, err)
		cfg, err := load(conf, "extensions::failure_model")
		require.NoError(t, err)
		assert.Equal(t, component.MustNewID("file_storage"), *cfg.Storage)
	})

	t.Run("it_lists_every_key", func(t *testing.T) {
		for _, key := range keys(reflect.TypeFor[Config](), "") {
			assert.Contains(t, readme, "| `"+key+"` |")
		}
	})
}

// keys are the keys of a configuration struct, with those of structs within.
func keys(typ reflect.Type, under string) []string {
	var found []string
	for f := range typ.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("mapstructure"), ",")
		switch {
		case key == "":
		case f.Type.Kind() == reflect.Struct && f.Type.PkgPath() == typ.PkgPath():
			found = append(found, keys(f.Type, under+key+"::")...)
		default:
			found = append(found, under+key)
		}
	}
	return found
}
