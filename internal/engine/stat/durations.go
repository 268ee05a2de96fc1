// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package stat

import (
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Durations learns how long spans of one kind take, in a log-linear histogram:
// eight buckets per octave of nanoseconds, taken from the bits of a float.
type Durations struct {
	counts [spanBuckets]uint16
	n      uint32 // sum of counts
	total  uint64
	slow   uint32     // spans far slower than usual
	beyond float32    // share of the latest spans that took longer than P99
	last   clock.Time // when an unusual one was learned last
}

const (
	spanBuckets = 256     // see spanLowest
	spanLowest  = 1 << 10 // ns; 256 buckets of 1/8 octave reach 2^42 ns, over an hour
	spanHalving = 10_000  // spans, then the old ones count half
	spanRefresh = 256     // usual spans between two tails
	spanEnough  = 100     // spans before there is a tail
	// LearnSlow is of how many that are far slower than usual one is learned, so
	// that a failure does not become the usual within a minute, and a change
	// for good does within the hour.
	LearnSlow = 32
	// beyondFrom is the share of spans longer than P99 from which on something is
	// wrong: of all of these only one in learnWrong is learned, lest the measure
	// creep up with the failure. beyondMemory is over how many spans it is taken.
	// However many there are, one is learned in learnApart: who is called a thousand
	// times a second would have a failure for the usual within seconds.
	learnWrong   = 128
	learnApart   = 15 * time.Second
	beyondFrom   = 0.10
	beyondMemory = 64
	spanExponent = 49 // float64 bits above this: sign, exponent, 3 of mantissa
)

var spanBase = math.Float64bits(spanLowest) >> spanExponent

func spanBucket(d time.Duration) int {
	if d <= spanLowest {
		return 0
	}
	i := math.Float64bits(float64(d))>>spanExponent - spanBase
	return int(min(i, spanBuckets-1))
}

// spanMiddle is the duration in the middle of bucket i.
func spanMiddle(i int) time.Duration {
	lo := math.Float64frombits((uint64(i) + spanBase) << spanExponent)
	hi := math.Float64frombits((uint64(i) + 1 + spanBase) << spanExponent)
	return time.Duration((lo + hi) / 2)
}

// Learn takes in one, to be judged by the tail that was described last, nil if there is
// none yet. It returns a new tail when there is one.
func (k *Durations) Learn(d time.Duration, tail *Tail, now clock.Time) *Tail {
	unusual := k.unusual(tail, d)
	if unusual {
		if k.slow++; k.slow%k.learnOne() != 0 || k.last != 0 && now.Sub(k.last) < learnApart {
			return nil
		}
		k.last = now
	}
	if i := spanBucket(d); k.counts[i] < math.MaxUint16 {
		k.counts[i]++
		k.n++
	}
	k.total++
	if k.n >= spanHalving {
		k.n = 0
		for i := range k.counts {
			k.counts[i] /= 2
			k.n += uint32(k.counts[i])
		}
	}
	if k.total >= spanEnough && (unusual || k.total%spanRefresh == 0 || k.total == spanEnough) {
		return k.describe()
	}
	return nil
}

// learnOne is of how many unusual spans one is learned.
func (k *Durations) learnOne() uint32 {
	if k.beyond > beyondFrom {
		return learnWrong
	}
	return LearnSlow
}

// unusual says whether a duration is not to be learned as the others are.
func (k *Durations) unusual(t *Tail, d time.Duration) bool {
	if t == nil {
		return false
	}
	over := float64(d) > lateFactor*float64(t.P99)
	was := k.beyond
	k.beyond -= was / beyondMemory
	if over {
		k.beyond += 1.0 / beyondMemory
	}
	return t.Slow(d) || over && was > beyondFrom
}

// describe makes the tail that readers use.
func (k *Durations) describe() *Tail {
	t := &Tail{Samples: k.total}
	half, top := k.n/2, k.n/100
	above := uint32(0)
	logs := 0.0
	for i := spanBuckets - 1; i >= 0; i-- {
		above += uint32(k.counts[i])
		if t.P99 == 0 && above >= top {
			t.P99 = spanMiddle(i)
			beyond := float64(above)
			// Hill's estimator with a prior of one pseudo-span.
			t.Excess = math.Max((logs-(beyond-float64(k.counts[i]))*math.Log(float64(t.P99)))/beyond, 0)
		}
		if t.P99 == 0 {
			logs += float64(k.counts[i]) * math.Log(float64(spanMiddle(i)))
		}
		if above >= half {
			t.Median = spanMiddle(i)
			break
		}
	}
	return t
}
