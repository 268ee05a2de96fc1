// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/consumer/consumererror"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
)

func TestPipelinesOfOneIDShareOneReceiver(t *testing.T) {
	f := NewFactory()
	set := receivertest.NewNopSettings(metadata.Type)
	one, other := createDefaultConfig().(*Config), createDefaultConfig().(*Config)
	l, err := f.CreateLogs(t.Context(), set, one, consumertest.NewNop())
	require.NoError(t, err)
	m, err := f.CreateMetrics(t.Context(), set, one, consumertest.NewNop())
	require.NoError(t, err)
	assert.Same(t, l, m)
	o, err := f.CreateLogs(t.Context(), set, other, consumertest.NewNop())
	require.NoError(t, err)
	assert.NotSame(t, l, o)
	require.NoError(t, l.Shutdown(t.Context()))
	again, err := f.CreateLogs(t.Context(), set, one, consumertest.NewNop())
	require.NoError(t, err)
	assert.NotSame(t, l, again, "after a shutdown the ID begins anew")
}

func TestEndpointInUseIsAnErrorThatNamesTheKey(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = ln.Close() }()
	cfg := createDefaultConfig().(*Config)
	cfg.HTTP.NetAddr.Endpoint = ln.Addr().String()
	r, err := NewFactory().CreateLogs(t.Context(), receivertest.NewNopSettings(metadata.Type), cfg, consumertest.NewNop())
	require.NoError(t, err)
	assert.ErrorContains(t, r.Start(t.Context(), componenttest.NewNopHost()), "http::endpoint: ")
	assert.NoError(t, r.Shutdown(t.Context()))
}

func TestShutdownHandsOnWhatIsHeld(t *testing.T) {
	g := newRig(t, nil)
	status, _ := g.postJSON(`{"service":"last words"}`)
	require.Equal(t, http.StatusAccepted, status)
	require.NoError(t, g.Shutdown(t.Context()))
	g.beats(1)
	require.NoError(t, g.Shutdown(t.Context()), "twice is harmless")
}

// bareBatcher is one before a pipeline, with no receiver. It counts what is lost.
func bareBatcher(t *testing.T, next consumer.ConsumeLogsFunc) (q *batcher, lost *int) {
	t.Helper()
	logs, err := consumer.NewLogs(next)
	require.NoError(t, err)
	obs, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{ReceiverCreateSettings: receivertest.NewNopSettings(metadata.Type)})
	require.NoError(t, err)
	lost = new(int)
	q = newBatcher(logs, obs, 2*batchRecords, func(n int, _ error) { *lost += n })
	go q.run()
	return q, lost
}

func (q *batcher) addMany(t *testing.T, n int) {
	t.Helper()
	require.True(t, q.reserve(n))
	for range n {
		q.add(func(dst plog.ResourceLogsSlice) { newRecord(dst) })
	}
}

func TestShutdownDoesNotWaitForAPipelineThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q, lost := bareBatcher(t, func(ctx context.Context, _ plog.Logs) error { <-ctx.Done(); return ctx.Err() })
		q.addMany(t, batchRecords+1)
		time.Sleep(time.Second) // the first batch is on its way for ever
		began := time.Now()
		q.close()
		assert.Equal(t, lastWords, time.Since(began))
		assert.Equal(t, batchRecords+1, *lost)
		assert.Zero(t, q.size())
	})
}

func TestWhatIsHalfTakenIsNotOfferedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		offers := 0
		q, lost := bareBatcher(t, func(_ context.Context, ld plog.Logs) error {
			offers++
			first := true
			ld.ResourceLogs().RemoveIf(func(plog.ResourceLogs) bool { was := first; first = false; return was })
			return errors.New("the rest I cannot take")
		})
		q.addMany(t, 2)
		time.Sleep(time.Minute)
		q.close()
		assert.Equal(t, 1, offers, "who took the first would get it twice")
		assert.Equal(t, 2, *lost)
	})
}

