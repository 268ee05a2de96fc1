// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// hostState is a host as far as the engine has to know it: where it stands, and
// who was heard last on it, so that a silent process can be told from a silent
// host.
type hostState struct {
	name     string
	zone     string       // "" while nobody told
	observer *observer    // the latest that looks from there, or nil
	levels   *levels      // nil while nobody told
	levelsAt clock.Time   // when an agent there told how full something is
	fallen   fallenNode   // evidence_node.go
	flows    flowTable    // flowtable.go
	born     clock.Time   // when it was first named
	told     stat.Cadence // of signs from it
	doubted  clock.Time   // when it last was the only one to find fault with several
	since    clock.Time   // when the current unbroken run of signs began
	spans    stat.Cadence // of spans from it
	spanEnd  clock.Time   // end of its latest span, event time
	recent   [2]struct {
		entity *entity
		at     clock.Time
	}
	stepped clock.Time  // pairclocks.go: when its clock was last told to have stepped
	wrote   report.Fact // evidence_ending.go: the last line there of a want, of nobody known
	starts  clock.Time  // when a process on it last started
	stops   report.Fact // evidence_ending.go: the last line there of a stop in order, of nobody known
	resumed clock.Time  // when somebody on it went on after a break in its heartbeats
	worked  [2]struct { // the same by event times of their calls
		entity *entity
		at     clock.Time
	}
}

// busy notes that n answered or made a call that ended at t.
func (h *hostState) busy(n *entity, t clock.Time) {
	if h.worked[0].entity != n {
		if h.worked[0].at >= t {
			if h.worked[1].entity == n || h.worked[1].at < t {
				h.worked[1].entity, h.worked[1].at = n, t
			}
			return
		}
		h.worked[1] = h.worked[0]
		h.worked[0].entity = n
	}
	h.worked[0].at = max(h.worked[0].at, t)
}

// awakeAfter is when somebody other than n was last heard, or worked, on the host,
// if that is after t; else 0. What worked tells best: its times are its own.
func (h *hostState) awakeAfter(n *entity, t clock.Time) clock.Time {
	for _, r := range h.worked {
		if r.entity != nil && r.entity != n && r.at > t {
			return r.at
		}
	}
	if o := h.observer; o != nil && o.ownBeat && o.seen > t && !o.justWoke() {
		return o.seen
	}
	for _, r := range h.recent {
		if r.entity != nil && r.entity != n && r.at.Add(-underWay) > t {
			return r.at // it may have been under way, and is no older than that
		}
	}
	return 0
}

// heard notes a sign of life of n.
func (h *hostState) heard(n *entity, now clock.Time) {
	if h.since == 0 || now.Sub(h.told.Last) > brokenAfter+2*h.told.Every {
		h.since = now
	}
	h.told.Saw(now)
	if h.recent[0].entity != n {
		h.recent[1] = h.recent[0]
		h.recent[0].entity = n
	}
	h.recent[0].at = now
}

// spoke notes that spans came from the host, the latest of which ended at a time.
func (h *hostState) spoke(end, now clock.Time) {
	if h != nil {
		h.spans.Saw(now)
		h.spanEnd = max(h.spanEnd, min(end, now))
	}
}

// heardLast is when the host is last known to have lived, 0 if it never was. What
// comes of signs may have been under way for a moment; spans tell when they ended.
func (h *hostState) heardLast() clock.Time {
	last := h.spanEnd
	if h.told.Last != 0 {
		last = max(last, h.told.Last.Add(-underWay))
	}
	return last
}

// livesAfter says whether anybody on the host, or its observer, is known to have
// lived after t.
func (h *hostState) livesAfter(t clock.Time) bool {
	return h.heardLast() > t || h.observer != nil && h.observer.lived > t
}

// speaks says whether something comes from the host at its usual pace.
func (h *hostState) speaks(now clock.Time) bool {
	usual := func(c *stat.Cadence) bool { return c.Last != 0 && now.Sub(c.Last) < shortView+3*c.Every }
	return usual(&h.told) || usual(&h.spans)
}

// brokenAfter, and twice the usual time between two signs, breaks a run of them.
const brokenAfter = 2 * time.Second

// other is somebody else who was heard on the host after t, or nil.
func (h *hostState) other(n *entity, t clock.Time) *entity {
	for _, r := range h.recent {
		if r.entity != nil && r.entity != n && r.at > t {
			return r.entity
		}
	}
	return nil
}

