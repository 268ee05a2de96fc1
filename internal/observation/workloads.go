// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Databases, brokers, controllers and webhooks write no telemetry of their own, but their
// log is read, the kubelet measures them, and Kubernetes tells how they end. Such a pod
// goes by the name of its workload, which mostly is the one by which it is called, too.

// ownWordWithin is how long a pod may take to speak for itself after it was first heard
// of: what looks at pods speaks sooner than an SDK, which exports every minute.
const ownWordWithin = 90 * time.Second

// firstHeardOf is the state in which is kept when a pod was first heard of.
const firstHeardOf = "first heard of"

// inPodOrWorkload returns who runs in a pod: the service that says so, else the pod as
// one of its workload. It is nil for a pod that may still speak for itself, of which no
// workload is known, or where the container is one that is put beside others.
func (x *Extractor) inPodOrWorkload(id *sourceID, now clock.Time) *report.Source {
	if src := x.inPod(id); src != nil {
		return src
	}
	name := id.workloadName()
	if id.podUID == "" || name == "" || beside(id.container) {
		return nil
	}
	first := stateID{pod: podKey{uid: id.podUID}, what: firstHeardOf}
	since, known := x.state(first)
	if !known {
		x.changed(first, int64(now))
		return nil
	}
	if now.Sub(clock.Time(since)) < ownWordWithin {
		return nil
	}
	pod := sourceID{
		name: name, namespace: id.podNamespace, environment: id.environment, cluster: id.cluster,
		podUID: id.podUID, podName: id.podName, podNamespace: id.podNamespace, workload: name, host: id.node, outside: true,
	}
	// Others of the workload tell which service they are, or the service tells no pod.
	other := x.find(byWorkload+id.podNamespace, name)
	if other == nil {
		other = x.find(byService, name)
	}
	if other != nil {
		s := other.Service
		pod.name, pod.namespace, pod.environment, pod.cluster = s.Name, s.Namespace, s.Environment, s.Cluster
	}
	return x.source(&pod)
}

// workloadName is the name of the workload that a pod is one of, as somebody tells it or
// as the pod's name has it; "" for a pod by itself and for one of a job, which is to end.
func (id *sourceID) workloadName() string {
	if id.workload != "" {
		return id.workload
	}
	name, last, ok := cutLast(id.podName)
	if !ok {
		return ""
	}
	if ordinal(last) {
		return name // of a stateful set
	}
	if of, set, ok := cutLast(name); ok && drawnName(last, 5, 5) && drawnName(set, 8, 10) {
		return of // of a deployment, whose sets of replicas are named by a hash
	}
	return ""
}

func cutLast(name string) (before, last string, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}

// ordinal says whether s is a number as a stateful set counts its pods.
func ordinal(s string) bool {
	for i := range len(s) {
		if s[i]-'0' > 9 {
			return false
		}
	}
	return len(s) == 1 || len(s) > 1 && len(s) < 5 && s[0] != '0'
}

// drawnName says whether Kubernetes may have drawn or hashed s: of letters and digits that
// make no words. All digits is the minute for which a job was scheduled.
func drawnName(s string, least, most int) bool {
	letters := false
	for i := range len(s) {
		if strings.IndexByte("bcdfghjklmnpqrstvwxz2456789", s[i]) < 0 {
			return false
		}
		letters = letters || s[i] > '9'
	}
	return len(s) >= least && len(s) <= most && (letters || least == most)
}
