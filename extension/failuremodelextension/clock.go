// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"sync/atomic"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// engineClock is the wall clock as it was at the start, moved on by the monotonic
// one: small corrections age nobody. It never goes back.
type engineClock struct {
	began   time.Time // with monotonic clock
	wall    func() time.Time
	ahead   atomic.Int64 // ns by which the wall clock got ahead of the monotonic one since
	setBack bool         // the wall clock was, and is, behind; used by the ticking goroutine only
}

// clockSet is by how much the two must part before it counts. A jump must be longer than
// a tick that the engine takes for late (engine.Params.PausedTick): it then takes it for a sleep
// of this process, and holds no silence in it against anybody.
const clockSet = 5 * time.Second

func (c *engineClock) time() clock.Time {
	return clock.Time(c.began.UnixNano()).Add(time.Since(c.began) + time.Duration(c.ahead.Load()))
}

// follow jumps forward with a wall clock that was set forward, or went on while the
// machine slept, which the monotonic one does not count. It returns by how much; less than
// 0 once for a clock that was set back, which nobody can follow.
func (c *engineClock) follow() time.Duration {
	by := time.Duration(c.wall().UnixNano() - int64(c.time()))
	switch {
	case by >= clockSet:
		c.ahead.Add(int64(by))
		return by
	case by > -clockSet:
		c.setBack = false
	case !c.setBack:
		c.setBack = true
		return by
	}
	return 0
}
