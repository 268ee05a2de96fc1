// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Zone is a third of the fleet.
type Zone struct {
	Name   string // zone-a
	Subnet netip.Prefix
	Nodes  []*Node   // those with services; the agent has a node of its own
	Agent  *Instance // nil with Options.Single
}

// The places outside of the zones.
const (
	nodeHub     = "hub"     // the gateway Collector
	nodeWorld   = "world"   // the customers
	nodePartner = "partner" // somebody else's API
)

// network holds all nodes: each zone is a /24 of it.
var network = netip.MustParsePrefix("10.77.0.0/16")

// place is a node of the plan.
type place struct {
	name, zone string
	addr       string
}

// plan of the nodes. watch-x is the node of zone x's agent, which lives on when
// a node of services is cut off or stopped.
var places = []place{
	{nodeHub, "", "10.77.0.10"},
	{nodeWorld, "", "10.77.0.20"},
	{nodePartner, "", "10.77.0.30"},
	{"watch-a", "zone-a", "10.77.1.10"},
	{"node-a1", "zone-a", "10.77.1.11"},
	{"node-a2", "zone-a", "10.77.1.12"},
	{"watch-b", "zone-b", "10.77.2.10"},
	{"node-b1", "zone-b", "10.77.2.11"},
	{"node-b2", "zone-b", "10.77.2.12"},
	{"watch-c", "zone-c", "10.77.3.10"},
	{"node-c1", "zone-c", "10.77.3.11"},
	{"node-c2", "zone-c", "10.77.3.12"},
}

// role is a service of the plan: where its instances are, and whom it calls.
type role struct {
	service string
	kind    Kind
	port    uint16
	nodes   []string // one instance each
	calls   []string
}

// roles in the order in which they start: callees before their callers.
var roles = []role{
	{"dns", Bare, 53, []string{"node-c2"}, nil},
	{"bank", Bare, 8443, []string{nodePartner}, nil},
	{"broker", Service, 9092, []string{"node-b2"}, nil},
	{"ledger", Service, 8084, []string{"node-b1", "node-c2"}, []string{"ledger"}},
	{"pricing", Service, 8085, []string{"node-a2", "node-b2", "node-c2"}, nil},
	{"inventory", Service, 8086, []string{"node-b1", "node-c1"}, nil},
	{"cart", Stock, 8087, []string{"node-a1"}, []string{"inventory"}},
	{"search", Stock, 8088, []string{"node-c1"}, []string{"inventory"}},
	{"proxy", Bare, 8089, []string{"node-a2"}, []string{"search"}},
	{"mailer", Service, 8090, []string{"node-c2"}, []string{"broker"}},
	{"payment", Service, 8083, []string{"node-b2", "node-c1"}, []string{"bank", "ledger"}},
	{"checkout", Service, 8082, []string{"node-a2", "node-b1"}, []string{"cart", "pricing", "payment", "broker"}},
	{"web", Service, 8080, []string{"node-a1"}, []string{"checkout", "proxy"}},
	{"load", Load, 8079, []string{nodeWorld}, []string{"web"}},
}

// names that are looked up instead of being known by address: what a fault in
// name look-up hurts.
var names = map[string]string{
	"inventory": "inventory.shop.lab",
	"bank":      "api.bank.example",
}

// DNSName is the name by which a service is looked up; "" where callers know addresses.
func DNSName(service string) string { return names[service] }

// Outside returns the networks that are not the zone's, the gateway's included:
// a zone is cut off by a Shape with these on each node of NodesIn.
func (f *Fleet) Outside(zone *Zone) []netip.Prefix {
	outside := []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24")}
	for _, z := range f.zones {
		if z != zone {
			outside = append(outside, z.Subnet)
		}
	}
	return outside
}

// NodesIn returns all nodes of a zone, that of its agent included.
func (f *Fleet) NodesIn(zone *Zone) []*Node {
	return slices.DeleteFunc(slices.Clone(f.nodes), func(n *Node) bool { return n.Zone != zone.Name })
}

func plan(prefix string) (zones []*Zone, nodes []*Node) {
	for i, name := range []string{"zone-a", "zone-b", "zone-c"} {
		zones = append(zones, &Zone{Name: name, Subnet: netip.MustParsePrefix(fmt.Sprintf("10.77.%d.0/24", i+1))})
	}
	for _, p := range places {
		n := &Node{Name: p.name, Zone: p.zone, Addr: netip.MustParseAddr(p.addr), Netns: prefix + "-" + p.name, Cable: p.name}
		nodes = append(nodes, n)
		for _, z := range zones {
			if z.Name == p.zone && !strings.HasPrefix(p.name, "watch-") {
				z.Nodes = append(z.Nodes, n)
			}
		}
	}
	return zones, nodes
}
