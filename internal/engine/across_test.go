// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// What a hypothesis is worth does not depend on which sights it is shown, as long as
// those that it silences are among them.
func TestEachHypothesisLooksAtItsOwnSights(t *testing.T) {
	looked, all := 0, 0
	for seed := range uint64(40) {
		r := rand.New(rand.NewPCG(seed, 1))
		sights, here := randomSights(r)
		weighSights(sights)
		nowhere := placelessIn(sights, nil)
		places := endsOf(sights, nowhere, here)
		hypotheses := propose(sights, here)
		for i := range hypotheses {
			c := &hypotheses[i]
			c.place(sights, nowhere, nil, here)
			whole := *c
			few := places.across(sights, c)
			looked, all = looked+len(few), all+len(sights)
			if got, want := c.score(few), whole.score(sights); got != want || c.lossy != whole.lossy || c.isManyLinks(few) != whole.isManyLinks(sights) {
				t.Fatalf("seed %d: %s|%s is worth %v of its own sights, and %v of all", seed, c.near.name(), c.far.name(), got, want)
			}
		}
	}
	if looked > all/5 {
		t.Errorf("looked at %d of %d sights", looked, all)
	}
}

func randomSights(r *rand.Rand) ([]sight, *hostState) {
	var hosts []*hostState
	for i := range 20 {
		h := &hostState{name: fmt.Sprint("h", i)}
		if i%5 != 0 {
			h.zone = fmt.Sprint("z", i%3)
		}
		hosts = append(hosts, h)
	}
	var who []*entity
	for i := range 40 {
		n := &entity{key: uint64(i), src: &report.Source{Instance: fmt.Sprint("i", i)}, host: hosts[i%len(hosts)]}
		if i%10 == 9 {
			n.kind, n.address, n.host = kindExternal, fmt.Sprint("x", i), nil
		}
		who = append(who, n)
	}
	here := hosts[0]
	var out []sight
	for range 400 {
		target, caller := who[r.IntN(len(who))], who[r.IntN(len(who))]
		s := sight{from: hosts[r.IntN(len(hosts))], to: target.host, target: target, weight: 1, good: clock.Time(r.IntN(100)), since: clock.Time(1 + r.IntN(100))}
		switch r.IntN(4) {
		case 0:
			s.to, s.target = here, nil
		case 1:
			if caller.host != nil {
				s.caller, s.from = caller, caller.host
			}
		}
		if s.from.zone == "z1" && r.IntN(3) > 0 {
			s.share, s.broken = 1, r.IntN(2) == 0
		}
		out = append(out, s)
	}
	return byOrigin(out), here
}
