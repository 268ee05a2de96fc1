// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What supervisors say of those whom they start and stop: Kubernetes, by the
// receiver k8s_cluster or by kube-state-metrics, and Docker. They repeat a state
// at every export; only a change of it is news.

// stateID names a state.
type stateID struct {
	pod  podKey
	what string
}

func (id *stateID) hash() uint64 { return mixString(id.pod.hash(), id.what) }

// changed remembers a state and returns the one before; known is false if there
// is none.
func (x *Extractor) changed(id stateID, value int64) (before int64, known bool) {
	h := id.hash()
	if p := x.states.get(h, &id); p != nil {
		before, known = *p, true
	}
	if !known || before != value {
		id.pod.uid, id.pod.container, id.what = strings.Clone(id.pod.uid), strings.Clone(id.pod.container), strings.Clone(id.what)
		x.states.set(h, id, &value)
	}
	return before, known
}

// state returns a state that was remembered.
func (x *Extractor) state(id stateID) (value int64, known bool) {
	if p := x.states.get(id.hash(), &id); p != nil {
		return *p, true
	}
	return 0, false
}

// supervised is the container that a point is about, and who runs in it.
func (r *metricResource) supervised(p pmetric.NumberDataPoint) (stateID, *report.Source) {
	id := r.id
	if other, ok := labelled(p.Attributes()); ok {
		other.cluster = id.cluster
		id = other
	}
	src := r.x.inPodOrWorkload(&id, r.now)
	if src == nil && r.src != nil && r.src.Key != 0 && id == r.id && !scraped(r.scope) && !beside(id.container) {
		src = r.src
	}
	key := podKey{id.podUID, id.container}
	if key.uid == "" && id.podName != "" {
		key.uid = byNamespace + id.podNamespace + "/" + id.podName
	}
	if key.uid == "" {
		key.container = id.containerID
	}
	if key.uid == "" && key.container == "" || src == nil {
		r.x.skips.add(skipUnknownPod)
		return stateID{}, nil
	}
	return stateID{pod: key}, src
}

// lastReason is the state in which is kept why the last run of a container ended.
const lastReason = "why it ended last"

// restartedAt is the state in which is kept when a container was counted to have been
// started again, and lastReasonFollows how much later it may be told why it ended.
const (
	restartedAt       = "restarted at"
	lastReasonFollows = 10 * time.Second
)

// Why a run ended.
const (
	endedOtherwise int64 = iota
	endedForMemory
	endedAsItShould // with status 0
	endedInError    // with another
)

func endedBy(reason string) int64 {
	switch reason {
	case "OOMKilled":
		return endedForMemory
	case "Completed":
		return endedAsItShould
	case "Error":
		return endedInError
	}
	return endedOtherwise
}

// completed says whether the last run of a container ended as it should. It is started
// again and again by those who were told to keep it running, and that is no crash loop.
func (x *Extractor) completed(pod podKey) bool {
	why, known := x.state(stateID{pod: pod, what: lastReason})
	return known && why == endedAsItShould
}

// restarts follows how often a container was restarted. Why its last run ended
// stands on the resource and stays there: it is told once for each restart.
func (r *metricResource) restarts(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		id, src := r.supervised(p)
		if src == nil || value < 0 || value > 1<<40 {
			return
		}
		if reason := word(r.attrs, "k8s.container.status.last_terminated_reason"); reason != "" {
			r.x.changed(stateID{pod: id.pod, what: lastReason}, endedBy(reason))
		}
		id.what = "restarts"
		before, known := r.x.changed(id, int64(value))
		if known && before == int64(value) {
			return
		}
		at := r.past(p.Timestamp())
		why, _ := r.x.state(stateID{pod: id.pod, what: lastReason})
		if known && int64(value) > before && why == endedAsItShould {
			r.out.Facts = append(r.out.Facts,
				report.Fact{Source: src, Kind: report.FactExit, Value: 0, At: at, Text: "Kubernetes says that its container has completed"},
				report.Fact{Source: src, Kind: report.FactStarted, At: at})
			return
		}
		r.out.Facts = append(r.out.Facts, report.Fact{Source: src, Kind: report.FactRestarts, Value: int64(value), At: at})
		if known && int64(value) > before {
			r.x.changed(stateID{pod: id.pod, what: restartedAt}, int64(at))
		}
		if known && int64(value) > before {
			r.saysWhy(src, why, at)
		}
	})
}

