// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

import (
	"context"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/enginehost"
	"github.com/faultline-otel/faultline/receiver/failuremodelreceiver/internal/metadata"
)

// failureModel follows the engine and writes what it says into the pipelines.
type failureModel struct {
	config    *Config
	settings  receiver.Settings
	telemetry *metadata.TelemetryBuilder
	logs      consumer.Logs    // nil if in no logs pipeline
	metrics   consumer.Metrics // nil if in no metrics pipeline
	forget    func()

	engine enginehost.Engine
	cancel func() // ends the subscription
	wake   chan struct{}

	mu      sync.Mutex // guards waiting
	waiting []verdict.Event

	startOnce, stopOnce sync.Once
	began               time.Time
	ctx                 context.Context // of the consumers; ends with Shutdown
	end                 context.CancelFunc
	stop, stopped       chan struct{}
}

// maxWaiting is how many events wait for a slow pipeline; beyond it the oldest
// are lost.
const maxWaiting = 10_000

func newReceiver(set receiver.Settings, cfg *Config) (*failureModel, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	ctx, end := context.WithCancel(context.Background())
	return &failureModel{
		config: cfg, settings: set, telemetry: telemetry,
		wake: make(chan struct{}, 1), ctx: ctx, end: end, stop: make(chan struct{}), stopped: make(chan struct{}),
	}, nil
}

// Start finds the engine and follows it. It is called once for each signal.
func (r *failureModel) Start(_ context.Context, host component.Host) error {
	e, err := enginehost.Find(host, r.config.Engine)
	if err != nil {
		return err
	}
	r.startOnce.Do(func() {
		r.engine = e
		r.began = time.Now()
		r.telemetry.ReceiverFailureModelEventsLost.Add(r.ctx, 0) // seen before the first loss
		r.cancel = e.Subscribe(r.hear)
		go r.run()
	})
	return nil
}

// Shutdown hands on what happened last and ends the receiver. It is called once
// for each signal, and safe without Start.
func (r *failureModel) Shutdown(context.Context) error {
	r.stopOnce.Do(func() {
		if r.cancel != nil {
			r.cancel()
			close(r.stop)
			select {
			case <-r.stopped:
			case <-time.After(lastWords):
				r.end() // the pipeline does not take it
				<-r.stopped
			}
		}
		r.end()
		r.telemetry.Shutdown()
		r.forget()
	})
	return nil
}

// lastWords is how long a shutdown waits for the pipeline to take the last
// events.
const lastWords = 5 * time.Second

// hear is called by the engine's host and must not block.
func (r *failureModel) hear(u enginehost.Update) {
	if len(u.Events) == 0 {
		return
	}
	r.mu.Lock()
	r.waiting = append(r.waiting, u.Events...)
	over := len(r.waiting) - maxWaiting
	if over > 0 {
		r.waiting = append(r.waiting[:0:0], r.waiting[over:]...)
	}
	r.mu.Unlock()
	if over > 0 {
		r.telemetry.ReceiverFailureModelEventsLost.Add(r.ctx, int64(over))
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

func (r *failureModel) run() {
	defer close(r.stopped)
	collect := time.NewTicker(r.config.CollectionInterval)
	defer collect.Stop()
	for {
		select {
		case <-r.wake:
			r.tell()
		case <-collect.C:
			r.collect()
		case <-r.stop:
			r.tell()
			return
		}
	}
}

// tell hands on the events that wait, and the metrics if a verdict is among
// them.
func (r *failureModel) tell() {
	r.mu.Lock()
	events := r.waiting
	r.waiting = nil
	r.mu.Unlock()
	if len(events) == 0 {
		return
	}
	if r.logs != nil {
		r.deliver(r.eventLogs(events), len(events))
	}
	for i := range events {
		if strings.HasPrefix(events[i].Kind, "failure.") {
			r.collect()
			return
		}
	}
}

// deliver tries a few times, unless the pipeline says that it is no use.
func (r *failureModel) deliver(ld plog.Logs, count int) {
	wait := 100 * time.Millisecond
	for attempt := 1; ; attempt++ {
		// The pipeline may change what it gets, and refuse it all the same.
		try := plog.NewLogs()
		ld.CopyTo(try)
		err := r.logs.ConsumeLogs(r.ctx, try)
		if err == nil {
			return
		}
		if attempt == deliveries || consumererror.IsPermanent(err) || r.ctx.Err() != nil {
			r.telemetry.ReceiverFailureModelEventsLost.Add(context.Background(), int64(count))
			r.settings.Logger.Warn("Events were lost: the pipeline refuses them", zap.Int("events", count), zap.Error(err))
			return
		}
		select {
		case <-time.After(wait):
		case <-r.ctx.Done():
		}
		wait *= 2
	}
}

const deliveries = 5

func (r *failureModel) collect() {
	if r.metrics == nil {
		return
	}
	md := r.stateMetrics(r.engine.Snapshot())
	points := md.DataPointCount()
	if points == 0 {
		return
	}
	if err := r.metrics.ConsumeMetrics(r.ctx, md); err != nil {
		r.telemetry.ReceiverFailureModelPointsRefused.Add(context.Background(), int64(points))
	}
}
