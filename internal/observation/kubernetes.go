// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Events of Kubernetes (receivers k8s_events and k8sobjects) name a pod by its
// uid, a node or a deployment by its name. Which service a pod runs is known from
// the pod's own telemetry, else it is its workload.

const (
	// kubeletEvery is how often a kubelet probes by default. Only failures make
	// events, so nothing tells when one is over: after a few periods it is history.
	kubeletEvery = 10 * time.Second
	// pressureFor is how long a node is short that said so once. The kubelet says
	// when it no longer is, after five minutes at the soonest.
	pressureFor = 5 * time.Minute
)

// event is one event of Kubernetes.
type event struct {
	reason, message    string
	kind, name, uid    string // of the object that it is about
	container          string
	namespace, cluster string
	src                *report.Source
	at                 clock.Time
}

// podEvents is what the reasons of a pod's events mean. Not read, because others
// follow that tell more: TaintManagerEviction (the kubelet's Killing, if the node
// lives) and FailedScheduling (nobody runs there yet).
var podEvents = map[string]func(sc *scratch, e *event){
	"OOMKilled":  func(sc *scratch, e *event) { sc.fact(e, report.FactOOMKill, 0) },
	"OOMKilling": func(sc *scratch, e *event) { sc.fact(e, report.FactOOMKill, 0) },
	"BackOff": func(sc *scratch, e *event) {
		if strings.Contains(e.message, "restarting failed") { // not: pulling an image
			sc.crashLoop(e)
		}
	},
	"CrashLoopBackOff": (*scratch).crashLoop,
	"Killing": func(sc *scratch, e *event) {
		// A container that failed its liveness probe is killed for cause.
		if !strings.Contains(e.message, "failed liveness") && !strings.Contains(e.message, "failed startup") {
			sc.fact(e, report.FactStopping, 0)
		}
	},
	"Evicted":    (*scratch).evicted,
	"Preempted":  func(sc *scratch, e *event) { sc.fact(e, report.FactStopping, 0) },
	"Preempting": func(sc *scratch, e *event) { sc.fact(e, report.FactStopping, 0) },
	"ScaleDown":  func(sc *scratch, e *event) { sc.fact(e, report.FactStopping, 0) },
	"Started":    func(sc *scratch, e *event) { sc.fact(e, report.FactStarted, 0) },
	"Unhealthy":  (*scratch).unhealthy,
}

// nodeEvents is what the reasons of a node's events mean.
var nodeEvents = map[string]func(sc *scratch, e *event){
	"NodeNotReady": func(sc *scratch, e *event) { sc.x.nodeReady(e.name, e.cluster, false, e.at, sc.out) },
	"NodeReady":    func(sc *scratch, e *event) { sc.x.nodeReady(e.name, e.cluster, true, e.at, sc.out) },
	"Rebooted": func(sc *scratch, e *event) {
		if !sc.x.cordoned(e.name, e.at) {
			sc.fact(e, report.FactNodeDown, 1)
		}
	},

	"NodeHasInsufficientMemory": func(sc *scratch, e *event) { sc.pressure(e, report.LevelNodeMemory, 1) },
	"NodeHasSufficientMemory":   func(sc *scratch, e *event) { sc.pressure(e, report.LevelNodeMemory, 0) },
	"NodeHasDiskPressure":       func(sc *scratch, e *event) { sc.pressure(e, report.LevelNodeDisk, 1) },
	"NodeHasNoDiskPressure":     func(sc *scratch, e *event) { sc.pressure(e, report.LevelNodeDisk, 0) },
	"NodeHasInsufficientPID":    func(sc *scratch, e *event) { sc.pressure(e, report.LevelNodeThreads, 1) },
	"NodeHasSufficientPID":      func(sc *scratch, e *event) { sc.pressure(e, report.LevelNodeThreads, 0) },
	"FreeDiskSpaceFailed":       func(sc *scratch, e *event) { sc.pressure(e, report.LevelNodeDisk, 1) },
	"SystemOOM":                 func(sc *scratch, e *event) { sc.systemOOM(e) },
	"OOMKilling":                func(sc *scratch, e *event) { sc.systemOOM(e) },

	"NodeSchedulable": func(sc *scratch, e *event) { sc.x.cordon(e.name, 0) },
	// It is emptied, or taken away as was announced: by the autoscaler, by Karpenter, by a
	// cloud that reclaims what it lent.
	"NodeNotSchedulable":        (*scratch).outOfService,
	"ScaleDown":                 (*scratch).outOfService,
	"NodeShutdown":              (*scratch).outOfService,
	"DeletingNode":              (*scratch).outOfService,
	"RemovingNode":              (*scratch).outOfService,
	"DisruptionTerminating":     (*scratch).outOfService,
	"TerminatingOnInterruption": (*scratch).outOfService,
	"SpotInterrupted":           (*scratch).outOfService,
	"InstanceStopping":          (*scratch).outOfService,
	"InstanceTerminating":       (*scratch).outOfService,
	"PreemptScheduled":          (*scratch).outOfService,
	"TerminateScheduled":        (*scratch).outOfService,
}

