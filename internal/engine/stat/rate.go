// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package stat

import (
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Rate follows how often something happens and how long it takes: the usual, learned
// slowly, and the current.
type Rate struct {
	Usual float64       // calls a second
	Known time.Duration // for how long it has been learned
	Began clock.Time    // when the current span did; 0 before the first call
	Now   float64       // calls a second, of the last full span
	Span  time.Duration // how long that was
	Rose  clock.Time    // since when it has been more than usual; 0 while it is not

	Held      float64 // calls under way at a time, in the last full span; 0 where nobody tells how long they take
	UsualHeld float64

	count float64 // calls since Began
	took  float64 // s, of them together
}

const (
	// RateSpan is how long a span is at least.
	RateSpan = 5 * time.Second
	// RateHalfLife is how long the usual is remembered.
	RateHalfLife = 5 * time.Minute
	// RateKnown is for how long a rate must have been learned to be the usual
	// one, and rateStands how many spans the latest stands.
	RateKnown  = 30 * time.Second
	rateStands = 3
	// MoreFrom is how many times the usual a rate is more than usual.
	MoreFrom = 1.4
)

// Add counts calls that took so long together; while something is wrong the usual
// is not learned anew. It says whether that ends a span.
func (r *Rate) Add(calls float64, took time.Duration, now clock.Time, learn bool) bool {
	if r.Began == 0 {
		r.Began = now
		return false // it covers a time that began before
	}
	r.count += calls
	r.took += max(took, 0).Seconds()
	span := now.Sub(r.Began)
	if span < RateSpan {
		return false
	}
	r.Now, r.Span = r.count/span.Seconds(), span
	r.Held = r.took / span.Seconds() // Little: calls a second × how long each takes
	if learn || r.Known < RateKnown {
		// The mean of what there was at first, then a memory.
		weight := max(1-math.Exp2(-float64(span)/float64(RateHalfLife)), float64(span)/float64(r.Known+span))
		r.Usual += weight * (r.Now - r.Usual)
		r.UsualHeld += weight * (r.Held - r.UsualHeld)
		r.Known += span
	}
	r.count, r.took, r.Began = 0, 0, now
	switch {
	case !r.More(now):
		r.Rose = 0
	case r.Rose == 0:
		r.Rose = now.Add(-span)
	}
	return true
}

// Stands says whether the last full span says something of now.
func (r *Rate) Stands(now clock.Time) bool { return now.Sub(r.Began) < rateStands*r.Span }

// More says whether the current rate is clearly more than the usual, and by
// more than three standard deviations of a count by chance.
func (r *Rate) More(now clock.Time) bool {
	span := RateSpan.Seconds()
	usual := r.Usual * span
	return r.Known >= RateKnown && usual > 0 && r.Stands(now) &&
		r.Now >= MoreFrom*r.Usual && r.Now*span-usual >= 3*math.Sqrt(usual)+3
}
