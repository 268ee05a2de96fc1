// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func (w *world) lasts(i *injection) {
	i.end = i.start + w.span(30*time.Second, 80*time.Second)
}

// cut closes the way from one group to another, both ways if asked.
func (w *world) cut(i *injection, a, b func(end) bool, both bool, r rule) {
	r.from, r.to = i.start, i.end
	r.hits = func(x, y end) bool { return a(x) && b(y) || both && a(y) && b(x) }
	i.cuts = func(p, q *proc) bool {
		x, y := end{p.host, p}, end{q.host, q}
		return r.hits(x, y) || r.hits(y, x)
	}
	w.rules = append(w.rules, r)
}

func inZone(z *zone) func(end) bool { return func(e end) bool { return e.host.zone == z } }
func outOf(z *zone) func(end) bool  { return func(e end) bool { return e.host.zone != z } }
func atHost(h *host) func(end) bool { return func(e end) bool { return e.host == h } }
func notAt(h *host) func(end) bool  { return func(e end) bool { return e.host != h } }

// within lists all machines of a zone, those of agents and of the gateway too.
func (w *world) within(z *zone) []*host {
	out := append([]*host(nil), z.hosts...)
	for _, a := range w.agents {
		if a.host.zone == z && !slices.Contains(out, a.host) {
			out = append(out, a.host)
		}
	}
	if w.gateway.zone == z {
		out = append(out, w.gateway)
	}
	return out
}

// closed is a rule that drops everything, or rejects it.
func (w *world) closed() rule { return rule{loss: 1, rejects: w.chance(0.3)} }

func zoneCut(w *world, i *injection) bool {
	z := w.anotherZone()
	if z == nil {
		return false
	}
	w.lasts(i)
	w.cut(i, inZone(z), outOf(z), true, w.closed())
	i.exact = isZone(z)
	i.near = anyOf(onHosts(z.hosts...), isLink(w.within(z), nil), nodesOf(z), func(c verdict.Culprit) bool {
		// The machine of the zone's agent stands in it and is cut off as well.
		return slices.ContainsFunc(w.within(z), func(h *host) bool { return isNode(h)(c) })
	})
	if !w.habits.Zoned {
		i.exact = anyOf(isZone(z), nodesOf(z))
	}
	i.oneSided = true
	i.what = z.name
	return true
}

func nodesOf(z *zone) func(verdict.Culprit) bool {
	return func(c verdict.Culprit) bool {
		return c.Type == verdict.CulpritNode && slices.ContainsFunc(z.hosts, func(h *host) bool { return h.name == c.Name })
	}
}

// anotherZone is a zone without the gateway whose services are called from
// others.
func (w *world) anotherZone() *zone {
	p := w.someone(func(p *proc) bool { return app(p) && p.host.zone != w.gateway.zone })
	if p == nil {
		return nil
	}
	return p.host.zone
}

// zonePair finds two zones between which calls go.
func (w *world) zonePair() (a, b *zone) {
	type pair struct{ a, b *zone }
	var pairs []pair
	for _, p := range w.procs {
		for _, q := range w.reached(p) {
			if p.host.zone != q.host.zone && q.host != w.outside && p.host != w.outside && app(p) {
				pairs = append(pairs, pair{p.host.zone, q.host.zone})
			}
		}
	}
	if len(pairs) == 0 {
		return nil, nil
	}
	got := pick(w.dice, pairs...)
	return got.a, got.b
}

// reached lists whom p has called.
func (w *world) reached(p *proc) (out []*proc) {
	for _, u := range p.svc.uses {
		for _, q := range u.on.procs {
			if p.conns[q] != nil && p.conns[q].open {
				out = append(out, q)
			}
		}
	}
	return out
}

