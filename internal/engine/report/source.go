// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

// ServiceID identifies a service. Staging is not production, and two clusters
// may run the same names.
type ServiceID struct {
	Name        string // service.name
	Namespace   string // service.namespace
	Environment string // deployment.environment.name
	Cluster     string // k8s.cluster.name
}

// Source is who a piece of telemetry speaks of, as its resource says. It is
// immutable once built by NewSource and may be shared between goroutines.
//
// An instance is known by its slot: the id that somebody configured, else the
// pod's uid, else service and host. Stock SDKs draw a new service.instance.id at
// each start, so such an id names an incarnation, not an instance.
type Source struct {
	Service  ServiceID
	Instance string // service.instance.id as reported, may be ""
	PodUID   string // k8s.pod.uid, may be ""
	Host     string // host.name, host.id or k8s.node.name, may be ""
	Zone     string // cloud.availability_zone, may be ""
	Group    string // site, feeder or cell that can fail as one, may be ""
	Version  string // service.version, may be ""
	Volatile bool   // Instance is drawn anew at each start (it is a UUID)
	Pod      string // k8s.pod.name where Instance is but its address, else ""
	Outside  bool   // it says nothing itself: Service is the name of its pod's workload, or of others of that

	// Incarnation tells one start of the process from the next; only equality
	// counts, 0 is unknown. From the process start time, else the drawn id.
	Incarnation uint64

	Key        uint64 // the instance's slot; 0 if the source has no service
	ServiceKey uint64 // the service; 0 if the source has no service
}

// NewSource fills in the keys of s and returns it. s must not change afterwards.
func NewSource(s Source) *Source {
	if s.Service.Name == "" {
		return &s
	}
	s.ServiceKey = s.Service.Key()
	h := Hash(s.ServiceKey, "")
	switch {
	case s.Instance != "" && !s.Volatile:
		h = Hash(Hash(h, "id"), s.Instance)
	case s.PodUID != "":
		h = Hash(Hash(h, "pod"), s.PodUID)
	case s.Instance != "":
		h = Hash(Hash(Hash(h, "drawn"), s.Host), s.Instance)
	default:
		h = Hash(Hash(h, "host"), s.Host)
	}
	s.Key = h
	if s.Incarnation == 0 && s.Volatile {
		s.Incarnation = Hash(HashSeed, s.Instance)
	}
	return &s
}

// Name is the instance's name for people: its id, unless that is an address of a pod or
// drawn anew at each start; else its service and host, else its host, else "".
func (s *Source) Name() string {
	if s.Pod != "" {
		return s.Pod
	}
	if s.Instance != "" && !s.Volatile {
		return s.Instance
	}
	if s.Host != "" && (s.Volatile || s.PodUID != "") {
		return s.Service.Name + "@" + s.Host
	}
	if s.Instance != "" {
		return s.Instance
	}
	if s.Host != "" && s.Service.Name != "" {
		return s.Service.Name + "@" + s.Host
	}
	return s.Host
}

// Key is the service in a number that stays the same across processes.
func (id ServiceID) Key() uint64 {
	h := Hash(HashSeed, id.Name)
	h = Hash(h, id.Namespace)
	h = Hash(h, id.Environment)
	return Hash(h, id.Cluster)
}

// FNV-1a, 64 bit: stable across processes, because keys are stored on disk.
const (
	HashSeed  uint64 = 14695981039346656037
	hashPrime uint64 = 1099511628211
)

// Hash continues h over s and a separator, so that ("ab","c") and
// ("a","bc") differ.
func Hash(h uint64, s string) uint64 {
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * hashPrime
	}
	return (h ^ 0xff) * hashPrime
}

// Untold says whether it tells no id of its own.
func (s *Source) Untold() bool { return s.Instance == "" && s.PodUID == "" }
