// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"net/netip"
	"strings"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Which host an address stands on. Callers name a server by its host or by an IP of that,
// and whoever runs there tells the host's name and, often, its IPs (host.ip). So a
// server of which nobody tells has a place all the same: it is down when its machine is,
// and what a log there says may be said of it. What several hosts answer to, such as a
// short name or the bridge to containers, says nothing.

// nameHost takes in what h is called: its name, and that without its domain.
func (e *Engine) nameHost(h *hostState) {
	full := strings.ToLower(h.name)
	short, _, _ := strings.Cut(full, ".")
	for _, name := range [2]string{full, short} {
		if one, known := e.hostNames[name]; !known {
			e.hostNames[name] = h
		} else if one != h {
			e.hostNames[name] = nil
		}
	}
}

// hostIP takes in an IP that a host tells of itself.
func (e *Engine) hostIP(d *report.Door) {
	if d.Source == nil || d.Source.Host == "" {
		return
	}
	if ip, err := netip.ParseAddr(d.Address); err == nil && !ip.IsLoopback() {
		e.servers.told(d.Address, d.Source.Host, e.now)
	}
}

// hostOf is the one host on which an address stands, host:port or less; nil if nobody
// can tell.
func (e *Engine) hostOf(address string) *hostState {
	host, _ := cutPort(address)
	if name := e.servers.hostAt(host, e.now); name != "" {
		return e.hosts[name]
	}
	return e.hostNames[host]
}

// cutPort takes the port off an address, "" if there is none.
func cutPort(address string) (host, port string) {
	if i := strings.LastIndexByte(address, ':'); i >= 0 && !strings.HasSuffix(address, "]") {
		address, port = address[:i], address[i+1:]
	}
	return strings.Trim(address, "[]"), port
}

// byItsAddress places an external on the host that its address names, as long as one alone
// does. What an agent tells of it counts for more.
func (e *Engine) byItsAddress(n *entity) {
	if n.host != nil && !n.byAddress {
		return
	}
	n.host = e.hostOf(n.address)
	n.byAddress = n.host != nil
}

// servingAt is the only instance that says that it takes calls at a port of the host on
// which an address stands, or nil.
func (e *Engine) servingAt(address string) *entity {
	_, port := cutPort(address)
	h := e.hostOf(address)
	if h == nil || port == "" {
		return nil
	}
	return e.onlyOne(e.doors.at[strings.ToLower(h.name)+":"+port])
}

// calledThere notes that a name, behind which somebody is known, was called at an address
// at which nobody is: who could not connect tells both, what he logs only the address.
func (e *Engine) calledThere(address, name string) {
	k := &e.book
	if before, known := k.named[address]; known {
		if before != name {
			k.named[address] = "" // a proxy of several
		}
		return
	}
	if len(k.named) >= k.cap {
		clear(k.named) // addresses of those who are gone: the next failures tell again
	}
	k.named[address] = name
	if n := e.reg.byKey[externalKey(address)]; n != nil {
		e.forget(n) // it was somebody who is known
	}
}
