// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension"
	"go.opentelemetry.io/collector/extension/extensioncapabilities"
	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/extension/failuremodelextension/internal/metadata"
	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/enginehost"
)

// failureModel runs the engine in a goroutine of its own. Components hand it
// batches through a bounded queue and read its conclusions without a lock.
//
//	Observe ─► queue ─► loop (owns the engine) ─► publisher ─► subscribers
//	Ready, NotReady ─► orders ─┘
type failureModel struct {
	config    *Config
	settings  extension.Settings
	telemetry *metadata.TelemetryBuilder
	engine    *engine.Engine
	store     *store // nil without storage
	saving    saving

	now     engineClock
	queue   chan *report.Batch
	orders  chan func()
	pool    sync.Pool
	publish *publisher

	stats    atomic.Pointer[engine.Stats]
	lateness atomic.Int64 // ns
	dropped  drops
	judging  bool // from Ready to NotReady; the loop's own

	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
	started bool
}

var (
	_ enginehost.Engine                     = (*failureModel)(nil)
	_ extensioncapabilities.PipelineWatcher = (*failureModel)(nil)
	_ extensioncapabilities.Dependent       = (*failureModel)(nil)
)

// tickEvery is the time between two ticks of the engine.
const tickEvery = 250 * time.Millisecond

func newExtension(set extension.Settings, cfg *Config) (*failureModel, error) {
	telemetry, err := metadata.NewTelemetryBuilder(set.TelemetrySettings)
	if err != nil {
		return nil, err
	}
	x := &failureModel{
		config: cfg, settings: set, telemetry: telemetry,
		engine: engine.New(cfg.EngineParams()),
		now:    engineClock{began: time.Now(), wall: time.Now},
		queue:  make(chan *report.Batch, cfg.QueueSize),
		orders: make(chan func()),
		stop:   make(chan struct{}), stopped: make(chan struct{}),
	}
	x.pool.New = func() any { return &report.Batch{} }
	x.publish = newPublisher(func(n int64) {
		telemetry.ExtensionFailureModelEventsDropped.Add(context.Background(), n)
	})
	// Until the pipelines are ready nobody can be missed.
	x.engine.Freeze()
	x.stats.Store(&engine.Stats{})
	return x, x.registerGauges()
}

// Dependencies has the storage started before and stopped after this extension.
func (x *failureModel) Dependencies() []component.ID {
	if x.config.Storage == nil {
		return nil
	}
	return []component.ID{*x.config.Storage}
}

// Start restores the engine's state and starts it.
func (x *failureModel) Start(ctx context.Context, host component.Host) error {
	if x.config.Storage == nil {
		x.settings.Logger.Warn("No storage: baselines, incarnations and open verdicts are forgotten at a reload or restart; " +
			"set `storage` to a storage extension, such as file_storage")
	} else {
		store, err := openStore(ctx, host, *x.config.Storage, x.settings.ID)
		if err != nil {
			return err
		}
		x.store = store
		x.restore(ctx)
	}
	x.started = true
	x.showLosses()
	go x.publish.run()
	go x.loop()
	return nil
}

// Shutdown saves the state and ends the engine. It is safe to call without
// Start, and twice.
func (x *failureModel) Shutdown(ctx context.Context) error {
	var err error
	x.once.Do(func() {
		if x.started {
			close(x.stop)
			<-x.stopped
			x.publish.close()
			err = x.closeStore(ctx)
		}
		x.telemetry.Shutdown()
	})
	return err
}

// Ready starts judgement: all receivers run.
func (x *failureModel) Ready() error {
	x.order(func() {
		x.judging = true
		x.engine.Thaw(x.Now())
	})
	return nil
}

// NotReady ends judgement: receivers are about to stop, and everybody will seem
// to fall silent.
func (x *failureModel) NotReady() error {
	x.order(func() {
		x.judging = false
		x.engine.Freeze()
		x.save(context.Background())
	})
	return nil
}