// shared says whether somebody else than n, or an observer, is known on the host.
func (h *hostState) shared(n *entity) bool {
	if h == nil {
		return false
	}
	for i := range h.recent {
		if a, b := h.recent[i].entity, h.worked[i].entity; a != nil && a != n || b != nil && b != n {
			return true
		}
	}
	return h.observer != nil
}

// host returns the state of a host, new if need be; nil without a name.
func (e *Engine) host(name string) *hostState {
	if name == "" {
		return nil
	}
	h := e.hosts[name]
	if h == nil {
		if len(e.hosts) >= 2*e.params.MaxInstances {
			e.pruneHosts()
		}
		h = &hostState{name: name, born: e.now}
		e.hosts[name] = h
		e.nameHost(h)
	}
	return h
}

// pruneHosts forgets the hosts on which nobody is known to stand. There are at
// most as many others as entities and observers.
func (e *Engine) pruneHosts() {
	used := make(map[string]*hostState, len(e.hosts)/2)
	for _, n := range e.reg.byKey {
		if n.host != nil && n.host.name != "" {
			used[n.host.name] = n.host
		}
	}
	for _, o := range e.observerList {
		if h := e.hosts[o.host]; h != nil {
			used[o.host] = h
		}
	}
	e.stats.ForgottenHosts += uint64(len(e.hosts) - len(used))
	e.hosts = used
	clear(e.hostNames)
	for _, h := range used {
		e.nameHost(h)
	}
}

// locate puts n on the host that src names. Who names none stands on a host of
// its own, known by no name.
func (e *Engine) locate(n *entity, src *report.Source) {
	host := src.Host
	if n.node != "" {
		host = n.node
	}
	switch {
	case host != "" && (n.host == nil || n.host.name != host):
		n.host = e.host(host)
	case n.host == nil:
		n.host = &hostState{}
	}
	if src.Zone != "" {
		n.host.zone = src.Zone
	}
	if src.Version != "" {
		n.version = src.Version
		n.service.runs(src.Version, e.now)
	}
}

// described is n as an event tells of it. Not all who tell of it say where it runs, and whose
// word came last must not change what its events have in common.
func (n *entity) described() *report.Source {
	if n.kind != kindInstance || n.src.Host != "" || n.supposed || n.host == nil || n.host.name == "" {
		return n.src
	}
	s := *n.src
	s.Host = n.host.name
	return &s
}

// placed takes in what an agent tells of where an instance runs.
func (e *Engine) placed(p *report.Place) {
	if n := e.instance(p.Source); n != nil && p.Host != "" && n.node != p.Host {
		n.node = p.Host
		e.locate(n, n.src)
	}
}

// side is one end of a cut: everything in a zone, on a host, or one entity. The
// zero side is everywhere else.
type side struct {
	zone   string
	here   *hostState // of a zone: the engine's own place too, if it stands there
	host   *hostState
	entity *entity
	all    *service // every instance of it
	door   bool     // of an entity: what comes to it, not what it calls
}

func (s *side) has(h *hostState, n *entity) bool {
	switch {
	case s.entity != nil:
		return n == s.entity
	case s.all != nil:
		return n != nil && n.service == s.all
	case s.host != nil:
		return h == s.host
	case s.zone != "":
		return h != nil && (h.zone == s.zone || h == s.here)
	}
	return true
}

func (s *side) anywhere() bool { return s.place() && s.host == nil && s.zone == "" }

// place says whether the side is a place, and not one entity, or all of a service, wherever
// they stand.
func (s *side) place() bool { return s.entity == nil && s.all == nil }

// within says whether s is t or a part of it.
func (s *side) within(t *side) bool {
	switch {
	case *s == *t:
		return !s.anywhere()
	case s.entity != nil:
		return t.has(s.entity.host, s.entity) && !t.anywhere()
	case s.host != nil:
		return t.zone != "" && s.host.zone == t.zone
	}
	return false
}

// name is what people call the side.
func (s *side) name() string {
	switch {
	case s.entity != nil:
		return s.entity.name()
	case s.all != nil:
		return s.all.id.Name
	case s.host != nil:
		return s.host.name
	}
	return s.zone
}

// moreThanTwoZones says whether the sights tell of three zones or more. Of two, one and
// the engine are cut off from the other where that is cut off from them.
func moreThanTwoZones(sights []sight) bool {
	var first, second string
	for i := range sights {
		for _, h := range [...]*hostState{sights[i].from, sights[i].to} {
			switch {
			case h == nil || h.zone == "" || h.zone == first || h.zone == second:
			case first == "":
				first = h.zone
			case second == "":
				second = h.zone
			default:
				return true
			}
		}
	}
	return false
}
