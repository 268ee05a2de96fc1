// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"sync/atomic"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// engineClock is the wall clock as it was at the start, moved on by the monotonic
// one: small corrections age nobody. It never goes back.
type engineClock struct {
	began time.Time // with monotonic clock
	wall  func() time.Time
	ahead atomic.Int64 // ns by which the wall clock got ahead of the monotonic one since
	back  atomic.Int64 // ns by which the wall clock was set back, and still is; else 0
}

// clockSet is by how much the two must part before it counts. A jump must be longer than
// a tick that the engine takes for late (engine.Params.PausedTick): it then takes it for a sleep
// of this process, and holds no silence in it against anybody.
const clockSet = 5 * time.Second

func (c *engineClock) time() clock.Time {
	return clock.Time(c.began.UnixNano()).Add(time.Since(c.began) + time.Duration(c.ahead.Load()))
}

// setBack is by how much the wall clock lies behind the engine's since it was set back.
func (c *engineClock) setBack() time.Duration { return time.Duration(c.back.Load()) }

// dated is where on this clock a time lies that the wall clock, or that of another host,
// tells. What would come from the future if the wall clock told it is not by that.
func (c *engineClock) dated(t clock.Time) clock.Time {
	if back := c.setBack(); back > 0 && t <= c.time().Add(-back) {
		return t.Add(back)
	}
	return t
}

// follow jumps forward with a wall clock that was set forward, or went on while the
// machine slept, which the monotonic one does not count, and returns by how much. It cannot
// go back with one that was set back, and notes how far behind that is.
func (c *engineClock) follow() (jump time.Duration) {
	by := time.Duration(c.wall().UnixNano() - int64(c.time()))
	switch {
	case by >= clockSet:
		c.ahead.Add(int64(by))
		c.back.Store(0)
		return by
	case by <= -clockSet, by < 0 && c.setBack() > 0:
		c.back.Store(int64(-by))
	default:
		c.back.Store(0)
	}
	return 0
}

// date gives the times of events as the wall clock has it now.
func (c *engineClock) date(events []verdict.Event) []verdict.Event {
	back := c.setBack()
	if back == 0 {
		return events
	}
	for i := range events {
		ev := &events[i]
		ev.At = ev.At.Add(-back)
		if ev.Verdict != nil {
			v := *ev.Verdict // the engine's own
			v.Since, v.Decided = v.Since.Add(-back), v.Decided.Add(-back)
			ev.Verdict = &v
		}
	}
	return events
}
