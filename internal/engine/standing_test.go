// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "testing"

// A cut that stands explains what is left of its silences while it heals; another
// begins only where much more is silent than that.
func TestCutThatStandsGoesOnSoonerThanAnotherBegins(t *testing.T) {
	a, b := &hostState{name: "a1", zone: "a"}, &hostState{name: "b1", zone: "b"}
	from, target := &entity{host: a, src: &Source{}}, &entity{host: b, src: &Source{}}
	other, third := &hostState{name: "b2", zone: "b"}, &hostState{name: "c1", zone: "c"}
	near, beyond := &entity{host: other, src: &Source{}}, &entity{host: third, src: &Source{}}
	link := &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "b"}}}
	left := []sight{seen(a, from, target, 1, false)}
	more := append(left, seen(third, beyond, target, 1, true), seen(third, beyond, near, 1, true), seen(other, near, beyond, 1, true), seen(a, from, near, 1, true))
	for name, c := range map[string]struct {
		sights []sight
		stands []*cutState
		link   bool
	}{
		"one that waits is no cut of two zones":        {left, nil, false},
		"it is what is left of the cut that stands":    {left, []*cutState{link}, true},
		"a zone that is cut off from all is no link":   {more, nil, false},
		"nor if it was first met from one of them":     {more, []*cutState{link}, false},
		"that another link stands says nothing of one": {left, []*cutState{{cut: cut{near: side{zone: "a"}, far: side{zone: "c"}}}}, false},
	} {
		sights := append([]sight(nil), c.sights...)
		found := solve(sights, nil, c.stands...)
		if len(found) == 0 {
			t.Errorf("%s: nothing is found", name)
			continue
		}
		if got := found[0].sameAs(&link.cut); got != c.link {
			t.Errorf("%s: found %s | %s", name, found[0].near.name(), found[0].far.name())
		}
	}
}
