// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine"
)

// Events of Kubernetes (receiver k8s_events) name a pod by its uid or a node by
// its name. Which service a pod runs is known from the pod's own telemetry; an
// event of a pod that was never heard of is about nobody we know.

// kubeletEvery is how often a kubelet probes by default. Only failures make
// events, so nothing tells when one is over: after a few periods it is history.
const kubeletEvery = 10 * time.Second

// event is one event of Kubernetes.
type event struct {
	node    bool // about a node; else about a pod
	src     *engine.Source
	message string
	at      engine.Time
}

// podEvents is what the reasons of a pod's events mean.
var podEvents = map[string]func(sc *scratch, e *event){
	"OOMKilling": func(sc *scratch, e *event) { sc.fact(e, engine.FactOOMKill) },
	"BackOff": func(sc *scratch, e *event) {
		if strings.Contains(e.message, "restarting failed") { // not: pulling an image
			sc.fact(e, engine.FactCrashLoop)
		}
	},
	"CrashLoopBackOff": func(sc *scratch, e *event) { sc.fact(e, engine.FactCrashLoop) },
	"Killing": func(sc *scratch, e *event) {
		// A container that failed its liveness probe is killed for cause.
		if !strings.Contains(e.message, "failed liveness") && !strings.Contains(e.message, "failed startup") {
			sc.fact(e, engine.FactStopping)
		}
	},
	"Evicted": func(sc *scratch, e *event) {
		switch {
		case strings.Contains(e.message, "memory"):
			sc.fact(e, engine.FactOutOfMemory)
		case strings.Contains(e.message, "storage"), strings.Contains(e.message, "disk"):
			sc.fact(e, engine.FactDiskFull)
		default:
			sc.fact(e, engine.FactStopping)
		}
	},
	"Preempted":            func(sc *scratch, e *event) { sc.fact(e, engine.FactStopping) },
	"Preempting":           func(sc *scratch, e *event) { sc.fact(e, engine.FactStopping) },
	"TaintManagerEviction": func(sc *scratch, e *event) { sc.fact(e, engine.FactStopping) },
	"Started":              func(sc *scratch, e *event) { sc.fact(e, engine.FactStarted) },
	"Unhealthy":            (*scratch).unhealthy,
}

// nodeEvents is what the reasons of a node's events mean.
var nodeEvents = map[string]func(sc *scratch, e *event){
	"NodeNotReady": func(sc *scratch, e *event) { sc.fact(e, engine.FactNodeDown) },
	"Rebooted":     func(sc *scratch, e *event) { sc.fact(e, engine.FactNodeDown) },
}

// kubernetes takes in one event. resource names the object that it is about.
func (sc *scratch) kubernetes(resource pcommon.Map, lr plog.LogRecord) {
	reason, _ := lr.Attributes().Get("k8s.event.reason")
	var kind, name, uid, fieldPath, cluster string
	for k, v := range resource.All() {
		switch k {
		case "k8s.object.kind":
			kind = v.Str()
		case "k8s.object.name":
			name = text(v)
		case "k8s.object.uid":
			uid = text(v)
		case "k8s.object.fieldpath":
			fieldPath = text(v)
		case "k8s.cluster.name":
			cluster = text(v)
		}
	}
	e := event{message: cut(message(lr.Body()), maxText), at: sc.past(when(lr))}
	var take func(*scratch, *event)
	switch kind {
	case "Pod":
		if take = podEvents[reason.Str()]; take == nil {
			return
		}
		e.src = sc.x.inPod(&sourceID{podUID: uid, container: inBraces(fieldPath)})
		if e.src == nil {
			sc.x.skips.add(skipUnknownPod)
			return
		}
	case "Node":
		if take = nodeEvents[reason.Str()]; take == nil || name == "" {
			return
		}
		e.node, e.src = true, sc.x.source(&sourceID{host: name, cluster: cluster})
	default:
		return
	}
	take(sc, &e)
}

// inBraces returns `c` of `spec.containers{c}`.
func inBraces(path string) string {
	_, rest, _ := strings.Cut(path, "{")
	name, _, _ := strings.Cut(rest, "}")
	return name
}

func (sc *scratch) fact(e *event, kind engine.FactKind) {
	sc.out.Facts = append(sc.out.Facts, engine.Fact{Source: e.src, Kind: kind, At: e.at, Text: line(e.message)})
}

// unhealthy is the kubelet's word that its probe of a container failed.
func (sc *scratch) unhealthy(e *event) {
	target, _, _ := strings.Cut(e.message, " ") // Liveness, Readiness or Startup
	o := words().read(e.message).outcome()
	if strings.Contains(e.message, "statuscode: 5") {
		o = engine.OutcomeServerError
	}
	sc.out.Probes = append(sc.out.Probes, engine.Probe{
		Stamp: engine.Stamp{Observer: sc.x.observer, At: sc.now}, Source: e.src,
		Target: "kubelet:" + strings.ToLower(own(cut(target, 16))), Outcome: o, Interval: kubeletEvery,
		Message: line(e.message), Direct: true,
	})
}