func (sc *scratch) outOfService(e *event) { sc.x.cordon(e.name, e.at) }

// kubernetes takes in one event of receiver k8s_events. resource names the object
// that it is about.
func (sc *scratch) kubernetes(resource pcommon.Map, lr plog.LogRecord) {
	e := event{message: cut(message(lr.Body()), maxText), at: sc.past(when(lr))}
	for k, v := range resource.All() {
		switch k {
		case "k8s.object.kind":
			e.kind = v.Str()
		case "k8s.object.name":
			e.name = text(v)
		case "k8s.object.uid":
			e.uid = text(v)
		case "k8s.object.fieldpath":
			e.container = inBraces(text(v))
		case "k8s.cluster.name":
			e.cluster = text(v)
		}
	}
	if v, ok := lr.Attributes().Get("k8s.event.reason"); ok {
		e.reason = v.Str()
	}
	if v, ok := lr.Attributes().Get("k8s.namespace.name"); ok {
		e.namespace = text(v)
	}
	sc.happened(&e)
}

// object takes in what receiver k8sobjects writes of an event: the whole object,
// inside what the watch says of it.
func (sc *scratch) object(resource pcommon.Map, body pcommon.Map, at clock.Time) {
	if v, ok := body.Get("object"); ok && v.Type() == pcommon.ValueTypeMap {
		if what, ok := body.Get("type"); ok && what.Str() == "DELETED" {
			return // an old event is forgotten
		}
		body = v.Map()
	}
	e := event{reason: word(body, "reason"), message: word(body, "message"), cluster: word(resource, "k8s.cluster.name"), at: at}
	if e.message == "" {
		e.message = word(body, "note") // events.k8s.io
	}
	about, ok := body.Get("involvedObject")
	if !ok {
		about, ok = body.Get("regarding")
	}
	if !ok || about.Type() != pcommon.ValueTypeMap {
		return
	}
	e.kind, e.name, e.uid = word(about.Map(), "kind"), word(about.Map(), "name"), word(about.Map(), "uid")
	e.namespace, e.container = word(about.Map(), "namespace"), inBraces(word(about.Map(), "fieldPath"))
	for _, name := range [...]string{"lastTimestamp", "eventTime", "firstTimestamp"} {
		if t, err := time.Parse(time.RFC3339, word(body, name)); err == nil && t.Unix() > 0 {
			e.at = sc.past(pcommon.NewTimestampFromTime(t))
			break
		}
	}
	sc.happened(&e)
}

// happened takes in an event.
func (sc *scratch) happened(e *event) {
	var take func(*scratch, *event)
	switch e.kind {
	case "Pod":
		if take = podEvents[e.reason]; take == nil {
			return
		}
		e.src = sc.x.inPodOrWorkload(&sourceID{podUID: e.uid, podName: e.name, podNamespace: e.namespace, container: e.container, cluster: e.cluster}, sc.now)
		if e.src == nil {
			sc.x.skips.add(skipUnknownPod)
			return
		}
	case "Node":
		if take = nodeEvents[e.reason]; take == nil || e.name == "" {
			return
		}
		e.src = sc.x.node(e.name, e.cluster)
	case "ReplicaSet", "StatefulSet", "DaemonSet", "Deployment":
		take = (*scratch).controller
	default:
		return
	}
	take(sc, e)
}

// inBraces returns `c` of `spec.containers{c}`.
func inBraces(path string) string {
	_, rest, _ := strings.Cut(path, "{")
	name, _, _ := strings.Cut(rest, "}")
	return name
}

