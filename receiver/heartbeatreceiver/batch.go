// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
)

const (
	batchRecords = 100
	batchWait    = 50 * time.Millisecond
	// patience is how long a batch is offered again to a pipeline that is
	// merely busy. Its records say when they were seen, so late is not lost.
	patience   = 5 * time.Second
	firstPause = 50 * time.Millisecond
	// lastWords is how long a shutdown waits for the pipeline to take the last records.
	lastWords = 5 * time.Second
)

// batcher gathers records and hands them to the pipeline from one goroutine, in
// order. It holds a bounded number of them: whoever brings one reserves its
// place first.
//
//	reserve ─► add ─► current batch ─(100 records or 50 ms)─► full batches ─► pipeline
type batcher struct {
	next consumer.Logs
	obs  *receiverhelper.ObsReport
	max  int
	lost func(records int, err error)

	mu      sync.Mutex
	held    int // reserved, gathered or under way; at most max
	current plog.Logs
	count   int // records in current
	full    []plog.Logs

	ctx   context.Context // of the pipeline
	end   context.CancelFunc
	first chan struct{} // current got its first record
	ready chan struct{} // a batch is full
	stop  chan struct{}
	done  chan struct{}
}

func newBatcher(next consumer.Logs, obs *receiverhelper.ObsReport, limit int, lost func(int, error)) *batcher {
	ctx, end := context.WithCancel(context.Background())
	return &batcher{
		next: next, obs: obs, max: limit, lost: lost,
		current: newLogs(),
		ctx:     ctx,
		end:     end,
		first:   make(chan struct{}, 1),
		ready:   make(chan struct{}, 1),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// newLogs makes room for a full batch at once.
func newLogs() plog.Logs {
	ld := plog.NewLogs()
	ld.ResourceLogs().EnsureCapacity(batchRecords)
	return ld
}

// reserve keeps n places, or none if there are not as many.
func (q *batcher) reserve(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.held+n > q.max {
		return false
	}
	q.held += n
	return true
}

// release gives n places back.
func (q *batcher) release(n int) {
	q.mu.Lock()
	q.held -= n
	q.mu.Unlock()
}

func (q *batcher) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.held
}

// add lets write append one record, for which a place is reserved. write runs
// under the lock: it must not call out.
func (q *batcher) add(write func(plog.ResourceLogsSlice)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	write(q.current.ResourceLogs())
	q.count++
	switch q.count {
	case 1:
		wake(q.first)
	case batchRecords:
		q.full = append(q.full, q.current)
		q.current, q.count = newLogs(), 0
		wake(q.ready)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run hands batches on until close is called, then what is left.
func (q *batcher) run() {
	defer close(q.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-q.first:
		case <-q.stop:
			q.handOn()
			return
		}
		timer.Reset(batchWait)
		select {
		case <-q.ready:
		case <-timer.C:
		case <-q.stop:
		}
		q.handOn()
	}
}

// close hands on what is left and waits for that, but not for a pipeline that hangs.
func (q *batcher) close() {
	close(q.stop)
	defer time.AfterFunc(lastWords, q.end).Stop()
	<-q.done
	q.end()
}

func (q *batcher) handOn() {
	q.mu.Lock()
	batches := q.full
	q.full = nil
	if q.count > 0 {
		batches = append(batches, q.current)
		q.current, q.count = newLogs(), 0
	}
	q.mu.Unlock()
	for _, ld := range batches {
		n := ld.LogRecordCount()
		ctx := q.obs.StartLogsOp(q.ctx)
		err := q.consume(ctx, ld, n)
		q.obs.EndLogsOp(ctx, "heartbeat", n, err)
		if err != nil {
			q.lost(n, err)
		}
		q.release(n)
	}
}

// consume offers ld until it is taken, refused for good, or patience ends. What
// was half taken is not offered again.
func (q *batcher) consume(ctx context.Context, ld plog.Logs, n int) error {
	deadline := time.Now().Add(patience)
	for pause := firstPause; ; pause *= 2 {
		err := q.next.ConsumeLogs(ctx, ld)
		if err == nil || consumererror.IsPermanent(err) || ld.LogRecordCount() != n || time.Now().Add(pause).After(deadline) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-q.stop:
			// One last try, then the shutdown goes on.
			return q.next.ConsumeLogs(ctx, ld)
		}
	}
}
