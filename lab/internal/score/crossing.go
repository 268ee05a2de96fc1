// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"cmp"
	"slices"
	"strings"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// end is who has one end of a call, by all the names that a culprit may use.
// What is not known is empty.
type end struct{ service, instance, host, zone string }

func (e end) named(name string) bool {
	return name != "" && (name == e.zone || name == e.host || name == e.instance || name == e.service)
}

// whereabouts is what the spans tell of who runs where.
type whereabouts struct {
	zones map[string]string // of hosts
	of    map[string][]end  // of a service
	hosts map[string]string // of addresses that calls went to; empty if they were answered from several, as through a proxy
}

func whereaboutsOf(t tree) whereabouts {
	f := whereabouts{map[string]string{}, map[string][]end{}, map[string]string{}}
	for i := range t.spans {
		if p := t.spans[i].Place; p != nil && p.Host != "" && p.Zone != "" {
			f.zones[p.Host] = p.Zone
		}
	}
	known := map[end]bool{}
	for i := range t.spans {
		s := &t.spans[i]
		e := f.end(s)
		if !known[e] {
			known[e] = true
			f.of[e.service] = append(f.of[e.service], e)
		}
		if call := t.parent(s); s.Server && call != nil && call.Client && call.Address != "" {
			if host, ok := f.hosts[call.Address]; ok && host != e.host {
				e.host = ""
			}
			f.hosts[call.Address] = e.host
		}
	}
	return f
}

// callees are those of a service whom a call to an address may have reached;
// none if nothing is known. Who is never traced is found by others at its address.
func (f whereabouts) callees(service, address string) []end {
	all, host := f.of[service], f.hosts[address]
	if host == "" {
		return all
	}
	if len(all) == 0 {
		return []end{{service: service, host: host, zone: f.zones[host]}}
	}
	var there []end
	for _, e := range all {
		if e.host == host {
			there = append(there, e)
		}
	}
	if len(there) == 0 {
		return all
	}
	return there
}

// end is where a span was made. Not every SDK tells its zone: it is that of the
// others on its host.
func (f whereabouts) end(s *Span) end {
	e := end{service: s.Service, instance: s.Instance}
	if s.Place != nil {
		e.host, e.zone = s.Place.Host, s.Place.Zone
	}
	if e.zone == "" {
		e.zone = f.zones[e.host]
	}
	return e
}

// isCut says whether a fault lies between two sides: it hurts the calls from one
// to the other, and not all that one side does.
func isCut(in *ledger.Injection) bool {
	if len(in.Culprits) == 0 {
		return false
	}
	switch in.Culprits[0].Type {
	case "link", "zone", "node":
		return true
	}
	return false
}

// crosses says whether a call between a and b goes through a cut, whichever way:
// an answer has to come back.
func crosses(in *ledger.Injection, a, b end) bool {
	switch c := in.Culprits[0]; c.Type {
	case "zone":
		return apart(c.Name, a.zone, b.zone)
	case "node":
		return apart(c.Name, a.host, b.host)
	}
	for _, c := range in.Culprits { // the names of one link at several levels: what crosses it fits them all
		one, other, _ := strings.Cut(c.Name, "→")
		if parted(in, one) && parted(in, other) {
			continue
		}
		if c.Type == "link" && !(a.named(one) && b.named(other)) && !(a.named(other) && b.named(one)) {
			return false
		}
	}
	return true
}

// parted says whether an instance is a culprit by itself: one of those whose states part
// on two sides of a cut. The cut is between where they run, for all who do.
func parted(in *ledger.Injection, instance string) bool {
	return slices.ContainsFunc(in.Culprits, func(c ledger.Culprit) bool { return c.Type == "instance" && cmp.Or(c.Instance, c.Name) == instance })
}

// apart says whether one of two is at a place and the other is known to be
// elsewhere.
func apart(place, a, b string) bool {
	return a != "" && b != "" && (a == place) != (b == place)
}

// mayCross judges a call whose server told nothing, as it cannot while it is cut
// off. One that failed counts if it may have crossed; one that was answered only
// if it must have, whichever instance it went to.
func mayCross(in *ledger.Injection, caller end, callees []end, ok bool) bool {
	through := 0
	for _, callee := range callees {
		if crosses(in, caller, callee) {
			through++
		}
	}
	if ok {
		return through > 0 && through == len(callees)
	}
	return through > 0 || len(callees) == 0
}
