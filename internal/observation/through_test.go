// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// scene plays what two senders tell, a service by its spans and an agent by its
// metrics, through to the verdict.
type scene struct {
	t   *testing.T
	x   *Extractor
	e   *engine.Engine
	now clock.Time
	app attrs
}

func newScene(t *testing.T, app attrs) *scene {
	return &scene{t: t, x: New(Settings{}), e: engine.New(engine.DefaultParams()), now: testNow, app: app}
}

// run lets d pass: five calls a second of which some fail, and an export of the
// agent every fifteen seconds.
func (s *scene) run(d time.Duration, failing int, agent func(ms pmetric.MetricSlice), res attrs) {
	for end := s.now.Add(d); s.now < end; s.now = s.now.Add(time.Second) {
		b := &report.Batch{Arrived: s.now}
		for i := range 5 {
			status, code := unset, 200
			if i < failing {
				status, code = failed, 500
			}
			td, span := spanOf(s.t, s.app, ptrace.SpanKindServer, status, "", attrs{"http.response.status_code": code})
			span.SetStartTimestamp(pcommon.Timestamp(s.now.Add(-100 * time.Millisecond)))
			span.SetEndTimestamp(pcommon.Timestamp(s.now.Add(-90 * time.Millisecond)))
			s.x.Traces(td, s.now, s.e.Baselines(), b)
		}
		if s.now.Sub(testNow)%(15*time.Second) == 0 {
			md, ms := metricsOf(s.t, res, contribScope+"receiver/x")
			agent(ms)
			s.x.Metrics(md, s.now, s.e.Baselines(), b)
		}
		s.e.Observe(b)
		for range 4 {
			s.e.Tick(s.now)
		}
	}
}

func (s *scene) verdict() *verdict.Verdict {
	for _, ev := range s.e.Events() {
		if ev.Verdict != nil && ev.Verdict.Class != verdict.ClassUnknown {
			return ev.Verdict
		}
	}
	return nil
}

func TestFullVolumesThroughToTheVerdict(t *testing.T) {
	volume := attrs{"k8s.pod.uid": "pod-1", "k8s.pod.name": "payment-7d9f-abc", "k8s.namespace.name": "shop", "k8s.node.name": "node-1", "k8s.volume.name": "data", "k8s.volume.type": "persistentVolumeClaim"}
	host := attrs{"host.name": "node-1"}
	for name, c := range map[string]struct {
		app, agent attrs
		fill       func(share float64) func(ms pmetric.MetricSlice)
		class      verdict.Class
	}{
		"of_its_pod": {attrs{"service.name": "payment", "host.name": "payment-7d9f-abc"}, volume, func(share float64) func(ms pmetric.MetricSlice) {
			return func(ms pmetric.MetricSlice) {
				gauge(t, ms, "k8s.volume.capacity", 1000, nil)
				gauge(t, ms, "k8s.volume.available", 1000*(1-share), nil)
			}
		}, verdict.ClassExhaustion},
		"of_its_host": {attrs{"service.name": "payment", "host.name": "node-1"}, host, func(share float64) func(ms pmetric.MetricSlice) {
			return func(ms pmetric.MetricSlice) {
				gauge(t, ms, "system.filesystem.usage", 1000*share, attrs{"mountpoint": "/", "type": "ext4", "mode": "rw", "state": "used"})
				gauge(t, ms, "system.filesystem.usage", 1000*(1-share), attrs{"mountpoint": "/", "type": "ext4", "mode": "rw", "state": "free"})
			}
		}, verdict.ClassExhaustion},
		"of_another_pod": {attrs{"service.name": "payment", "k8s.pod.uid": "pod-2"}, volume, func(share float64) func(ms pmetric.MetricSlice) {
			return func(ms pmetric.MetricSlice) {
				gauge(t, ms, "k8s.volume.capacity", 1000, nil)
				gauge(t, ms, "k8s.volume.available", 1000*(1-share), nil)
			}
		}, verdict.ClassByzantine}, // its failures are its own
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, c.app)
			s.run(5*time.Minute, 0, c.fill(0.7), c.agent)
			s.run(2*time.Minute, 0, c.fill(1), c.agent)
			assert.Nil(t, s.verdict(), "nobody is hurt")
			s.run(5*time.Minute, 0, c.fill(0.7), c.agent)
			s.run(time.Minute, 4, c.fill(1), c.agent)
			v := s.verdict()
			require.NotNil(t, v)
			assert.Equal(t, c.class, v.Class, v.Reason)
			if c.class == verdict.ClassExhaustion {
				assert.Equal(t, "disk", string(v.Subclass))
			}
			t.Log(v.Reason)
		})
	}
}
