// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/receiver/failuremodelreceiver/internal/metadatatest"
)

func TestSignalsOfOneIDShareOneReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		assert.Same(t, b.logs, b.metrics)
		b.start(t)
		assert.Equal(t, 1, b.listeners(), "it hears everything once")
		b.snapshot.Store(&verdict.Snapshot{At: t0, Readings: []verdict.Reading{holds(crashOf("payment-1"), 1)}})
		b.say(detected("crash"))
		synctest.Wait()
		assert.Equal(t, []string{"crash"}, b.events.bodies())
		assert.Equal(t, 1, b.states.collections())
		time.Sleep(b.config.CollectionInterval)
		synctest.Wait()
		assert.Equal(t, 2, b.states.collections())
		assert.Len(t, b.events.records(), 1)

		require.NoError(t, b.metrics.Shutdown(t.Context()))
		require.NoError(t, b.logs.Shutdown(t.Context()))
		assert.Zero(t, b.listeners())
	})
}

func TestAnotherIDIsAnotherReceiver(t *testing.T) {
	b := newBench(t)
	other, err := b.factory.CreateLogs(t.Context(), b.settings, createDefaultConfig(), consumertest.NewNop())
	require.NoError(t, err)
	assert.NotSame(t, b.logs, other)
	require.NoError(t, other.Shutdown(t.Context()))

	b.end(t)
	again, err := b.factory.CreateLogs(t.Context(), b.settings, b.config, consumertest.NewNop())
	require.NoError(t, err)
	assert.NotSame(t, b.logs, again, "what has ended is not used again")
	require.NoError(t, again.Shutdown(t.Context()))
}

func TestOneSignalAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		f := NewFactory()
		var events, states pipeline
		logs, err := f.CreateLogs(t.Context(), b.settings, createDefaultConfig(), &events)
		require.NoError(t, err)
		metrics, err := f.CreateMetrics(t.Context(), b.settings, createDefaultConfig(), &states)
		require.NoError(t, err)
		require.NoError(t, logs.Start(t.Context(), b.host))
		require.NoError(t, metrics.Start(t.Context(), b.host))
		b.snapshot.Store(&verdict.Snapshot{At: t0, Readings: []verdict.Reading{holds(crashOf("payment-1"), 1)}})
		b.say(detected("crash"))
		time.Sleep(time.Minute)
		assert.Len(t, events.records(), 1)
		assert.Zero(t, events.collections())
		assert.Positive(t, states.collections())
		assert.Empty(t, states.records())
		require.NoError(t, logs.Shutdown(t.Context()))
		require.NoError(t, metrics.Shutdown(t.Context()))
	})
}

func TestWrongEngineSaysWhatToWrite(t *testing.T) {
	for name, c := range map[string]struct {
		extensions map[component.ID]component.Component
		want       string
	}{
		"not_there": {nil, "engine: extension \"failure_model\" is not started: add \"failure_model\" under `extensions:` and to `service::extensions`"},
		"another_extension": {
			map[component.ID]component.Component{component.MustNewID("failure_model"): struct {
				component.StartFunc
				component.ShutdownFunc
			}{}},
			"engine: extension \"failure_model\" is no failure_model: name one, such as `engine: failure_model`",
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			host := &engineHost{c.extensions}
			assert.EqualError(t, b.logs.Start(t.Context(), host), c.want)
			assert.EqualError(t, b.metrics.Start(t.Context(), host), c.want)
			b.end(t)
		})
	}
}

var errBusy = errors.New("queue is full")

func lost(t *testing.T, b *bench, n int64) {
	t.Helper()
	metadatatest.AssertEqualReceiverFailureModelEventsLost(t, b.telemetry, []metricdata.DataPoint[int64]{{Value: n}}, metricdatatest.IgnoreTimestamp())
}

