// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package clock is the time that the engine goes by. It is handed in with every
// batch and tick: the engine reads no clock of its own.
package clock

import "time"

// Time is a point on the clock that is handed in: nanoseconds since the Unix
// epoch. Zero means unknown.
type Time int64

// Add returns t moved by d.
func (t Time) Add(d time.Duration) Time { return t + Time(d) }

// Sub returns the duration from u to t.
func (t Time) Sub(u Time) time.Duration { return time.Duration(t - u) }

// UTC returns t as a time.Time in UTC.
func (t Time) UTC() time.Time { return time.Unix(0, int64(t)).UTC() }
