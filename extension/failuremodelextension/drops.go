// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// drops counts the observations that did not fit into the queue.
type drops struct {
	total atomic.Int64

	heeded, told int64     // of total; the loop's own
	warned       time.Time // when the log was told last
}

// warnEvery is the time between two warnings that observations were dropped.
const warnEvery = time.Minute

// heedDrops sees to it that a silence is nobody's which may lie in what was dropped
// since the last tick: everybody gets a fresh deadline. A few calls that are missing
// accuse nobody, heartbeats that are missing do.
func (x *failureModel) heedDrops(now time.Time) {
	d, total := &x.dropped, x.dropped.total.Load()
	if total > d.heeded && x.judging {
		x.engine.Thaw(x.Now())
	}
	d.heeded = total
	if total > d.told && now.Sub(d.warned) >= warnEvery {
		x.settings.Logger.Warn("The engine does not keep up: observations were dropped, and no silence counts meanwhile", zap.Int64("observations", total-d.told))
		d.told, d.warned = total, now
	}
}
