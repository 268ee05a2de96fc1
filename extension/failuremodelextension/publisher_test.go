// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric/metricdata/metricdatatest"

	"github.com/faultline-otel/faultline/extension/failuremodelextension/internal/metadatatest"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/enginehost"
)

func TestSlowSubscriberDoesNotHoldTheEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		r.start(t, testHost{})
		require.NoError(t, r.Ready())
		s := newShop()
		s.run(r, time.Minute)

		stuck := make(chan struct{})
		cancel := r.Subscribe(func(enginehost.Update) { <-stuck })
		s.dead = true
		s.run(r, 30*time.Second)
		v := r.Snapshot().Verdict(s.payment, r.Now())
		require.NotNil(t, v, "the engine went on")
		assert.Equal(t, verdict.ClassCrash, v.Class)
		assert.Equal(t, []int64{0}, r.telemetryOf(t, "otelcol_extension_failure_model_batches_dropped"))

		// More than waits for a subscriber is dropped, the oldest first.
		flood := make([]verdict.Event, maxPending+5)
		r.publish.events(r.Now(), flood)
		dropped := r.telemetryOf(t, "otelcol_extension_failure_model_events_dropped")
		require.Len(t, dropped, 1)
		assert.GreaterOrEqual(t, dropped[0], int64(5))

		close(stuck)
		synctest.Wait()
		cancel()
		r.shutdown(t)
	})
}

// telemetryOf are the values of a counter; none if it has not been counted.
func (r *rig) telemetryOf(t *testing.T, name string) []int64 {
	t.Helper()
	m, err := r.telemetry.GetMetric(name)
	if err != nil {
		return nil
	}
	return sums(t, m)
}

func TestPublisher(t *testing.T) {
	type told struct {
		now  clock.Time
		said []string
	}
	start := func(t *testing.T) (p *publisher, dropped *int64) {
		dropped = new(int64)
		p = newPublisher(func(n int64) { *dropped += n })
		go p.run()
		t.Cleanup(p.close)
		return p, dropped
	}
	listen := func(p *publisher) (heard *told, cancel func()) {
		heard = &told{}
		return heard, p.subscribe(func(u enginehost.Update) {
			heard.now = u.Now
			for _, ev := range u.Events {
				heard.said = append(heard.said, ev.Body)
			}
		})
	}
	events := func(from, to int) []verdict.Event {
		var out []verdict.Event
		for i := from; i < to; i++ {
			out = append(out, verdict.Event{Body: fmt.Sprint(i)})
		}
		return out
	}

	t.Run("everybody_hears_everything_in_order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := start(t)
			a, _ := listen(p)
			b, _ := listen(p)
			p.events(1, events(0, 3))
			synctest.Wait()
			p.tick(2, events(3, 4))
			synctest.Wait()
			assert.Equal(t, told{2, []string{"0", "1", "2", "3"}}, *a)
			assert.Equal(t, *a, *b)
		})
	})
	t.Run("a_tick_without_events_is_told_and_no_events_are_not", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := start(t)
			a, _ := listen(p)
			p.tick(1, nil)
			synctest.Wait()
			p.events(2, nil)
			synctest.Wait()
			assert.Equal(t, told{now: 1}, *a)
		})
	})
	t.Run("the_oldest_are_dropped_and_counted", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, dropped := start(t)
			a, _ := listen(p)
			p.calls.Lock() // as while a subscriber is slow
			p.events(1, events(0, maxPending))
			p.events(2, events(maxPending, maxPending+7))
			p.calls.Unlock()
			synctest.Wait()
			assert.EqualValues(t, 7, *dropped)
			assert.Len(t, a.said, maxPending)
			assert.Equal(t, "7", a.said[0])
			assert.Equal(t, fmt.Sprint(maxPending+6), a.said[maxPending-1])
		})
	})
	t.Run("who_leaves_has_heard_what_happened_before", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, _ := start(t)
			a, cancel := listen(p)
			b, _ := listen(p)
			p.calls.Lock()
			p.events(1, events(0, 2))
			p.calls.Unlock()
			cancel()
			p.events(2, events(2, 3))
			synctest.Wait()
			assert.Equal(t, []string{"0", "1"}, a.said)
			assert.Equal(t, []string{"0", "1", "2"}, b.said, "and nobody hears it twice")
			cancel() // twice does no harm
		})
	})
	t.Run("who_leaves_tells_nobody_that_nothing_happened", func(t *testing.T) {
		p := newPublisher(func(int64) {})
		calls := 0
		p.subscribe(func(enginehost.Update) { calls++ })
		_, cancel := listen(p)
		cancel()
		assert.Zero(t, calls)
	})
	t.Run("close_tells_what_happened_last", func(t *testing.T) {
		p := newPublisher(func(int64) {})
		a, _ := listen(p)
		p.events(1, events(0, 1))
		go p.run()
		p.close()
		assert.Equal(t, []string{"0"}, a.said)
	})
}

func TestDroppedEventsAreCounted(t *testing.T) {
	r := newRig(t, nil)
	r.publish.tell(1, make([]verdict.Event, maxPending+3))
	metadatatest.AssertEqualExtensionFailureModelEventsDropped(t, r.telemetry, points(3), metricdatatest.IgnoreTimestamp())
	require.NoError(t, r.Shutdown(t.Context()))
}
