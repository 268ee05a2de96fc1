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

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
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
		kind  report.LevelKind
		share float64
		waits float64
	}{
		"a process that takes its part of the processors": {func(rm pmetric.ResourceMetrics) {
			put(rm, "app", "process.cpu.utilization", "state", map[string]float64{"user": 0.5, "system": 0.25, "wait": 0.9})
		}, report.LevelCPU, 0.75, 0},
		"pool in use and waited for": {func(rm pmetric.ResourceMetrics) {
			put(rm, "app", "db.client.connection.count", "db.client.connection.state", map[string]float64{"used": 10, "idle": 3})
			put(rm, "app", "db.client.connection.max", "", map[string]float64{"": 10})
			put(rm, "app", "db.client.connection.pending_requests", "", map[string]float64{"": 7})
		}, report.LevelPool, 1, 7},
		"memory of a container in percent": {func(rm pmetric.ResourceMetrics) {
			put(rm, contribScope+"receiver/dockerstatsreceiver", "container.memory.percent", "", map[string]float64{"": 96})
		}, report.LevelMemory, 0.96, 0},
		"heap without the rest": {func(rm pmetric.ResourceMetrics) {
			put(rm, "app", "jvm.memory.used", "jvm.memory.type", map[string]float64{"heap": 90, "non_heap": 500})
			put(rm, "app", "jvm.memory.limit", "jvm.memory.type", map[string]float64{"heap": 100, "non_heap": 600})
		}, report.LevelHeap, 0.9, 0},
		"heap that is full before a collection": {func(rm pmetric.ResourceMetrics) {
			put(rm, "app", "jvm.memory.used", "jvm.memory.type", map[string]float64{"heap": 99})
			put(rm, "app", "jvm.memory.used_after_last_gc", "jvm.memory.type", map[string]float64{"heap": 40})
			put(rm, "app", "jvm.memory.limit", "jvm.memory.type", map[string]float64{"heap": 100})
		}, report.LevelHeap, 0.4, 0},
		"one full pool of two": {func(rm pmetric.ResourceMetrics) {
			put(rm, promScope, "hikaricp_connections_active", "pool", map[string]float64{"orders": 10, "reports": 0})
			put(rm, promScope, "hikaricp_connections_max", "pool", map[string]float64{"orders": 10, "reports": 10})
			put(rm, promScope, "hikaricp_connections_pending", "pool", map[string]float64{"orders": 3, "reports": 0})
		}, report.LevelPool, 1, 3},
		"pool of database/sql": {func(rm pmetric.ResourceMetrics) {
			put(rm, "otelsql", "db.sql.connection.open", "status", map[string]float64{"inuse": 4, "idle": 1})
			put(rm, "otelsql", "db.sql.connection.max_open", "", map[string]float64{"": 5})
		}, report.LevelPool, 0.8, 0},
		"pool as Prometheus spells it": {func(rm pmetric.ResourceMetrics) {
			put(rm, promScope, "db_client_connections_usage", "state", map[string]float64{"used": 10, "idle": 3})
			put(rm, promScope, "db_client_connections_max", "", map[string]float64{"": 10})
			put(rm, promScope, "db_client_connections_pending_requests", "", map[string]float64{"": 4})
		}, report.LevelPool, 1, 4},
		"pool of today as Prometheus spells it": {func(rm pmetric.ResourceMetrics) {
			put(rm, promScope, "db_client_connection_count", "db_client_connection_state", map[string]float64{"used": 9, "idle": 3})
			put(rm, promScope, "db_client_connection_max", "", map[string]float64{"": 10})
		}, report.LevelPool, 0.9, 0},
		"pool as Micrometer exports it": {func(rm pmetric.ResourceMetrics) {
			put(rm, "io.micrometer", "jdbc.connections.active", "name", map[string]float64{"orders": 10, "reports": 0})
			put(rm, "io.micrometer", "jdbc.connections.max", "name", map[string]float64{"orders": 10, "reports": 10})
		}, report.LevelPool, 1, 0},
		"heap as Micrometer exports it": {func(rm pmetric.ResourceMetrics) {
			put(rm, "io.micrometer", "jvm.memory.used", "area", map[string]float64{"heap": 90, "nonheap": 500})
			put(rm, "io.micrometer", "jvm.memory.max", "area", map[string]float64{"heap": 100, "nonheap": -1})
		}, report.LevelHeap, 0.9, 0},
		"heap as Prometheus' old client for Java has it": {func(rm pmetric.ResourceMetrics) {
			put(rm, promScope, "jvm_memory_bytes_used", "area", map[string]float64{"heap": 90, "nonheap": 500})
			put(rm, promScope, "jvm_memory_bytes_max", "area", map[string]float64{"heap": 100, "nonheap": -1})
		}, report.LevelHeap, 0.9, 0},
		"event loop as Prometheus spells it": {func(rm pmetric.ResourceMetrics) {
			put(rm, promScope, "nodejs_eventloop_utilization_ratio", "", map[string]float64{"": 0.98})
		}, report.LevelCPU, 0.98, 0},
		"processors that a container of Docker uses and may use": {func(rm pmetric.ResourceMetrics) {
			put(rm, contribScope+"receiver/dockerstatsreceiver", "container.cpu.utilization", "", map[string]float64{"": 145})
			put(rm, contribScope+"receiver/dockerstatsreceiver", "container.cpu.limit", "", map[string]float64{"": 1.5})
		}, report.LevelCPU, 1.45 / 1.5, 0},
		"alarm of a broker": {func(rm pmetric.ResourceMetrics) {
			put(rm, promScope, "rabbitmq_alarms_memory_used_watermark", "", map[string]float64{"": 1})
		}, report.LevelMemory, 1, 0},
		"descriptors of a Prometheus client": {func(rm pmetric.ResourceMetrics) {
			put(rm, contribScope+"receiver/prometheusreceiver", "process_open_fds", "", map[string]float64{"": 1023})
			put(rm, contribScope+"receiver/prometheusreceiver", "process_max_fds", "", map[string]float64{"": 1024})
		}, report.LevelDescriptors, 1023.0 / 1024, 0},
	} {
		t.Run(name, func(t *testing.T) {
			md := pmetric.NewMetrics()
			rm := md.ResourceMetrics().AppendEmpty()
			rm.Resource().Attributes().PutStr("service.name", "shop")
			rm.Resource().Attributes().PutStr("service.instance.id", "shop-1")
			c.fill(rm)
			var b report.Batch
			New(Settings{}).Metrics(md, 1e18, nil, &b)
			require.Len(t, b.Levels, 1)
			assert.Equal(t, c.kind, b.Levels[0].Kind)
			assert.InDelta(t, c.share, b.Levels[0].Share, 1e-9)
			assert.InDelta(t, c.waits, b.Levels[0].Waiting, 1e-9)
			assert.Equal(t, "shop-1", b.Levels[0].Source.Instance)
		})
	}
}

