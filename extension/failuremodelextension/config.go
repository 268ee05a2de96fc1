// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/faultline-otel/faultline/internal/engine"
)

// Config is what a user writes under `extensions: failure_model:`.
type Config struct {
	// Storage is the storage extension that keeps baselines, incarnations and
	// open verdicts over a restart; none by default.
	Storage *component.ID `mapstructure:"storage"`
	// Heartbeat sets how soon a silence is suspect.
	Heartbeat HeartbeatConfig `mapstructure:"heartbeat"`
	// Limits bound what the engine keeps. What does not fit is counted.
	Limits LimitsConfig `mapstructure:"limits"`
	// QueueSize is the number of batches of observations that may wait for the
	// engine, 1 to 10000000; beyond it they are dropped and counted.
	QueueSize int `mapstructure:"queue_size"`

	// prevent unkeyed literal initialization
	_ struct{}
}

// HeartbeatConfig sets how soon a silence is suspect.
type HeartbeatConfig struct {
	// MistakeRecurrence is the mean time between two false suspicions of a live
	// sender, over all senders and observers together, 1m to 8760h.
	MistakeRecurrence time.Duration `mapstructure:"mistake_recurrence"`
}

// LimitsConfig bounds what the engine keeps, up to 10000000 of each.
type LimitsConfig struct {
	// MaxInstances is how many instances, services and externals are known, at least 10.
	MaxInstances int `mapstructure:"max_instances"`
	// MaxAddresses is of how many addresses it is known who answers there, at least 10.
	MaxAddresses int `mapstructure:"max_addresses"`
	// MaxObservers is how many observers' clocks are followed, at least 2: one is the engine's own.
	MaxObservers int `mapstructure:"max_observers"`
	// MaxSpanKinds is of how many kinds of spans the usual duration is known, at least 10.
	MaxSpanKinds int `mapstructure:"max_span_kinds"`
}

const maxLimit = 10_000_000

func createDefaultConfig() component.Config {
	p := engine.DefaultParams()
	return &Config{
		Heartbeat: HeartbeatConfig{MistakeRecurrence: p.MistakeRecurrence},
		Limits: LimitsConfig{
			MaxInstances: p.MaxInstances, MaxAddresses: p.MaxAddresses, MaxObservers: p.MaxObservers, MaxSpanKinds: p.MaxSpanKinds,
		},
		QueueSize: 1000,
	}
}

// Validate reports every key that cannot be used, and what to write.
func (c *Config) Validate() error {
	var errs []error
	if r := c.Heartbeat.MistakeRecurrence; r < time.Minute || r > 365*24*time.Hour {
		errs = append(errs, fmt.Errorf("heartbeat::mistake_recurrence: %v is not between 1m and 8760h: write 12h", r))
	}
	for _, l := range []struct {
		key   string
		value int
		least int
	}{
		{"limits::max_instances", c.Limits.MaxInstances, 10},
		{"limits::max_addresses", c.Limits.MaxAddresses, 10},
		{"limits::max_observers", c.Limits.MaxObservers, 2},
		{"limits::max_span_kinds", c.Limits.MaxSpanKinds, 10},
		{"queue_size", c.QueueSize, 1},
	} {
		if l.value < l.least || l.value > maxLimit {
			errs = append(errs, fmt.Errorf("%s: %d is not between %d and %d: leave it out for the default", l.key, l.value, l.least, maxLimit))
		}
	}
	return errors.Join(errs...)
}

// EngineParams maps the configuration onto the thresholds of the engine.
func (c *Config) EngineParams() engine.Params {
	p := engine.DefaultParams()
	p.MistakeRecurrence = c.Heartbeat.MistakeRecurrence
	p.MaxInstances, p.MaxAddresses = c.Limits.MaxInstances, c.Limits.MaxAddresses
	p.MaxObservers, p.MaxSpanKinds = c.Limits.MaxObservers, c.Limits.MaxSpanKinds
	return p
}
