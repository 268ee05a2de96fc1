// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// LocalServersConfig says whether, and how often, the processes are looked at
// that take TCP connections on this host. Linux only.
type LocalServersConfig struct {
	Enabled bool `mapstructure:"enabled"`
	// CollectionInterval is the time between looks, 100ms to 24h.
	CollectionInterval time.Duration `mapstructure:"collection_interval"`
	// MaxProcesses is how many are looked at, 1 to 1000; the others are left out.
	MaxProcesses int `mapstructure:"max_processes"`
}

const (
	minLookInterval = 100 * time.Millisecond
	maxLookInterval = 24 * time.Hour
)

// Validate reports all that is wrong, each with its key.
func (c *LocalServersConfig) Validate() error {
	return validLooks(c.CollectionInterval, "max_processes", c.MaxProcesses)
}

// validLooks checks how often something local is looked at, and the key that bounds
// how much of it.
func validLooks(interval time.Duration, key string, most int) error {
	var errs []error
	if interval < minLookInterval || interval > maxLookInterval {
		errs = append(errs, fmt.Errorf("collection_interval: %v is not between 100ms and 24h: write 2s", interval))
	}
	if most < 1 || most > maxTargets {
		errs = append(errs, fmt.Errorf("%s: must be 1 to %d, not %d: write 64", key, maxTargets, most))
	}
	return errors.Join(errs...)
}

// newServers prepares to look at local servers. Where that is not possible a
// warning says so, and all else goes on: one configuration serves every system.
func (r *heartbeatReceiver) newServers() {
	c := &r.cfg.LocalServers
	if !c.Enabled || r.batch == nil {
		return // what nobody would be told is not looked for
	}
	var err error
	if r.servers, err = probe.NewServers(c.MaxProcesses, r.set.Logger); err != nil {
		r.set.Logger.Warn("Cannot look at the servers of this host (local_servers)", zap.Error(err))
	}
}

// watchServers looks at all local servers in turn at the interval.
func (r *heartbeatReceiver) watchServers(ctx context.Context) {
	c, here := &r.cfg.LocalServers, &identity{host: r.host, resourceAttrs: 1}
	r.every(ctx, c.CollectionInterval, func() {
		for _, s := range r.servers.Look(ctx, time.Now()) {
			r.tell(here, s.Target, c.CollectionInterval, s.Result, s.Addresses)
		}
	})
}
