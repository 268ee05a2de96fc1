// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package stat

import (
	"math"
	"time"
)

// Accrual is a failure detector for one regular sign of life, after the
// φ-accrual idea (Hayashibara et al., SRDS 2004) with two changes: the
// distribution of gaps is the empirical one, not a normal, because loss puts
// atoms at multiples of the interval and pauses have heavy tails; beyond the
// largest few gaps it is a Pareto fitted to them (Hill's estimator with a
// prior). Suspicion is −log10 of the probability that a live sender is silent
// for so long.
type Accrual struct {
	Interval time.Duration // usual time between beats; gaps are measured in it
	Memory   uint32        // gaps until the old count half; 0 is gapMemory
	counts   [gapBuckets]uint32
	n        uint32 // sum of counts
}

const (
	gapsPerOctave = 8
	gapOctaves    = 12                         // 2⁻⁴ … 2⁸ intervals
	gapBuckets    = gapsPerOctave * gapOctaves // 96
	gapLowest     = 1.0 / 16                   // intervals, lower edge of bucket 0
	gapMemory     = 20_000                     // gaps until the old count half
	tailGaps      = 8                          // gaps that the tail is fitted to, at least
	tailPrior     = 2                          // pseudo-gaps of the prior …
	tailShape     = 0.5                        // … each with this mean of ln(gap/u): Pareto with α = 2
)

// Add learns one gap.
func (a *Accrual) Add(gap time.Duration) {
	if a.Interval <= 0 {
		return
	}
	if a.n >= max(a.Memory, gapMemory) {
		a.halve()
	}
	a.counts[gapBucket(float64(gap)/float64(a.Interval))]++
	a.n++
}

func (a *Accrual) halve() {
	a.n = 0
	for i := range a.counts {
		a.counts[i] /= 2
		a.n += a.counts[i]
	}
}

// Rescale starts anew with another interval.
func (a *Accrual) Rescale(interval time.Duration) {
	*a = Accrual{Interval: interval}
}

// Learned is the number of gaps that it goes by.
func (a *Accrual) Learned() uint32 { return a.n }

// Store returns the gaps that it goes by, to be restored: how many of each length.
func (a *Accrual) Store() map[int]uint32 {
	gaps := map[int]uint32{}
	for i, c := range a.counts {
		if c > 0 {
			gaps[i] = c
		}
	}
	return gaps
}

// Restore takes up what was stored, of one that has learned nothing.
func (a *Accrual) Restore(gaps map[int]uint32) {
	for i, c := range gaps {
		if i >= 0 && i < gapBuckets && c <= gapMemory {
			a.counts[i] = c
			a.n += c
		}
	}
}

// tail returns where the fitted tail begins (intervals), how many gaps lie
// beyond, and the mean of ln(gap/u) there.
func (a *Accrual) tail() (u float64, beyond float64, shape float64) {
	logs := 0.0 // Σ over gaps beyond of log₂(gap), in bucket units
	cnt := uint32(0)
	i := gapBuckets - 1
	for ; i > 0; i-- {
		cnt += a.counts[i]
		logs += float64(a.counts[i]) * (float64(i) + 0.5)
		if cnt >= tailGaps {
			break
		}
	}
	u = gapEdge(i)
	sum := (logs - float64(cnt)*float64(i)) * math.Ln2 / gapsPerOctave
	return u, float64(cnt), (sum + tailPrior*tailShape) / (float64(cnt) + tailPrior)
}

// Suspicion returns −log10 of the probability that a gap is longer than
// silence, at most maxSuspicion.
func (a *Accrual) Suspicion(silence time.Duration) float64 {
	if a.n == 0 || a.Interval <= 0 {
		return 0
	}
	x := float64(silence) / float64(a.Interval)
	u, beyond, shape := a.tail()
	total := float64(a.n) + 1
	if x > u {
		p := (beyond + 1) / total * math.Pow(x/u, -1/shape)
		return math.Min(-math.Log10(p), maxSuspicion)
	}
	longer := uint32(0)
	for i := gapBucket(x) + 1; i < gapBuckets; i++ {
		longer += a.counts[i]
	}
	return -math.Log10((float64(longer) + 1) / total)
}

// Deadline returns the silence at which the probability of a mistake falls to
// p.
func (a *Accrual) Deadline(p float64) time.Duration {
	u, beyond, shape := a.tail()
	x := u * math.Pow((beyond+1)/((float64(a.n)+1)*p), shape)
	return time.Duration(math.Min(math.Max(x, u), maxSilence) * float64(a.Interval))
}

const (
	maxSuspicion = 20.0    // decades; more is no other certainty
	maxSilence   = 1 << 10 // intervals
)

func gapBucket(x float64) int {
	if x <= gapLowest {
		return 0
	}
	// The exponent and the top bits of the mantissa would do without a
	// logarithm, at the price of uneven buckets; this runs once a beat.
	i := int(math.Log2(x/gapLowest) * gapsPerOctave)
	return min(i, gapBuckets-1)
}

func gapEdge(i int) float64 { return gapLowest * math.Exp2(float64(i)/gapsPerOctave) }
