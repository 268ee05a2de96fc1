// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package stat

import (
	"math"
	"time"
)

// Tail describes the upper end of a distribution of durations. Beyond P99 it is
// taken as exponential in the logarithm of the duration, which is a Pareto tail.
type Tail struct {
	Samples uint64
	Median  time.Duration
	P99     time.Duration
	Excess  float64 // mean of ln(duration/P99) of those beyond P99
}

// Surprise is −log10 of the probability that a span of this kind takes d or
// longer: 0 at or below the median, 2 at P99, growing with the logarithm beyond.
func (t *Tail) Surprise(d time.Duration) float64 {
	switch {
	case t == nil || d <= t.Median:
		return 0
	case d <= t.P99:
		// Between median (0.3) and P99 (2), linear in log-duration.
		span := math.Log(float64(t.P99)/float64(t.Median+1)) + 1e-9
		return 0.301 + (2-0.301)*math.Log(float64(d)/float64(t.Median+1))/span
	}
	return 2 + math.Log(float64(d)/float64(t.P99))/math.Max(t.Excess, minExcess)*math.Log10E
}

// Over is how much longer d is than 99 of 100, 0 if it is not.
func (t *Tail) Over(d time.Duration) time.Duration {
	if t == nil {
		return 0
	}
	return max(d-t.P99, 0)
}

// Slow says whether d is far longer than usual for a span of this kind, so that
// a person would call it slow. Rarity alone is not enough: a kind that always
// takes the same time is surprised by a tenth more.
func (t *Tail) Slow(d time.Duration) bool {
	return t != nil && d > slowFactor*t.P99 && d-t.P99 > slowMargin
}

// Late says whether d is longer than usual at all: enough to take it for hurt
// where somebody is known to hurt it, not enough to suspect anybody.
func (t *Tail) Late(d time.Duration) bool {
	return t != nil && float64(d) > lateFactor*float64(t.P99) && d-t.P99 > lateMargin
}

const (
	slowFactor = 2                // times P99
	slowMargin = time.Millisecond // over P99: below, it is scheduling
	lateFactor = 1.1              // times P99: a bucket of the histogram
	lateMargin = 200 * time.Microsecond
)

// minExcess keeps a kind that always takes the same time from calling the
// first 10 % of delay an anomaly.
const minExcess = 0.1

// Score turns a surprise into the public anomaly.score, 0-1: 0.5 at a
// probability of 1 %, 0.94 at one in a hundred million.
func Score(surprise float64) float64 {
	if surprise <= 0 {
		return 0
	}
	return 1 - math.Exp2(-surprise/2)
}
