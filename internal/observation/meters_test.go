// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Series that are told once, by a sender whose clock is a hundred years ahead, must not
// displace those that are told each minute.
func TestFloodOfSeriesDisplacesItself(t *testing.T) {
	m, now := meters{}, testNow
	tellAll := func(at pcommon.Timestamp) (known int) {
		for key := range uint64(2000) {
			if _, _, ok := m.since(mix(1, key), float64(at), at, now); ok {
				known++
			}
		}
		return known
	}
	tellAll(1e9)
	now = now.Add(time.Minute)
	tellAll(2e9)
	for key := range uint64(8 * meterSets * meterWays) {
		m.since(mix(2, key), 1, math.MaxUint64, now)
	}
	now = now.Add(time.Minute)
	assert.Equal(t, 2000, tellAll(3e9))

	now = now.Add(2 * forgottenAfter) // all are gone: who comes now finds room
	for key := range uint64(1000) {
		m.since(mix(3, key), 1, 1e9, now)
	}
	known := 0
	for key := range uint64(1000) {
		if added, over, ok := m.since(mix(3, key), 3, 2e9, now); ok && added == 2 && over == time.Second {
			known++
		}
	}
	assert.Greater(t, known, 990)
}

func TestSumIsFollowedAgainWhenItsClockWasSetBack(t *testing.T) {
	const minute = pcommon.Timestamp(time.Minute)
	from := pcommon.Timestamp(testNow)
	for name, c := range map[string]struct {
		at   []pcommon.Timestamp // of points that come a minute apart, and rise by 10 each
		want []float64           // what was added
	}{
		"by_an_hour":      {[]pcommon.Timestamp{from, from + minute, from - 60*minute, from - 59*minute, from - 58*minute, from - 57*minute, from - 56*minute, from - 55*minute}, []float64{0, 10, 0, 0, 0, 0, 10, 10}},
		"by_a_minute":     {[]pcommon.Timestamp{from, from + minute, from + minute, from + 2*minute}, []float64{0, 10, 0, 20}},
		"told_twice":      {[]pcommon.Timestamp{from, from, from + minute, from + minute, from + 2*minute}, []float64{0, 0, 20, 0, 20}},
		"one_came_late":   {[]pcommon.Timestamp{from, from + 2*minute, from + minute, from + 4*minute}, []float64{0, 10, 0, 20}},
		"what_was_kept":   {[]pcommon.Timestamp{from, from - 60*minute, from - 50*minute, from - 40*minute, from + 4*minute}, []float64{0, 0, 0, 0, 40}},
		"kept_in_between": {[]pcommon.Timestamp{from, from - 60*minute, from + 2*minute, from - 59*minute, from + 4*minute}, []float64{0, 0, 20, 0, 20}},
		"told_backwards":  {[]pcommon.Timestamp{from, from - minute, from - 2*minute, from - 3*minute, from + 4*minute}, []float64{0, 0, 0, 0, 40}},
		"stands_still":    {[]pcommon.Timestamp{from, from - 60*minute, from - 60*minute, from - 60*minute}, []float64{0, 0, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			m, now := meters{}, testNow
			var got []float64
			for i, at := range c.at {
				added, _, _ := m.since(1, float64(10*i), at, now)
				got = append(got, added)
				now = now.Add(time.Minute)
			}
			assert.Equal(t, c.want, got)
		})
	}
}
