// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/receiver/receivertest"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/metadata"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

// slowProber takes its time for every probe.
type slowProber struct {
	takes      time.Duration
	begun      []time.Time
	underWay   atomic.Int32
	overlapped atomic.Bool
}

func (p *slowProber) Probe(ctx context.Context) probe.Result {
	if p.underWay.Add(1) > 1 {
		p.overlapped.Store(true)
	}
	defer p.underWay.Add(-1)
	p.begun = append(p.begun, time.Now())
	select {
	case <-time.After(p.takes):
	case <-ctx.Done():
	}
	return probe.Result{Outcome: contract.OutcomeOK, RTT: p.takes}
}

func (p *slowProber) Close() error { return nil }

// watched probes with p each second for span and returns when probes began,
// counted from the first, and how many were left out.
func watched(t *testing.T, p *slowProber, span time.Duration) (begun []time.Duration, jitter time.Duration, skipped int64, probes int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		tel := componenttest.NewTelemetry()
		set := receivertest.NewNopSettings(metadata.Type)
		set.TelemetrySettings = tel.NewTelemetrySettings()
		r, err := newReceiver(set, createDefaultConfig().(*Config))
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		tg := &target{name: "slow", id: &identity{service: "a"}, interval: time.Second, prober: p, checks: map[string]int64{}}
		done := make(chan struct{})
		go func() { defer close(done); r.watch(ctx, tg) }()
		time.Sleep(span)
		cancel()
		<-done
		jitter = p.begun[0].Sub(start)
		for _, at := range p.begun {
			begun = append(begun, at.Sub(p.begun[0]))
		}
		skipped = sumOf(t, tel, "otelcol_receiver_heartbeat_probes_skipped", "", "")
		probes = tg.checks[contract.OutcomeOK]
		require.NoError(t, tel.Shutdown(context.Background()))
	})
	return begun, jitter, skipped, probes
}

func TestProbesKeepTheirRhythm(t *testing.T) {
	begun, jitter, skipped, probes := watched(t, &slowProber{takes: 100 * time.Millisecond}, 5*time.Second+500*time.Millisecond)
	assert.Less(t, jitter, time.Second, "it begins within the first interval")
	assert.GreaterOrEqual(t, len(begun), 5)
	for i, at := range begun {
		assert.Equal(t, time.Duration(i)*time.Second, at)
	}
	assert.Zero(t, skipped)
	assert.InDelta(t, len(begun), probes, 1)
}

func TestProbesOfOneTargetNeverOverlap(t *testing.T) {
	p := &slowProber{takes: 2500 * time.Millisecond}
	begun, _, skipped, _ := watched(t, p, 20*time.Second)
	assert.False(t, p.overlapped.Load())
	require.Greater(t, len(begun), 4)
	for i, at := range begun {
		assert.Equal(t, time.Duration(i)*3*time.Second, at, "it waits for the next beat of its rhythm")
	}
	assert.Positive(t, skipped)
	assert.Zero(t, skipped%2, "two a probe")
}

func TestProbeBrokenOffByShutdownIsNoResult(t *testing.T) {
	_, _, _, probes := watched(t, &slowProber{takes: time.Hour}, 10*time.Second)
	assert.Zero(t, probes)
}

func TestLateOwnTickIsToldAtOnce(t *testing.T) {
	g := newRig(t, func(c *Config) { c.ObserverInterval = 100 * time.Millisecond })
	// As if the whole process had stood still for a while.
	g.batch.mu.Lock()
	time.Sleep(450 * time.Millisecond)
	g.batch.mu.Unlock()
	told, worst := false, 1.0
	require.Eventually(t, func() bool {
		worst = min(worst, g.health.value())
		for _, b := range flatten(g.logs.AllLogs()) {
			if late, _ := b.attrs[contract.HeartbeatObserverLate].(float64); late > 0.2 {
				assert.Contains(t, b.Body().Str(), "late")
				told = true
			}
		}
		return told && worst < 1
	}, 10*time.Second, 5*time.Millisecond)
}
