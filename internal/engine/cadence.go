// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// cadence is how often something is told. SDKs and agents send in batches, so
// what was told once stands until the next batch is due.
type cadence struct {
	last  clock.Time
	every time.Duration // usual time between two batches
}

const (
	longestCadence = 30 * time.Second
	cadenceMemory  = 4
	// oneBatch: what comes within this is one batch.
	oneBatch = 100 * time.Millisecond
)

// saw notes that something was told now.
func (c *cadence) saw(now clock.Time) {
	if c.last == 0 {
		c.last = now
		return
	}
	if gap := now.Sub(c.last); gap > oneBatch {
		c.every += (min(gap, longestCadence) - c.every) / cadenceMemory
		c.last = now
	}
}

// slack is how much longer than usual what was told may stand.
func (c *cadence) slack() time.Duration { return c.every * 3 / 2 }
