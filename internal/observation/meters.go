// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// meters remembers the latest of many sums that only rise, so that what was
// added since can be told. Its size is fixed: of those that meet in one set, the
// one that is worth least makes room and begins anew.
type meters struct {
	mu    sync.Mutex
	slots []meterSlot
}

type meterSlot struct {
	key   uint64
	value float64
	at    pcommon.Timestamp
	told  clock.Time
	again bool // it was told more than once

	behind   pcommon.Timestamp // the latest of the points that lie before at
	behindAt clock.Time        // when that came; 0 if the last one told does not
	goesOn   uint8             // how many of these in a row were as much later as they came later
}

// setBackFrom is how many points in a row must lie before those that were told, and go on
// as time does, until the clock that dates them is taken for one that was set back. What
// was kept somewhere comes faster, or in disorder.
const setBackFrom = 3

// wasSetBack takes in a point that lies before the latest, or is that again.
func (s *meterSlot) wasSetBack(at pcommon.Timestamp, now clock.Time) bool {
	if at == s.at || s.behindAt != 0 && at == s.behind {
		return false
	}
	went, lasted := time.Duration(at-s.behind), now.Sub(s.behindAt)
	if s.behindAt != 0 && at > s.behind && went >= lasted/2 && went <= 2*lasted {
		s.goesOn++
	} else {
		s.goesOn = 0
	}
	s.behind, s.behindAt = at, now
	return s.goesOn >= setBackFrom
}

// forgottenAfter: what was not told for so long is worth no more than what was told
// only once.
const forgottenAfter = 10 * time.Minute

// goesBefore says which of two makes room: what was told again stays, so that a
// flood of made-up series displaces itself.
func (s *meterSlot) goesBefore(other *meterSlot, now clock.Time) bool {
	lives := func(s *meterSlot) bool { return s.again && now.Sub(s.told) < forgottenAfter }
	if one, two := lives(s), lives(other); one != two {
		return two
	}
	return s.told < other.told
}

const (
	meterSets = 1 << 14
	meterWays = 4
)

// since says what was added to a sum since it was told before, and in what time.
// Not ok: it is told for the first time, again, or began anew.
func (m *meters) since(key uint64, value float64, at pcommon.Timestamp, now clock.Time) (added float64, over time.Duration, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.slots == nil {
		m.slots = make([]meterSlot, meterSets*meterWays)
	}
	set := m.slots[key%meterSets*meterWays:][:meterWays]
	s := &set[0]
	for i := range set {
		if set[i].key == key {
			s = &set[i]
			break
		}
		if set[i].goesBefore(s, now) {
			s = &set[i]
		}
	}
	if s.key != key || s.at == 0 {
		*s = meterSlot{key: key, value: value, at: at, told: now}
		return 0, 0, false
	}
	s.told, s.again = now, true
	if at <= s.at {
		if s.wasSetBack(at, now) {
			*s = meterSlot{key: key, value: value, at: at, told: now, again: true}
		}
		return 0, 0, false
	}
	s.behindAt, s.goesOn = 0, 0
	added, over, ok = value-s.value, time.Duration(at-s.at), value >= s.value
	s.value, s.at = value, at
	return added, over, ok
}

// knows says whether a sum is remembered.
func (m *meters) knows(key uint64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.slots == nil {
		return false
	}
	for _, s := range m.slots[key%meterSets*meterWays:][:meterWays] {
		if s.key == key && s.at != 0 {
			return true
		}
	}
	return false
}