// order has f run by the engine's goroutine, and waits for it. An extension that
// was not started has none: the Collector says NotReady after a failed start, too.
func (x *failureModel) order(f func()) {
	if !x.started {
		return
	}
	done := make(chan struct{})
	select {
	case x.orders <- func() { f(); close(done) }:
		<-done
	case <-x.stopped:
	}
}

// loop is the one goroutine that touches the engine.
func (x *failureModel) loop() {
	defer close(x.stopped)
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	last := time.Now()
	saved := last
	for {
		select {
		case <-x.stop:
			x.drain()
			return
		case f := <-x.orders:
			f()
			x.publish.events(x.Now(), x.now.date(x.engine.Events()))
		case b := <-x.queue:
			x.take(b)
		case <-tick.C:
			now := time.Now()
			x.lateness.Store(int64(max(now.Sub(last)-tickEvery, 0)))
			last = now
			x.followWall()
			x.heedDrops(now)
			x.engine.Tick(x.Now())
			x.publish.tick(x.Now(), x.now.date(x.engine.Events()))
			stats := x.engine.Stats()
			x.stats.Store(&stats)
			if now.Sub(saved) >= saveEvery {
				saved = now
				x.saveAside(now)
			}
		}
	}
}

func (x *failureModel) take(b *report.Batch) {
	x.engine.Observe(b)
	b.Reset()
	x.pool.Put(b)
	if events := x.engine.Events(); len(events) > 0 {
		x.publish.events(x.Now(), x.now.date(events))
	}
}

// drain takes in what is still queued.
func (x *failureModel) drain() {
	for {
		select {
		case b := <-x.queue:
			x.take(b)
		default:
			return
		}
	}
}

// NewBatch returns an empty batch.
func (x *failureModel) NewBatch() *report.Batch { return x.pool.Get().(*report.Batch) }

// Observe hands b to the engine, or drops and counts it.
func (x *failureModel) Observe(b *report.Batch) {
	if b.Arrived == 0 {
		b.Arrived = x.Now()
	}
	if back := x.now.setBack(); back > 0 {
		b.MoveOn(back)
	}
	select {
	case x.queue <- b:
	default:
		ctx := context.Background()
		x.telemetry.ExtensionFailureModelBatchesDropped.Add(ctx, 1)
		x.telemetry.ExtensionFailureModelObservationsDropped.Add(ctx, int64(b.Len()))
		x.dropped.total.Add(int64(b.Len()))
		b.Reset()
		x.pool.Put(b)
	}
}

// Now is the time on the engine's clock.
func (x *failureModel) Now() clock.Time { return x.now.time() }

// Dated is where on the engine's clock a time lies by which something is dated.
func (x *failureModel) Dated(t clock.Time) clock.Time { return x.now.dated(t) }

// followWall follows the wall clock, and says so.
func (x *failureModel) followWall() {
	was := x.now.setBack()
	jump, back := x.now.follow(), x.now.setBack()
	switch {
	case jump > 0:
		x.settings.Logger.Info("This host slept, or its clock was set forward; the engine follows it", zap.Duration("by", jump))
	case back >= was+clockSet:
		x.settings.Logger.Warn("The clock of this host was set back; what is dated by it is taken for as much later", zap.Duration("by", back-was))
	case was > 0 && back == 0:
		x.settings.Logger.Info("The clock of this host is where it was before it was set back")
	}
}

// Snapshot is what holds true now.
func (x *failureModel) Snapshot() *verdict.Snapshot { return x.engine.Snapshot() }

// Baselines is how long spans usually take.
func (x *failureModel) Baselines() *engine.Baselines { return x.engine.Baselines() }

// Subscribe calls f after every tick and with every event.
func (x *failureModel) Subscribe(f func(enginehost.Update)) (cancel func()) {
	return x.publish.subscribe(f)
}
