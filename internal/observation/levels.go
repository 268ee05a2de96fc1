// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine"
)

// How full things are, as stock receivers and SDKs tell it: some give a share,
// some what is used and what there is in two metrics, some a count of periods
// that only rises.

// part is what one metric tells of a level.
type part uint8

const (
	partShare    part = iota // 0-1
	partPercent              // 0-100
	partUsed                 // in units of partLimit
	partLimit                //
	partWaiting              // requests that wait for it
	partPeriods              // cumulative: all periods
	partAffected             // cumulative: periods that were throttled
)

// levelMetrics are the metrics that tell levels, by name.
var levelMetrics = map[string]struct {
	kind engine.LevelKind
	part part
}{
	// kubeletstats
	"k8s.container.memory_limit_utilization": {engine.LevelMemory, partShare},
	"k8s.pod.memory_limit_utilization":       {engine.LevelMemory, partShare},
	"k8s.container.cpu_limit_utilization":    {engine.LevelCPU, partShare},
	// docker_stats
	"container.memory.percent":                        {engine.LevelMemory, partPercent},
	"container.memory.usage.total":                    {engine.LevelMemory, partUsed},
	"container.memory.usage.limit":                    {engine.LevelMemory, partLimit},
	"container.cpu.throttling_data.periods":           {engine.LevelThrottled, partPeriods},
	"container.cpu.throttling_data.throttled_periods": {engine.LevelThrottled, partAffected},
	"container.pids.count":                            {engine.LevelThreads, partUsed},
	"container.pids.limit":                            {engine.LevelThreads, partLimit},
	// process_* of Prometheus clients
	"process_open_fds": {engine.LevelDescriptors, partUsed},
	"process_max_fds":  {engine.LevelDescriptors, partLimit},
	// pools, as the conventions name them now and named them before
	"db.client.connection.count":             {engine.LevelPool, partUsed},
	"db.client.connection.max":               {engine.LevelPool, partLimit},
	"db.client.connection.pending_requests":  {engine.LevelPool, partWaiting},
	"db.client.connections.usage":            {engine.LevelPool, partUsed},
	"db.client.connections.max":              {engine.LevelPool, partLimit},
	"db.client.connections.pending_requests": {engine.LevelPool, partWaiting},
	"hikaricp.connections.active":            {engine.LevelPool, partUsed},
	"hikaricp.connections.max":               {engine.LevelPool, partLimit},
	"hikaricp.connections.pending":           {engine.LevelPool, partWaiting},
	"jvm.memory.used":                        {engine.LevelHeap, partUsed},
	"jvm.memory.limit":                       {engine.LevelHeap, partLimit},
	"process.runtime.jvm.memory.usage":       {engine.LevelHeap, partUsed},
	"process.runtime.jvm.memory.limit":       {engine.LevelHeap, partLimit},
	// node_exporter has no share of its own; hostmetrics has, if asked
	"system.filesystem.utilization": {engine.LevelDisk, partShare},
	"system.memory.utilization":     {engine.LevelMemory, partShare},
}

// level is what the metrics of one resource say of one thing together.
type level struct {
	share, used, limit, waiting float64
	periods, affected           float64
	told                        uint8 // bits: parts that were told
}

func (l *level) has(p part) bool { return l.told>>p&1 != 0 }

// levelOf reads a metric that tells a level, if m is one.
func (r *metricResource) levelOf(m pmetric.Metric) {
	d, ok := levelMetrics[m.Name()]
	if !ok {
		return
	}
	l := &r.levels[d.kind]
	points(m, func(p pmetric.NumberDataPoint, v float64) {
		if v < 0 || idle(p) {
			return
		}
		r.levelled = true
		l.told |= 1 << d.part
		switch d.part {
		case partShare:
			l.share = max(l.share, v)
		case partPercent:
			l.share = max(l.share, v/100)
			l.told |= 1 << partShare
		case partUsed:
			l.used += v
		case partLimit:
			l.limit += v
		case partWaiting:
			l.waiting += v
		case partPeriods:
			l.periods += v
		case partAffected:
			l.affected += v
		}
	})
}

