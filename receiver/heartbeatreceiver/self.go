// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
)

// beatOwnHeart reports each interval that this observer lives, how late its own
// clock ticked, and what it refused, so that an engine elsewhere can tell a
// sick observer from a sick world. After a pause of the whole process the next
// beat comes at once.
func (r *heartbeatReceiver) beatOwnHeart(ctx context.Context) {
	interval := r.cfg.ObserverInterval
	due := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var told int64
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		at := r.now()
		late := at.now.Sub(due)
		r.health.round(late > interval/2)
		refused := r.refusedTotal.Load()
		if r.ownBeat(at, max(0, late), refused-told) {
			told = refused
		}
		// Ticks keep their rhythm; those that were slept through are not caught up.
		due = due.Add(interval)
		if missed := at.now.Sub(due); missed >= 0 {
			due = due.Add((missed/interval + 1) * interval)
		}
		timer.Reset(time.Until(due))
	}
}

// ownBeat hands on one heartbeat of the observer; it says whether there was room.
func (r *heartbeatReceiver) ownBeat(at stamp, late time.Duration, refused int64) bool {
	if r.batch == nil || !r.batch.reserve(1) {
		return false
	}
	r.batch.add(func(dst plog.ResourceLogsSlice) {
		res, lr := newRecord(dst)
		res.PutStr(attrHost, r.host)
		attrs := lr.Attributes()
		attrs.EnsureCapacity(stampAttrs + 3)
		r.stamper.put(lr, at)
		attrs.PutDouble(contract.HeartbeatInterval, r.cfg.ObserverInterval.Seconds())
		attrs.PutDouble(contract.HeartbeatObserverLate, late.Seconds())
		attrs.PutInt(contract.HeartbeatObserverRefused, refused)
		lr.Body().SetStr(ownSentence(r.observer, late, refused))
	})
	r.accepted(1, sourceSelf)
	return true
}

func ownSentence(observer string, late time.Duration, refused int64) string {
	s := "observer " + observer + " is alive"
	if late >= 100*time.Millisecond {
		s += fmt.Sprintf(", its tick was %v late", late.Round(time.Millisecond))
	}
	if refused > 0 {
		s += fmt.Sprintf(", heartbeats refused: %d", refused)
	}
	return s
}
