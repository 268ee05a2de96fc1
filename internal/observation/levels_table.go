// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"maps"
	"slices"
	"strings"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// levelMetrics are the metrics that tell levels, by name: those of stock
// receivers, of SDKs, and of what is usually scraped.
//
// Not here, because they are high in good health: k8s.*.memory_limit_utilization
// and k8s.*.memory.usage (page cache counts as used), the Go runtime's soft limit
// (it is meant to be reached), swap, and caches that are full by design.
var levelMetrics = merge(
	hostLevels(map[string][]levelRule{
		// Receiver hostmetrics.
		"system.cpu.time": {
			{kind: cpu, part: partPeriods},
			{kind: cpu, part: partAffected, only: []cond{{"state", "idle", true}, {"state", "wait", true}}},
		},
		"system.cpu.utilization": {
			{kind: cpu, part: partUsed, only: []cond{{"state", "idle", true}, {"state", "wait", true}}},
			{kind: cpu, part: partFree, only: []cond{{"state", "idle", false}}},
			{kind: cpu, part: partFree, only: []cond{{"state", "wait", false}}},
		},
		"system.cpu.load_average.1m": {{kind: report.LevelRunQueue, part: partUsed}},
		"system.cpu.logical.count":   {{kind: report.LevelRunQueue, part: partLimit}},
		"system.memory.usage": {
			{kind: mem, part: partUsed, only: []cond{{"state", "used", false}}},
			{kind: mem, part: partFree, only: []cond{{"state", "used", true}, {"state", "slab_reclaimable", true}, {"state", "slab_unreclaimable", true}}},
		},
		"system.memory.utilization": {{kind: mem, part: partShare, only: []cond{{"state", "used", false}}}},
		"system.filesystem.usage": {
			{kind: disk, part: partUsed, of: mounts, only: []cond{{"state", "used", false}}},
			{kind: disk, part: partFree, of: mounts, only: []cond{{"state", "free", false}}},
		},
		"system.filesystem.inodes.usage": {
			{kind: disk, part: partUsed, of: mounts, also: "inodes ", only: []cond{{"state", "used", false}}},
			{kind: disk, part: partFree, of: mounts, also: "inodes ", only: []cond{{"state", "free", false}}},
		},
		"system.disk.io_time":            {{kind: report.LevelDiskIO, part: partBusy, of: devices}},
		"system.disk.operations":         {{kind: report.LevelDiskIO, part: partWork, of: devices}},
		"system.disk.operation_time":     {{kind: report.LevelDiskIO, part: partWorkTime, of: devices}},
		"system.network.conntrack.count": {{kind: report.LevelFlows, part: partUsed}},
		"system.network.conntrack.max":   {{kind: report.LevelFlows, part: partLimit}},
	}),
	hostLevels(map[string][]levelRule{
		// node_exporter.
		"node_cpu_seconds_total": {
			{kind: cpu, part: partPeriods},
			{kind: cpu, part: partAffected, only: []cond{{"mode", "idle", true}, {"mode", "iowait", true}}},
		},
		"node_load1":                                 {{kind: report.LevelRunQueue, part: partUsed}},
		"node_memory_MemAvailable_bytes":             {{kind: mem, part: partFree}},
		"node_memory_MemTotal_bytes":                 {{kind: mem, part: partLimit}},
		"node_filesystem_avail_bytes":                {{kind: disk, part: partFree, of: mounts}},
		"node_filesystem_size_bytes":                 {{kind: disk, part: partLimit, of: mounts}},
		"node_filesystem_files_free":                 {{kind: disk, part: partFree, of: mounts, also: "inodes "}},
		"node_filesystem_files":                      {{kind: disk, part: partLimit, of: mounts, also: "inodes "}},
		"node_disk_io_time_seconds_total":            {{kind: report.LevelDiskIO, part: partBusy, of: devices}},
		"node_disk_reads_completed_total":            {{kind: report.LevelDiskIO, part: partWork, of: devices}},
		"node_disk_writes_completed_total":           {{kind: report.LevelDiskIO, part: partWork, of: devices}},
		"node_disk_read_time_seconds_total":          {{kind: report.LevelDiskIO, part: partWorkTime, of: devices}},
		"node_disk_write_time_seconds_total":         {{kind: report.LevelDiskIO, part: partWorkTime, of: devices}},
		"node_filefd_allocated":                      {{kind: fds, part: partUsed}},
		"node_filefd_maximum":                        {{kind: fds, part: partLimit}},
		"node_processes_threads":                     {{kind: threads, part: partUsed}},
		"node_processes_max_threads":                 {{kind: threads, part: partLimit}},
		"node_nf_conntrack_entries":                  {{kind: report.LevelFlows, part: partUsed}},
		"node_nf_conntrack_entries_limit":            {{kind: report.LevelFlows, part: partLimit}},
		"node_pressure_cpu_waiting_seconds_total":    {{kind: report.LevelCPUWait, part: partBusy}},
		"node_pressure_memory_stalled_seconds_total": {{kind: report.LevelMemoryStall, part: partBusy}},
		"node_pressure_io_stalled_seconds_total":     {{kind: report.LevelIOStall, part: partBusy}},
	}),
	hostLevels(map[string][]levelRule{
		// Receiver kubeletstats, of nodes. Resident memory cannot be given back.
		"k8s.node.memory.rss":           {{kind: mem, part: partUsed}},
		"k8s.node.memory.working_set":   {{kind: mem, part: partHeld}},
		"k8s.node.memory.available":     {{kind: mem, part: partFree}},
		"k8s.node.filesystem.available": {{kind: disk, part: partFree}},
		"k8s.node.filesystem.capacity":  {{kind: disk, part: partLimit}},
	}),
	map[string][]levelRule{
		// Receiver kubeletstats, of containers and volumes.
		"container.memory.rss":         {{kind: mem, part: partUsed}},
		"container.memory.working_set": {{kind: mem, part: partHeld}},
		"container.memory.available":   {{kind: mem, part: partFree}},
		// In processors; the limit is told by k8s_cluster, of the same container.
		"container.cpu.usage":                 {{kind: cpu, part: partUsed}},
		"k8s.container.cpu_limit":             {{kind: cpu, part: partLimit}},
		"k8s.container.cpu.limit":             {{kind: cpu, part: partLimit}},
		"k8s.container.cpu_limit_utilization": {{kind: cpu, part: partShare}},
		"k8s.pod.cpu_limit_utilization":       {{kind: cpu, part: partShare}},
		"k8s.volume.available":                {{kind: disk, part: partFree}},
		"k8s.volume.capacity":                 {{kind: disk, part: partLimit}},
		"k8s.volume.inodes.free":              {{kind: disk, part: partFree, also: "inodes "}},
		"k8s.volume.inodes":                   {{kind: disk, part: partLimit, also: "inodes "}},
		// Receivers docker_stats and podman; page cache is not counted.
		"container.memory.percent":                        {{kind: mem, part: partShare, scale: 0.01}},
		"container.cpu.utilization":                       {{kind: cpu, part: partUsed, scale: 0.01}}, // 100 is one processor
		"container.cpu.limit":                             {{kind: cpu, part: partLimit}},
		"container.cpu.throttling_data.periods":           {{kind: report.LevelThrottled, part: partPeriods}},
		"container.cpu.throttling_data.throttled_periods": {{kind: report.LevelThrottled, part: partAffected}},
		"container.pids.count":                            {{kind: threads, part: partUsed}},
		"container.pids.limit":                            {{kind: threads, part: partLimit}},
		// cAdvisor, scraped.
		"container_memory_rss":                            {{kind: mem, part: partUsed, whose: itsPod, of: containers, only: ofContainers}},
		"container_memory_working_set_bytes":              {{kind: mem, part: partHeld, whose: itsPod, of: containers, only: ofContainers}},
		"container_spec_memory_limit_bytes":               {{kind: mem, part: partLimit, whose: itsPod, of: containers, only: ofContainers}},
		"container_cpu_cfs_periods_total":                 {{kind: report.LevelThrottled, part: partPeriods, whose: itsPod, of: containers, only: ofContainers}},
		"container_cpu_cfs_throttled_periods_total":       {{kind: report.LevelThrottled, part: partAffected, whose: itsPod, of: containers, only: ofContainers}},
		"container_threads":                               {{kind: threads, part: partUsed, whose: itsPod, of: containers, only: ofContainers}},
		"container_threads_max":                           {{kind: threads, part: partLimit, whose: itsPod, of: containers, only: ofContainers}},
		"container_pressure_cpu_waiting_seconds_total":    {{kind: report.LevelCPUWait, part: partBusy, whose: itsPod, of: containers, only: ofContainers}},
		"container_pressure_memory_stalled_seconds_total": {{kind: report.LevelMemoryStall, part: partBusy, whose: itsPod, of: containers, only: ofContainers}},
		"container_pressure_io_stalled_seconds_total":     {{kind: report.LevelIOStall, part: partBusy, whose: itsPod, of: containers, only: ofContainers}},

		// Connections that servers accept.
		"postgresql.backends":                    {{kind: conns, part: partUsed}},
		"postgresql.connection.max":              {{kind: conns, part: partLimit}},
		"pg_stat_activity_count":                 {{kind: conns, part: partUsed}},
		"pg_settings_max_connections":            {{kind: conns, part: partLimit}},
		"mysql.connection.errors":                {{kind: conns, part: partWaits, only: []cond{{"error", "max_connections", false}}}},
		"mysql_global_status_threads_connected":  {{kind: conns, part: partUsed}},
		"mysql_global_variables_max_connections": {{kind: conns, part: partLimit}},
		"redis.connections.rejected":             {{kind: conns, part: partWaits}},
		"redis_rejected_connections_total":       {{kind: conns, part: partWaits}},
		"redis_connected_clients":                {{kind: conns, part: partUsed}},
		"redis_config_maxclients":                {{kind: conns, part: partLimit}},
		"mongodb.connection.count": {
			{kind: conns, part: partUsed, only: []cond{{"type", "current", false}}},
			{kind: conns, part: partFree, only: []cond{{"type", "available", false}}},
		},
		"haproxy.sessions.count":            {{kind: conns, part: partUsed}},
		"haproxy.sessions.limit":            {{kind: conns, part: partLimit}},
		"haproxy_frontend_current_sessions": {{kind: conns, part: partUsed, of: []string{"proxy"}}},
		"haproxy_frontend_limit_sessions":   {{kind: conns, part: partLimit, of: []string{"proxy"}}},
		// A cache that gives up old entries is full by design.
		"redis.memory.used":        {{kind: mem, part: partUsed}},
		"redis.maxmemory":          {{kind: mem, part: partLimit}},
		"redis.keys.evicted":       {{kind: mem, part: partEase}},
		"redis_memory_used_bytes":  {{kind: mem, part: partUsed}},
		"redis_memory_max_bytes":   {{kind: mem, part: partLimit}},
		"redis_evicted_keys_total": {{kind: mem, part: partEase}},
		// A broker that is short blocks those who publish.
		"rabbitmq.node.mem_alarm":                   {{kind: mem, part: partShare}},
		"rabbitmq.node.disk_free_alarm":             {{kind: disk, part: partShare}},
		"rabbitmq.node.fd_used":                     {{kind: fds, part: partUsed}},
		"rabbitmq.node.fd_total":                    {{kind: fds, part: partLimit}},
		"rabbitmq_alarms_memory_used_watermark":     {{kind: mem, part: partShare}},
		"rabbitmq_alarms_free_disk_space_watermark": {{kind: disk, part: partShare}},
		"rabbitmq_alarms_file_descriptor_limit":     {{kind: fds, part: partShare}},
	},
	asScraped(map[string][]levelRule{
		// What processes tell of themselves.
		"process_open_fds":                     {{kind: fds, part: partUsed}},
		"process_max_fds":                      {{kind: fds, part: partLimit}},
		"process.files.open":                   {{kind: fds, part: partUsed}},
		"process.files.max":                    {{kind: fds, part: partLimit}},
		"jvm.file_descriptor.count":            {{kind: fds, part: partUsed}},
		"jvm.file_descriptor.limit":            {{kind: fds, part: partLimit}},
		"process.cpu.utilization":              {{kind: cpu, part: partSlice, only: []cond{{"state", "wait", true}}}},
		"jvm.cpu.recent_utilization":           {{kind: cpu, part: partShare}},
		"process.runtime.jvm.cpu.utilization":  {{kind: cpu, part: partShare}},
		"nodejs.eventloop.utilization":         {{kind: cpu, part: partShare}},
		"jetty.threads.busy":                   {{kind: threads, part: partUsed}},
		"jetty.threads.config.max":             {{kind: threads, part: partLimit}},
		"tomcat.thread.busy.count":             {{kind: threads, part: partUsed, of: tomcats}},
		"tomcat.thread.limit":                  {{kind: threads, part: partLimit, of: tomcats}},
		"tomcat_threadpool_currentthreadsbusy": {{kind: threads, part: partUsed, of: []string{"port", "protocol"}}},
		"tomcat_threadpool_maxthreads":         {{kind: threads, part: partLimit, of: []string{"port", "protocol"}}},
		"kestrel.rejected_connections":         {{kind: conns, part: partWaits}},
		"tomcat.threads.busy":                  {{kind: threads, part: partUsed, of: pools}},
		"tomcat.threads.config.max":            {{kind: threads, part: partLimit, of: pools}},

		// Heaps: what is left after a collection tells; before one a heap is full by
		// design. The share counts only while that is not told.
		"jvm.memory.used":                                {{kind: heap, part: partHeld, only: onHeap}, {kind: heap, part: partHeld, only: onPrometheusHeap}},
		"jvm.memory.max":                                 {{kind: heap, part: partLimit, only: onPrometheusHeap}},
		"jvm_memory_bytes_used":                          {{kind: heap, part: partHeld, only: onPrometheusHeap}},
		"jvm_memory_bytes_max":                           {{kind: heap, part: partLimit, only: onPrometheusHeap}},
		"jvm.gc.live.data.size":                          {{kind: heap, part: partUsed}},
		"jvm.memory.used_after_last_gc":                  {{kind: heap, part: partUsed, only: onHeap}},
		"jvm.memory.limit":                               {{kind: heap, part: partLimit, only: onHeap}},
		"process.runtime.jvm.memory.usage":               {{kind: heap, part: partHeld, only: onOldHeap}},
		"process.runtime.jvm.memory.usage_after_last_gc": {{kind: heap, part: partUsed, only: onOldHeap}},
		"process.runtime.jvm.memory.limit":               {{kind: heap, part: partLimit, only: onOldHeap}},
		"v8js.memory.heap.used":                          {{kind: heap, part: partUsed, of: heapSpaces}},
		"v8js.memory.heap.limit":                         {{kind: heap, part: partLimit, of: heapSpaces}},
		"jvm_gc_overhead_percent":                        {{kind: report.LevelGC, part: partShare}},
		"jvm.gc.overhead":                                {{kind: report.LevelGC, part: partShare}},
		"dotnet.gc.pause.time":                           {{kind: report.LevelGC, part: partBusy}},
		"process.runtime.dotnet.gc.duration":             {{kind: report.LevelGC, part: partBusy, scale: 1e-9}},

		// Pools of clients, as the conventions name them now and named them before.
		"db.client.connection.count":             {{kind: pool, part: partUsed, of: pools, only: []cond{{"db.client.connection.state", "used", false}}}},
		"db.client.connection.max":               {{kind: pool, part: partLimit, of: pools}},
		"db.client.connection.pending_requests":  {{kind: pool, part: partWaiting, of: pools}},
		"db.client.connection.timeouts":          {{kind: pool, part: partWaits, of: pools}},
		"db.client.connections.usage":            {{kind: pool, part: partUsed, of: pools, only: []cond{{"state", "used", false}}}},
		"db.client.connections.max":              {{kind: pool, part: partLimit, of: pools}},
		"db.client.connections.pending_requests": {{kind: pool, part: partWaiting, of: pools}},
		"db.client.connections.timeouts":         {{kind: pool, part: partWaits, of: pools}},
		"hikaricp.connections.active":            {{kind: pool, part: partUsed, of: pools}},
		"hikaricp.connections.max":               {{kind: pool, part: partLimit, of: pools}},
		"hikaricp.connections.timeout":           {{kind: pool, part: partWaits, of: pools}},
		"jdbc.connections.active":                {{kind: pool, part: partUsed, of: pools}},
		"jdbc.connections.max":                   {{kind: pool, part: partLimit, of: pools}},
		"r2dbc.pool.acquired":                    {{kind: pool, part: partUsed, of: pools}},
		"r2dbc.pool.max.allocated":               {{kind: pool, part: partLimit, of: pools}},
		"r2dbc.pool.pending":                     {{kind: pool, part: partWaiting, of: pools}},
		"hikaricp.connections.pending":           {{kind: pool, part: partWaiting, of: pools}},
		"pgxpool.acquired_connections":           {{kind: pool, part: partUsed}},
		"pgxpool.max_connections":                {{kind: pool, part: partLimit}},
		"pgxpool.acquired_conns":                 {{kind: pool, part: partUsed}},
		"pgxpool.max_conns":                      {{kind: pool, part: partLimit}},
		// database/sql of Go: 0 is no limit; that one waited is no failure yet.
		"db.sql.connection.open":                     {{kind: pool, part: partUsed, of: pools, only: []cond{{"status", "inuse", false}}}},
		"db.sql.connection.max_open":                 {{kind: pool, part: partLimit, of: pools}},
		"db.sql.connection.wait":                     {{kind: pool, part: partWaits, of: pools}},
		"go_sql_in_use_connections":                  {{kind: pool, part: partUsed, of: pools}},
		"go_sql_max_open_connections":                {{kind: pool, part: partLimit, of: pools}},
		"go_sql_wait_count_total":                    {{kind: pool, part: partWaits, of: pools}},
		"pgbouncer_pools_server_active_connections":  {{kind: pool, part: partUsed, of: pools}},
		"pgbouncer_databases_pool_size":              {{kind: pool, part: partLimit, of: pools}},
		"pgbouncer_pools_client_waiting_connections": {{kind: pool, part: partWaiting, of: pools}},
	}),
)