// idle says whether a point counts what is free: idle connections of a pool,
// memory that is not the heap's, free space.
func idle(p pmetric.NumberDataPoint) bool {
	for _, name := range [...]string{"db.client.connection.state", "state"} {
		if s := attribute(p, name); s != "" && s != "used" && s != "active" {
			return true
		}
	}
	for _, name := range [...]string{"jvm.memory.type", "type"} {
		if s := attribute(p, name); s == "non_heap" {
			return true
		}
	}
	return attribute(p, "mode") == "ro"
}

// filesystems reads how full the fullest writable file system is.
func (r *metricResource) filesystems(m pmetric.Metric) {
	used, all := map[string]float64{}, map[string]float64{}
	points(m, func(p pmetric.NumberDataPoint, v float64) {
		mount := attribute(p, "mountpoint")
		if attribute(p, "mode") == "ro" || pseudo(attribute(p, "type")) {
			return
		}
		state := attribute(p, "state")
		all[mount] += v
		if state != "free" {
			used[mount] += v
		}
	})
	for mount, size := range all {
		if size > 0 {
			r.levelled = true
			l := &r.levels[engine.LevelDisk]
			l.share, l.told = max(l.share, used[mount]/size), l.told|1<<partShare
		}
	}
}

// pseudo says whether a file system holds no data of its own.
func pseudo(fs string) bool {
	switch fs {
	case "squashfs", "iso9660", "proc", "sysfs", "devtmpfs", "overlay", "autofs", "nsfs", "cgroup", "cgroup2":
		return true
	}
	return strings.HasPrefix(fs, "fuse")
}

// memoryStates reads how much of a host's memory is in use.
func (r *metricResource) memoryStates(m pmetric.Metric) {
	used, all := 0.0, 0.0
	points(m, func(p pmetric.NumberDataPoint, v float64) {
		all += v
		if s := attribute(p, "state"); s == "used" {
			used += v
		}
	})
	if all > 0 {
		r.levelled = true
		l := &r.levels[engine.LevelMemory]
		l.share, l.told = used/all, l.told|1<<partShare
	}
}

// finishLevels adds the levels that were told.
func (r *metricResource) finishLevels() {
	if !r.levelled {
		return
	}
	src := r.src
	if r.id.podUID != "" || r.id.containerID != "" {
		if in := r.x.inPod(&r.id); in != nil {
			src = in
		}
	}
	if src == nil {
		return
	}
	for kind := range r.levels {
		l := &r.levels[kind]
		if l.told == 0 {
			continue
		}
		out := engine.Level{Source: src, Kind: engine.LevelKind(kind), At: r.now, Waiting: l.waiting, Share: -1}
		switch {
		case l.has(partShare):
			out.Share = l.share
		case l.has(partUsed) && l.limit > 0:
			out.Share = l.used / l.limit
		case l.has(partPeriods) && l.has(partAffected):
			out.Share = r.sinceBefore(src, engine.LevelKind(kind), l)
		}
		if out.Share >= 0 || out.Waiting > 0 {
			r.out.Levels = append(r.out.Levels, out)
		}
	}
}

// sinceBefore is the share of periods that were affected since they were last
// told, -1 if that is not known.
func (r *metricResource) sinceBefore(src *engine.Source, kind engine.LevelKind, l *level) float64 {
	key := podKey{uid: src.Service.Name + "/" + src.Name(), container: r.id.podUID + r.id.containerID}
	affectedBefore, known := r.x.changed(stateID{pod: key, what: kind.String() + " affected"}, int64(l.affected))
	allBefore, knownAll := r.x.changed(stateID{pod: key, what: kind.String()}, int64(l.periods))
	all, affected := l.periods-float64(allBefore), l.affected-float64(affectedBefore)
	if !known || !knownAll || all <= 0 || affected < 0 {
		return -1
	}
	return affected / all
}
