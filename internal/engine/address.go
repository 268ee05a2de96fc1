// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// addressBook knows who stands behind an address. It is learned while calls
// succeed, because a dead callee sends no span: the client's end of a call names
// the address, the server's end below it in the same trace names the instance.
type addressBook struct {
	entries map[string]*addressEntry
	named   map[string]string     // hostnames.go: by address, the name at which it was called
	hops    map[uint64]pendingHop // ends that wait for the other
	queue   []uint64              // keys of hops in order of arrival: a ring
	head    int
	cap     int
	dropped uint64
}

// addressEntry is one address. Several instances behind one address make it a
// virtual one: a name, a balancer.
type addressEntry struct {
	behind []seenBehind // latest last, at most maxBehind
}

type seenBehind struct {
	entity *entity
	at     clock.Time
	itself bool // it takes the connections; the others are behind it
}

const (
	maxBehind        = 16 // entities behind one address
	maxAddressesEach = 8  // of one entity
	// behindFor: who has not been seen behind an address for so long, while
	// others were, is behind it no more.
	behindFor = 10 * time.Minute
)

type pendingHop struct {
	source *report.Source
	server bool
	lost   bool
	passes bool
	failed bool
	took   time.Duration
	at     clock.Time
	began  clock.Time
	callee report.Callee
}

func newAddressBook(addresses, hops int) addressBook {
	return addressBook{
		entries: map[string]*addressEntry{}, named: map[string]string{}, hops: map[uint64]pendingHop{},
		queue: make([]uint64, 0, hops), cap: addresses,
	}
}

// hop joins one end of a call with the other.
func (e *Engine) hop(h *report.Hop) {
	k := &e.book
	this := pendingHop{source: h.Source, server: h.Server, lost: h.Lost, failed: h.Failed, took: h.Duration, at: h.At, began: h.Began, callee: h.Callee}
	other, ok := k.hops[h.Span]
	switch {
	case !ok:
		k.wait(h.Span, this)
		return
	case other.passes && (!h.Server || h.Source.ServiceKey == other.source.ServiceKey):
		k.hops[h.Span] = this // ends of a call that share one id
		return
	case this.server == other.server:
		return // the same end again
	}
	delete(k.hops, h.Span)
	if other.server {
		this, other = other, this
	}
	if other.passes {
		e.passedThrough(other.source, &this)
		return
	}
	e.learn(other.callee, this.source)
	e.joined(&other, &this)
}

// wait keeps an end; the oldest makes room.
func (k *addressBook) wait(span uint64, p pendingHop) {
	if cap(k.queue) == 0 {
		return
	}
	if len(k.queue) < cap(k.queue) {
		k.queue = append(k.queue, span)
	} else {
		delete(k.hops, k.queue[k.head])
		k.queue[k.head] = span
		k.head = (k.head + 1) % cap(k.queue)
	}
	k.hops[span] = p
}

func (e *Engine) learn(c report.Callee, server *report.Source) {
	n := e.instance(server)
	if n == nil {
		return
	}
	for _, address := range [2]string{c.Address, c.Named} {
		if address != "" {
			e.book.put(address, n, e.now)
		}
	}
	if c.Nameless() {
		e.book.put(c.Service, n, e.now)
	}
}

// offering returns who offers what a nameless callee is asked for, as learned from calls
// that arrived; nil if several services do.
func (e *Engine) offering(c *report.Callee) *entity {
	if !c.Nameless() {
		return nil
	}
	entry := e.book.entries[c.Service]
	if entry == nil {
		return nil
	}
	if one := entry.only(); one != nil {
		return one
	}
	if s := entry.service(); s != nil {
		return e.wholeService(s)
	}
	return nil
}

func (k *addressBook) put(address string, n *entity, now clock.Time) {
	entry := k.entries[address]
	if entry == nil {
		if !roomFor(n, len(k.entries), k.cap) {
			k.dropped++
			return
		}
		entry = &addressEntry{}
		k.entries[address] = entry
	}
	for i := range entry.behind {
		if entry.behind[i].entity == n {
			entry.behind[i].at = now
			return
		}
	}
	if len(entry.behind) >= maxBehind {
		if !entry.behind[0].entity.left {
			k.dropped++
		}
		entry.behind = append(entry.behind[:0], entry.behind[1:]...)
	}
	entry.behind = append(entry.behind, seenBehind{entity: n, at: now})
	n.addresses = append(n.addresses, address)
	if len(n.addresses) > maxAddressesEach {
		old := n.addresses[0]
		n.addresses = append(n.addresses[:0], n.addresses[1:]...)
		k.drop(old, n)
	}
}

// own notes that n takes the connections at address: a proxy whose calls others answer
// is told from them.
func (k *addressBook) own(address string, n *entity, now clock.Time) {
	k.put(address, n, now)
	if entry := k.entries[address]; entry != nil {
		for i := range entry.behind {
			entry.behind[i].itself = entry.behind[i].entity == n
		}
	}
}

// eachBehind shows f those who answer calls to n at one of its addresses and are not n,
// until f says true.
func (e *Engine) eachBehind(n *entity, f func(b *entity) bool) {
	for _, address := range n.addresses {
		if entry := e.book.entries[address]; entry != nil && entry.taker() == n && entry.eachOther(n, f) {
			return
		}
	}
	if entry := e.book.entries[n.address]; n.kind == kindExternal && entry != nil {
		entry.eachOther(n, f)
	}
}

// eachOther shows f those behind the address but n, until f says true; it says whether
// that happened.
func (a *addressEntry) eachOther(n *entity, f func(b *entity) bool) bool {
	return slices.ContainsFunc(a.behind, func(b seenBehind) bool { return b.entity != n && f(b.entity) })
}

