// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A machine slept, or its clock was wrong until a time server was heard: verdicts must
// be dated as the spans are that they explain.
func TestTheWallClockIsFollowedForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		var set atomic.Int64
		r.now.wall = func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
		r.start(t, testHost{})
		require.NoError(t, r.Ready())
		s := newShop()
		s.run(r, time.Minute)
		set.Store(int64(3 * time.Hour))
		s.run(r, time.Minute)
		assert.InDelta(t, r.now.wall().UnixNano(), int64(r.Now()), float64(time.Second))
		assert.Empty(t, r.accused(), "the jump is nobody's silence")

		s.dead = true
		s.run(r, 30*time.Second)
		failures := r.events("failure.detected")
		require.Len(t, failures, 1)
		assert.Equal(t, verdict.ClassCrash, failures[0].Verdict.Class)
		assert.WithinDuration(t, r.now.wall().Add(-30*time.Second), failures[0].Verdict.Since.UTC(), 10*time.Second)
		r.shutdown(t)
	})
}

// A host's clock was ahead until a time server was heard, or somebody set it. What ends
// after that must be told as what it is, and dated as the spans are that show it.
func TestAClockThatIsSetBackHidesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		sets     []time.Duration // of the host's clock, a minute apart
		apart    bool            // the fleet goes by another clock, which was right all along
		warnings int
	}{
		"by_an_hour":                            {sets: []time.Duration{-time.Hour}, warnings: 1},
		"by_an_hour_wrongly":                    {sets: []time.Duration{-time.Hour}, apart: true, warnings: 1},
		"by_ten_seconds":                        {sets: []time.Duration{-10 * time.Second}, warnings: 1},
		"by_two_seconds_as_they_do_daily":       {sets: []time.Duration{-2 * time.Second}},
		"forward_by_an_hour_and_back":           {sets: []time.Duration{time.Hour, 0}, warnings: 1},
		"forward_by_an_hour_wrongly_and_back":   {sets: []time.Duration{time.Hour, 0}, apart: true, warnings: 1},
		"back_by_an_hour_and_there_again":       {sets: []time.Duration{-time.Hour, 0}, warnings: 1},
		"back_twice":                            {sets: []time.Duration{-time.Hour, -2 * time.Hour}, warnings: 2},
		"back_and_a_sleep_for_half_of_it":       {sets: []time.Duration{-time.Hour, -30 * time.Minute}, warnings: 1},
		"back_and_a_sleep_for_twice_as_long":    {sets: []time.Duration{-time.Hour, time.Hour}, warnings: 1},
		"to_and_fro_for_as_long_as_one_watches": {sets: []time.Duration{-time.Hour, 0, -time.Hour, 0, -time.Hour}, warnings: 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, nil)
				var set atomic.Int64
				r.now.wall = func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
				r.start(t, testHost{})
				require.NoError(t, r.Ready())
				s := newShop()
				if s.wall = r.now.wall; c.apart {
					s.wall = time.Now
				}
				s.run(r, time.Minute)
				for _, by := range c.sets {
					set.Store(int64(by))
					s.run(r, time.Minute)
				}
				assert.Equal(t, c.warnings, r.logs.FilterMessageSnippet("set back").Len())
				assert.Empty(t, r.accused(), "a clock that is set is nobody's failure")

				assert.InDelta(t, int64(r.Now()), int64(r.Dated(clock.Time(s.wall().UnixNano()))), float64(3*time.Second))

				s.dead = true
				s.run(r, 30*time.Second)
				failures := r.events("failure.detected")
				require.Len(t, failures, 1)
				assert.Equal(t, verdict.ClassCrash, failures[0].Verdict.Class, "calls are refused, and that is heard")
				assert.WithinDuration(t, r.now.wall().Add(-30*time.Second), failures[0].Verdict.Since.UTC(), 10*time.Second)
				assert.WithinDuration(t, r.now.wall().Add(-20*time.Second), failures[0].At.UTC(), 15*time.Second)
				s.dead, s.incarnation = false, 8
				s.run(r, 30*time.Second)
				assert.Len(t, r.events("failure.cleared"), 1)
				r.shutdown(t)
			})
		})
	}
}
