// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"net"
	"net/netip"
	"slices"
	"strings"
)

const (
	maxAddresses     = 16 // that are told of one process
	maxHostAddresses = 4  // that stand for a wildcard
)

// within are the beginnings of the names of interfaces whose addresses are the same
// on other hosts, or are those of a balancer: bridges to containers, loopback, dummies.
var within = []string{"lo", "docker", "br-", "virbr", "cni", "kube-ipvs", "dummy"}

// hostAddresses are those at which others may reach this host, IPv4 first.
func hostAddresses() []netip.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var list []net.Addr
	for i := range interfaces {
		if slices.ContainsFunc(within, func(p string) bool { return strings.HasPrefix(interfaces[i].Name, p) }) {
			continue
		}
		if addresses, err := interfaces[i].Addrs(); err == nil {
			list = append(list, addresses...)
		}
	}
	var all []netip.Addr
	for _, a := range list {
		prefix, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(prefix.IP)
		if ip = ip.Unmap(); ok && !ip.IsUnspecified() && !ip.IsLoopback() && !ip.IsLinkLocalUnicast() {
			all = append(all, ip)
		}
	}
	slices.SortStableFunc(all, func(a, b netip.Addr) int { return a.BitLen() - b.BitLen() })
	return all
}

// reach lists where sockets bound like that take connections, as ip:port:
// the address itself, or for a wildcard some of the host's and loopback. The
// lowest ports come first where there are too many. ofIPv4 are the ports at which
// some socket takes all of IPv4, so that a wildcard of IPv6 cannot.
func reach(bound []netip.AddrPort, host []netip.Addr, ofIPv4 map[uint16]bool) []string {
	var all []string
	for _, at := range bound {
		if !at.Addr().IsUnspecified() {
			all = append(all, at.String())
			continue
		}
		v4 := at.Addr().Is4() || !ofIPv4[at.Port()]
		v6 := at.Addr().Is6()
		n := 0
		for _, ip := range host {
			if n < maxHostAddresses && (ip.Is4() && v4 || ip.Is6() && v6) {
				all = append(all, netip.AddrPortFrom(ip, at.Port()).String())
				n++
			}
		}
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if !v4 {
			loopback = netip.IPv6Loopback()
		}
		all = append(all, netip.AddrPortFrom(loopback, at.Port()).String())
	}
	all = unique(all)
	all = all[:min(len(all), maxAddresses)]
	slices.Sort(all)
	return all
}

// unique leaves out what was there before.
func unique(list []string) []string {
	kept := list[:0]
	for _, s := range list {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}