// taker is who is known to take the connections at the address, nil if nobody is.
func (a *addressEntry) taker() *entity {
	for _, b := range a.behind {
		if b.itself && !b.entity.left {
			return b.entity
		}
	}
	return nil
}

// drop forgets that n is behind address.
func (k *addressBook) drop(address string, n *entity) {
	entry := k.entries[address]
	if entry == nil {
		return
	}
	for i := range entry.behind {
		if entry.behind[i].entity == n {
			entry.behind = append(entry.behind[:i], entry.behind[i+1:]...)
			break
		}
	}
	if len(entry.behind) == 0 {
		delete(k.entries, address)
	}
}

// callee returns who is called: one instance where the address is that of one,
// the service where several stand behind it, an external where nobody is known.
// nil where the caller tells nothing.
func (e *Engine) callee(c report.Callee) *entity {
	for _, address := range [2]string{c.Address, c.Named} {
		entry := e.book.entries[address]
		if entry == nil || address == "" || address == c.Address && c.Named != "" && entry.only() == nil && entry.service() == nil {
			continue // the name says more than the address of a proxy
		}
		if address == c.Named && c.Direct && c.Address != "" && e.book.entries[c.Address] == nil {
			e.calledThere(c.Address, c.Named)
		}
		if one := entry.only(); one != nil {
			return one
		}
		if s := entry.service(); s != nil {
			return e.wholeService(s)
		}
		return e.external(address) // a proxy of several services
	}
	if s := e.serviceNamed(c.Service); s != nil {
		return e.wholeService(s)
	}
	if n := e.offering(&c); n != nil {
		return n
	}
	named := c.Named
	if named == "" && !c.Direct {
		named = c.Address
	}
	if host, _, _ := strings.Cut(named, ":"); host != "" && !ofCloud(host) {
		// In clusters and compose files a service is called by its name.
		if s := e.serviceCalled(host); s != nil {
			return e.wholeService(s)
		}
	}
	switch {
	case named != "":
		if n := e.servers.at[named]; n != nil {
			e.reg.touch(n, e.now)
			return n // the others call it by a name
		}
		if n := e.servingAt(named); n != nil {
			return n
		}
		n := e.external(named)
		if c.Direct && c.Address != "" && c.Address != named {
			e.servers.called(c.Address, n)
		}
		return n
	case c.Address != "":
		if n := e.servers.at[c.Address]; n != nil {
			e.reg.touch(n, e.now)
			return n
		}
		if n := e.onlyOne(e.doors.at[c.Address]); n != nil {
			return n // nobody has told the address before, but he who is called at it
		}
		if name := e.book.named[c.Address]; name != "" {
			return e.callee(report.Callee{Address: name, Service: c.Service})
		}
		if n := e.servingAt(c.Address); n != nil {
			return n
		}
		return e.external(c.Address)
	case c.Service != "":
		return e.external(c.Service)
	}
	return nil
}

// ofCloud says whether a host is one that a cloud names, after what its customer called
// a bucket, a queue or a database there.
func ofCloud(host string) bool {
	for _, domain := range [...]string{".amazonaws.com", ".amazonaws.com.cn", ".windows.net", ".azure.com", ".azure.net", ".googleapis.com"} {
		if strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// only is who takes the connections at the address, or else the one instance behind it;
// nil if there are several that are not known to have gone.
func (a *addressEntry) only() *entity {
	if n := a.taker(); n != nil {
		return n
	}
	var one *entity
	newest := clock.Time(0)
	for _, b := range a.behind {
		newest = max(newest, b.at)
	}
	for _, b := range a.behind {
		if newest.Sub(b.at) > behindFor || b.entity.left && newest > b.at {
			continue
		}
		if one != nil {
			if one.sameSlot(b.entity) {
				if b.entity.born > one.born {
					one = b.entity
				}
				continue
			}
			return nil
		}
		one = b.entity
	}
	return one
}

// service is the one that all behind the address belong to, or nil.
func (a *addressEntry) service() *service {
	s := a.behind[0].entity.service
	for _, b := range a.behind {
		if b.entity.service != s {
			return nil
		}
	}
	return s
}

// sameSlot says whether two instances with drawn ids can be one that restarted:
// same service, same place, and the older silent since before the younger came.
func (n *entity) sameSlot(m *entity) bool {
	if n.service != m.service || n.src.Host != m.src.Host || !n.src.Volatile || !m.src.Volatile {
		return false
	}
	if n.born > m.born {
		n, m = m, n
	}
	return n.heard <= m.born
}

// serviceCalled returns the service that a host is named after, or nil. Of several of a
// name it is the one in the namespace that follows. A workload that tells no name itself
// goes by its own only, bare or in its cluster: api.example.com is somebody else's.
func (e *Engine) serviceCalled(host string) *service {
	short, rest, dotted := strings.Cut(host, ".")
	s := e.serviceNamed(short)
	space, domain, _ := strings.Cut(rest, ".")
	if s == nil && dotted {
		for _, of := range e.reg.byName[short] {
			if of.id.Namespace != space {
				continue
			}
			if s != nil {
				return nil
			}
			s = of
		}
	}
	if s != nil && dotted && s.outside() && (space != s.id.Namespace || domain != "" && domain != "svc" && !strings.HasPrefix(domain, "svc.")) {
		return nil
	}
	return s
}

// outside says whether nobody of the service says anything himself.
func (s *service) outside() bool {
	return len(s.instances) > 0 && !slices.ContainsFunc(s.instances, func(n *entity) bool { return !n.src.Outside })
}

// serviceNamed returns the only service with a bare name, or nil.
func (e *Engine) serviceNamed(name string) *service {
	if name == "" {
		return nil
	}
	if same := e.reg.byName[name]; len(same) == 1 {
		return same[0]
	}
	return nil
}
