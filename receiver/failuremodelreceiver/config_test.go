// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

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

	"github.com/faultline-otel/faultline/internal/contract"
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
	own := component.MustNewID("failure_model")
	valid := map[string]*Config{
		"failure_model":             {Engine: own, CollectionInterval: 10 * time.Second},
		"failure_model/all":         {Engine: component.MustNewIDWithName("failure_model", "other"), CollectionInterval: 30 * time.Second},
		"failure_model/fastest":     {Engine: own, CollectionInterval: time.Second},
		"failure_model/slowest":     {Engine: own, CollectionInterval: time.Hour},
		"failure_model/null_engine": {Engine: own, CollectionInterval: 10 * time.Second},
	}
	invalid := map[string]string{
		"invalid/too_fast":     "collection_interval: 100ms is not between 1s and 1h: write 10s",
		"invalid/too_slow":     "collection_interval: 2h0m0s is not between 1s and 1h: write 10s",
		"invalid/no_interval":  "collection_interval: 0s is not between 1s and 1h: write 10s",
		"invalid/empty_engine": "'engine' id must not be empty",
		"invalid/engine_name":  `in "failure_model/" id: the part after / should not be empty`,
		"invalid/unknown_key":  "interval",
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
		cfg, err := load(conf, "receivers::failure_model")
		require.NoError(t, err)
		assert.Equal(t, 30*time.Second, cfg.CollectionInterval)
		assert.True(t, conf.IsSet("extensions::"+cfg.Engine.String()))
	})

	t.Run("it_lists_every_key", func(t *testing.T) {
		for f := range reflect.TypeFor[Config]().Fields() {
			if key := f.Tag.Get("mapstructure"); key != "" {
				assert.Contains(t, readme, "| `"+key+"` |")
			}
		}
	})

	t.Run("it_lists_every_event", func(t *testing.T) {
		for _, event := range []string{
			contract.EventFailureDetected, contract.EventFailureRevised, contract.EventFailureCleared,
			contract.EventIncidentOpened, contract.EventIncidentUpdated, contract.EventIncidentResolved,
			contract.EventObserverDegraded, contract.EventObserverRecovered, contract.EventClockStepped,
			contract.EventIdentityConflict, contract.EventPartitionReconciled, contract.EventPlannedStop,
		} {
			assert.Contains(t, readme, "`"+event+"`")
		}
	})
}
