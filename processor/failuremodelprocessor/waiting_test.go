// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/client"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// own is a failed span of payment in a trace of its own.
func own(id byte) ptrace.Traces {
	return batch("payment", "payment-1", span(id, id, 0, ptrace.SpanKindServer, failed))
}

// stranger is a failed span on which there is never a verdict.
func stranger(id byte) ptrace.Traces {
	return batch("search", "s-1", span(id, id, 0, ptrace.SpanKindServer, failed))
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	require.Eventually(t, f, 10*time.Second, time.Millisecond, what)
}

// settle wakes the room and returns when it has served.
func (b *testBench) settle(t *testing.T, p *traces) {
	t.Helper()
	b.pass(0)
	// A room that has taken the second call has ended the first.
	eventually(t, "the room wakes", func() bool { return len(p.room.wake) == 0 })
	b.pass(0)
	eventually(t, "the room serves", func() bool { return len(p.room.wake) == 0 })
}

func TestFailedSpanWaitsForItsVerdict(t *testing.T) {
	b := newBench(t, nil)
	p, sink := b.traces(t)
	td := own(1)
	addSpans(td, "payment", "payment-1", span(9, 9, 0, ptrace.SpanKindServer))
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	require.Equal(t, 1, sink.SpanCount(), "the healthy one goes at once")
	assert.Contains(t, spansOf(sink.AllTraces()), byte(9))
	assert.EqualValues(t, 1, p.waitingSpans.Load())
	assert.Positive(t, p.waitingBytes.Load())

	b.convict(verdict.ClassUnknown)
	b.settle(t, p)
	assert.Equal(t, 1, sink.SpanCount(), "unknown may still become a class")

	b.convict(verdict.ClassCrash)
	b.pass(time.Second)
	eventually(t, "released", func() bool { return sink.SpanCount() == 2 })
	assertRole(t, spansOf(sink.AllTraces())[1], contract.RoleCulprit)
	eventually(t, "empty", func() bool { return p.waitingSpans.Load() == 0 && p.waitingBytes.Load() == 0 })
	assert.EqualValues(t, 1, b.counter(t, "spans_tagged"))
}

func TestWhoGoesEarlyMakesRoom(t *testing.T) {
	b := newBench(t, nil)
	p, sink := b.traces(t)
	td := own(1)
	addSpans(td, "search", "s-1", span(2, 2, 0, ptrace.SpanKindServer, failed))
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	require.EqualValues(t, 2, p.waitingSpans.Load())
	before := p.waitingBytes.Load()
	b.convict(verdict.ClassCrash)
	b.pass(time.Second)
	eventually(t, "the culprit's goes", func() bool { return sink.SpanCount() == 1 && p.waitingSpans.Load() == 1 })
	eventually(t, "its bytes are free", func() bool { return p.waitingBytes.Load() == before/2 })
	b.pass(3 * time.Second)
	eventually(t, "empty", func() bool { return p.waitingSpans.Load() == 0 && p.waitingBytes.Load() == 0 })
}

func TestSlowSpanWaitsForItsVerdict(t *testing.T) {
	b := newBench(t, nil)
	server := func(id byte, d time.Duration) func(ptrace.Span) {
		return span(id, id, 0, ptrace.SpanKindServer, took(d))
	}
	b.learn(batch("payment", "payment-1", server(1, 10*time.Millisecond)))
	p, sink := b.traces(t)
	td := batch("payment", "payment-1", server(1, 10*time.Millisecond), server(2, 500*time.Millisecond), server(3, 14*time.Millisecond))
	addSpans(td, "payment", "payment-2", server(4, 10*time.Millisecond), server(5, 500*time.Millisecond))
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	require.Equal(t, 3, sink.SpanCount(), "those that took as long as usual, or little more, go at once")

	b.convict(verdict.ClassExhaustion)
	b.pass(time.Second)
	eventually(t, "the culprit's goes", func() bool { return sink.SpanCount() == 4 })
	spans := spansOf(sink.AllTraces())
	assertRole(t, spans[2], contract.RoleCulprit)
	assertRole(t, spans[3], "")
	assert.NotContains(t, spans, byte(5), "nothing explains why its sibling's was slow")

	require.NoError(t, p.ConsumeTraces(context.Background(),
		batch("payment", "payment-1", server(6, 10*time.Millisecond), server(7, 13*time.Millisecond))))
	spans = spansOf(sink.AllTraces())
	assertRole(t, spans[6], "")
	assertRole(t, spans[7], contract.RoleCulprit)
	score, ok := spans[7].Attributes().Get(contract.AnomalyScore)
	require.True(t, ok, "why it is tagged stands in it")
	assert.Greater(t, score.Double(), 0.5)
	assert.Less(t, score.Double(), 0.7, "far below what is rare")
}

func TestWaitEnds(t *testing.T) {
	for name, c := range map[string]struct{ class, want verdict.Class }{
		"without_verdict_as_it_came": {verdict.ClassNone, verdict.ClassNone},
		"with_unknown_tagged":        {verdict.ClassUnknown, verdict.ClassUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			if c.class != verdict.ClassNone {
				b.convict(c.class)
			}
			p, sink := b.traces(t)
			require.NoError(t, p.ConsumeTraces(context.Background(), own(1)))
			b.pass(2999 * time.Millisecond)
			b.settle(t, p)
			require.Zero(t, sink.SpanCount())
			b.pass(time.Millisecond)
			eventually(t, "released", func() bool { return sink.SpanCount() == 1 })
			got, _ := spansOf(sink.AllTraces())[1].Attributes().Get(contract.FailureClass)
			if c.want == verdict.ClassNone {
				assertRole(t, spansOf(sink.AllTraces())[1], "")
			} else {
				assert.EqualValues(t, c.want, got.Str())
			}
		})
	}
}