// saysWhy notes the bad end of the last run of a container.
func (r *metricResource) saysWhy(src *report.Source, why int64, at clock.Time) {
	switch why {
	case endedForMemory:
		r.out.Facts = append(r.out.Facts, report.Fact{Source: src, Kind: report.FactOOMKill, At: at, Text: "Kubernetes says that its container was OOMKilled"})
	case endedInError:
		r.out.Facts = append(r.out.Facts, report.Fact{Source: src, Kind: report.FactExit, Value: report.ExitUntold, At: at, Text: "Kubernetes says that its container ended in error"})
	}
}

// lastTerminated: 1 for the reason for which the last run of a container ended.
// Where the count of restarts came first in the batch, this is the news.
func (r *metricResource) lastTerminated(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		why := endedBy(attribute(p, "reason"))
		id, src := r.supervised(p)
		if src == nil {
			return
		}
		if value != 1 {
			if before, _ := r.x.state(stateID{pod: id.pod, what: lastReason}); before != why {
				return // another holds
			}
			why = endedOtherwise
		}
		before, known := r.x.changed(stateID{pod: id.pod, what: lastReason}, why)
		at := r.past(p.Timestamp())
		if !known { // of one that never ended before there was no point
			restarted, seen := r.x.state(stateID{pod: id.pod, what: restartedAt})
			known = seen && at.Sub(clock.Time(restarted)) < lastReasonFollows
		}
		if known && before != why {
			r.saysWhy(src, why, at)
		}
	})
}

// containerStatus: one point for each reason for which a container can be as it
// is, 1 for the one that holds.
func (r *metricResource) containerStatus(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		reason := attribute(p, "k8s.container.status.reason")
		if reason == "" {
			reason = attribute(p, "reason")
		}
		var kind report.FactKind
		switch reason {
		case "CrashLoopBackOff":
			kind = report.FactCrashLoop
		case "OOMKilled":
			kind = report.FactOOMKill
		default:
			return
		}
		id, src := r.supervised(p)
		if src == nil {
			return
		}
		id.what = reason
		if before, _ := r.x.changed(id, int64(value)); value != 1 || before == 1 || kind == report.FactCrashLoop && r.x.completed(id.pod) {
			return
		}
		r.out.Facts = append(r.out.Facts, report.Fact{
			Source: src, Kind: kind, At: r.past(p.Timestamp()), Text: "Kubernetes says that its container is in " + reason,
		})
	})
}

// ready: 1 while the kubelet's probes of a container succeed, or it has none, and it runs.
func (r *metricResource) ready(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		if _, src := r.supervised(p); src != nil && (value == 0 || value == 1) {
			r.out.Facts = append(r.out.Facts, report.Fact{Source: src, Kind: report.FactReady, Value: int64(value), At: r.past(p.Timestamp())})
		}
	})
}

// podPhase: a pod that succeeded has ended as it should.
func (r *metricResource) podPhase(m pmetric.Metric) {
	const succeeded = 3 // of receiver k8s_cluster; kube-state-metrics writes it as a label
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		phase := attribute(p, "phase")
		if phase == "" {
			phase = attribute(p, "k8s.pod.status.phase")
		}
		if phase != "" && (phase != "Succeeded" || value != 1) || phase == "" && value != succeeded {
			return
		}
		id, src := r.supervised(p)
		if src == nil {
			return
		}
		id.what = "succeeded"
		if before, _ := r.x.changed(id, 1); before == 1 {
			return
		}
		r.out.Facts = append(r.out.Facts, report.Fact{
			Source: src, Kind: report.FactExit, Value: 0, At: r.past(p.Timestamp()), Text: "Kubernetes says that its pod has succeeded",
		})
	})
}

