// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// habits are the choices that a whole fleet has in common: how it is deployed
// and what it tells about itself.
type habits struct {
	Level      string        `json:"level"`   // "spans", "spans+host", "all"
	Agents     string        `json:"agents"`  // "none", "zone", "host"
	Address    string        `json:"address"` // how callees are named: "instance", "virtual", "name", "mixed"
	BeatEvery  time.Duration `json:"beat_every"`
	SignEvery  time.Duration `json:"sign_every"`
	FlushEvery time.Duration `json:"flush_every"`
	ProbeEvery time.Duration `json:"probe_every"`
	Beats      bool          `json:"beats"`
	Signs      bool          `json:"signs"`
	Logs       bool          `json:"logs"`
	Exits      bool          `json:"exits"`   // a supervisor tells exit codes
	Kernel     bool          `json:"kernel"`  // somebody tells of out-of-memory kills
	Process    bool          `json:"process"` // agents look at processes of their host
	Levels     bool          `json:"levels"`  // metrics tell how much of each limit is used
	Probes     float64       `json:"probes"`  // share of the targets that are probed over the network
	Zoned      bool          `json:"zoned"`   // telemetry names the zone
	Drawn      bool          `json:"drawn"`   // ids are drawn anew at each start
	Announces  bool          `json:"announces"`
	Orchestra  bool          `json:"orchestrated"` // dead replicas leave the balancer, the dead are started anew
	Breakers   bool          `json:"breakers"`
	Digests    bool          `json:"digests"`
	Signed     bool          `json:"signed"` // heartbeats prove who sent them
	Noise      float64       `json:"noise"`  // share of calls that fail for no reason
}

type zone struct {
	name  string
	hosts []*host
}

type host struct {
	name  string
	zone  *zone
	procs []*proc
	agent *agent
	clock []effect // how far its clock is off, in seconds
	life  timeline // of the machine
}

type serviceKind int

const (
	application serviceKind = iota
	database                // no telemetry of its own
	external                // the same, somewhere outside
	proxy                   // passes calls on, no telemetry
)

type service struct {
	name    string
	kind    serviceKind
	layer   int
	id      report.ServiceID
	version string
	procs   []*proc
	uses    []*dependency

	beats, signs, logs bool
	median             time.Duration // of its own work
	sigma              float64
	capacity           float64       // seconds of work that one replica does in a second
	asked              float64       // usual requests a second to one replica
	sheds              bool          // turns away what would wait too long
	queue              time.Duration // longest wait
	phases             bool          // its client library tells connect from request time-outs
	bare               bool          // its client library says "unavailable" and no more
	validates          bool          // it notices wrong answers
	translates         bool          // it answers 503, not 500, where somebody that it needs failed
	port               int
}

// dependency is a service's use of another.
type dependency struct {
	of, on     *service
	share      float64 // of the requests that need it
	timeout    time.Duration
	connect    time.Duration
	retries    int
	needed     bool // without an answer the request fails
	addressing string
}

type proc struct {
	svc     *service
	host    *host
	id      string
	address string
	life    timeline
	effects []effect
	version string

	clock    uint64        // heartbeats' own count
	busy     time.Duration // work that waits
	seenAt   time.Duration // when that was counted
	work     time.Duration // done so far
	arrivals int           // requests so far
	restarts int
	ends     []ending
	known    time.Duration // balancers have heard of it from then on
	off      []effect      // times for which it was taken off the balancers in advance
	conns    map[*proc]*connection
	breaker  map[*service]*breaker
	sources  map[uint64]*report.Source
	out      exporter
}

type connection struct {
	open bool
	inc  uint64        // of the process at its other end
	till time.Duration // it is given up then, because a call on it timed out; 0 if not
}

type breaker struct {
	failures int
	until    time.Duration
}

// agent is a Collector beside the services: it receives, probes and passes on.
type agent struct {
	id      string
	host    *host
	life    timeline
	born    time.Duration // its uptime counts from here; before the episode
	seq     uint64
	targets []*target
	pending *report.Batch
	lies    effect // a time in which it says that everybody is down
	lag     time.Duration
}

func (a *agent) uptime(now time.Duration) time.Duration { return now - a.born }

