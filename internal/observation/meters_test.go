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