// The kubelet tells what a container uses, k8s_cluster what it may.
func TestProcessorsOfAContainerAgainstItsLimit(t *testing.T) {
	x := New(Settings{})
	x.Source(resource(t, attrs{"service.name": "payment", "k8s.pod.uid": "pod-1", "k8s.container.name": "app"}))
	see := func(receiver, container, metric string, value float64) []report.Level {
		md, ms := metricsOf(t, attrs{"k8s.pod.uid": "pod-1", "k8s.container.name": container}, contribScope+"receiver/"+receiver)
		gauge(t, ms, metric, value, nil)
		var b report.Batch
		x.Metrics(md, testNow, nil, &b)
		return b.Levels
	}
	assert.Empty(t, see("kubeletstatsreceiver", "app", "container.cpu.usage", 0.49), "of what is not told yet")
	assert.Empty(t, see("k8sclusterreceiver", "istio-proxy", "k8s.container.cpu_limit", 0.1))
	assert.Empty(t, see("k8sclusterreceiver", "app", "k8s.container.cpu_limit", 0.5))
	levels := see("kubeletstatsreceiver", "app", "container.cpu.usage", 0.49)
	require.Len(t, levels, 1)
	assert.Equal(t, report.LevelCPU, levels[0].Kind)
	assert.InDelta(t, 0.98, levels[0].Share, 1e-9)
	assert.Equal(t, "payment", levels[0].Source.Service.Name)
	assert.Empty(t, see("kubeletstatsreceiver", "istio-proxy", "container.cpu.usage", 0.1), "it is another's")
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
		var b report.Batch
		x.Metrics(md, clock.Time(1e18+float64(i)*1e10), nil, &b)
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
	var b report.Batch
	New(Settings{}).Metrics(md, 1e18, nil, &b)
	require.Len(t, b.Levels, 1)
	assert.InDelta(t, 0.99, b.Levels[0].Share, 1e-9)
	assert.Equal(t, "node-1", b.Levels[0].Source.Host)
}