// fleet builds a random fleet.
func (w *world) fleet() {
	d := w.dice
	h := &w.habits
	h.Level = pick(d, "spans", "spans+host", "all", "all", "all")
	h.Agents = pick(d, "none", "zone", "zone", "host")
	h.Address = pick(d, "instance", "virtual", "name", "mixed")
	h.BeatEvery = pick(d, time.Second, time.Second, 2*time.Second, 5*time.Second)
	h.SignEvery = pick(d, 10*time.Second, 15*time.Second, 30*time.Second)
	h.FlushEvery = pick(d, time.Second, 2*time.Second, 5*time.Second, 10*time.Second)
	h.ProbeEvery = pick(d, 2*time.Second, 5*time.Second, 10*time.Second)
	h.Zoned, h.Drawn = d.chance(0.85), d.chance(0.3)
	h.Orchestra, h.Breakers, h.Digests = d.chance(0.6), d.chance(0.2), d.chance(0.4)
	h.Signed = d.chance(0.4)
	h.Noise = d.real(0, 0.002)
	if h.Level != "spans" {
		h.Logs, h.Exits, h.Kernel = d.chance(0.7), d.chance(0.6), d.chance(0.7)
		h.Levels = d.chance(0.7)
		h.Process = h.Agents == "host" && d.chance(0.8)
	}
	h.Signs = h.Level == "all" || h.Level == "spans+host" && d.chance(0.5)
	h.Beats = h.Level == "all"
	h.Announces = (h.Beats || h.Logs) && d.chance(0.7)
	if h.Level == "all" && d.chance(0.7) {
		h.Probes = d.real(0.4, 1)
	}

	w.places()
	w.services()
	w.observers()
}

func (w *world) places() {
	d := w.dice
	for i := range d.number(2, 4) {
		z := &zone{name: fmt.Sprintf("zone-%c", 'a'+i)}
		for j := range d.number(2, 4) {
			x := &host{name: fmt.Sprintf("node-%c%d", 'a'+i, j+1), zone: z}
			z.hosts = append(z.hosts, x)
			w.hosts = append(w.hosts, x)
		}
		w.zones = append(w.zones, z)
	}
	z := pick(d, w.zones...)
	w.gateway = &host{name: "gateway-host", zone: z}
	w.outside = &host{name: "outside", zone: &zone{name: "internet"}}
}

func (w *world) services() {
	d := w.dice
	count := d.number(5, 30)
	layers := d.number(2, 4)
	names := []string{"cart", "order", "payment", "stock", "user", "search", "price", "mail", "report", "rate"}
	byLayer := make([][]*service, layers+1)
	for i := range count {
		layer := i * layers / count
		if i == 0 {
			layer = 0
		}
		s := w.service(fmt.Sprintf("%s-%d", names[i%len(names)], i), application, layer)
		byLayer[layer] = append(byLayer[layer], s)
	}
	for i := range d.number(1, 3) {
		s := w.service(fmt.Sprintf("db-%d", i), database, layers)
		byLayer[layers] = append(byLayer[layers], s)
	}
	if d.chance(0.6) {
		s := w.service("api.partner.example", external, layers)
		byLayer[layers] = append(byLayer[layers], s)
	}
	for layer := range layers {
		for _, s := range byLayer[layer] {
			for range d.number(1, 3) {
				below := byLayer[d.number(layer+1, layers)]
				if len(below) > 0 {
					w.use(s, pick(d, below...))
				}
			}
		}
	}
	// Whoever nobody calls gets a caller above it.
	for layer := 1; layer <= layers; layer++ {
		for _, s := range byLayer[layer] {
			if !w.called(s) {
				w.use(pick(d, byLayer[d.IntN(layer)]...), s)
			}
		}
	}
	w.entries = byLayer[0]
	if d.chance(0.3) {
		w.interpose()
	}
	w.provide()
}

