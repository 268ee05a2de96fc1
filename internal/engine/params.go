// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "time"

// Params holds every threshold of the engine. Zero values are not usable: start
// from DefaultParams.
type Params struct {
	// MistakeRecurrence is how rarely a live instance may be suspected for its
	// silence, over all instances and observers together.
	MistakeRecurrence time.Duration
	// MinSilence is the silence, in usual intervals, below which nobody is
	// suspected, however regular they are.
	MinSilence float64
	// ColdSilence is the silence, in declared intervals, that suspects while
	// fewer than ColdGaps gaps are known.
	ColdSilence float64
	ColdGaps    uint64

	// EnterProbability and EnterFor: a class is entered when its posterior
	// reaches the one for the other. Facts that prove need no waiting.
	EnterProbability float64
	EnterFor         time.Duration
	// UnknownFor is how long callers or probes must fail without a class before
	// that is called `unknown`.
	UnknownFor time.Duration
	// UnknownMass is the posterior of all failures together from which on an
	// entity without a class is `unknown`.
	UnknownMass float64
	// LeaveFor is how long nothing may speak for a failure before its verdict
	// is dropped without recovery having been seen.
	LeaveFor time.Duration
	// RecoveryBeats (intervals) and RecoveryCalls (time of success without
	// failure) clear a verdict at once. With the way of telemetry and a tick, that is
	// to be within 15 s.
	RecoveryBeats float64
	RecoveryCalls time.Duration
	// SettledFor is how long a cleared verdict stays visible as 0.
	SettledFor time.Duration

	// Temperature divides the log-odds: 1 takes the weights at face value.
	Temperature float64

	// AnnouncedFor is how long the announcement of a stop excuses a silence.
	AnnouncedFor time.Duration
	// ReplacedWithin is how soon a new instance must come to count as the
	// replacement of a stopped one.
	ReplacedWithin time.Duration
	// CallWindow is the time over which callers' outcomes are counted.
	CallWindow time.Duration
	// BurstCalls is the number of failed calls in CallWindow that counts in full.
	BurstCalls float64
	// PausedTick is the lateness of a tick from which on the engine itself is
	// taken to have slept.
	PausedTick time.Duration

	// Caps on what is kept. Beyond them the longest idle goes, and is counted.
	MaxInstances int
	MaxObservers int
	MaxAddresses int
	MaxHops      int
	MaxSpanKinds int
	MaxIncidents int
	// ForgetAfter is how long an instance that left in order, or never failed
	// anybody, is remembered.
	ForgetAfter time.Duration
}

// DefaultParams returns thresholds that are safe to run.
func DefaultParams() Params {
	return Params{
		MistakeRecurrence: 12 * time.Hour,
		MinSilence:        5,
		ColdSilence:       5,
		ColdGaps:          20,
		EnterProbability:  0.70,
		EnterFor:          500 * time.Millisecond,
		UnknownFor:        4 * time.Second,
		UnknownMass:       0.5,
		LeaveFor:          5 * time.Minute,
		RecoveryBeats:     3,
		RecoveryCalls:     14 * time.Second,
		SettledFor:        10 * time.Minute,
		Temperature:       1.2,
		AnnouncedFor:      2 * time.Minute,
		ReplacedWithin:    time.Minute,
		CallWindow:        10 * time.Second,
		BurstCalls:        3,
		PausedTick:        2 * time.Second,
		MaxInstances:      50_000,
		MaxObservers:      2_000,
		MaxAddresses:      20_000,
		MaxHops:           32_768,
		MaxSpanKinds:      5_000,
		MaxIncidents:      1_000,
		ForgetAfter:       24 * time.Hour,
	}
}
