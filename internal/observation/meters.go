// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"sync"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// meters remembers the latest of many sums that only rise, so that what was
// added since can be told. Its size is fixed: of those that meet in one set, the
// one that was told longest ago makes room and begins anew.
type meters struct {
	mu    sync.Mutex
	slots []meterSlot
}

type meterSlot struct {
	key   uint64
	value float64
	at    pcommon.Timestamp
}

const (
	meterSets = 1 << 14
	meterWays = 4
)

// since says what was added to a sum since it was told before, and in what time.
// Not ok: it is told for the first time, again, or began anew.
func (m *meters) since(key uint64, value float64, at pcommon.Timestamp) (added float64, over time.Duration, ok bool) {
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
		if set[i].at < s.at {
			s = &set[i]
		}
	}
	if s.key != key || s.at == 0 {
		*s = meterSlot{key, value, at}
		return 0, 0, false
	}
	if at <= s.at {
		return 0, 0, false
	}
	added, over, ok = value-s.value, time.Duration(at-s.at), value >= s.value
	s.value, s.at = value, at
	return added, over, ok
}
