// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap/confmaptest"
	"go.opentelemetry.io/collector/confmap/xconfmap"
)

// load reads one section of testdata/config.yaml as the Collector does.
func load(t *testing.T, id string) (*Config, error) {
	t.Helper()
	cm, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	sub, err := cm.Sub(id)
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	if err := sub.Unmarshal(cfg); err != nil {
		return nil, err
	}
	return cfg, xconfmap.Validate(cfg)
}

func TestDefaultConfigIsSafe(t *testing.T) {
	cfg, err := load(t, "heartbeat")
	require.NoError(t, err)
	assert.Equal(t, "localhost:8321", cfg.HTTP.NetAddr.Endpoint)
	assert.EqualValues(t, 1<<20, cfg.HTTP.MaxRequestBodySize)
	assert.NotZero(t, cfg.HTTP.ReadTimeout)
	assert.NotZero(t, cfg.HTTP.ReadHeaderTimeout)
	assert.Equal(t, []string{"", "gzip", "zstd"}, cfg.HTTP.CompressionAlgorithms)
	assert.False(t, cfg.AutoCreate)
	assert.Equal(t, LocalServersConfig{CollectionInterval: 2 * time.Second, MaxProcesses: 64}, cfg.LocalServers, "off")
	assert.Equal(t, LocalConnectionsConfig{CollectionInterval: 2 * time.Second, MaxPeers: 64}, cfg.LocalConnections, "off")
}

func TestConfigIsReadInFull(t *testing.T) {
	cfg, err := load(t, "heartbeat/all")
	require.NoError(t, err)
	assert.Equal(t, "0.0.0.0:9321", cfg.HTTP.NetAddr.Endpoint)
	assert.Equal(t, "rack-7", cfg.Observer)
	assert.Equal(t, 2*time.Second, cfg.ObserverInterval)
	require.Len(t, cfg.Checks, 2)
	assert.Equal(t, 30*time.Minute, cfg.Checks[0].grace())
	assert.Equal(t, time.Hour, cfg.Checks[1].grace(), "the default grace")
	assert.Equal(t, "[REDACTED]", cfg.Checks[1].Key.String())
	require.Len(t, cfg.Keys, 1)
	require.Len(t, cfg.Targets, 1)
	assert.Equal(t, 5*time.Second, cfg.Targets[0].CollectionInterval)
	assert.Equal(t, LocalServersConfig{Enabled: true, CollectionInterval: time.Second, MaxProcesses: 10}, cfg.LocalServers)
	assert.Equal(t, LocalConnectionsConfig{Enabled: true, CollectionInterval: time.Second, MaxPeers: 20}, cfg.LocalConnections)
	assert.Equal(t, 20_000, cfg.QueueSize)
}

func TestLocalServersNeedNoEndpoint(t *testing.T) {
	cfg, err := load(t, "heartbeat/local")
	require.NoError(t, err)
	assert.Empty(t, cfg.HTTP.NetAddr.Endpoint)
	assert.Equal(t, LocalServersConfig{Enabled: true, CollectionInterval: 2 * time.Second, MaxProcesses: 64}, cfg.LocalServers)
}

func TestLocalConnectionsNeedNoEndpoint(t *testing.T) {
	cfg, err := load(t, "heartbeat/ways")
	require.NoError(t, err)
	assert.Empty(t, cfg.HTTP.NetAddr.Endpoint)
	assert.Equal(t, LocalConnectionsConfig{Enabled: true, CollectionInterval: 2 * time.Second, MaxPeers: 64}, cfg.LocalConnections)
}