func TestWhatIsFullInGoodHealthIsNotRead(t *testing.T) {
	type metric struct {
		name  string
		value float64
		attrs attrs
	}
	pod := attrs{"k8s.pod.uid": "pod-1", "k8s.container.name": "app", "k8s.node.name": "node-1"}
	host := attrs{"host.name": "node-1"}
	for name, c := range map[string]struct {
		res     attrs
		metrics []metric
	}{
		"page_cache_up_to_the_limit_of_a_container": {pod, []metric{
			{"k8s.container.memory_limit_utilization", 1, nil}, {"container.memory.usage", 100, nil},
			{"container.memory.rss", 20, nil}, {"container.memory.working_set", 98, nil}, {"container.memory.available", 2, nil},
		}},
		"page_cache_of_a_host": {host, []metric{
			{"system.memory.usage", 10, attrs{"state": "used"}}, {"system.memory.usage", 88, attrs{"state": "cached"}}, {"system.memory.usage", 2, attrs{"state": "free"}},
			{"system.memory.utilization", 0.88, attrs{"state": "cached"}}, {"system.memory.utilization", 0.1, attrs{"state": "used"}},
		}},
		"no_swap": {host, []metric{{"system.paging.utilization", 1, attrs{"state": "used"}}, {"system.paging.usage", 0, attrs{"state": "free"}}}},
		"images_that_are_full_by_nature": {host, []metric{
			{"system.filesystem.usage", 100, attrs{"mountpoint": "/snap/core", "type": "squashfs", "mode": "ro", "state": "used"}},
			{"system.filesystem.usage", 0, attrs{"mountpoint": "/snap/core", "type": "squashfs", "mode": "ro", "state": "free"}},
			{"system.filesystem.usage", 100, attrs{"mountpoint": "/mnt/cd", "type": "iso9660", "mode": "rw", "state": "used"}},
			{"system.filesystem.usage", 0, attrs{"mountpoint": "/mnt/cd", "type": "iso9660", "mode": "rw", "state": "free"}},
			{"system.filesystem.usage", 100, attrs{"mountpoint": "/var/lib/docker/overlay2/x", "type": "overlay", "mode": "rw", "state": "used"}},
			{"system.filesystem.usage", 0, attrs{"mountpoint": "/var/lib/docker/overlay2/x", "type": "overlay", "mode": "rw", "state": "free"}},
		}},
		"a_projected_volume":              {attrs{"k8s.pod.uid": "pod-1", "k8s.volume.name": "token", "k8s.volume.type": "projected"}, []metric{{"k8s.volume.available", 0, nil}, {"k8s.volume.capacity", 100, nil}}},
		"a_limit_that_is_none":            {attrs{"service.name": "shop"}, []metric{{"process_open_fds", 1000, nil}, {"process_max_fds", 1.8e19, nil}}},
		"a_pool_without_a_limit":          {attrs{"service.name": "shop"}, []metric{{"go_sql_in_use_connections", 100, nil}, {"go_sql_max_open_connections", 0, nil}}},
		"a_soft_limit":                    {attrs{"service.name": "shop"}, []metric{{"go.memory.used", 100, nil}, {"go.memory.limit", 100, nil}}},
		"processors_in_percent":           {attrs{"service.name": "shop"}, []metric{{"process.cpu.utilization", 40, nil}}},
		"load":                            {host, []metric{{"system.cpu.load_average.1m", 64, nil}}},
		"a_pod_that_nobody_has_heard_of":  {attrs{"k8s.pod.uid": "pod-9", "k8s.node.name": "node-1"}, []metric{{"container.memory.rss", 99, nil}, {"container.memory.available", 1, nil}}},
		"a_process_of_the_host_by_itself": {attrs{"process.pid": "77", "host.name": "node-1"}, []metric{{"process.memory.utilization", 99, nil}, {"process.cpu.utilization", 1, nil}}},
	} {
		t.Run(name, func(t *testing.T) {
			x := heardOf(t)
			md, ms := metricsOf(t, c.res, contribScope+"receiver/x")
			for _, m := range c.metrics {
				gauge(t, ms, m.name, m.value, m.attrs)
			}
			var b report.Batch
			x.Metrics(md, testNow, nil, &b)
			for _, l := range b.Levels {
				assert.Less(t, l.Share, 0.5, "%v", l.Kind)
			}
		})
	}
}

// rising shows an extractor sums that rise, ten seconds apart, and returns the
// last batch.
func rising(t *testing.T, x *Extractor, res attrs, rounds ...map[string]float64) *report.Batch {
	var b *report.Batch
	for i, sums := range rounds {
		md, ms := metricsOf(t, res, promScope)
		for name, v := range sums {
			gauge(t, ms, name, v, nil).SetTimestamp(pcommon.Timestamp(testNow) + pcommon.Timestamp(i)*1e10)
		}
		b = &report.Batch{}
		x.Metrics(md, testNow.Add(time.Duration(i)*10*time.Second), nil, b)
	}
	return b
}

