// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

// saving is how the keeping of the engine's state goes: beside the engine while that
// judges; at the end, for as long as a shutdown may wait.
type saving struct {
	last  atomic.Pointer[time.Time] // when a state was saved; nil: not yet by this process
	since time.Time                 // when the one that is written beside the engine was begun; the loop's own
	told  bool                      // that this takes long; the loop's own
	hangs bool                      // the storage was waited for in vain; the loop's own until it has ended
}

const (
	// saveEvery is the time between two savings of the state.
	saveEvery = 30 * time.Second
	// savesLong is when the log is told that a state is still being written.
	savesLong = 2 * saveEvery
)

func (x *failureModel) restore(ctx context.Context) {
	state, err := x.store.load(ctx)
	if err == nil && state != nil {
		err = x.engine.Restore(state, x.Now())
	}
	if err != nil {
		x.settings.Logger.Warn("The stored state cannot be used; starting with an empty one", zap.Error(err))
	}
}

// save writes the state, after the one that is being written, and waits for that.
// Nobody waits a second time for a storage that does not answer.
func (x *failureModel) save(ctx context.Context) {
	if x.store == nil || x.saving.hangs {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, answersWithin, errNoAnswer)
	defer cancel()
	var err error
	select {
	case x.store.busy <- struct{}{}:
		state, failed := x.engine.Save()
		err = awaited(ctx, func(ctx context.Context) error { return x.write(ctx, state, failed) })
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	x.saving.hangs = errors.Is(err, errNoAnswer)
	x.heedLoss(err)
}

// saveAside has the state encoded and written while the engine goes on: that of many
// takes a while, and a disk may stall for long. While the one before is still being written there is none.
func (x *failureModel) saveAside(now time.Time) {
	if x.store == nil {
		return
	}
	w := &x.saving
	select {
	case x.store.busy <- struct{}{}:
		w.since, w.told = now, false
		encode := x.engine.Capture()
		go func() {
			state, err := encode()
			x.heedLoss(x.write(context.Background(), state, err))
		}()
	default:
		if took := now.Sub(w.since); took >= savesLong && !w.told {
			w.told = true
			x.heedLoss(fmt.Errorf("the storage has not answered for %v", took))
		}
	}
}

// write stores a state for which the store was taken, and releases it.
func (x *failureModel) write(ctx context.Context, state []byte, err error) error {
	defer func() { <-x.store.busy }()
	if err == nil {
		err = x.store.save(ctx, state)
	}
	if err == nil {
		now := time.Now()
		x.saving.last.Store(&now)
	}
	return err
}

// heedLoss tells the log what a restart would forget.
func (x *failureModel) heedLoss(err error) {
	if err == nil {
		return
	}
	lost := "all that this process has learned"
	if last := x.saving.last.Load(); last != nil {
		lost = fmt.Sprintf("what was learned in the last %v", time.Since(*last).Round(time.Second))
	}
	x.settings.Logger.Warn("The state was not saved: a restart forgets "+lost, zap.Error(err))
}

// closeStore saves the state for the last time and lets go of the store, unless that
// does not answer.
func (x *failureModel) closeStore(ctx context.Context) error {
	if x.store == nil {
		return nil
	}
	if x.save(ctx); x.saving.hangs {
		return errNoAnswer
	}
	return x.store.close(ctx)
}