func TestObserverBeatsItself(t *testing.T) {
	g := newRig(t, func(c *Config) { c.ObserverInterval = 100 * time.Millisecond })
	status, _, _ := g.do(http.MethodGet, "/ping/00000000-0000-4000-8000-000000000009", "") // refused
	require.Equal(t, http.StatusNotFound, status)
	var own []seen
	require.Eventually(t, func() bool {
		own = flatten(g.logs.AllLogs())
		return len(own) >= 4
	}, 10*time.Second, 5*time.Millisecond)
	var refused int64
	for i, b := range own {
		assert.Equal(t, "heartbeat", b.EventName())
		assert.Equal(t, map[string]any{"host.name": g.host}, b.res, "the host and nothing else")
		assert.Equal(t, "rig", b.attrs[contract.HeartbeatObserver])
		assert.Equal(t, 0.1, b.attrs[contract.HeartbeatInterval])
		assert.GreaterOrEqual(t, b.attrs[contract.HeartbeatObserverLate], 0.0)
		assert.Equal(t, int64(i+1), b.attrs[contract.HeartbeatObserverSeq])
		refused += b.attrs[contract.HeartbeatObserverRefused].(int64)
	}
	assert.EqualValues(t, 1, refused, "told once")
}

// gate is a consumer that takes nothing until it is opened.
type gate struct {
	consumertest.LogsSink
	open   chan struct{}
	offers atomic.Int64
	err    func(offer int64) error
}

func (c *gate) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	n := c.offers.Add(1)
	if c.open != nil {
		<-c.open
	}
	if c.err != nil {
		if err := c.err(n); err != nil {
			return err
		}
	}
	return c.LogsSink.ConsumeLogs(ctx, ld)
}

func TestFullQueueAsksSendersToWait(t *testing.T) {
	next := &gate{open: make(chan struct{})}
	var release sync.Once
	open := func() { release.Do(func() { close(next.open) }) }
	defer open()
	g := newRig(t, func(c *Config) { withChecks(c); c.QueueSize = maxElements }, next)
	half := "[" + repeat(`{"service":"a"},`, maxElements/2-1) + `{"service":"a"}]`
	accepted := 0
	for range 3 { // the observer's own beat may take a place, so one or two fit
		status, text, h := g.do(http.MethodPost, "/v1/heartbeats", half)
		if status == http.StatusAccepted {
			accepted++
			continue
		}
		assert.Equal(t, http.StatusServiceUnavailable, status)
		assert.Equal(t, "1", h.Get("Retry-After"))
		assert.Contains(t, text, "try again")
	}
	assert.Contains(t, []int{1, 2}, accepted)
	assert.Positive(t, g.refusals(reasonQueueFull))
	assert.LessOrEqual(t, g.batch.size(), maxElements)

	rest := maxElements - g.batch.size()
	require.True(t, g.batch.reserve(rest))
	status, _, h := g.do(http.MethodGet, "/ping/"+nightly, "")
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Equal(t, "1", h.Get("Retry-After"))
	g.release(rest)

	open()
	require.Eventually(t, func() bool { return next.LogRecordCount() >= accepted*maxElements/2 }, 10*time.Second, 5*time.Millisecond)
}

func TestBusyPipelineIsAskedAgain(t *testing.T) {
	next := &gate{err: func(offer int64) error {
		if offer <= 2 {
			return errors.New("busy")
		}
		return nil
	}}
	g := newRig(t, nil, next)
	status, _ := g.postJSON(`{"service":"a"}`)
	require.Equal(t, http.StatusAccepted, status)
	require.Eventually(t, func() bool {
		for _, s := range flatten(next.AllLogs()) {
			if s.res["service.name"] == "a" {
				return true
			}
		}
		return false
	}, 10*time.Second, 5*time.Millisecond)
	assert.Zero(t, g.refusals(reasonConsumer))
}