func TestSumsThatRiseTellAShareOfTheTime(t *testing.T) {
	shop, node := attrs{"service.name": "shop"}, attrs{"service.name": "node-exporter", "service.instance.id": "node-1:9100"}
	for name, c := range map[string]struct {
		res    attrs
		rounds []map[string]float64
		kind   report.LevelKind
		share  float64
	}{
		"waits for the CPU":   {node, []map[string]float64{{"node_pressure_cpu_waiting_seconds_total": 5}, {"node_pressure_cpu_waiting_seconds_total": 11}}, report.LevelCPUWait, 0.6},
		"stalls for memory":   {node, []map[string]float64{{"node_pressure_memory_stalled_seconds_total": 5}, {"node_pressure_memory_stalled_seconds_total": 9}}, report.LevelMemoryStall, 0.4},
		"pauses for garbage":  {shop, []map[string]float64{{"dotnet.gc.pause.time": 1}, {"dotnet.gc.pause.time": 7}}, report.LevelGC, 0.6},
		"a disk that is busy": {node, []map[string]float64{{"node_disk_io_time_seconds_total": 0, "node_disk_writes_completed_total": 0, "node_disk_write_time_seconds_total": 0}, {"node_disk_io_time_seconds_total": 10, "node_disk_writes_completed_total": 1e6, "node_disk_write_time_seconds_total": 300}}, report.LevelDiskIO, 0},
		"a disk that stands":  {node, []map[string]float64{{"node_disk_io_time_seconds_total": 0, "node_disk_writes_completed_total": 0, "node_disk_write_time_seconds_total": 0}, {"node_disk_io_time_seconds_total": 10, "node_disk_writes_completed_total": 4, "node_disk_write_time_seconds_total": 40}}, report.LevelDiskIO, 1},
		"a cache that is full and makes room": {shop, []map[string]float64{{"redis_memory_used_bytes": 100, "redis_memory_max_bytes": 100, "redis_evicted_keys_total": 5},
			{"redis_memory_used_bytes": 100, "redis_memory_max_bytes": 100, "redis_evicted_keys_total": 50}}, report.LevelMemory, 0},
		"a store that is full": {shop, []map[string]float64{{"redis_memory_used_bytes": 100, "redis_memory_max_bytes": 100, "redis_evicted_keys_total": 5},
			{"redis_memory_used_bytes": 100, "redis_memory_max_bytes": 100, "redis_evicted_keys_total": 5}}, report.LevelMemory, 1},
		"connections that are turned away": {shop, []map[string]float64{{"redis_rejected_connections_total": 5}, {"redis_rejected_connections_total": 9}}, report.LevelConnections, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := rising(t, New(Settings{}), c.res, c.rounds...)
			require.Len(t, b.Levels, 1)
			assert.Equal(t, c.kind, b.Levels[0].Kind)
			assert.InDelta(t, c.share, b.Levels[0].Share, 1e-9)
		})
	}
}

func TestShareOfTheProcessorsThatAreInUse(t *testing.T) {
	md, ms := metricsOf(t, attrs{"host.name": "node-1"}, contribScope+"receiver/hostmetricsreceiver")
	for _, cpu := range []string{"cpu0", "cpu1"} {
		for state, v := range map[string]float64{"user": 0.5, "system": 0.25, "idle": 0.15, "wait": 0.1} {
			gauge(t, ms, "system.cpu.utilization", v, attrs{"cpu": cpu, "state": state})
		}
	}
	var b report.Batch
	heardOf(t).Metrics(md, testNow, nil, &b)
	require.Len(t, b.Levels, 1)
	assert.Equal(t, "node-1", b.Levels[0].Source.Host)
	assert.Equal(t, report.LevelCPU, b.Levels[0].Kind)
	assert.InDelta(t, 0.75, b.Levels[0].Share, 1e-9)
}

