// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/enginehost"
)

// waitingRoom keeps failed and slow spans until the verdict that they belong to is there,
// or their time is over. What one batch leaves here stays together, because it
// came from one client.
type waitingRoom struct {
	traces *traces
	cancel func() // ends the subscription
	wake   chan clock.Time

	mu     sync.Mutex // guards the rest
	guests []guest    // in order of arrival
	closed bool

	ctx           context.Context // of the pipeline
	end           context.CancelFunc
	stop, stopped chan struct{}
	logged        atomic.Int64 // clock.Time of the latest warning
}

// guest is what one batch left to wait.
type guest struct {
	td      ptrace.Traces
	info    client.Info
	arrived clock.Time
	spans   int
	bytes   int
}

// lastWords is how long a shutdown waits for the pipeline to take those who waited.
const lastWords = 5 * time.Second

func newWaitingRoom(t *traces) *waitingRoom {
	ctx, end := context.WithCancel(context.Background())
	return &waitingRoom{traces: t, wake: make(chan clock.Time, 1), ctx: ctx, end: end, stop: make(chan struct{}), stopped: make(chan struct{})}
}

func (r *waitingRoom) open() {
	if _, ok := r.traces.engine.(enginehost.Stepped); ok {
		close(r.stopped)
		r.cancel = r.traces.engine.Subscribe(func(u enginehost.Update) { r.serve(u.Now) })
		return
	}
	r.cancel = r.traces.engine.Subscribe(func(u enginehost.Update) {
		select {
		case r.wake <- u.Now:
		default: // it is awake
		}
	})
	go func() {
		defer close(r.stopped)
		for {
			select {
			case now := <-r.wake:
				r.serve(now)
			case <-r.stop:
				return
			}
		}
	}()
}

// close lets everybody go, tagged as far as is known. It does not wait for a pipeline
// that hangs.
func (r *waitingRoom) close() {
	r.mu.Lock()
	again := r.closed
	r.closed = true
	r.mu.Unlock()
	if again || r.cancel == nil {
		return
	}
	defer time.AfterFunc(lastWords, r.end).Stop()
	r.cancel()
	close(r.stop)
	<-r.stopped
	r.serve(r.traces.engine.Now().Add(time.Hour))
}

// hasSpace says whether one more span may wait. Batches that decide at the same
// time may go over by a span each.
func (r *waitingRoom) hasSpace() bool {
	c := r.traces.core
	a := &c.config.Annotate
	if c.waitingSpans.Load() < int64(a.MaxWaiting) && c.waitingBytes.Load() < int64(a.MaxWaitingBytes) {
		return true
	}
	c.telemetry.ProcessorFailureModelSpansNotWaited.Add(context.Background(), 1)
	return false
}

// enter takes in what a batch leaves to wait. What would exceed the room in
// bytes, or comes when it is closed, goes on at once.
func (r *waitingRoom) enter(td ptrace.Traces, info client.Info, now clock.Time) {
	c := r.traces.core
	g := guest{td: td, info: info, arrived: now, spans: td.SpanCount(), bytes: (&ptrace.ProtoMarshaler{}).TracesSize(td)}
	r.mu.Lock()
	full := c.waitingSpans.Load()+int64(g.spans) > int64(c.config.Annotate.MaxWaiting) ||
		c.waitingBytes.Load()+int64(g.bytes) > int64(c.config.Annotate.MaxWaitingBytes)
	if r.closed || full {
		r.mu.Unlock()
		if full {
			c.telemetry.ProcessorFailureModelSpansNotWaited.Add(context.Background(), int64(g.spans))
		}
		r.traces.annotate(g.td, nil, noSeat)
		r.deliver(g.td, info)
		return
	}
	c.waitingSpans.Add(int64(g.spans))
	c.waitingBytes.Add(int64(g.bytes))
	r.guests = append(r.guests, g)
	r.mu.Unlock()
}

// serve decides again on all who wait. Those on whom there is a verdict go, and
// those whose time is over.
func (r *waitingRoom) serve(now clock.Time) {
	r.mu.Lock()
	guests := r.guests
	r.guests = nil
	r.mu.Unlock()
	if len(guests) == 0 {
		return
	}
	// First the calls to culprits of all of them, so that the spans above find
	// these whoever came first.
	t := r.traces
	snapshot, baselines := t.engine.Snapshot(), t.engine.Baselines()
	for i := range guests {
		t.rememberCalls(guests[i].td, snapshot, baselines, now)
	}
	kept := guests[:0]
	for _, g := range guests {
		if now.Sub(g.arrived) >= t.config.Annotate.Wait {
			t.annotate(g.td, nil, timeUp)
			r.leave(g.spans, g.bytes)
			r.deliver(g.td, g.info)
			continue
		}
		if snapshot.Empty() && t.memory.empty(now) {
			kept = append(kept, g)
			continue
		}
		still := t.annotate(g.td, nil, ownSeat)
		if left := g.td; left.SpanCount() > 0 {
			r.deliver(left, g.info)
		}
		spans, bytes := still.SpanCount(), 0
		if spans > 0 {
			bytes = g.bytes * spans / g.spans
			kept = append(kept, guest{still, g.info, g.arrived, spans, bytes})
		}
		r.leave(g.spans-spans, g.bytes-bytes)
	}
	r.mu.Lock()
	r.guests = append(kept, r.guests...)
	r.mu.Unlock()
}

func (r *waitingRoom) leave(spans, bytes int) {
	r.traces.waitingSpans.Add(int64(-spans))
	r.traces.waitingBytes.Add(int64(-bytes))
}

// deliver hands spans on as their client sent them. The sender was told long ago
// that they were taken; what is refused now is counted.
func (r *waitingRoom) deliver(td ptrace.Traces, info client.Info) {
	spans := td.SpanCount()
	if spans == 0 {
		return
	}
	t := r.traces
	err := t.next.ConsumeTraces(client.NewContext(r.ctx, info), td)
	if err == nil {
		return
	}
	t.telemetry.ProcessorFailureModelSpansUndelivered.Add(context.Background(), int64(spans))
	now, last := t.engine.Now(), r.logged.Load()
	if now.Sub(clock.Time(last)) > time.Minute && r.logged.CompareAndSwap(last, int64(now)) {
		t.logger.Warn("Spans that waited for a verdict were refused by the pipeline", zap.Int("spans", spans), zap.Error(err))
	}
}
