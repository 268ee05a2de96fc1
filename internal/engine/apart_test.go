// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Two instances of a service on both sides of a cut, of which one or the other fails
// callers that name only the service.
func TestWhoIsCutOffFromAllThatComplainDoesNotHang(t *testing.T) {
	for name, x := range map[string]struct {
		complains []string // zones of those who get no answer
		began     clock.Time
		met       clock.Time // when one who complains was last answered by the one beyond
		apart     bool
	}{
		"all who complain are on the other side": {[]string{"a"}, 10e9, 0, true},
		"one on its own side complains, too":     {[]string{"a", "b"}, 10e9, 0, false},
		"one elsewhere complains, too":           {[]string{"a", "c"}, 10e9, 0, false},
		"they complained before the cut":         {[]string{"a"}, 20e9, 0, false},
		"it has answered them since":             {[]string{"a"}, 10e9, 20e9, false},
	} {
		e := told(26e9, &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "b"}}, at: 26e9, began: x.began})
		whole := &entity{kind: kindService, src: &Source{}, calls: &callStats{firstFail: 11e9}}
		beyond, here := machine("b1", "b"), machine("a2", "a")
		s := &service{whole: whole, instances: []*entity{beyond, here}}
		for _, zone := range x.complains {
			caller := machine("caller-"+zone, zone)
			whole.view(caller.host, caller).lastBad = 25e9
			if x.met != 0 {
				beyond.view(caller.host, caller).lastMet = x.met
			}
		}
		for _, n := range s.instances {
			n.service = s
			e.suspect(n)
			n.episode.stalls, n.episode.onset = true, 11e9
		}
		e.cuts[0].keepApart(e)
		if got := beyond.cutOff != nil; got != x.apart {
			t.Errorf("%s: the cut explains the one beyond: %v", name, got)
		}
		if here.cutOff != nil {
			t.Errorf("%s: it explains the one on this side", name)
		}
		if got := e.cutFails(here); got != x.apart {
			t.Errorf("%s: the calls that fail are another's: %v", name, got)
		}
		if e.cutFails(beyond) {
			t.Errorf("%s: the calls that fail are of the one on this side", name)
		}
		e.now = e.now.Add(time.Hour)
		if e.cutFails(here) {
			t.Errorf("%s: a cut that is long over explains calls that fail now", name)
		}
	}
}

func TestNameOfWhichOneIsBeyondACutIsNotCutOffItself(t *testing.T) {
	for name, x := range map[string]struct {
		from   string
		healed clock.Time
		across bool
	}{
		"one of it is beyond":        {"a", 0, true},
		"the cut healed a while ago": {"a", 5e9, false},
		"the cut is elsewhere":       {"c", 0, false},
	} {
		link := &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "b"}}, at: 60e9, began: 1e9}
		if x.healed != 0 {
			link.at, link.goneAt = x.healed, x.healed
		}
		e := told(61e9, link)
		whole := &entity{kind: kindService, src: &Source{}}
		whole.service = &service{whole: whole, instances: []*entity{machine("b1", "b"), machine("c1", "c")}}
		caller := machine("caller", x.from)
		for _, near := range []side{{host: caller.host}, {entity: caller}} {
			if got := e.nameAcross(&foundCut{cut: cut{near: near, far: side{entity: whole}}}); got != x.across {
				t.Errorf("%s: explained %v", name, got)
			}
		}
	}
}
