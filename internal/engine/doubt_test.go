// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestWhoseAnswersAreDoubted(t *testing.T) {
	for name, c := range map[string]struct {
		doubted bool
		change  func(n *entity, f *finding)
	}{
		"who_may_soon_be_convicted": {true, func(*entity, *finding) {}},
		"of_an_unknown_failure":     {true, func(n *entity, _ *finding) { n.verdict = &verdict.Verdict{Class: verdict.ClassUnknown} }},
		"not_who_is_convicted":      {false, func(n *entity, _ *finding) { n.verdict = &verdict.Verdict{Class: verdict.ClassByzantine} }},
		"not_a_service":             {false, func(n *entity, _ *finding) { n.kind = kindService }},
		"not_on_what_is_over":       {false, func(_ *entity, f *finding) { f.now = false }},
		"not_on_little":             {false, func(_ *entity, f *finding) { f.strength = doubtful[belief.EvOwnErrors] - 0.01 }},
		"not_on_what_is_long_ago":   {false, func(_ *entity, f *finding) { f.at = f.at.Add(-doubtFor) }},
	} {
		t.Run(name, func(t *testing.T) {
			e, all := sized(1)
			n := all[0]
			p := n.episodeOf(e)
			f := &p.found[belief.EvOwnErrors]
			f.now, f.strength, f.at = true, doubtful[belief.EvOwnErrors], e.now
			c.change(n, f)
			e.changed = false
			if e.doubt(n, p); p.doubted != c.doubted || e.changed != c.doubted {
				t.Errorf("doubted %v, readers are told %v", p.doubted, e.changed)
			}
			e.changed = false
			if e.doubt(n, p); e.changed {
				t.Error("readers are told what they know")
			}
		})
	}
}

func TestAddressesAtWhichOneIsAlone(t *testing.T) {
	e, all := sized(2)
	n, other := all[0], all[1]
	e.book.put("mine:1", n, e.now)
	e.book.put("another's:1", other, e.now)
	e.book.put("both:1", n, e.now)
	e.book.put("both:1", other, e.now)
	n.addresses = []string{"mine:1", "another's:1", "both:1", "nobody's:1"}
	if alone := e.alone(n); !slices.Equal(alone, []string{"mine:1"}) {
		t.Errorf("alone at %v", alone)
	}
}
