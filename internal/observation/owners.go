// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// owner returns of whom a point speaks: somebody known, or the address of a
// server that has no telemetry of its own.
func (r *metricResource) owner(w whose, attrs pcommon.Map) (*report.Source, string) {
	switch w {
	case itsHost:
		if host := r.host(attrs); host != "" {
			return r.x.source(&sourceID{host: host, cluster: r.id.cluster}), ""
		}
		return nil, ""
	case itsPod:
		id, ok := labelled(attrs)
		if !ok {
			return nil, ""
		}
		id.cluster = r.id.cluster
		return r.x.inPodOrWorkload(&id, r.now), ""
	}
	if !r.looked {
		r.looked = true
		r.self, r.address = r.subject()
	}
	return r.self, r.address
}

// subject is whom the resource speaks of.
func (r *metricResource) subject() (*report.Source, string) {
	id := &r.id
	if id.podUID != "" || id.containerID != "" || id.podName != "" && id.name == "" {
		src := r.x.inPod(id)
		if src == nil && id.name == "" {
			src = r.x.inPodOrWorkload(id, r.now)
		}
		if src != nil {
			return src, ""
		}
		if id.name == "" {
			r.x.skips.add(skipUnknownPod)
			return nil, "" // not its host
		}
	}
	if id.pid != "" && id.name == "" {
		return r.x.inProcess(id), ""
	}
	if r.src != nil && r.src.Key != 0 {
		return r.src, ""
	}
	if address := r.server(); address != "" {
		return nil, address
	}
	return r.src, ""
}

// server is the address of the server that the resource speaks of, as receivers
// of databases tell it; "" if it is told as a loopback one: of which host?
func (r *metricResource) server() string {
	host, port := "", int32(0)
	for k, v := range r.attrs.All() {
		switch k {
		case "server.address":
			host = text(v)
		case "server.port":
			port = number(v)
		case "mysql.instance.endpoint":
			host = text(v)
		case "service.instance.id":
			if host == "" && hostAndPort(text(v)) {
				host = text(v)
			}
		}
	}
	if host == "" || loopback(host) || strings.HasPrefix(host, "localhost:") || strings.HasPrefix(host, "127.") {
		return ""
	}
	address, _ := canonical(host, port, 0, "")
	if !hostAndPort(address) {
		return ""
	}
	return address
}

// host is the name of the host that a point speaks of.
func (r *metricResource) host(attrs pcommon.Map) string {
	if r.uname(); r.nodeName != "" {
		return r.nodeName
	}
	for _, name := range [...]string{"node", "nodename"} {
		if s := word(attrs, name); s != "" {
			return s
		}
	}
	if r.id.host != "" {
		return r.id.host
	}
	host, _, _ := splitPort(r.id.instance)
	return host
}

// uname reads how node_exporter tells the name of its host.
func (r *metricResource) uname() {
	if r.unameRead || !scraped(r.scope) {
		return
	}
	r.unameRead = true
	for i := range r.metrics.Len() {
		if m := r.metrics.At(i); m.Name() == "node_uname_info" {
			points(m, func(p pmetric.NumberDataPoint, _ float64) { r.nodeName = attribute(p, "nodename") })
			return
		}
	}
}

// labelled is the pod or container that a point's labels name, as cAdvisor and
// kube-state-metrics write them.
func labelled(attrs pcommon.Map) (sourceID, bool) {
	id := sourceID{
		podUID: word(attrs, "uid"), podName: label(attrs, "exported_pod", "pod"),
		podNamespace: label(attrs, "exported_namespace", "namespace"), container: label(attrs, "exported_container", "container"),
	}
	if id.podName == "" && id.podUID == "" {
		// Docker's cgroup is named after the container.
		path := word(attrs, "id")
		last := path[strings.LastIndexByte(path, '/')+1:]
		last = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(last, "docker-"), "libpod-"), ".scope")
		if len(last) != 64 {
			return id, false
		}
		return sourceID{containerID: last}, true
	}
	return id, true
}

// label reads a label that Prometheus renames where the target's own pod has the
// same.
func label(attrs pcommon.Map, renamed, name string) string {
	if s := word(attrs, renamed); s != "" {
		return s
	}
	return word(attrs, name)
}

// placed tells on which node a pod or container runs and that the host's agent sees a process:
// its own telemetry may know neither.
func (r *metricResource) placed() {
	id := &r.id
	switch {
	case id.name != "":
	case id.pid != "":
		if src := r.x.inProcess(id); src != nil {
			r.out.Facts = append(r.out.Facts, report.Fact{Source: src, Kind: report.FactAlive, At: r.now})
		}
	case id.podUID != "" || id.containerHost != "":
		host := id.hostName
		if id.podUID != "" {
			host = word(r.attrs, "k8s.node.name")
		}
		if host == "" {
			return
		}
		src := r.x.inPod(id)
		if src != nil && src.Host != host {
			r.out.Places = append(r.out.Places, report.Place{Source: src, Host: r.x.node(host, "").Host})
		}
		if src != nil && src.Outside && strings.HasSuffix(r.scope, "/kubeletstatsreceiver") {
			r.out.Facts = append(r.out.Facts, report.Fact{Source: src, Kind: report.FactAlive, At: r.now})
		}
	}
}