func partial(oneWay bool, shape func(w *world) rule) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		a, b := w.zonePair()
		if a == nil {
			return false
		}
		w.lasts(i)
		w.cut(i, inZone(a), inZone(b), !oneWay, shape(w))
		i.exact = isLink(w.within(a), w.within(b))
		i.near = nobody
		if len(w.zones) == 2 {
			i.near = anyOf(isZone(a), isZone(b), nodesOf(a), nodesOf(b))
		}
		if !w.habits.Zoned {
			i.near = anyOf(i.near, isLink(w.within(a), nil), isLink(w.within(b), nil))
		}
		i.oneSided = a == w.gateway.zone || b == w.gateway.zone
		i.what = a.name + "→" + b.name
		return true
	}
}

func nodeCut(w *world, i *injection) bool {
	p := w.someone(app)
	if p == nil {
		return false
	}
	h := p.host
	w.lasts(i)
	w.cut(i, atHost(h), notAt(h), true, w.closed())
	i.exact, i.near = isNode(h), anyOf(onHosts(h), isLink([]*host{h}, nil))
	i.oneSided = true
	i.what = h.name
	return true
}

// portBlocked closes one service's port for one of its callers.
func portBlocked(w *world, i *injection) bool {
	p := w.someone(func(p *proc) bool { return app(p) && len(w.reached(p)) > 0 })
	if p == nil {
		return false
	}
	q := pick(w.dice, w.reached(p)...)
	if q.host == p.host {
		return false
	}
	w.lasts(i)
	w.cut(i, func(e end) bool { return e.proc == p }, func(e end) bool { return e.proc == q }, true, w.closed())
	i.exact = isLink([]*host{p.host}, []*host{q.host})
	i.near = nobody
	// Seen from one caller only: who else talks to it?
	i.oneSided = !w.others(p, q) && !w.looked(q) && !q.svc.beats
	if !p.svc.phases && !w.sibling(p, q) {
		i.oneSided = true // it is late for one who may ask something else than the others do
	}
	i.what = p.id + "→" + q.id
	return true
}

// others says whether anybody else calls q.
func (w *world) others(p, q *proc) bool {
	for _, o := range w.procs {
		if o != p && o.host != p.host && o.conns[q] != nil && o.conns[q].open {
			return true
		}
	}
	return false
}

// sibling says whether another instance of p's service calls q, too.
func (w *world) sibling(p, q *proc) bool {
	for _, o := range p.svc.procs {
		if o != p && o.conns[q] != nil && o.conns[q].open {
			return true
		}
	}
	return false
}

// splitBrain cuts two zones from each other in which replicas of one service go
// on by themselves. They need a while after the cut to agree again.
func splitBrain(w *world, i *injection) bool {
	for _, s := range w.all {
		if !s.beats || len(s.procs) < 2 {
			continue
		}
		a, b := s.procs[0].host.zone, s.procs[1].host.zone
		calls := func(x, y *zone) bool {
			for _, p := range w.procs {
				for _, q := range w.reached(p) {
					if p.host.zone == x && q.host.zone == y && app(p) {
						return true
					}
				}
			}
			return false
		}
		if a == b || !calls(a, b) && !calls(b, a) {
			continue
		}
		w.lasts(i)
		w.cut(i, inZone(a), inZone(b), true, w.closed())
		again := i.end + w.span(2*time.Second, 20*time.Second)
		for _, p := range s.procs {
			if z := p.host.zone; z == a || z == b {
				p.effects = append(p.effects, effect{from: i.start + w.span(0, 4*time.Second), to: again, kind: parted, x: 1})
			}
		}
		i.exact = anyOf(isLink(w.within(a), w.within(b)), isService(s))
		i.near = nobody
		if len(w.zones) == 2 {
			i.near = anyOf(isZone(a), isZone(b), nodesOf(a), nodesOf(b))
		}
		i.oneSided = a == w.gateway.zone || b == w.gateway.zone
		i.what = a.name + "→" + b.name + " " + s.name
		return true
	}
	return false
}

func lossy(w *world, i *injection) bool {
	return partial(false, func(w *world) rule { return rule{loss: w.real(0.2, 0.6)} })(w, i)
}

func slowLink(w *world, i *injection) bool {
	if !partial(false, func(w *world) rule { return rule{delay: w.span(80*time.Millisecond, 500*time.Millisecond)} })(w, i) {
		return false
	}
	i.oneSided = false
	i.cuts = nil // it makes calls slow
	return true
}

