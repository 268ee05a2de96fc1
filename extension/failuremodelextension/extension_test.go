// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"
	"go.uber.org/zap"

	"github.com/faultline-otel/faultline/extension/failuremodelextension/internal/metadatatest"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/enginehost"
)

func points(n int64) []metricdata.DataPoint[int64] {
	return []metricdata.DataPoint[int64]{{Value: n}}
}

func TestFullQueueDropsAndNeverBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(c *Config) { c.QueueSize = 2 })
		r.start(t, testHost{})
		busy := make(chan struct{})
		go r.order(func() { <-busy })
		synctest.Wait() // the engine is held up from here on

		s := newShop()
		for range 5 {
			b := r.NewBatch()
			s.beat(b, r.Now(), s.payment, 1)
			s.beat(b, r.Now(), s.checkout, 1)
			r.Observe(b) // in a bubble, to block is to deadlock
		}
		metadatatest.AssertEqualExtensionFailureModelQueueLength(t, r.telemetry, points(2), metricdatatest.IgnoreTimestamp())
		metadatatest.AssertEqualExtensionFailureModelBatchesDropped(t, r.telemetry, points(3), metricdatatest.IgnoreTimestamp())
		metadatatest.AssertEqualExtensionFailureModelObservationsDropped(t, r.telemetry, points(6), metricdatatest.IgnoreTimestamp())

		close(busy)
		time.Sleep(time.Second)
		metadatatest.AssertEqualExtensionFailureModelQueueLength(t, r.telemetry, points(0), metricdatatest.IgnoreTimestamp())
		got, err := r.telemetry.GetMetric("otelcol_extension_failure_model_entities")
		require.NoError(t, err)
		assert.Positive(t, got.Data.(metricdata.Gauge[int64]).DataPoints[0].Value, "what was queued is taken in later")
		got, err = r.telemetry.GetMetric("otelcol_extension_failure_model_kept")
		require.NoError(t, err)
		assert.Len(t, got.Data.(metricdata.Gauge[int64]).DataPoints, 13, "a gauge for each thing that is kept")
		assert.Equal(t, 1, r.logs.FilterMessageSnippet("does not keep up").FilterField(zap.Int64("observations", 6)).Len(), "the log says so, too")
		r.shutdown(t)
	})
}

func TestJudgementRunsFromReadyToNotReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.start(t, testHost{})
		s := newShop()
		s.run(r, 30*time.Second)
		s.dead = true
		s.run(r, time.Minute)
		assert.Empty(t, r.accused(), "before Ready")

		s.dead = false
		s.run(r, 30*time.Second)
		require.NoError(t, r.Ready())
		s.run(r, time.Minute)
		assert.Empty(t, r.accused(), "while all is well")

		require.NoError(t, r.NotReady())
		s.mute = true // receivers stop, one after the other
		s.run(r, time.Minute)
		s.mute, s.dead = false, true
		s.run(r, time.Minute)
		assert.Empty(t, r.accused(), "after NotReady")
		assert.Nil(t, r.Snapshot())

		require.NoError(t, r.Ready())
		s.run(r, 30*time.Second)
		failures := r.events("failure.detected")
		require.Len(t, failures, 1, "judgement goes on after the next Ready")
		assert.Equal(t, verdict.ClassCrash, failures[0].Verdict.Class)
		assert.Equal(t, "payment-1", failures[0].Verdict.Culprit.Name)
		metadatatest.AssertEqualExtensionFailureModelVerdicts(t, r.telemetry, points(1), metricdatatest.IgnoreTimestamp())
		r.shutdown(t)
	})
}

func TestNobodyIsAccusedAtAShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.start(t, testHost{})
		require.NoError(t, r.Ready())
		s := newShop()
		s.run(r, time.Minute)
		require.NoError(t, r.NotReady())
		s.mute = true
		s.run(r, 10*time.Minute) // pipelines may take long to drain
		r.cancel()
		require.NoError(t, r.Shutdown(t.Context()))
		assert.Empty(t, r.heard)
	})
}

func TestLifecycle(t *testing.T) {
	t.Run("not_ready_after_a_failed_start_returns", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil)
			require.NoError(t, r.NotReady())
			require.NoError(t, r.Shutdown(t.Context()))
		})
	})
	t.Run("shutdown_twice", func(t *testing.T) {
		r := newRig(t, nil)
		r.start(t, testHost{})
		r.shutdown(t)
		require.NoError(t, r.Shutdown(t.Context()))
		require.NoError(t, r.Ready(), "nobody waits for an engine that has ended")
	})
	t.Run("observations_after_the_end_are_dropped_without_harm", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, func(c *Config) { c.QueueSize = 1 })
			r.start(t, testHost{})
			r.shutdown(t)
			s := newShop()
			s.run(r, time.Second)
			assert.Nil(t, r.Snapshot())
		})
	})
}

// TestManyAtOnce is for the race detector.
func TestManyAtOnce(t *testing.T) {
	r := newRig(t, func(c *Config) { c.QueueSize = 4 })
	r.start(t, testHost{})
	require.NoError(t, r.Ready())
	var everybody sync.WaitGroup
	for range 4 {
		everybody.Go(func() {
			s := newShop()
			for range 200 {
				b := r.NewBatch()
				s.beats++
				s.call(b, r.Now())
				s.beat(b, r.Now(), s.payment, 1)
				r.Observe(b)
				_ = r.Snapshot().Empty()
				_ = r.Baselines()
			}
		})
		everybody.Go(func() {
			for range 20 {
				cancel := r.Subscribe(func(enginehost.Update) {})
				cancel()
			}
		})
	}
	everybody.Wait()
	r.shutdown(t)
}

// What finds the queue full is dropped, whoever it is about: heartbeats of some, while
// their observer's own gets through.
func TestHeartbeatsThatWereDroppedAreNobodysSilence(t *testing.T) {
	for _, lasts := range []time.Duration{8 * time.Second, time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, nil)
			r.start(t, testHost{})
			require.NoError(t, r.Ready())
			s := newShop()
			s.run(r, time.Minute)
			for range lasts / time.Second {
				time.Sleep(time.Second)
				s.beats += 10
				full, got := r.NewBatch(), r.NewBatch()
				s.beat(full, r.Now(), s.checkout, 1)
				s.beat(full, r.Now(), s.payment, s.incarnation)
				r.dropped.total.Add(int64(full.Len())) // as where the queue is full
				got.Observers = append(got.Observers, report.ObserverBeat{Stamp: s.stamp(r.Now()), Interval: time.Second, Host: "agent"})
				r.Observe(got)
			}
			s.run(r, 10*time.Second)
			assert.Empty(t, r.accused())

			s.dead = true
			s.run(r, 30*time.Second)
			assert.Len(t, r.events("failure.detected"), 1, "judgement goes on")
			r.shutdown(t)
		})
	}
}
