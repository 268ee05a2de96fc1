// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Databases, caches and brokers send no telemetry: they are known by how their
// callers name them. The agent on their host sees which processes take connections
// there, and where. Both are joined here: by an address that both tell, or where
// callers tell a name only, by its port, if one host alone takes connections at it.

// servers is what is known of where somebody takes connections.
type servers struct {
	at      map[string]*entity   // by ip:port, who is called by a name there; nil for several
	ports   map[string]*portHost // by port, the host that takes connections at it
	named   map[string][]*entity // by port, those who are called by a short name
	cap     int
	dropped uint64
}

// portHost is the host on which somebody takes connections at a port.
type portHost struct {
	host   string
	since  Time // when it was told first
	others Time // when another host was told last, 0 if never
}

const (
	// onlyAfter is how long a host must have been the only one with a port: agents
	// start one after the other, and onlyAgain the same after another had it.
	onlyAfter = 20 * time.Second
	onlyAgain = 10 * time.Minute
)

func newServers(capacity int) servers {
	return servers{at: map[string]*entity{}, ports: map[string]*portHost{}, named: map[string][]*entity{}, cap: capacity}
}

// called notes that an external, which is called by its name, was found at an
// address.
func (s *servers) called(address string, n *entity) {
	if before, known := s.at[address]; known {
		if before != n && before != nil {
			before.addresses = slices.DeleteFunc(before.addresses, func(a string) bool { return a == address })
			s.at[address] = nil // a proxy of several
		}
		return
	}
	if len(s.at) >= s.cap {
		s.dropped++
		return
	}
	s.at[address] = n
	if n.addresses = append(n.addresses, address); len(n.addresses) > maxAddressesEach {
		delete(s.at, n.addresses[0])
		n.addresses = slices.Delete(n.addresses, 0, 1)
	}
}

// add takes in an external. What counts of its name is short: networks on which
// names have no dot are small, and the servers of others have agents of their own.
func (s *servers) add(n *entity) {
	if port := shortNamed(n.address); port != "" {
		s.named[port] = append(s.named[port], n)
	}
}

func (s *servers) forget(n *entity) {
	for _, a := range n.addresses {
		delete(s.at, a)
	}
	port := shortNamed(n.address)
	if port == "" {
		return
	}
	if s.named[port] = slices.DeleteFunc(s.named[port], func(m *entity) bool { return m == n }); len(s.named[port]) == 0 {
		delete(s.named, port)
	}
}

// shortNamed is the port of an address whose host is a name without a dot, "" of
// any other.
func shortNamed(address string) string {
	host, port, ok := strings.Cut(address, ":")
	if !ok || host == "" || host == "localhost" || strings.ContainsAny(host, ".[@") {
		return ""
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return ""
	}
	return port
}

// server is who a process is that takes connections on a host, or nil if nobody
// calls it. It makes nobody known.
func (e *Engine) server(b *Probe) *entity {
	host := e.host(b.Host)
	if host == nil {
		return nil
	}
	only := e.onlyAtPort(b)
	for _, a := range b.Addresses {
		if n := e.knownAt(a); n != nil && !n.supposed {
			if n.kind == kindExternal {
				n.host = host
			}
			return n
		}
	}
	if only != nil {
		e.suppose(only, host, b.Addresses)
	}
	return only
}

// suppose takes n to stand on a host, at addresses there, until another host turns
// out to have its port.
func (e *Engine) suppose(n *entity, host *hostState, addresses []string) {
	n.host, n.supposed = host, true
	for _, a := range addresses {
		if at, err := netip.ParseAddrPort(a); err == nil && !at.Addr().IsLoopback() {
			e.servers.called(a, n)
		}
	}
}

// supposeNot takes that back.
func (e *Engine) supposeNot(n *entity) {
	for _, a := range n.addresses {
		delete(e.servers.at, a)
	}
	n.host, n.supposed, n.addresses = nil, false, nil
}

// peer is who has been connected to, or nil. It makes nobody known.
func (e *Engine) peer(b *Probe) *entity {
	for _, a := range b.Addresses {
		if n := e.knownAt(a); n != nil {
			return n
		}
	}
	return nil
}

// knownAt is the one who is known to take connections at an address, or nil.
func (e *Engine) knownAt(address string) *entity {
	if entry := e.book.entries[address]; entry != nil {
		return entry.only()
	}
	if n := e.onlyOne(e.doors.at[address]); n != nil {
		return n
	}
	if n := e.servers.at[address]; n != nil {
		return n
	}
	return e.reg.byKey[externalKey(address)]
}

// onlyAtPort is the only one whom callers name by a port, if one host alone takes
// connections at it.
func (e *Engine) onlyAtPort(b *Probe) *entity {
	var only *entity
	for _, a := range b.Addresses {
		at, err := netip.ParseAddrPort(a)
		if err != nil || at.Addr().IsLoopback() {
			continue
		}
		port := strconv.Itoa(int(at.Port()))
		named := e.servers.named[port]
		if !e.onlyHost(port, b.Host) {
			for _, n := range named {
				if n.supposed {
					e.supposeNot(n)
				}
			}
			return nil
		}
		if len(named) != 1 || only != nil && only != named[0] || named[0].host != nil && named[0].host.name != b.Host {
			return nil
		}
		only = named[0]
	}
	return only
}

// onlyHost notes that somebody on a host takes connections at a port, and says
// whether no other host does.
func (e *Engine) onlyHost(port, host string) bool {
	p := e.servers.ports[port]
	if p == nil {
		if len(e.servers.ports) >= e.servers.cap {
			e.servers.dropped++
			return false
		}
		p = &portHost{host: host, since: e.now}
		e.servers.ports[port] = p
	}
	if p.host != host {
		if p.others != 0 && e.now.Sub(p.others) > onlyAgain {
			p.host, p.since = host, e.now
		}
		p.others = e.now
		return false
	}
	return e.now.Sub(p.since) >= onlyAfter && (p.others == 0 || e.now.Sub(p.others) > onlyAgain)
}
