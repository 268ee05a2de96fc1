// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// LocalConnectionsConfig says whether, and how often, it is looked at how the TCP
// connections fare that this host opened to others. Linux only.
type LocalConnectionsConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// CollectionInterval is the time between looks, 100ms to 24h.
	CollectionInterval time.Duration `mapstructure:"collection_interval"`
	// MaxPeers is how many are told of at a look, 1 to 1000; the others are left out.
	MaxPeers int `mapstructure:"max_peers"`
}

// Validate reports all that is wrong, each with its key.
func (c *LocalConnectionsConfig) Validate() error {
	return validLooks(c.CollectionInterval, "max_peers", c.MaxPeers)
}

// newConnections prepares to look at connections, or warns as newServers does.
func (r *heartbeatReceiver) newConnections() {
	c := &r.cfg.LocalConnections
	if !c.Enabled || r.batch == nil {
		return // what nobody would be told is not looked for
	}
	var err error
	if r.connections, err = probe.NewConnections(c.CollectionInterval, c.MaxPeers, r.set.Logger); err != nil {
		r.set.Logger.Warn("Cannot look at the connections of this host (local_connections)", zap.Error(err))
	}
}

// watchConnections looks at all connections at the interval.
func (r *heartbeatReceiver) watchConnections(ctx context.Context) {
	here := &identity{host: r.host, resourceAttrs: 1}
	r.every(ctx, r.cfg.LocalConnections.CollectionInterval, func() {
		for _, p := range r.connections.Look() {
			r.tell(here, p.Target, p.Interval, p.Result, nil)
		}
	})
}