func (sc *scratch) fact(e *event, kind report.FactKind, value int64) {
	sc.out.Facts = append(sc.out.Facts, report.Fact{Source: e.src, Kind: kind, Value: value, At: e.at, Text: line(e.message)})
}

// crashLoop: the kubelet calls failed whatever ends though it is to run for ever.
func (sc *scratch) crashLoop(e *event) {
	if !sc.x.completed(podKey{e.uid, e.container}) {
		sc.fact(e, report.FactCrashLoop, 0)
	}
}

// evicted tells a pod that is moved from one that is ended for want of something.
func (sc *scratch) evicted(e *event) {
	m := e.message
	short := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(m, w) {
				return true
			}
		}
		return false
	}
	switch {
	case short("exceeds the total limit", "exceeds the limit", "exceeded its local"): // its own limit
		sc.fact(e, report.FactOverLimit, 0)
	case !short("low on resource", "node had condition"):
		sc.fact(e, report.FactStopping, 0)
	case short("memory", "MemoryPressure"):
		sc.fact(e, report.FactEvicted, int64(report.LevelMemory))
	case short("storage", "disk", "nodefs", "imagefs", "inodes", "DiskPressure"):
		sc.fact(e, report.FactEvicted, int64(report.LevelDisk))
	case short("pid", "PID"):
		sc.fact(e, report.FactEvicted, int64(report.LevelThreads))
	}
}

// controller reads which pods a controller ends, and that it rolls out.
func (sc *scratch) controller(e *event) {
	switch e.reason {
	case "SuccessfulDelete": // Deleted pod: checkout-5d9c-x2x7k; delete Pod web-2 in StatefulSet web successful
		_, name, ok := strings.Cut(e.message, "Deleted pod: ")
		if !ok {
			_, name, _ = strings.Cut(e.message, "delete Pod ")
		}
		name, _, _ = strings.Cut(strings.TrimSpace(name), " ")
		if e.src = sc.x.inPod(&sourceID{podName: name, podNamespace: e.namespace}); e.src != nil {
			sc.fact(e, report.FactStopping, 0)
		}
	case "ScalingReplicaSet":
		if e.src = sc.x.find(byWorkload+e.namespace, e.name); e.src != nil {
			sc.fact(e, report.FactDeploy, 0)
		}
	}
}

// pressure is the kubelet's word that its node is short of something, or no more.
func (sc *scratch) pressure(e *event, kind report.LevelKind, share float64) {
	sc.out.Levels = append(sc.out.Levels, report.Level{Source: e.src, Kind: kind, Share: share, At: sc.now, Stands: pressureFor})
}

// systemOOM is the node's word that its kernel ended a process, by its pid on the
// node. Whose pod that is is known to the kubelet only.
func (sc *scratch) systemOOM(e *event) {
	if src := sc.x.killed(e.name, e.message); src != nil {
		e.src = src
		sc.fact(e, report.FactOOMKill, 0)
	}
}

// killed is whose process a host's kernel says that it ended, nil if nobody's that is
// known.
func (x *Extractor) killed(host, message string) *report.Source {
	for _, before := range [...]string{"pid: ", ",pid=", "Killed process ", "Kill process "} {
		_, rest, ok := strings.Cut(message, before)
		if !ok {
			continue
		}
		digits := 0
		for digits < len(rest) && rest[digits]-'0' <= 9 {
			digits++
		}
		if digits > 0 && host != "" {
			return x.find(byPID+host, rest[:digits])
		}
	}
	return nil
}

// unhealthy is the kubelet's word that its probe of a container failed.
func (sc *scratch) unhealthy(e *event) {
	target, _, _ := strings.Cut(e.message, " ") // Liveness, Readiness or Startup
	o := words().read(e.message).outcome()
	if strings.Contains(e.message, "statuscode: 5") {
		o = report.OutcomeServerError
	}
	sc.out.Probes = append(sc.out.Probes, report.Probe{
		Stamp: report.Stamp{Observer: sc.x.observer, At: sc.now}, Source: e.src,
		Target: "kubelet:" + strings.ToLower(own(cut(target, 16))), Outcome: o, Interval: kubeletEvery,
		Message: line(e.message), Direct: true,
	})
}
