// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Databases, caches and brokers send no telemetry: they are known by how their
// callers name them. The agent on their host sees which processes take connections
// there, and where. Both are joined here: by an address that both tell, or where
// callers tell a name only, by its port, if one host alone takes connections at it.

// servers is what is known of where somebody takes connections.
type servers struct {
	at      map[string]*entity      // by ip:port, who is called by a name there; nil for several
	ports   map[string]*portHost    // by port, by ip:port and by IP, the host that takes connections there
	named   map[string][]*entity    // by port, those who are called by a short name
	doors   map[processKey][]tookAt // closed.go: where each process took connections of late, at most maxAddressesEach
	cap     int
	dropped uint64

	madeRoom clock.Time
}

// portHost is the host on which somebody takes connections at a port, or an address.
type portHost struct {
	host    string
	started clock.Time // when that was started, 0 if not told
	target  string     // the process there, as the agent names it; empty for a port
	since   clock.Time // when it was told first
	at      clock.Time // when it was told last
	others  clock.Time // when another host was told last, 0 if never
}

const (
	// onlyAfter is how long a host must have been the only one with a port: agents
	// start one after the other, and onlyAgain the same after another had it.
	onlyAfter = 20 * time.Second
	onlyAgain = 10 * time.Minute
)

func newServers(capacity int) servers {
	return servers{at: map[string]*entity{}, ports: map[string]*portHost{}, named: map[string][]*entity{}, doors: map[processKey][]tookAt{}, cap: capacity}
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
	if !roomFor(n, len(s.at), s.cap) {
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
	if i := slices.Index(s.named[port], n); i >= 0 {
		s.named[port] = slices.Delete(s.named[port], i, i+1)
	}
	if len(s.named[port]) == 0 {
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

// server is who a process is at which the agent on its host looks by itself, or nil if
// nobody calls it and it does not go by a known name, and whether only that tells. It
// makes nobody known.
func (e *Engine) server(b *report.Probe) (n *entity, named bool) {
	host := e.host(b.Host)
	if host == nil {
		return nil, false
	}
	only := e.onlyAtPort(b)
	for _, a := range b.Addresses {
		if n := e.knownAt(a); n != nil && !n.supposed && e.servers.ownAddress(a, e.now) {
			if n.unspoken && n.calls == nil && n.episode == nil && e.unspoken(b, host) == nil {
				n.process.follow(b.Process)
				return nil, false // nobody misses it
			}
			if n.kind == kindExternal {
				n.host, n.byAddress = host, false
			}
			return n, false
		}
	}
	if only != nil {
		e.suppose(only, host, b.Addresses)
		return only, false
	}
	if n := e.named(b); n != nil {
		return n, true
	}
	if n := e.balancer(b, host); n != nil {
		return n, false
	}
	return e.unspoken(b, host), false
}

// balancer is a process on a host that came to a bad end, if calls to it went on to
// several on other hosts: while it lived whoever called it meant those, and now nobody
// calls them.
func (e *Engine) balancer(b *report.Probe, host *hostState) *entity {
	if q := b.Process; q == nil || q.State != report.ProcessGone && q.State != report.ProcessZombie || !q.HasExitCode || cleanExit(int64(q.ExitCode)) {
		return nil
	}
	for _, a := range b.Addresses {
		entry := e.book.entries[a]
		if entry == nil || len(entry.behind) < 2 || entry.only() != nil || !e.servers.ownAddress(a, e.now) {
			continue
		}
		if !slices.ContainsFunc(entry.behind, func(s seenBehind) bool { return s.entity.host == nil || s.entity.host == host }) {
			n := e.external(a)
			n.host, n.byAddress = host, false
			return n
		}
	}
	return nil
}

// suppose takes n to stand on a host, at addresses there, until another host turns
// out to have its port.
func (e *Engine) suppose(n *entity, host *hostState, addresses []string) {
	n.host, n.supposed, n.byAddress = host, true, false
	for _, a := range addresses {
		if at, err := netip.ParseAddrPort(a); err == nil && !at.Addr().IsLoopback() && e.servers.ownAddress(a, e.now) {
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
func (e *Engine) peer(b *report.Probe) *entity {
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
		if one := entry.only(); one != nil {
			return one
		}
		return e.reg.byKey[externalKey(address)] // a proxy of several
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
func (e *Engine) onlyAtPort(b *report.Probe) *entity {
	var only *entity
	several := false
	for _, a := range b.Addresses {
		at, err := netip.ParseAddrPort(a)
		if err != nil || at.Addr().IsLoopback() {
			continue
		}
		if p := e.servers.told(a, b.Host, e.now); p != nil && p.host == b.Host {
			p.target = b.Target
			if q := b.Process; q != nil && q.State == report.ProcessRunning {
				p.started = q.StartTime
			}
		}
		e.servers.told(at.Addr().String(), b.Host, e.now)
		port := strconv.Itoa(int(at.Port()))
		named := e.servers.named[port]
		if !e.servers.told(port, b.Host, e.now).only(e.now) {
			for _, n := range named {
				if n.supposed {
					e.supposeNot(n)
				}
			}
			several = true
			continue // the other ports are told all the same
		}
		if len(named) == 0 {
			continue // a cluster's, or an administrator's: nobody is meant by it
		}
		if len(named) != 1 || only != nil && only != named[0] || named[0].host != nil && named[0].host.name != b.Host {
			several = true
			continue
		}
		only = named[0]
	}
	if several {
		return nil
	}
	return only
}

// told notes that somebody on a host takes connections at a port, or at an address;
// nil if there is no room.
func (s *servers) told(at, host string, now clock.Time) *portHost {
	p := s.ports[at]
	if p == nil {
		if len(s.ports) >= s.cap {
			s.forgetIdle(now)
		}
		if len(s.ports) >= s.cap {
			s.dropped++
			return nil
		}
		p = &portHost{host: host, since: now}
		s.ports[at] = p
	}
	switch {
	case p.host == host:
		p.at = now
	case now.Sub(p.at) > onlyAgain: // it went elsewhere
		*p = portHost{host: host, since: now, at: now}
	default:
		p.others = now
	}
	return p
}

// forgetIdle drops what nobody has told of for long.
func (s *servers) forgetIdle(now clock.Time) {
	if now == s.madeRoom {
		return
	}
	s.madeRoom = now
	for at, p := range s.ports {
		if now.Sub(max(p.at, p.others)) > onlyAgain {
			delete(s.ports, at)
		}
	}
	for k, took := range s.doors {
		if !slices.ContainsFunc(took, func(t tookAt) bool { return now.Sub(t.at) <= onlyAgain }) {
			delete(s.doors, k)
		}
	}
	for a, n := range s.at {
		if n == nil {
			delete(s.at, a)
		}
	}
}

// only says whether no other host takes connections there, as far as is known.
func (p *portHost) only(now clock.Time) bool {
	return p != nil && now.Sub(p.since) >= onlyAfter && (p.others == 0 || now.Sub(p.others) > onlyAgain)
}

// hostAt is the host that alone takes connections at an IP, "" if nobody tells.
func (s *servers) hostAt(ip string, now clock.Time) string {
	if p := s.ports[ip]; p != nil && s.ownAddress(ip, now) {
		return p.host
	}
	return ""
}

// ownAddress says whether no two hosts have told of an address: bridges to
// containers and addresses of balancers are the same on many.
func (s *servers) ownAddress(a string, now clock.Time) bool {
	p := s.ports[a]
	return p == nil || p.others == 0 || now.Sub(p.others) > onlyAgain
}

// missedSince says whether calls to n have failed about t or since, or none is
// answered any more. Who is only supposed to be a process that ended then has not
// ended while its callers are well.
func (e *Engine) missedSince(n *entity, t clock.Time) bool {
	if s := n.calls; s != nil && s.lastFail > t.Add(-supposedWithin) {
		return true
	}
	for _, ed := range n.calledBy {
		if _, waits := e.waitsFor(ed, t.Add(-underWay)); waits {
			return true
		}
	}
	return false
}

// supposedWithin is how long before an end is seen callers may have met with it.
const supposedWithin = 20 * time.Second