const (
	mem     = report.LevelMemory
	heap    = report.LevelHeap
	cpu     = report.LevelCPU
	disk    = report.LevelDisk
	fds     = report.LevelDescriptors
	threads = report.LevelThreads
	pool    = report.LevelPool
	conns   = report.LevelConnections
)

var (
	mounts     = []string{"mountpoint"}
	devices    = []string{"device"}
	containers = []string{"container", "name"}
	heapSpaces = []string{"v8js.heap.space.name"}
	tomcats    = []string{"tomcat.thread_pool.name", "tomcat.thread.pool.name"}
	pools      = []string{"db.client.connection.pool.name", "pool.name", "pool", "name", "db_name", "db.name", "database"}

	onHeap           = onHeapOf("jvm.memory.type")
	onOldHeap        = onHeapOf("type")
	onPrometheusHeap = onHeapOf("area")

	// ofContainers: not the pod's own cgroup, and not the one that holds its
	// network.
	ofContainers = []cond{{"container", "POD", true}, {"id", "/", true}}
)

func onHeapOf(attribute string) []cond { return []cond{{attribute, "heap", false}} }

// scrapeSuffixes are what Prometheus puts behind a metric's name for its unit, and
// for what only rises.
var scrapeSuffixes = [...]string{
	"", "_total", "_seconds", "_seconds_total", "_nanoseconds_total", "_bytes", "_ratio", "_connections", "_threads", "_files",
}