func TestWrongConfigNamesTheKey(t *testing.T) {
	for id, want := range map[string][]string{
		"bad_observer_interval": {"observer_interval: ", "write 1s"},
		"bad_no_way_in":         {"http::endpoint: ", "write localhost:8321"},
		"bad_limits":            {"max_auto_created: ", "max_senders: ", "queue_size: ", "metrics_interval: "},
		"bad_observer":          {"observer: ", "control character"},
		"bad_twice":             {"checks::1: ", "checks::0"},
		"bad_both":              {"checks::0: ", "uuid, slug: write one"},
		"bad_uuid":              {"checks::0: ", "uuid: \"nightly\""},
		"bad_slug":              {"checks::0: ", "slug: "},
		"bad_key_of_uuid":       {"checks::0: ", "key: ", "slug"},
		"bad_rhythm":            {"checks::0: ", "period, schedule: write one"},
		"bad_cron":              {"checks::0: ", "schedule: "},
		"bad_cron_zone":         {"checks::0: ", "schedule: ", "timezone"},
		"bad_never":             {"checks::0: ", "schedule: ", "never"},
		"bad_zone":              {"checks::0: ", "timezone: ", "Europe/Berlin"},
		"bad_period":            {"checks::0: ", "period: "},
		"bad_grace":             {"checks::0: ", "grace: "},
		"bad_bare_grace":        {"checks::0: ", "grace: 30ns is not 0s or between 10ms"},
		"bad_service":           {"checks::0: ", "service: "},
		"bad_key":               {"keys::0: ", "key: "},
		"bad_keys_alike":        {"keys::2: ", "keys::0", "remove one"},
		"bad_target":            {"targets::0: ", "endpoint: "},
		"bad_targets_alike":     {"targets::1: ", "targets::0", "write a name"},
		"bad_local_servers":     {"local_servers: ", "collection_interval: 50ms ", "write 2s", "max_processes: ", "write 64"},
		"bad_local_many":        {"local_servers: ", "collection_interval: 25h0m0s ", "max_processes: must be 1 to 1000, not 1001"},
		"bad_local_connections": {"local_connections: ", "collection_interval: 50ms ", "write 2s", "max_peers: ", "write 64"},
		"bad_local_peers":       {"local_connections: ", "collection_interval: 25h0m0s ", "max_peers: must be 1 to 1000, not 1001"},
		"bad_unknown":           {"endpoint"},
	} {
		t.Run(id, func(t *testing.T) {
			_, err := load(t, "heartbeat/"+id)
			require.Error(t, err)
			for _, w := range want {
				assert.Contains(t, err.Error(), w)
			}
		})
	}
}

func TestEveryWrongSectionIsTested(t *testing.T) {
	cm, err := confmaptest.LoadConf("testdata/config.yaml")
	require.NoError(t, err)
	for id := range cm.ToStringMap() {
		var cid component.ID
		require.NoError(t, cid.UnmarshalText([]byte(id)))
		if _, err := load(t, id); !strings.HasPrefix(cid.Name(), "bad_") {
			assert.NoError(t, err, id)
		} else {
			assert.Error(t, err, id)
		}
	}
}

func TestCheckDueTimes(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	for _, tt := range []struct {
		name string
		cfg  CheckConfig
		now  time.Time
		due  time.Time
	}{
		{
			"a_period_counts_from_the_ping", CheckConfig{Period: time.Hour},
			time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 11, 0, 0, 0, time.UTC),
		},
		{
			"a_schedule_is_in_its_time_zone", CheckConfig{Schedule: "0 3 * * *", Timezone: "Europe/Berlin"},
			time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC), time.Date(2026, 1, 2, 3, 0, 0, 0, berlin),
		},
		{
			"summer_time_moves_it_in_utc", CheckConfig{Schedule: "0 3 * * *", Timezone: "Europe/Berlin"},
			time.Date(2026, 7, 1, 10, 0, 0, 0, time.UTC), time.Date(2026, 7, 2, 1, 0, 0, 0, time.UTC),
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := check{period: tt.cfg.Period}
			if tt.cfg.Schedule != "" {
				s, err := parseSchedule(tt.cfg.Schedule, tt.cfg.Timezone)
				require.NoError(t, err)
				c.schedule = &s
			}
			c.plan(tt.now)
			assert.True(t, tt.due.Equal(c.due), "due %v", c.due)
		})
	}
}