func flapping(w *world, i *injection) bool {
	return partial(false, func(w *world) rule {
		return rule{loss: 1, flap: w.span(4*time.Second, 10*time.Second)}
	})(w, i)
}

// nameLookup breaks for one service, or for everybody.
func nameLookup(w *world, i *injection) bool {
	p := w.someone(inner)
	if p == nil {
		return false
	}
	w.lasts(i)
	w.cut(i, func(e end) bool { return e.proc != nil }, func(e end) bool { return e.proc != nil && e.proc.svc == p.svc }, false, rule{dns: true})
	w.forget(p.svc, i.start)
	i.exact = anyOf(isService(p.svc), isLink(nil, hostsOf(p.svc)))
	i.near = procsOf(p.svc)
	i.what = p.svc.name
	return true
}

func hostsOf(s *service) (out []*host) {
	for _, p := range s.procs {
		out = append(out, p.host)
	}
	return out
}

func procsOf(s *service) func(verdict.Culprit) bool {
	var fs []func(verdict.Culprit) bool
	for _, p := range s.procs {
		fs = append(fs, isProc(p))
	}
	return anyOf(fs...)
}

// forget closes the connections to a service: what is new must be looked up.
func (w *world) forget(s *service, at time.Duration) {
	w.agenda.plan(at, func(time.Duration) {
		for _, p := range w.procs {
			for q, c := range p.conns {
				if q.svc == s {
					c.open = false
				}
			}
		}
	})
}

func expired(w *world, i *injection) bool {
	p := w.someone(inner)
	if p == nil {
		return false
	}
	w.lasts(i)
	w.cut(i, func(e end) bool { return e.proc != nil }, func(e end) bool { return e.proc != nil && e.proc.svc == p.svc }, false, rule{tls: true})
	w.forget(p.svc, i.start)
	i.exact = anyOf(isService(p.svc), procsOf(p.svc))
	i.near = isLink(nil, hostsOf(p.svc))
	i.what = p.svc.name
	return true
}

// gatewayCut: telemetry from a zone, or from all, does not arrive; the fleet
// itself is well.
func gatewayCut(one bool) func(w *world, i *injection) bool {
	return func(w *world, i *injection) bool {
		w.lasts(i)
		from := notAt(w.gateway)
		i.what = "all"
		i.exact, i.near = nobody, onHosts(w.hosts...)
		if one {
			z := w.anotherZone()
			if z == nil {
				return false
			}
			from = inZone(z)
			i.what = z.name
			i.exact = anyOf(isZone(z), isLink(w.within(z), nil), nodesOf(z))
			i.near = onHosts(z.hosts...)
		}
		w.cut(i, from, atHost(w.gateway), true, rule{loss: 1})
		i.hidden = true
		return true
	}
}

var partitions = []scenario{
	{name: "zone_cut", class: verdict.ClassPartition, do: zoneCut},
	{name: "partial", class: verdict.ClassPartition, do: partial(false, (*world).closed)},
	{name: "one_way", class: verdict.ClassPartition, do: partial(true, (*world).closed)},
	{name: "node_cut", class: verdict.ClassPartition, do: nodeCut},
	{name: "port_blocked", class: verdict.ClassPartition, do: portBlocked},
	{name: "lossy_link", class: verdict.ClassPartition, do: lossy},
	{name: "slow_link", class: verdict.ClassPartition, do: slowLink},
	{name: "split_brain", class: verdict.ClassPartition, can: func(w *world) bool { return w.habits.Beats && w.habits.Digests }, do: splitBrain},
	{name: "flapping", class: verdict.ClassPartition, do: flapping},
	{name: "dns", class: verdict.ClassPartition, do: nameLookup},
	{name: "tls_expired", class: verdict.ClassPartition, do: expired},
	{name: "gateway_cut_zone", class: verdict.ClassPartition, do: gatewayCut(true)},
	{name: "gateway_cut_all", class: verdict.ClassPartition, do: gatewayCut(false)},
}