// asScraped adds to what processes tell of themselves the same as Prometheus spells it:
// the exporters of SDKs and Micrometer write names and attributes with underscores.
func asScraped(m map[string][]levelRule) map[string][]levelRule {
	under := func(s string) string { return strings.ReplaceAll(s, ".", "_") }
	out := maps.Clone(m)
	for name, rules := range m {
		spelled := slices.Clone(rules)
		for i := range spelled {
			r := &spelled[i]
			r.of, r.only = slices.Clone(r.of), slices.Clone(r.only)
			for j, of := range r.of {
				r.of[j] = under(of)
			}
			for j := range r.only {
				r.only[j].name = under(r.only[j].name)
			}
		}
		for _, suffix := range scrapeSuffixes {
			if _, told := m[under(name)+suffix]; !told {
				out[under(name)+suffix] = spelled
			}
		}
	}
	return out
}

// hostLevels are levels of hosts, whoever tells them.
func hostLevels(m map[string][]levelRule) map[string][]levelRule {
	for _, rules := range m {
		for i := range rules {
			rules[i].whose = itsHost
		}
	}
	return m
}

func merge(all ...map[string][]levelRule) map[string][]levelRule {
	out := map[string][]levelRule{}
	for _, m := range all {
		for name, rules := range m {
			out[name] = rules
		}
	}
	return out
}
