// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Who is meant by those who do not know services: the kubelet, Docker, the
// host's agent and Kubernetes' events name pods, containers and processes. The
// telemetry of a service tells in which of them it runs, each SDK by other names:
// the pod's uid, the container's id, or only a host name, which is the pod's name
// in Kubernetes and the beginning of the container's id in Docker.

// podKey is a pod, a named container in a pod, or a container by its id; or,
// with the kind of name before the name, anything else that a source runs in.
type podKey struct{ uid, container string }

func (k *podKey) hash() uint64 { return mixString(mixString(1, k.uid), k.container) }

// Kinds of names. No uid looks like them.
const (
	byName      = "name "        // of a pod without its namespace, or of a host
	byNamespace = "in "          // + namespace: name of a pod
	byPID       = "pid on "      // + host: process.pid
	byHost      = "on "          // + host: service.name
	byWorkload  = "deployed in " // + namespace: name of a deployment, or of another workload
	byService   = "called"       // service.name
)

// several stands for a name that more than one service goes by.
var several = &report.Source{}

// index makes a source findable by its pod, container and process. The latest to
// speak for a name stands for it.
func (x *Extractor) index(id *sourceID, src *report.Source) {
	set := func(uid, container string) { x.name(podKey{uid, container}, src, false) }
	if id.podUID != "" {
		set(id.podUID, "")
		if id.container != "" {
			set(id.podUID, id.container)
		}
	}
	if id.containerID != "" {
		set("", id.containerID)
	}
	name := id.podName
	if name == "" {
		name = id.hostName
	}
	if name != "" {
		x.name(podKey{byName, name}, src, true)
	}
	if id.podName != "" && id.podNamespace != "" {
		set(byNamespace+id.podNamespace, id.podName)
	}
	if workload := id.workloadName(); workload != "" {
		set(byWorkload+id.podNamespace, workload)
	}
	if !id.outside {
		x.name(podKey{byService, id.name}, src, true)
	}
	if id.podUID == "" && id.podName == "" && id.containerID == "" && id.hostName != "" {
		x.name(podKey{byHost + id.hostName, id.name}, src, true)
	}
	// Inside a container a pid is another than on the host.
	if id.podUID == "" && id.podName == "" && id.containerID == "" && id.hostName != "" && len(id.pid) > 1 {
		set(byPID+id.hostName, id.pid)
	}
}

// name gives a source a name to be found by. A scrape names the service after
// its job: what the service says of itself comes first. shared is whether more
// than one may go by the name, which then is nobody's.
func (x *Extractor) name(key podKey, src *report.Source, shared bool) {
	h := key.hash()
	if before := x.pods.get(h, &key); before != nil && before.ServiceKey != src.ServiceKey {
		old, now := hostAndPort(before.Instance), hostAndPort(src.Instance)
		switch {
		case src.Outside && !before.Outside && before != several:
			return
		case before.Outside && !src.Outside:
		case now && !old && before != several:
			return
		case shared && (old == now || before == several):
			src = several
		}
	}
	x.pods.set(h, key, src)
}

func (x *Extractor) find(uid, container string) *report.Source {
	key := podKey{uid, container}
	src := x.pods.get(key.hash(), &key)
	if src == several {
		return nil
	}
	return src
}

// inPod returns the service's instance that runs in a container or, if none is
// named or known, in its pod; nil if nobody there has been heard of.
func (x *Extractor) inPod(id *sourceID) *report.Source {
	if id.containerID != "" {
		if src := x.find("", id.containerID); src != nil {
			return src
		}
	}
	if id.podUID != "" || id.podName != "" {
		if id.podUID != "" && id.container != "" {
			if src := x.find(id.podUID, id.container); src != nil {
				return src
			}
		}
		if beside(id.container) {
			return nil
		}
		if id.podUID != "" {
			if src := x.find(id.podUID, ""); src != nil {
				return src
			}
		}
		if id.podName == "" {
			return nil
		}
		src := x.find(byNamespace+id.podNamespace, id.podName)
		if src == nil {
			src = x.find(byName, id.podName)
		}
		if src != nil && src.PodUID != "" && id.podUID != "" && src.PodUID != id.podUID {
			return nil // another pod of that name
		}
		return src
	}
	return x.inContainer(id)
}

// inContainer finds by its host name who runs in a container of Docker: by
// default the beginning of its id. A host name that somebody chose counts only
// if the container is named alike: all that share the host's network share its
// name.
func (x *Extractor) inContainer(id *sourceID) *report.Source {
	const short = 12
	if len(id.containerID) > short {
		if src := x.find(byName, id.containerID[:short]); src != nil {
			return src
		}
	}
	if id.containerHost == "" || !strings.Contains(id.containerName, id.containerHost) {
		return nil
	}
	return x.find(byName, id.containerHost)
}

// beside says whether a container is one that is put beside others in their
// pods: what befalls it does not befall them.
func beside(container string) bool {
	switch container {
	case "istio-proxy", "istio-init", "linkerd-proxy", "linkerd-init", "envoy", "envoy-sidecar", "consul-dataplane",
		"otc-container", "otel-collector", "otc-agent", "jaeger-agent", "fluent-bit", "fluentd", "filebeat", "promtail",
		"vault-agent", "vault-agent-init", "cloud-sql-proxy", "cloudsql-proxy", "daprd", "queue-proxy", "aws-xray-daemon",
		"datadog-agent", "config-reloader", "git-sync":
		return true
	}
	return strings.HasPrefix(container, "opentelemetry-auto-instrumentation")
}

// inProcess returns the service's instance that is a process of a host.
func (x *Extractor) inProcess(id *sourceID) *report.Source {
	if id.pid == "" || id.hostName == "" || id.name != "" {
		return nil
	}
	return x.find(byPID+id.hostName, id.pid)
}