func TestWhatThePipelineRefusesForGoodIsCounted(t *testing.T) {
	next := &gate{err: func(int64) error { return consumererror.NewPermanent(errors.New("no")) }}
	g := newRig(t, nil, next)
	status, _ := g.postJSON(`[{"service":"a"},{"service":"b"}]`)
	require.Equal(t, http.StatusAccepted, status)
	require.Eventually(t, func() bool { return g.refusals(reasonConsumer) >= 2 }, 10*time.Second, 5*time.Millisecond)
	require.Eventually(t, func() bool { return g.batch.size() == 0 }, 10*time.Second, 5*time.Millisecond, "its places are free again")
}

var _ consumer.Logs = (*gate)(nil)

func TestSlowSendersAreCutOff(t *testing.T) {
	g := newRig(t, func(c *Config) {
		c.HTTP.ReadHeaderTimeout = 200 * time.Millisecond
		c.HTTP.ReadTimeout = 400 * time.Millisecond
	})
	for name, begin := range map[string]string{
		"in_the_header": "POST /v1/heartbeats HTTP/1.1\r\nHost: x\r\nX-A: ",
		"in_the_body":   "POST /v1/heartbeats HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"in_a_ping":     "POST /ping/" + nightly + " HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{",
		"in_a_chunk":    "POST /v1/logs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", g.addr.String())
			require.NoError(t, err)
			defer func() { _ = conn.Close() }()
			_, err = io.WriteString(conn, begin)
			require.NoError(t, err)
			require.NoError(t, conn.SetReadDeadline(time.Now().Add(10*time.Second)))
			// However it ends, it ends from the server's side and with no success.
			rd := bufio.NewReader(conn)
			if resp, err := http.ReadResponse(rd, nil); err == nil {
				assert.GreaterOrEqual(t, resp.StatusCode, 400)
				require.NoError(t, resp.Body.Close())
			}
			_, err = io.Copy(io.Discard, rd)
			var timeout net.Error
			assert.False(t, errors.As(err, &timeout) && timeout.Timeout(), "the server still waits")
		})
	}
	status, _ := g.postJSON(`{"service":"a"}`)
	assert.Equal(t, http.StatusAccepted, status, "others are served")
}

func TestFloodOfNamesCostsNoMemory(t *testing.T) {
	const names, limit = 200_000, 500
	g := newRig(t, func(c *Config) { c.MaxSenders = limit; withChecks(c) }, consumertest.NewNop())
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	const part = 5000
	var base uint64
	for i := range names / part {
		doc := []byte{'['}
		for j := range part {
			doc = fmt.Appendf(doc, `{"service":"made-up-%d"},`, i*part+j)
		}
		doc[len(doc)-1] = ']'
		for {
			status, text := g.postJSON(string(doc))
			if status == http.StatusServiceUnavailable {
				time.Sleep(10 * time.Millisecond)
				continue
			}
			require.Equal(t, http.StatusAccepted, status, text)
			break
		}
		status, _ := g.postJSON(`{"service":"real"}`)
		require.Equal(t, http.StatusAccepted, status)
		if i == 4 {
			base = heap()
		}
	}
	require.Eventually(t, func() bool { return g.batch.size() == 0 }, 10*time.Second, 5*time.Millisecond)
	assert.Less(t, heap(), base+16<<20, "memory is flat")
	assert.LessOrEqual(t, g.senders.len(), limit+3, "the configured checks come on top")
	assert.GreaterOrEqual(t, g.count("otelcol_receiver_heartbeat_senders_evicted", "", ""), int64(names-limit))
	kept := 0
	for _, s := range g.senders.snapshot(time.Now(), nil) {
		if s.id.service == "real" || s.id.service == "backup" {
			kept++
		}
	}
	assert.Equal(t, 2, kept, "who beats on, and what is configured, stays")
}
