// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "github.com/faultline-otel/faultline/internal/engine/report"

// instance returns the entity that src speaks of, new if need be; nil for a
// source without a service.
//
// Not everybody tells as much about themselves: a heartbeat may say only
// `payment`, the SDK beside it namespace and environment too. A less specific
// identity stands for the only more specific one that agrees with it; where two
// agree, it stays by itself.
func (e *Engine) instance(src *report.Source) *entity {
	if src == nil || src.Key == 0 {
		return nil
	}
	n := e.reg.byKey[src.Key]
	if n == nil {
		n = e.reg.aliases[src.Key]
		if n != nil && (e.reg.byKey[n.key] != n || n.left && e.successor(n) != nil) {
			delete(e.reg.aliases, src.Key)
			n = nil
		}
	}
	if n == nil {
		n = e.newInstance(src)
	}
	if n.src != src && src.Key == n.src.Key {
		n.src = src
		e.locate(n, src)
	}
	e.reg.touch(n, e.now)
	return n
}

func (e *Engine) newInstance(src *report.Source) *entity {
	if h := e.host(src.Host); h != nil && src.Zone != "" {
		h.zone = src.Zone
	}
	s := e.serviceOf(src.Service)
	if s.key != src.ServiceKey {
		full := *src
		full.Service = s.id
		canon := report.NewSource(full)
		n := e.reg.byKey[canon.Key]
		if n == nil {
			n = e.instance(canon)
		}
		e.alias(src, n)
		return n
	}
	if n := e.drawnAnew(s, src); n != nil {
		e.alias(src, n)
		return n
	}
	if n := s.onlyAt(src); n != nil {
		e.alias(src, n)
		return n
	}
	n := &entity{kind: kindInstance, key: src.Key, src: src, service: s, born: e.now, touched: e.now, heard: e.now}
	e.locate(n, src)
	e.add(n)
	// Who told less until now meant this one.
	if src.Volatile && src.PodUID == "" && s.untold > 0 {
		for _, less := range append([]*entity(nil), s.instances...) {
			if less != n && less.src.Untold() && less.src.Host == src.Host && less.verdict == nil {
				e.forget(less)
			}
		}
	}
	return n
}

// onlyAt returns the one instance that a source without an id of its own can
// mean: the only one of the service on its host, whose id is drawn at each
// start.
func (s *service) onlyAt(src *report.Source) *entity {
	if !src.Untold() || s.drawn == 0 || s.drawsVoid(src.Host) {
		return nil
	}
	var only *entity
	for _, n := range s.instances {
		if !n.drawsAnew() || n.src.Host != src.Host || n.left {
			continue
		}
		if only != nil {
			if only.sameSlot(n) { // the younger took the older's place
				if n.born > only.born {
					only = n
				}
				continue
			}
			return nil
		}
		only = n
	}
	return only
}

func (e *Engine) alias(src *report.Source, n *entity) {
	if len(e.reg.aliases) >= e.params.MaxInstances {
		clear(e.reg.aliases) // they are found again at the next sign
	}
	e.reg.aliases[src.Key] = n
}

// drawsAnew says whether n is known by an id that its process drew when it started: who
// starts in its place is another.
func (n *entity) drawsAnew() bool { return n.src.Volatile && n.src.PodUID == "" }

// successor is the instance that took n's place, or nil: born after n was last
// heard, on the same host with an id drawn anew, or as another pod of the
// service.
func (e *Engine) successor(n *entity) *entity {
	if n.kind != kindInstance || !n.src.Volatile && n.src.PodUID == "" {
		return nil
	}
	for i := len(n.service.instances) - 1; i >= 0; i-- {
		m := n.service.instances[i]
		if m.born <= n.born || m.born < max(n.heard, n.ready.at, n.seenRun) {
			return nil // so are all before it
		}
		if !m.alive {
			continue
		}
		if n.drawsAnew() && m.src.Volatile && n.src.Host == m.src.Host ||
			n.src.PodUID != "" && m.src.PodUID != "" && n.src.PodUID != m.src.PodUID {
			return m
		}
	}
	return nil
}

// serviceOf returns the service that id names, new if need be.
func (e *Engine) serviceOf(id report.ServiceID) *service {
	key := id.Key()
	if s := e.reg.services[key]; s != nil {
		return s
	}
	var only *service
	matches := 0
	for _, s := range e.reg.byName[id.Name] {
		if within(id, s.id) {
			only = s
			matches++
		}
	}
	if matches == 1 {
		return only
	}
	s := &service{id: id, key: key}
	// Those who said less and meant this one give way to it.
	for _, less := range append([]*service(nil), e.reg.byName[id.Name]...) {
		if within(less.id, id) {
			for _, n := range append([]*entity(nil), less.instances...) {
				e.forget(n)
			}
			if less.whole != nil {
				e.forget(less.whole)
			}
		}
	}
	e.reg.keep(s)
	return s
}

// within says whether less names the same service as more, telling less.
func within(less, more report.ServiceID) bool {
	return less.Name == more.Name && less != more &&
		(less.Namespace == "" || less.Namespace == more.Namespace) &&
		(less.Environment == "" || less.Environment == more.Environment) &&
		(less.Cluster == "" || less.Cluster == more.Cluster)
}

// wholeService returns the entity by which a service is judged as one.
func (e *Engine) wholeService(s *service) *entity {
	if s.whole == nil {
		src := report.NewSource(report.Source{Service: s.id})
		n := &entity{kind: kindService, key: report.Hash(s.key, "whole"), src: src, service: s, born: e.now, touched: e.now}
		e.add(n)
		s.whole = n
	}
	e.reg.touch(s.whole, e.now)
	return s.whole
}

// external returns the entity behind an address of which nothing else is known.
func (e *Engine) external(address string) *entity {
	key := externalKey(address)
	n := e.reg.byKey[key]
	if n == nil {
		n = &entity{kind: kindExternal, key: key, src: &report.Source{}, address: address, born: e.now, touched: e.now}
		e.add(n)
		e.servers.add(n)
	}
	e.byItsAddress(n)
	e.reg.touch(n, e.now)
	return n
}

func externalKey(address string) uint64 {
	return report.Hash(report.Hash(report.HashSeed, "external"), address)
}
