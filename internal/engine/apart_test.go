// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
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
		whole := &entity{kind: kindService, src: &report.Source{}, calls: &callStats{firstFail: 11e9}}
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
		whole := &entity{kind: kindService, src: &report.Source{}}
		whole.service = &service{whole: whole, instances: []*entity{machine("b1", "b"), machine("c1", "c")}}
		caller := machine("caller", x.from)
		for _, near := range []side{{host: caller.host}, {entity: caller}} {
			if got := e.nameAcross(&foundCut{cut: cut{near: near, far: side{entity: whole}}}); got != x.across {
				t.Errorf("%s: explained %v", name, got)
			}
		}
	}
}

// parted are two instances of a service on both sides of a cut, and one who complains.
type parted struct {
	e                           *Engine
	c                           *cutState
	beyond, here, whole, caller *entity
}

func newParted() *parted {
	p := &parted{c: &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "b"}}, at: 26e9, began: 10e9}}
	p.e = told(26e9, p.c)
	p.whole = &entity{kind: kindService, src: &report.Source{}, calls: &callStats{firstFail: 11e9}}
	p.beyond, p.here, p.caller = machine("b1", "b"), machine("a2", "a"), machine("caller", "a")
	s := &service{whole: p.whole, instances: []*entity{p.beyond, p.here}}
	p.whole.service = s
	p.whole.view(p.caller.host, p.caller).lastBad = 25e9
	for _, n := range s.instances {
		n.service = s
		p.e.suspect(n)
		n.episode.stalls, n.episode.onset = true, 11e9
	}
	return p
}

// over lets the cut have healed for so long.
func (p *parted) over(since clock.Time) { p.e.now, p.c.goneAt = p.c.at+since, p.c.at }

func TestWhatACutHasToDoWithThoseBeyondIt(t *testing.T) {
	const long = clock.Time(3600e9)
	for name, x := range map[string]struct {
		change       func(p *parted)
		apart, fails bool // it is kept apart; calls that fail are those to it
	}{
		"it_stands":                    {func(*parted) {}, true, true},
		"packets_are_slow":             {func(p *parted) { p.c.slow = true }, false, false},
		"it_healed_just_now":           {func(p *parted) { p.over(1e9) }, true, true},
		"it_healed_long_ago":           {func(p *parted) { p.over(long) }, false, false},
		"another_explains_it":          {func(p *parted) { p.beyond.cutOff = &cutState{} }, false, true},
		"it_is_a_cut":                  {func(p *parted) { p.beyond.cut = &cutState{} }, false, true},
		"it_answers":                   {func(p *parted) { p.beyond.episode.stalls = false }, false, true},
		"it_left":                      {func(p *parted) { p.beyond.left = true }, true, false},
		"one_beyond_complained_before": {func(p *parted) { b := machine("b2", "b"); p.whole.view(b.host, b).lastBad = 10e9 }, true, true},
		"who_complains_met_it_before":  {func(p *parted) { p.beyond.view(p.caller.host, p.caller).lastMet = 11e9 }, true, true},
		"who_complains_has_met_it":     {func(p *parted) { p.beyond.view(p.caller.host, p.caller).lastMet = 20e9 }, false, false},
		"somebody_on_that_host_has_met": {func(p *parted) {
			p.whole.view(p.caller.host, nil).lastBad = 25e9
			p.beyond.view(p.caller.host, nil).lastMet = 20e9
		}, true, true},
		"it_may_stand_anywhere": {func(p *parted) { p.beyond.host = nil; p.beyond.episode.stalls = false }, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParted()
			x.change(p)
			fails := p.e.cutFails(p.here)
			p.c.keepApart(p.e)
			if apart := p.beyond.cutOff == p.c; apart != x.apart || fails != x.fails {
				t.Errorf("kept apart %v, those fail %v", apart, fails)
			}
		})
	}
}

func TestNameIsAcrossACut(t *testing.T) {
	for name, x := range map[string]struct {
		across bool
		change func(p *parted, f *foundCut)
	}{
		"of_a_service":         {true, func(*parted, *foundCut) {}},
		"of_an_instance":       {false, func(p *parted, f *foundCut) { f.far.entity = p.beyond }},
		"of_nobody":            {false, func(_ *parted, f *foundCut) { f.far.entity = nil }},
		"that_is_slow":         {false, func(p *parted, _ *foundCut) { p.c.slow = true }},
		"that_nobody_was_told": {false, func(p *parted, _ *foundCut) { p.c.entity.verdict = nil }},
		"that_healed_long_ago": {false, func(p *parted, _ *foundCut) { p.over(3600e9) }},
		"that_is_the_same": {false, func(p *parted, f *foundCut) {
			p.c.near, p.c.far = f.near, f.far
			p.c.far.zone, f.far.zone = "b", "b"
			p.c.near.zone, f.near.zone = "a", "a"
		}},
		"whom_it_left":    {false, func(p *parted, _ *foundCut) { p.beyond.left = true }},
		"that_is_nowhere": {false, func(p *parted, _ *foundCut) { p.beyond.host = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newParted()
			f := &foundCut{cut: cut{near: side{host: p.caller.host}, far: side{entity: p.whole}}}
			x.change(p, f)
			if got := p.e.nameAcross(f); got != x.across {
				t.Errorf("across %v", got)
			}
		})
	}
}
