// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

// machine is a host in a zone, "" if nobody tells that, with one process.
func machine(name, zone string) *entity {
	return &entity{kind: kindInstance, host: &hostState{name: name, zone: zone}, src: &Source{}}
}

func TestPlaceThatOnlyOneZoneDoesNotReachIsNotCutOff(t *testing.T) {
	b, agent := machine("b1", "b"), machine("agent-host", "")
	for name, c := range map[string]struct {
		third float64 // share without a reply from the third zone
		node  bool
	}{"another zone reaches it": {0, false}, "none does": {1, true}} {
		sights := []sight{
			seen(machine("a1", "a").host, machine("a1", "a"), b, 1, true),
			seen(machine("a2", "a").host, machine("a2", "a"), b, 1, true),
			seen(machine("c1", "c").host, machine("c1", "c"), b, c.third, true),
		}
		cuts := [...]cut{{near: side{host: b.host}}, {near: side{zone: "b"}}}
		sights = append(sights, seen(agent.host, nil, b, 1, true)) // an observer, of which nobody tells the zone
		for _, place := range cuts {
			if got := !place.onlyOneWay(sights); got != c.node && (c.node || place.near.zone != "") {
				t.Errorf("%s: %s may be cut off from all: %v", name, place.near.name(), got)
			}
		}
		if place := cuts[0]; place.onlyOneWay(sights[:3]) == c.node {
			t.Errorf("%s: of what processes see, %s may be cut off from all: %v", name, place.near.name(), c.node)
		}
	}
}