// nodeLevels are the conditions by which a node says that it is short of something.
var nodeLevels = map[string]report.LevelKind{
	"memory_pressure": report.LevelNodeMemory, "MemoryPressure": report.LevelNodeMemory,
	"disk_pressure": report.LevelNodeDisk, "DiskPressure": report.LevelNodeDisk,
	"pid_pressure": report.LevelNodeThreads, "PIDPressure": report.LevelNodeThreads,
}

// nodeCondition: 1 is true, 0 is false, −1 is that nobody has heard of the node.
func (r *metricResource) nodeCondition(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		name := r.node(p.Attributes())
		if name == "" {
			return
		}
		condition := attribute(p, "condition")
		if condition == "" {
			condition = strings.TrimPrefix(m.Name(), "k8s.node.condition_")
		}
		status := attribute(p, "status")
		if kind := attribute(p, "k8s.node.condition.type"); kind != "" { // as the conventions have it now
			condition, status = kind, strings.TrimPrefix(attribute(p, "k8s.node.condition.status"), "condition_")
		}
		switch { // kube-state-metrics and the conventions: one point a status, 1 for the one that holds
		case status == "":
		case value != 1:
			return
		case status == "false":
			value = 0
		case status == "unknown":
			value = -1
		}
		if kind, ok := nodeLevels[condition]; ok {
			r.out.Levels = append(r.out.Levels, report.Level{Source: r.x.node(name, r.id.cluster), Kind: kind, Share: max(value, 0), At: r.now})
			return
		}
		if condition == "ready" || condition == "Ready" {
			r.x.nodeReady(name, r.id.cluster, value >= 1, r.past(p.Timestamp()), r.out)
		}
	})
}

// node is the name of the node that a point or its resource is about.
func (r *metricResource) node(attrs pcommon.Map) string {
	if v, ok := r.attrs.Get("k8s.node.name"); ok && !scraped(r.scope) {
		return clip(v.Str())
	}
	return word(attrs, "node")
}

func (x *Extractor) node(name, cluster string) *report.Source {
	return x.source(&sourceID{host: name, cluster: cluster})
}

// nodeReady follows whether a node is ready. One that was taken out of service
// before is stopped on purpose.
func (x *Extractor) nodeReady(name, cluster string, ready bool, at clock.Time, out *report.Batch) {
	state := int64(0)
	if ready {
		state = 1
	}
	before, known := x.changed(stateID{pod: podKey{container: name}, what: "ready"}, state)
	if ready || known && before == 0 {
		return
	}
	f := report.Fact{Source: x.node(name, cluster), Kind: report.FactNodeDown, At: at, Text: "Kubernetes says that node " + own(name) + " is not ready"}
	if x.cordoned(name, at) {
		f.Kind, f.Text = report.FactStopping, "node "+own(name)+" was taken out of service first"
	}
	out.Facts = append(out.Facts, f)
}

// cordonedFor is how long it may take to empty a node that takes no more pods.
const cordonedFor = time.Hour

// cordon notes that a node takes no more pods: it is being emptied.
func (x *Extractor) cordon(name string, at clock.Time) {
	x.changed(stateID{pod: podKey{container: name}, what: "cordoned"}, int64(at))
}

func (x *Extractor) cordoned(name string, at clock.Time) bool {
	since, known := x.state(stateID{pod: podKey{container: name}, what: "cordoned"})
	return known && at.Sub(clock.Time(since)) < cordonedFor
}

// nodeCordoned is kube-state-metrics' word for it.
func (r *metricResource) nodeCordoned(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		switch name := attribute(p, "node"); {
		case name == "":
		case value == 1:
			r.x.cordon(name, r.past(p.Timestamp()))
		default:
			r.x.cordon(name, 0)
		}
	})
}
