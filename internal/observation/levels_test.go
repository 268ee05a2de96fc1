// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine"
)

// put adds a gauge with one point for each pair of a state and a value.
func put(rm pmetric.ResourceMetrics, scope, name string, key string, values map[string]float64) {
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(scope)
	m := sm.Metrics().AppendEmpty()
	m.SetName(name)
	ps := m.SetEmptyGauge().DataPoints()
	for state, v := range values {
		p := ps.AppendEmpty()
		p.SetDoubleValue(v)
		if key != "" {
			p.Attributes().PutStr(key, state)
		}
	}
}

func TestLevelsOfStockReceiversAndSDKs(t *testing.T) {
	for name, c := range map[string]struct {
		fill  func(rm pmetric.ResourceMetrics)
		kind  engine.LevelKind
		share float64
		waits float64
	}{
		"pool in use and waited for": {func(rm pmetric.ResourceMetrics) {
			put(rm, "app", "db.client.connection.count", "db.client.connection.state", map[string]float64{"used": 10, "idle": 3})
			put(rm, "app", "db.client.connection.max", "", map[string]float64{"": 10})
			put(rm, "app", "db.client.connection.pending_requests", "", map[string]float64{"": 7})
		}, engine.LevelPool, 1, 7},
		"memory of a container in percent": {func(rm pmetric.ResourceMetrics) {
			put(rm, contribScope+"receiver/dockerstatsreceiver", "container.memory.percent", "", map[string]float64{"": 96})
		}, engine.LevelMemory, 0.96, 0},
		"heap without the rest": {func(rm pmetric.ResourceMetrics) {
			put(rm, "app", "jvm.memory.used", "jvm.memory.type", map[string]float64{"heap": 90, "non_heap": 500})
			put(rm, "app", "jvm.memory.limit", "jvm.memory.type", map[string]float64{"heap": 100, "non_heap": 600})
		}, engine.LevelHeap, 0.9, 0},
		"descriptors of a Prometheus client": {func(rm pmetric.ResourceMetrics) {
			put(rm, contribScope+"receiver/prometheusreceiver", "process_open_fds", "", map[string]float64{"": 1023})
			put(rm, contribScope+"receiver/prometheusreceiver", "process_max_fds", "", map[string]float64{"": 1024})
		}, engine.LevelDescriptors, 1023.0 / 1024, 0},
	} {
		t.Run(name, func(t *testing.T) {
			md := pmetric.NewMetrics()
			rm := md.ResourceMetrics().AppendEmpty()
			rm.Resource().Attributes().PutStr("service.name", "shop")
			rm.Resource().Attributes().PutStr("service.instance.id", "shop-1")
			c.fill(rm)
			var b engine.Batch
			New(Settings{}).Metrics(md, 1e18, nil, &b)
			require.Len(t, b.Levels, 1)
			assert.Equal(t, c.kind, b.Levels[0].Kind)
			assert.InDelta(t, c.share, b.Levels[0].Share, 1e-9)
			assert.InDelta(t, c.waits, b.Levels[0].Waiting, 1e-9)
			assert.Equal(t, "shop-1", b.Levels[0].Source.Instance)
		})
	}
}

func TestThrottlingIsTheShareSinceBefore(t *testing.T) {
	x := New(Settings{})
	shares := []float64{}
	for i, periods := range [][2]float64{{1000, 100}, {1100, 150}, {1200, 150}} {
		md := pmetric.NewMetrics()
		rm := md.ResourceMetrics().AppendEmpty()
		rm.Resource().Attributes().PutStr("service.name", "shop")
		rm.Resource().Attributes().PutStr("container.id", "c1")
		put(rm, "docker", "container.cpu.throttling_data.periods", "", map[string]float64{"": periods[0]})
		put(rm, "docker", "container.cpu.throttling_data.throttled_periods", "", map[string]float64{"": periods[1]})
		var b engine.Batch
		x.Metrics(md, engine.Time(1e18+float64(i)*1e10), nil, &b)
		for _, l := range b.Levels {
			shares = append(shares, l.Share)
		}
	}
	assert.Equal(t, []float64{0.5, 0}, shares, "the first can be compared with nothing")
}

func TestFullestWritableFileSystemIsTheHosts(t *testing.T) {
	md := pmetric.NewMetrics()
	rm := md.ResourceMetrics().AppendEmpty()
	rm.Resource().Attributes().PutStr("host.name", "node-1")
	sm := rm.ScopeMetrics().AppendEmpty()
	sm.Scope().SetName(contribScope + "receiver/hostmetricsreceiver/internal/scraper/filesystemscraper")
	m := sm.Metrics().AppendEmpty()
	m.SetName("system.filesystem.usage")
	ps := m.SetEmptySum().DataPoints()
	for _, p := range []struct {
		mount, mode, fs, state string
		v                      int64
	}{
		{"/", "rw", "ext4", "used", 40}, {"/", "rw", "ext4", "free", 60},
		{"/data", "rw", "xfs", "used", 99}, {"/data", "rw", "xfs", "free", 1},
		{"/snap/x", "ro", "squashfs", "used", 100}, {"/snap/x", "ro", "squashfs", "free", 0},
	} {
		q := ps.AppendEmpty()
		q.SetIntValue(p.v)
		q.Attributes().PutStr("mountpoint", p.mount)
		q.Attributes().PutStr("mode", p.mode)
		q.Attributes().PutStr("type", p.fs)
		q.Attributes().PutStr("state", p.state)
	}
	var b engine.Batch
	New(Settings{}).Metrics(md, 1e18, nil, &b)
	require.Len(t, b.Levels, 1)
	assert.InDelta(t, 0.99, b.Levels[0].Share, 1e-9)
	assert.Equal(t, "node-1", b.Levels[0].Source.Host)
}
