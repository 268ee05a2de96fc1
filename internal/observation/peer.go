// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Whom a call was made to.
//
// The engine learns who stands behind an address while calls succeed, and needs
// it when they fail. So both must be written in the same way: `host:port`, lower
// case, IPv6 in brackets, the scheme's or protocol's own port where none is
// told. A client that reached its callee usually tells the peer it is connected
// to (network.peer.*); one that could not connect has no peer, only what it was
// configured to call (server.*) and, often, the address inside the error's
// message. Callee carries both: Address is the peer's, Named what was configured.
// One hop teaches the engine both, and whichever of them a failed call tells is
// then known.
//
// A loopback address means somebody else on each host, so it is written with
// the caller's own place behind it: 127.0.0.1:8080@host.

// calleeID is what a span says of its callee, as it says it.
type calleeID struct {
	peer, server, service string
	peerPort, serverPort  int32
	usualPort             int32  // of the scheme or protocol, if no port is told
	place                 string // of the caller, if an address is a loopback one
}

// callee is an interned report.Callee.
type callee struct {
	report.Callee
	id   calleeID
	hash uint64
	peer string // what SpanKey takes as the peer: the name rather than the address
	none bool   // nothing is told
}

func (id *calleeID) sum() uint64 {
	h := mix(uint64(id.peerPort)<<32|uint64(uint32(id.serverPort)), uint64(id.usualPort))
	h = mixString(h, id.peer)
	h = mixString(h, id.server)
	h = mixString(h, id.service)
	return mixString(h, id.place)
}

// callee returns the interned callee that id describes.
func (x *Extractor) callee(h uint64, id *calleeID) *callee {
	if c := x.callees.get(h, id); c != nil {
		return c
	}
	kept := *id
	for _, s := range []*string{&kept.peer, &kept.server, &kept.service, &kept.place} {
		*s = strings.Clone(*s)
	}
	c := &callee{id: kept, hash: h}
	named, namedIP := canonical(kept.server, kept.serverPort, kept.usualPort, kept.place)
	if kept.peer != "" {
		port := kept.peerPort
		if port == 0 {
			port = kept.serverPort
		}
		c.Address, c.Direct = canonical(kept.peer, port, kept.usualPort, kept.place)
	}
	if c.Address == "" {
		c.Address, c.Direct = named, namedIP
	} else if named != c.Address {
		c.Named = named
	}
	c.Service = own(kept.service)
	c.peer = named
	if c.peer == "" {
		c.peer = c.Address
	}
	if c.peer == "" {
		c.peer = c.Service
	}
	c.none = c.peer == ""
	return x.callees.put(h, c.id, c)
}

// canonical writes an address as host:port. It says whether the host is an IP
// address: that of one instance, or a virtual one, which only the number of
// those who stand behind it can tell.
func canonical(host string, port, usual int32, place string) (address string, ip bool) {
	host = strings.ToLower(strings.TrimSpace(own(host)))
	if host == "" || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return "", false // no address holds white space, and people will read this one
	}
	if host[0] == '/' || host[0] == '@' { // a socket in the file system
		return "unix:" + host + at(place), false
	}
	if h, p, ok := splitPort(host); ok {
		host = h
		if port == 0 {
			port = p
		}
	}
	host = strings.TrimSuffix(strings.Trim(host, "[]"), ".")
	if port <= 0 || port > 65535 {
		port = usual
	}
	local := host == "localhost"
	if a, err := netip.ParseAddr(host); err == nil {
		a = a.Unmap()
		if a.IsUnspecified() { // listens everywhere; to call it is to call oneself
			return "", false
		}
		host, ip = a.WithZone("").String(), true
		local = a.IsLoopback()
		if a.Is6() {
			host = "[" + host + "]"
		}
	}
	if host == "" {
		return "", false
	}
	if port > 0 {
		host += ":" + strconv.Itoa(int(port))
	}
	if local {
		host += at(place)
	}
	return host, ip
}

func at(place string) string {
	if place == "" {
		return ""
	}
	return "@" + strings.ToLower(own(place))
}

// splitPort takes a port off host:port and [ipv6]:port.
func splitPort(s string) (host string, port int32, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i <= 0 || s[i-1] != ']' && strings.IndexByte(s, ':') != i {
		return s, 0, false
	}
	p, ok := portNumber(s[i+1:])
	if !ok {
		return s, 0, false
	}
	return s[:i], p, true
}

// portNumber reads a port, 1-65535.
func portNumber(s string) (int32, bool) {
	if len(s) == 0 || len(s) > 5 {
		return 0, false
	}
	n := int32(0)
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int32(d)
	}
	return n, n > 0 && n <= 65535
}

// loopback says whether an address as told is one of the caller's own host.
func loopback(host string) bool {
	if len(host) < 3 {
		return false
	}
	switch host[0] {
	case '1':
		return strings.HasPrefix(host, "127.")
	case ':', '[', '/', '@':
		return host[0] == '/' || host[0] == '@' || host == "::1" || strings.HasPrefix(host, "[::1]") ||
			strings.HasPrefix(host, "::ffff:127.") || strings.HasPrefix(host, "[::ffff:127.")
	case 'l', 'L':
		return len(host) >= 9 && strings.EqualFold(host[:9], "localhost") && (len(host) == 9 || host[9] == ':')
	}
	return false
}

// placeOf is where a loopback address of src is good: its pod, else its host.
func placeOf(src *report.Source) string {
	if src == nil {
		return ""
	}
	if src.PodUID != "" {
		return src.PodUID
	}
	return src.Host
}

// hostOfURL returns host, port and the scheme's own port of a URL, without
// parsing the rest of it.
func hostOfURL(url string) (host string, port, usual int32) {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return "", 0, 0
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = rest[i+1:]
	}
	host, port, _ = splitPort(rest)
	return clip(host), port, usualPort(scheme)
}

// usualPort is the port that a scheme or a database system has by itself.
func usualPort(of string) int32 {
	switch of {
	case "http", "ws":
		return 80
	case "https", "wss":
		return 443
	case "postgresql", "postgres":
		return 5432
	case "mysql", "mariadb":
		return 3306
	case "redis", "valkey":
		return 6379
	case "mongodb":
		return 27017
	case "mssql", "microsoft.sql_server":
		return 1433
	case "oracle", "oracle.db":
		return 1521
	case "elasticsearch", "opensearch":
		return 9200
	case "cassandra":
		return 9042
	case "memcached":
		return 11211
	case "kafka":
		return 9092
	case "rabbitmq":
		return 5672
	}
	return 0
}