func TestWaitingParentFindsTheCallOfALaterGuest(t *testing.T) {
	b := newBench(t, nil)
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("gateway", "g-1", span(1, 1, 0, ptrace.SpanKindServer, failed))))
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("checkout", "c-1", span(1, 2, 1, ptrace.SpanKindClient, toPayment))))
	b.convict(verdict.ClassCrash)
	b.pass(time.Second)
	eventually(t, "released", func() bool { return sink.SpanCount() == 2 })
	assertRole(t, spansOf(sink.AllTraces())[1], contract.RoleVictim)
	assertRole(t, spansOf(sink.AllTraces())[2], contract.RoleVictim)
}

func TestOverflowPassesAtOnceAndIsCounted(t *testing.T) {
	size := (&ptrace.ProtoMarshaler{}).TracesSize(stranger(1))
	for name, change := range map[string]func(*Config){
		"by_spans": func(c *Config) { c.Annotate.MaxWaiting = 1 },
		"by_bytes": func(c *Config) { c.Annotate.MaxWaitingBytes = size + size/2 },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, change)
			p, sink := b.traces(t)
			for id := range byte(3) {
				require.NoError(t, p.ConsumeTraces(context.Background(), stranger(id+1)))
			}
			assert.Equal(t, 2, sink.SpanCount())
			assert.NotContains(t, spansOf(sink.AllTraces()), byte(1))
			assert.EqualValues(t, 2, b.counter(t, "spans_not_waited"))
			assert.EqualValues(t, 1, p.waitingSpans.Load())
		})
	}
}

func TestWhoWaitsInAFullRoomKeepsItsPlace(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Annotate.MaxWaiting = 1 })
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), stranger(1)))
	b.convict(verdict.ClassCrash) // of somebody else
	b.settle(t, p)
	assert.Zero(t, sink.SpanCount())
	assert.Zero(t, b.counter(t, "spans_not_waited"))
	b.pass(3 * time.Second)
	eventually(t, "released", func() bool { return sink.SpanCount() == 1 })
}

func TestShutdownLetsAllGoTagged(t *testing.T) {
	b := newBench(t, nil)
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), own(1)))
	require.NoError(t, p.ConsumeTraces(context.Background(), stranger(2)))
	require.Zero(t, sink.SpanCount())
	b.convict(verdict.ClassUnknown)
	require.NoError(t, p.Shutdown(context.Background()))
	spans := spansOf(sink.AllTraces())
	require.Len(t, spans, 2)
	assertRole(t, spans[1], contract.RoleCulprit)
	assertRole(t, spans[2], "")
	assert.Zero(t, p.waitingSpans.Load())
	// A receiver that stops late loses nothing either.
	require.NoError(t, p.ConsumeTraces(context.Background(), stranger(3)))
	assert.Equal(t, 3, sink.SpanCount())
}

func TestShutdownDoesNotWaitForAPipelineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		hangs, err := consumer.NewTraces(func(ctx context.Context, _ ptrace.Traces) error { <-ctx.Done(); return ctx.Err() })
		require.NoError(t, err)
		p, err := b.factory.CreateTraces(t.Context(), b.settings, b.config, hangs)
		require.NoError(t, err)
		b.start(t, p)
		require.NoError(t, p.ConsumeTraces(t.Context(), stranger(1)))
		b.pass(3 * time.Second)
		synctest.Wait() // the first is on its way for ever
		require.NoError(t, p.ConsumeTraces(t.Context(), stranger(2)))
		began := time.Now()
		require.NoError(t, p.Shutdown(t.Context()))
		assert.Equal(t, lastWords, time.Since(began))
		assert.EqualValues(t, 2, b.counter(t, "spans_undelivered"))
	})
}

func TestReleaseKeepsTheClient(t *testing.T) {
	b := newBench(t, nil)
	p, sink := b.traces(t)
	for id, tenant := range []string{"", "a", "b"} {
		if tenant == "" {
			continue
		}
		ctx := client.NewContext(context.Background(), client.Info{Metadata: client.NewMetadata(map[string][]string{"tenant": {tenant}})})
		require.NoError(t, p.ConsumeTraces(ctx, stranger(byte(id))))
	}
	b.pass(3 * time.Second)
	eventually(t, "released", func() bool { return sink.SpanCount() == 2 })
	var tenants []string
	for _, ctx := range sink.Contexts() {
		tenants = append(tenants, client.FromContext(ctx).Metadata.Get("tenant")...)
	}
	assert.Equal(t, []string{"a", "b"}, tenants)
}

func TestReleaseThatIsRefusedIsCounted(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Annotate.MaxWaiting = 4 })
	c, err := b.factory.CreateTraces(context.Background(), b.settings, b.config, consumertest.NewErr(errors.New("full")))
	require.NoError(t, err)
	b.start(t, c)
	// Some are let go by the room itself, some by the batches that find it full.
	three := func() ptrace.Traces {
		return batch("search", "s-1", span(1, 1, 0, ptrace.SpanKindServer, failed), span(1, 2, 0, ptrace.SpanKindServer, failed),
			span(1, 3, 0, ptrace.SpanKindServer, failed))
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			_ = c.ConsumeTraces(context.Background(), three())
			b.pass(3 * time.Second)
		})
	}
	wg.Wait()
	b.pass(3 * time.Second)
	eventually(t, "counted", func() bool { return b.counter(t, "spans_undelivered") == 12 })
	eventually(t, "empty", func() bool { return c.(*traces).waitingSpans.Load() == 0 })
}