func TestLoadBeyondTheProcessorsIsAQueue(t *testing.T) {
	node := attrs{"service.name": "node-exporter", "service.instance.id": "node-1:9100"}
	queue := func(rounds ...map[string]float64) (share float64, told bool) {
		for _, l := range rising(t, New(Settings{}), node, rounds...).Levels {
			if l.Kind == report.LevelRunQueue {
				share, told = l.Share, true
			}
		}
		return share, told
	}
	share, told := queue(map[string]float64{"node_cpu_seconds_total": 100}, map[string]float64{"node_cpu_seconds_total": 140}, map[string]float64{"node_load1": 16})
	require.True(t, told)
	assert.InDelta(t, 0.75, share, 1e-9, "16 tasks want 4 processors")
	share, told = queue(map[string]float64{"node_cpu_seconds_total": 100}, map[string]float64{"node_cpu_seconds_total": 420}, map[string]float64{"node_load1": 16})
	require.True(t, told)
	assert.Zero(t, share, "of 32 processors half are idle")
	_, told = queue(map[string]float64{"node_load1": 16})
	assert.False(t, told, "nobody told how many processors there are")
}

func TestSumsThatBeganAnewTellNothing(t *testing.T) {
	b := rising(t, New(Settings{}), attrs{"service.name": "shop"},
		map[string]float64{"dotnet.gc.pause.time": 100, "redis_rejected_connections_total": 7}, map[string]float64{"dotnet.gc.pause.time": 6, "redis_rejected_connections_total": 3})
	assert.Empty(t, b.Levels)
}

func TestNodeExporterSpeaksOfItsHost(t *testing.T) {
	md, ms := metricsOf(t, attrs{"service.name": "node-exporter", "service.instance.id": "10.0.0.5:9100"}, promScope)
	gauge(t, ms, "node_memory_MemAvailable_bytes", 3, nil)
	gauge(t, ms, "node_memory_MemTotal_bytes", 100, nil)
	gauge(t, ms, "node_uname_info", 1, attrs{"nodename": "node-1"})
	var b report.Batch
	New(Settings{}).Metrics(md, testNow, nil, &b)
	require.Len(t, b.Levels, 1)
	assert.Equal(t, "node-1", b.Levels[0].Source.Host)
	assert.Empty(t, b.Levels[0].Source.Service.Name)
	assert.InDelta(t, 0.97, b.Levels[0].Share, 1e-9)
}

func TestCAdvisorSpeaksOfPods(t *testing.T) {
	x := New(Settings{})
	x.Source(resource(t, attrs{"service.name": "payment", "k8s.pod.name": "payment-1", "k8s.namespace.name": "shop"}))
	md, ms := metricsOf(t, attrs{"service.name": "kubelet", "service.instance.id": "10.0.0.5:10250"}, promScope)
	app, pause := attrs{"namespace": "shop", "pod": "payment-1", "container": "app"}, attrs{"namespace": "shop", "pod": "payment-1", "container": "POD"}
	for _, labels := range []attrs{app, pause} {
		gauge(t, ms, "container_memory_rss", 97, labels)
		gauge(t, ms, "container_spec_memory_limit_bytes", 100, labels)
	}
	gauge(t, ms, "container_memory_rss", 99, attrs{"namespace": "shop", "pod": "stranger", "container": "app"})
	var b report.Batch
	x.Metrics(md, testNow, nil, &b)
	require.Len(t, b.Levels, 1)
	assert.Equal(t, "payment", b.Levels[0].Source.Service.Name)
	assert.InDelta(t, 0.97, b.Levels[0].Share, 1e-9)
}

func TestServersWithoutTelemetryAreKnownByTheirAddress(t *testing.T) {
	x := New(Settings{})
	md := pmetric.NewMetrics()
	for _, database := range []string{"", "orders"} { // the limit is the server's, what is used is told by database
		one, ms := metricsOf(t, attrs{"service.instance.id": "db.shop:5432"}, contribScope+"receiver/postgresqlreceiver")
		if database == "" {
			gauge(t, ms, "postgresql.connection.max", 100, nil)
		} else {
			one.ResourceMetrics().At(0).Resource().Attributes().PutStr("postgresql.database.name", database)
			gauge(t, ms, "postgresql.backends", 99, nil)
		}
		one.ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
	}
	var b report.Batch
	x.Metrics(md, testNow, nil, &b)
	require.Len(t, b.Levels, 1)
	assert.Nil(t, b.Levels[0].Source)
	assert.Equal(t, "db.shop:5432", b.Levels[0].Address)
	assert.InDelta(t, 0.99, b.Levels[0].Share, 1e-9)

	md, ms := metricsOf(t, attrs{"service.instance.id": "localhost:5432"}, contribScope+"receiver/postgresqlreceiver")
	gauge(t, ms, "postgresql.connection.max", 100, nil)
	gauge(t, ms, "postgresql.backends", 99, nil)
	b = report.Batch{}
	x.Metrics(md, testNow, nil, &b)
	assert.Empty(t, b.Levels, "localhost is somebody else on each host")
}