// provide gives the fleet as many requests as it is made for, and each service
// room for several times its usual load.
func (w *world) provide() {
	flow := map[*service]float64{}
	for _, s := range w.entries {
		flow[s] = 1 / float64(len(w.entries))
	}
	total := 0.0
	byLayer := append([]*service(nil), w.all...)
	slices.SortStableFunc(byLayer, func(a, b *service) int {
		return cmp.Or(cmp.Compare(a.layer, b.layer), cmp.Compare(b.kind, a.kind)) // a proxy before whom it serves
	})
	for _, s := range byLayer {
		for _, u := range s.uses {
			flow[u.on] += flow[s] * u.share
			total += flow[s] * u.share
		}
	}
	w.rate = min(w.rate, w.real(60, 160)/max(total, 1))
	for _, s := range w.all {
		mean := s.median.Seconds() * math.Exp(s.sigma*s.sigma/2)
		load := flow[s] * w.rate * mean / float64(len(s.procs))
		s.capacity = max(0.5, load*w.real(4, 12))
		s.asked = flow[s] * w.rate / float64(len(s.procs))
	}
}

func (w *world) called(s *service) bool {
	for _, c := range w.all {
		for _, u := range c.uses {
			if u.on == s {
				return true
			}
		}
	}
	return false
}

func (w *world) service(name string, kind serviceKind, layer int) *service {
	d := w.dice
	s := &service{
		name: name, kind: kind, layer: layer, version: "1.4.2",
		id:     report.ServiceID{Name: name, Environment: "prod"},
		median: d.around(6*time.Millisecond, 0.8), sigma: d.real(0.3, 0.8),
		capacity: float64(d.number(4, 16)), sheds: d.chance(0.5), queue: d.span(time.Second, 4*time.Second),
		phases: d.chance(0.7), bare: d.chance(0.12), validates: d.chance(0.5), translates: d.chance(0.5), port: d.number(3000, 9999),
	}
	if kind == application {
		s.beats = w.habits.Beats && d.chance(0.85)
		s.signs = w.habits.Signs && d.chance(0.85)
		s.logs = w.habits.Logs && d.chance(0.9)
	}
	replicas := d.number(1, 4)
	if kind == external || kind == database {
		replicas = 1
	}
	if kind == proxy {
		replicas = d.number(1, 2)
	}
	at := d.Perm(len(w.hosts))
	for i := range replicas {
		h := w.hosts[at[i%len(at)]]
		if kind == external {
			h = w.outside
		}
		w.proc(s, h, i)
	}
	w.all = append(w.all, s)
	return s
}

func (w *world) proc(s *service, h *host, i int) *proc {
	w.started++
	p := &proc{
		svc: s, host: h, id: fmt.Sprintf("%s-r%d", s.name, i), version: s.version,
		address: fmt.Sprintf("10.%d.%d.%d:%d", len(w.all)+1, i, w.number(1, 250), s.port),
		conns:   map[*proc]*connection{}, breaker: map[*service]*breaker{}, sources: map[uint64]*report.Source{},
	}
	p.life.set(0, running, w.incarnation())
	s.procs = append(s.procs, p)
	h.procs = append(h.procs, p)
	w.procs = append(w.procs, p)
	return p
}

func (w *world) use(s, on *service) *dependency {
	d := w.dice
	for _, u := range s.uses {
		if u.on == on {
			return u
		}
	}
	way := w.habits.Address
	if way == "mixed" || on.kind == external {
		way = pick(d, "instance", "virtual", "name")
	}
	u := &dependency{
		of: s, on: on, share: d.real(0.4, 1), needed: d.chance(0.75), retries: pick(d, 0, 0, 1, 2),
		timeout: d.span(time.Second, 3*time.Second) + w.patience*time.Duration(max(0, 4-s.layer)), connect: d.span(700*time.Millisecond, 2500*time.Millisecond), addressing: way,
	}
	s.uses = append(s.uses, u)
	return u
}

// interpose puts a proxy before a service: its callers see only the proxy.
func (w *world) interpose() {
	var behind []*service
	for _, s := range w.all {
		if s.layer > 0 && s.kind == application {
			behind = append(behind, s)
		}
	}
	if len(behind) == 0 {
		return
	}
	s := pick(w.dice, behind...)
	px := w.service("ingress-"+s.name, proxy, s.layer)
	px.median = 300 * time.Microsecond
	for _, c := range w.all {
		for _, u := range c.uses {
			if u.on == s {
				u.on = px
			}
		}
	}
	u := w.use(px, s)
	u.share, u.needed, u.addressing = 1, true, "instance"
	w.proxied = s
}