func TestRefusedEvents(t *testing.T) {
	t.Run("are_tried_again_whole_and_in_order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.events.refuse = func(attempt int) error {
				if attempt < deliveries {
					return errBusy
				}
				return nil
			}
			b.events.spoil = true
			b.start(t)
			b.say(detected("1"), detected("2"))
			synctest.Wait()
			b.say(detected("3"))
			time.Sleep(10 * time.Second)
			assert.Equal(t, []string{"1", "2", "3"}, b.events.bodies())
			lost(t, b, 0)
		})
	})
	t.Run("are_counted_when_they_stay_refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.events.refuse = func(attempt int) error {
				if attempt <= deliveries {
					return errBusy
				}
				return nil
			}
			b.start(t)
			b.say(detected("1"), detected("2"))
			time.Sleep(10 * time.Second)
			lost(t, b, 2)
			assert.Equal(t, deliveries, b.events.attempts)
			require.Equal(t, 1, b.said.Len())
			assert.Equal(t, errBusy.Error(), b.said.All()[0].ContextMap()["error"])
			assert.EqualValues(t, 2, b.said.All()[0].ContextMap()["events"])
			b.say(detected("3"))
			synctest.Wait()
			assert.Equal(t, []string{"3"}, b.events.bodies(), "the next ones come through")
		})
	})
	t.Run("for_good_are_not_tried_again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.events.refuse = func(int) error { return consumererror.NewPermanent(errBusy) }
			b.start(t)
			b.say(detected("1"))
			synctest.Wait()
			lost(t, b, 1)
			assert.Equal(t, 1, b.events.attempts)
		})
	})
	t.Run("beyond_what_may_wait_lose_the_oldest", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			stuck := make(chan struct{})
			b.events.refuse = func(int) error { <-stuck; return nil }
			b.start(t)
			b.say(detected("first"))
			synctest.Wait()                 // the pipeline holds it
			for i := range maxWaiting + 3 { // to say never blocks
				b.say(detected(fmt.Sprint(i)))
			}
			lost(t, b, 3)
			close(stuck)
			synctest.Wait()
			bodies := b.events.bodies()
			require.Len(t, bodies, 1+maxWaiting)
			assert.Equal(t, []string{"first", "3"}, bodies[:2])
			assert.Equal(t, fmt.Sprint(maxWaiting+2), bodies[maxWaiting])
		})
	})
}

func TestRefusedPointsAreCountedAndComeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.states.refuse = func(attempt int) error {
			if attempt == 1 {
				return errBusy
			}
			return nil
		}
		b.start(t)
		b.snapshot.Store(&verdict.Snapshot{At: t0, Readings: []verdict.Reading{holds(crashOf("payment-1"), 1)}})
		time.Sleep(b.config.CollectionInterval + time.Millisecond)
		metadatatest.AssertEqualReceiverFailureModelPointsRefused(t, b.telemetry, []metricdata.DataPoint[int64]{{Value: 5}}, metricdatatest.IgnoreTimestamp())
		assert.Zero(t, b.states.collections())
		time.Sleep(b.config.CollectionInterval)
		require.Equal(t, 1, b.states.collections())
		assert.Equal(t, 5, b.states.metrics[0].DataPointCount())
	})
}

func TestShutdown(t *testing.T) {
	t.Run("without_start_and_twice", func(t *testing.T) {
		b := newBench(t)
		b.end(t)
		b.end(t)
	})
	t.Run("hands_on_what_happened_last", func(t *testing.T) {
		for range 20 { // whether it first sees the event or the end is a matter of luck
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				busy := make(chan struct{})
				b.events.refuse = func(int) error { <-busy; return nil }
				b.start(t)
				b.say(detected("first"))
				synctest.Wait()
				b.snapshot.Store(&verdict.Snapshot{At: t0, Readings: []verdict.Reading{holds(crashOf("payment-1"), 1)}})
				b.say(detected("last"))
				go func() { time.Sleep(time.Second); close(busy) }()
				b.end(t)
				require.Equal(t, []string{"first", "last"}, b.events.bodies())
				require.Positive(t, b.states.collections())
			})
		}
	})
	t.Run("gives_up_on_a_pipeline_that_refuses", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			b.events.refuse = func(int) error { return errBusy }
			b.start(t)
			b.say(detected("last"))
			began := time.Now()
			b.end(t)
			assert.LessOrEqual(t, time.Since(began), lastWords)
			lost(t, b, 1)
		})
	})
	t.Run("takes_its_context_from_a_pipeline_that_hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			receiver := b.logs.(*failureModel)
			b.events.refuse = func(int) error { <-receiver.ctx.Done(); return receiver.ctx.Err() }
			b.start(t)
			b.say(detected("1"))
			synctest.Wait()
			b.say(detected("2")) // waits behind the first
			began := time.Now()
			b.end(t)
			assert.Equal(t, lastWords, time.Since(began))
			lost(t, b, 2)
		})
	})
}
