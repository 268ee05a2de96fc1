// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/config/confighttp"

	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// Config is what a user writes under `receivers: heartbeat:`.
type Config struct {
	// HTTP is the server for pings, JSON and OTLP heartbeats. With an empty
	// endpoint there is none, and only targets and what is local are looked at.
	HTTP confighttp.ServerConfig `mapstructure:"http"`

	// Observer is the id of this receiver as an observer; default: the host's name.
	Observer string `mapstructure:"observer"`
	// ObserverInterval is the time between this observer's own heartbeats, 100ms to 1m.
	ObserverInterval time.Duration `mapstructure:"observer_interval"`

	// Checks say what ping ids stand for.
	Checks []CheckConfig `mapstructure:"checks"`
	// AutoCreate accepts pings of unknown ids: the id becomes the service's name.
	AutoCreate bool `mapstructure:"auto_create"`
	// MaxAutoCreated is how many auto-created checks are remembered; the one
	// that was silent for longest goes first.
	MaxAutoCreated int `mapstructure:"max_auto_created"`

	// Keys are the secrets of senders that sign their heartbeats.
	Keys []KeyConfig `mapstructure:"keys"`

	// Targets are probed.
	Targets []probe.Config `mapstructure:"targets"`

	// LocalServers are looked at without being named.
	LocalServers LocalServersConfig `mapstructure:"local_servers"`
	// LocalConnections are those that this host opened to others.
	LocalConnections LocalConnectionsConfig `mapstructure:"local_connections"`

	// MaxSenders is how many senders have metrics; the one that was silent for
	// longest goes first. Their heartbeats are handed on all the same.
	MaxSenders int `mapstructure:"max_senders"`
	// QueueSize is how many records may wait for the pipeline; beyond it
	// senders get 503. At least maxElements, so that a full array fits.
	QueueSize int `mapstructure:"queue_size"`
	// MetricsInterval is the time between metric exports, at least 100ms.
	MetricsInterval time.Duration `mapstructure:"metrics_interval"`
}

const (
	defaultEndpoint = "localhost:8321"
	maxTargets      = 1000
	maxInterval     = 366 * 24 * time.Hour
	minInterval     = 10 * time.Millisecond
)

func createDefaultConfig() component.Config {
	server := confighttp.NewDefaultServerConfig()
	server.NetAddr.Endpoint = defaultEndpoint
	server.MaxRequestBodySize = 1 << 20
	server.ReadHeaderTimeout = 5 * time.Second
	server.ReadTimeout = 10 * time.Second
	server.WriteTimeout = 10 * time.Second
	// Snappy is left out: it lets the client choose how much is allocated.
	server.CompressionAlgorithms = []string{"", "gzip", "zstd"}
	return &Config{
		HTTP:             server,
		ObserverInterval: time.Second,
		MaxAutoCreated:   1000,
		LocalServers:     LocalServersConfig{CollectionInterval: 2 * time.Second, MaxProcesses: 64},
		LocalConnections: LocalConnectionsConfig{CollectionInterval: 2 * time.Second, MaxPeers: 64},
		MaxSenders:       50_000,
		QueueSize:        50_000,
		MetricsInterval:  10 * time.Second,
	}
}

// Validate reports all that is wrong, each with its key. The parts that have a
// Validate of their own are checked by the Collector.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, a ...any) { errs = append(errs, fmt.Errorf(format, a...)) }

	if c.HTTP.NetAddr.Endpoint == "" && len(c.Targets) == 0 && !c.LocalServers.Enabled && !c.LocalConnections.Enabled {
		bad("http::endpoint: must not be empty while there are no targets, no local_servers and no local_connections: write %s", defaultEndpoint)
	}
	if c.HTTP.NetAddr.Endpoint == "" && len(c.Checks) > 0 {
		bad("checks: nobody can ping them without http::endpoint: write %s there", defaultEndpoint)
	}
	if err := probe.CheckName(c.Observer); err != nil {
		bad("observer: %w", err)
	}
	if c.ObserverInterval < 100*time.Millisecond || c.ObserverInterval > time.Minute {
		bad("observer_interval: %v is not between 100ms and 1m: write 1s", c.ObserverInterval)
	}
	if c.MaxAutoCreated < 1 {
		bad("max_auto_created: must be at least 1, not %d", c.MaxAutoCreated)
	}
	if c.MaxSenders < 1 {
		bad("max_senders: must be at least 1, not %d", c.MaxSenders)
	}
	if c.QueueSize < maxElements {
		bad("queue_size: must be at least %d, as many as one request may hold, not %d", maxElements, c.QueueSize)
	}
	if c.MetricsInterval < 100*time.Millisecond {
		bad("metrics_interval: must be at least 100ms, not %v: write 10s", c.MetricsInterval)
	}
	if len(c.Targets) > maxTargets {
		bad("targets: %d are more than the %d that one receiver probes: spread them over several", len(c.Targets), maxTargets)
	}
	errs = append(errs, alike(c.Checks, (*CheckConfig).id, func(i, j int) error {
		return fmt.Errorf("checks::%d: has the same uuid or slug as checks::%d: a ping must mean one check", i, j)
	})...)
	errs = append(errs, alike(c.Keys, (*KeyConfig).sender, func(i, j int) error {
		return fmt.Errorf("keys::%d: is of the same service, namespace and instance as keys::%d: only one key of a sender counts: remove one", i, j)
	})...)
	errs = append(errs, alike(c.Targets, seriesOf, func(i, j int) error {
		return fmt.Errorf("targets::%d: is called %s for the same service as targets::%d: write a name for one of them", i, c.Targets[i].Target(), j)
	})...)
	return errors.Join(errs...)
}

// alike finds the elements of a list of which an earlier one, the j-th, has the same key.
func alike[T any, K comparable](list []T, key func(*T) K, problem func(i, j int) error) []error {
	var errs []error
	first := map[K]int{}
	for i := range list {
		k := key(&list[i])
		if j, twice := first[k]; twice {
			errs = append(errs, problem(i, j))
			continue
		}
		first[k] = i
	}
	return errs
}

// series is what tells the metrics of two targets apart.
type series struct{ target, service, namespace, instance, environment string }

func seriesOf(c *probe.Config) series {
	return series{c.Target(), c.Service, c.Namespace, c.Instance, c.Environment}
}
