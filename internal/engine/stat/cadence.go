// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package stat

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Cadence is how often something is told. SDKs and agents send in batches, so
// what was told once stands until the next batch is due.
type Cadence struct {
	Last  clock.Time    // when the latest batch was told; 0 if none was
	Every time.Duration // usual time between two batches
}

const (
	longestCadence = 30 * time.Second // a longer gap is no cadence
	longestCounts  = 2 * time.Minute  // nor is this one, of what metrics count
	cadenceMemory  = 4                // batches that the usual time remembers
	// OneBatch is the time within which what comes is one batch.
	OneBatch = 100 * time.Millisecond
)

// Saw notes that something was told now.
func (c *Cadence) Saw(now clock.Time) { c.SawBy(now, false) }

// SawBy is Saw of what a metric may tell, which is exported once a minute by default.
func (c *Cadence) SawBy(now clock.Time, metric bool) {
	longest := longestCadence
	if metric {
		longest = longestCounts
	}
	if c.Last == 0 {
		c.Last = now
		return
	}
	if gap := now.Sub(c.Last); gap > OneBatch {
		c.Every += (min(gap, longest) - c.Every) / cadenceMemory
		c.Last = now
	}
}

// Slack is how much longer than usual what was told may stand.
func (c *Cadence) Slack() time.Duration { return c.Every * 3 / 2 }
