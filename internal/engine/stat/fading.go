// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package stat

import (
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Fading is a count that halves every half-life.
type Fading struct {
	n  float64
	at clock.Time
}

// Add counts n more.
func (f *Fading) Add(n float64, now clock.Time, halfLife time.Duration) {
	f.n = f.Value(now, halfLife) + n
	f.at = now
}

// Value is the count now.
func (f *Fading) Value(now clock.Time, halfLife time.Duration) float64 {
	if f.n == 0 || now <= f.at {
		return f.n
	}
	return f.n * math.Exp2(-float64(now-f.at)/float64(halfLife))
}

// Latest is the count as of the latest that was added: a whole number right after a
// burst, and never more than there were.
func (f *Fading) Latest() float64 { return f.n }
