// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

import (
	"fmt"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/faultline-otel/faultline/internal/enginehost"
)

// Config is what a user writes under `receivers: failure_model:`.
type Config struct {
	// Engine is the failure_model extension whose conclusions are brought.
	Engine component.ID `mapstructure:"engine"`
	// CollectionInterval is the time between two exports of the metrics, 1s to
	// 1h. A verdict that is reached, revised or cleared is exported at once.
	CollectionInterval time.Duration `mapstructure:"collection_interval"`

	// prevent unkeyed literal initialization
	_ struct{}
}

func createDefaultConfig() component.Config {
	return &Config{Engine: enginehost.DefaultID, CollectionInterval: 10 * time.Second}
}

// Validate reports a key that cannot be used, and what to write.
func (c *Config) Validate() error {
	if c.CollectionInterval < time.Second || c.CollectionInterval > time.Hour {
		return fmt.Errorf("collection_interval: %v is not between 1s and 1h: write 10s", c.CollectionInterval)
	}
	return nil
}
