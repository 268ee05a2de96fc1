// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package stat is what the engine counts and measures with. Nothing in it knows an
// entity, or what a number means for one: each type learns what is usual of one
// stream of numbers, and says how far the latest is from that.
//
//	Accrual    gaps between signs of life: how suspicious is a silence?
//	Cadence    times at which something is told: for how long does it stand?
//	Durations  how long spans take: what is their Tail?
//	Fading     a count of late
//	Rate       calls a second: are they more than usual?
//	Knee       rates of one who answers: does its queue grow?
//
// Their zero values are ready to use; an Accrual needs its Interval. None may be
// used by several goroutines at once, but for a Tail, which does not change.
package stat
