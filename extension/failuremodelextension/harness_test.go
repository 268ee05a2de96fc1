// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/faultline-otel/faultline/extension/failuremodelextension/internal/metadatatest"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/enginehost"
)

// testHost is a host with some extensions.
type testHost map[component.ID]component.Component

func (h testHost) GetExtensions() map[component.ID]component.Component { return h }

// rig is an extension under test. Tests of what takes time run it in a bubble.
type rig struct {
	*failureModel
	telemetry *componenttest.Telemetry
	logs      *observer.ObservedLogs

	mu     sync.Mutex // guards heard
	heard  []verdict.Event
	cancel func()
}

// newRig creates an extension that has not been started.
func newRig(t *testing.T, change func(*Config)) *rig {
	t.Helper()
	r := &rig{telemetry: componenttest.NewTelemetry()}
	t.Cleanup(func() { require.NoError(t, r.telemetry.Shutdown(context.Background())) })
	cfg := createDefaultConfig().(*Config)
	if change != nil {
		change(cfg)
	}
	require.NoError(t, cfg.Validate())
	set := metadatatest.NewSettings(r.telemetry)
	var core zapcore.Core
	core, r.logs = observer.New(zap.WarnLevel)
	set.Logger = zap.New(core)
	var err error
	r.failureModel, err = newExtension(set, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Shutdown(context.Background()) }) // of a test that failed on the way
	return r
}

// start starts the extension and listens to it.
func (r *rig) start(t *testing.T, host component.Host) {
	t.Helper()
	require.NoError(t, r.Start(t.Context(), host))
	r.cancel = r.Subscribe(func(u enginehost.Update) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.heard = append(r.heard, u.Events...)
	})
}

// shutdown ends it as the Collector does.
func (r *rig) shutdown(t *testing.T) {
	t.Helper()
	require.NoError(t, r.NotReady())
	if r.cancel != nil {
		r.cancel()
	}
	require.NoError(t, r.Shutdown(t.Context()))
}

// events are those of a kind, in order.
func (r *rig) events(kind string) []verdict.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []verdict.Event
	for _, ev := range r.heard {
		if ev.Kind == kind {
			found = append(found, ev)
		}
	}
	return found
}

// accused are the kinds of events that blame somebody.
func (r *rig) accused() []verdict.Event {
	return append(r.events("failure.detected"), r.events("incident.opened")...)
}

// shop is a fleet of two that lives on the bubble's clock: checkout calls
// payment, both beat once a second. It outlives an extension.
type shop struct {
	began             time.Time
	seq               uint64
	beats             uint64
	checkout, payment *report.Source
	incarnation       uint64           // of payment
	dead              bool             // payment is
	mute              bool             // nothing reaches the engine, as when receivers are stopped
	wall              func() time.Time // by which all is dated; nil: the engine's clock
}

const paymentAddress = "payment-1:8080"

func newShop() *shop {
	of := func(service string) *report.Source {
		return report.NewSource(report.Source{Service: report.ServiceID{Name: service}, Instance: service + "-1", Host: "host-" + service})
	}
	return &shop{began: time.Now(), checkout: of("checkout"), payment: of("payment"), incarnation: 7}
}

// run lets the shop live for d, seen by the engine of r.
func (s *shop) run(r *rig, d time.Duration) {
	const step = 100 * time.Millisecond
	for range d / step {
		time.Sleep(step)
		s.beats++
		if s.mute {
			continue
		}
		b, now := r.NewBatch(), r.Now()
		if s.wall != nil {
			now = clock.Time(s.wall().UnixNano())
		}
		s.call(b, now)
		if s.beats%10 == 0 {
			b.Observers = append(b.Observers, report.ObserverBeat{Stamp: s.stamp(now), Interval: time.Second, Host: "agent"})
			s.beat(b, now, s.checkout, 1)
			if !s.dead {
				s.beat(b, now, s.payment, s.incarnation)
			}
		}
		r.Observe(b)
	}
}

func (s *shop) call(b *report.Batch, now clock.Time) {
	outcome := report.OutcomeOK
	callee := report.Callee{Address: paymentAddress, Direct: true}
	if s.dead {
		outcome = report.OutcomeRefused
	} else {
		id := s.beats
		b.Hops = append(b.Hops, report.Hop{Span: id, Source: s.checkout, Callee: callee}, report.Hop{Span: id, Server: true, Source: s.payment})
		b.Served = append(b.Served, report.Served{Source: s.payment, OK: 1, Last: now})
	}
	b.Calls = append(b.Calls, report.Calls{Caller: s.checkout, Callee: callee, Outcome: outcome, Count: 1, First: now, Last: now})
}

func (s *shop) beat(b *report.Batch, now clock.Time, who *report.Source, incarnation uint64) {
	b.Beats = append(b.Beats, report.Beat{
		Stamp: s.stamp(now), Source: who, Interval: time.Second, Incarnation: incarnation, Seq: s.beats / 10, SentAt: now,
	})
}

func (s *shop) stamp(now clock.Time) report.Stamp {
	s.seq++
	return report.Stamp{Observer: "node-1", At: now, Uptime: time.Since(s.began) + time.Hour, Seq: s.seq}
}

func sums(t *testing.T, m metricdata.Metrics) []int64 {
	t.Helper()
	var values []int64
	for _, dp := range m.Data.(metricdata.Sum[int64]).DataPoints {
		values = append(values, dp.Value)
	}
	return values
}
