// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"sync/atomic"

	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Baselines tells how long spans of each kind usually take. It is read without
// a lock; the engine replaces it when kinds come or go and updates the tails in
// place.
type Baselines struct {
	tails map[uint64]*atomic.Pointer[stat.Tail]
}

// Of returns the tail of the kind of span with key, or nil while too few have
// been seen.
func (b *Baselines) Of(key uint64) *stat.Tail {
	if b == nil {
		return nil
	}
	if p := b.tails[key]; p != nil {
		return p.Load()
	}
	return nil
}
