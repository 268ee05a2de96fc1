// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strconv"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// sourceID is all that a resource says of who it is, as it says it. Strings are
// at most maxName bytes long.
type sourceID struct {
	name, namespace, environment, cluster string
	instance, podUID, container           string
	containerID                           string
	host, zone, group, version            string
	created                               string // process.creation.time

	// Who else may speak of it, see joins.go.
	podName, podNamespace, workload string
	hostName, pid                   string // host.name and process.pid
	containerName, containerHost    string // as Docker has them
	node                            string // k8s.node.name
	outside                         bool   // it says nothing itself, see workloads.go
}

// text returns the string of an attribute that ought to be one; numbers are
// taken as their digits, anything else as absent.
func text(v pcommon.Value) string {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		return clip(v.Str())
	case pcommon.ValueTypeInt:
		return strconv.FormatInt(v.Int(), 10)
	}
	return ""
}

// identify reads the attributes that say who a resource is, by OpenTelemetry's
// semantic conventions for resources.
func identify(attrs pcommon.Map) sourceID {
	var id sourceID
	var oldEnvironment, hostID, imageTag, replicaSet string
	for k, v := range attrs.All() {
		switch k {
		case "service.name":
			id.name = text(v)
		case "service.namespace":
			id.namespace = text(v)
		case "service.instance.id":
			id.instance = text(v)
		case "service.version":
			id.version = text(v)
		case "deployment.environment.name":
			id.environment = text(v)
		case "deployment.environment":
			oldEnvironment = text(v)
		case "k8s.cluster.name":
			id.cluster = text(v)
		case "k8s.pod.uid":
			id.podUID = text(v)
		case "k8s.container.name":
			id.container = text(v)
		case "container.id":
			id.containerID = text(v)
		case "k8s.pod.name":
			id.podName = text(v)
		case "k8s.namespace.name":
			id.podNamespace = text(v)
		case "k8s.replicaset.name":
			replicaSet = text(v)
		case "container.image.tag":
			imageTag = text(v)
		case "k8s.deployment.name", "k8s.statefulset.name", "k8s.daemonset.name":
			id.workload = text(v)
		case "container.name":
			id.containerName = text(v)
		case "container.hostname":
			id.containerHost = text(v)
		case "process.pid":
			id.pid = text(v)
		case "k8s.node.name":
			id.node = text(v)
		case "host.name":
			id.hostName = text(v)
		case "host.id":
			hostID = text(v)
		case "cloud.availability_zone":
			id.zone = text(v)
		case "process.creation.time":
			id.created = text(v)
		}
	}
	if id.environment == "" {
		id.environment = oldEnvironment
	}
	// Who tells no version is told apart by what it was started from.
	if id.version == "" {
		id.version = imageTag
	}
	if id.version == "" {
		id.version = replicaSet
	}
	// The node comes before host.name, which in a pod is the pod's own name:
	// instances that fail together stand on one node.
	if id.host = id.node; id.host == "" {
		id.host = id.hostName
	}
	if id.host == "" {
		id.host = hostID
	}
	return id
}

func (id *sourceID) hash() uint64 {
	h := mixString(1, id.name)
	for _, s := range [...]string{
		id.namespace, id.environment, id.cluster, id.instance, id.podUID, id.container,
		id.containerID, id.host, id.zone, id.group, id.version, id.created,
		id.podName, id.podNamespace, id.workload, id.hostName, id.pid, id.containerName, id.containerHost, id.node,
	} {
		h = mixString(h, s)
	}
	if id.outside {
		h = mix(h, 1)
	}
	return h
}

// Source returns who a resource speaks of, the same pointer for the same
// identity while it is in use. It is nil if the resource names neither service
// nor host. `unknown_service:java` is a service of that name like any other.
func (x *Extractor) Source(res pcommon.Resource) *report.Source {
	id := identify(res.Attributes())
	return x.source(&id)
}

func (x *Extractor) source(id *sourceID) *report.Source {
	if id.name == "" && id.host == "" {
		return nil
	}
	h := id.hash()
	if src := x.sources.get(h, id); src != nil {
		return src
	}
	return x.newSource(h, id)
}

func (x *Extractor) newSource(h uint64, seen *sourceID) *report.Source {
	id := *seen
	for _, s := range []*string{
		&id.name, &id.namespace, &id.environment, &id.cluster, &id.instance, &id.podUID, &id.container,
		&id.containerID, &id.host, &id.zone, &id.group, &id.version, &id.created,
		&id.podName, &id.podNamespace, &id.workload, &id.hostName, &id.pid, &id.containerName, &id.containerHost, &id.node,
	} {
		*s = own(*s)
	}
	src := report.Source{
		Service:  report.ServiceID{Name: id.name, Namespace: id.namespace, Environment: id.environment, Cluster: id.cluster},
		Instance: id.instance,
		PodUID:   id.podUID,
		Host:     id.host,
		Zone:     id.zone,
		Group:    id.group,
		Version:  id.version,
		Volatile: drawn(id.instance),
		Outside:  id.outside,
	}
	if literal(id.instance) && hostAndPort(id.instance) {
		src.Pod = id.podName
	}
	if src.Instance == src.PodUID {
		// The pod's uid outlives restarts of the process in it: it is a slot,
		// not an incarnation.
		src.Instance, src.Volatile = "", false
	}
	src.Incarnation = incarnation(&id)
	// The cache compares with what was seen, so it keeps that; what was seen
	// may be invalid UTF-8 and is at most maxName long.
	stored := x.sources.put(h, *seen, report.NewSource(src))
	if stored.Service.Name != "" {
		x.index(&id, stored)
	}
	return stored
}

// incarnation tells one start of the process from the next: its start time in
// Unix ns, as heartbeats have it. A pid does not tell: in containers it is the
// same at each start.
func incarnation(id *sourceID) uint64 {
	if id.created == "" {
		return 0
	}
	if t, err := time.Parse(time.RFC3339Nano, id.created); err == nil && t.Unix() > 0 && t.Year() < 2262 {
		return uint64(t.UnixNano())
	}
	return mixString(1, id.created)
}

// drawn says whether an instance id was drawn at the start of the process: it
// is a UUID, and not one that is computed from names (versions 3 and 5), as the
// semantic conventions advise for ids that last.
func drawn(id string) bool {
	if len(id) != 36 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if c-'0' >= 10 && c|0x20-'a' >= 6 {
				return false
			}
		}
	}
	return id[14] != '3' && id[14] != '5'
}
