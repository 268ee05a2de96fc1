// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A cut that stands explains what is left of its silences while it heals; another
// begins only where much more is silent than that.
func TestCutThatStandsGoesOnSoonerThanAnotherBegins(t *testing.T) {
	a, b := &hostState{name: "a1", zone: "a"}, &hostState{name: "b1", zone: "b"}
	from, target := &entity{host: a, src: &report.Source{}}, &entity{host: b, src: &report.Source{}}
	other, third := &hostState{name: "b2", zone: "b"}, &hostState{name: "c1", zone: "c"}
	near, beyond := &entity{host: other, src: &report.Source{}}, &entity{host: third, src: &report.Source{}}
	link := &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "b"}}}
	left := []sight{seen(a, from, target, 1, false)}
	more := slices.Concat(left, []sight{seen(third, beyond, target, 1, true), seen(third, beyond, near, 1, true), seen(other, near, beyond, 1, true), seen(a, from, near, 1, true)})
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

// Packets are lost on all ways in and out of a place alike. Where nothing comes
// back on some and everything on others, those ways are cut.
func TestWhatIsLostOnSomeWaysAltogetherIsNoLossOfPackets(t *testing.T) {
	for name, c := range map[string]struct {
		silent float64    // on the ways to every other host
		good   clock.Time // when the other ways were last open
		apart  bool
	}{
		"nothing comes back on half of the ways": {1, 20e9, true},
		"nor was the other half open meanwhile":  {1, 8e9, false},
		"a third is lost on them":                {0.35, 20e9, false},
	} {
		host, sights := around(func(zone string) float64 {
			if zone == "b" {
				return c.silent
			}
			return 0
		})
		for i := range sights {
			if sights[i].share == 0 {
				sights[i].good = c.good
			}
		}
		place, link := cut{near: side{host: host}}, cut{near: side{zone: "a"}, far: side{zone: "b"}}
		if got := place.losesApart(sights); got != c.apart {
			t.Errorf("%s: lost apart: %v", name, got)
		}
		for i := range sights { // the same between two zones
			sights[i].to.zone, sights[i].from.zone = "b", "a"
		}
		if got := link.losesApart(sights); got != c.apart {
			t.Errorf("%s: lost apart on a link: %v", name, got)
		}
	}
}

// What an observer has heard says nothing of the time since it was heard itself.
func TestWhoIsHeardByASilentObserverIsNotHeardNow(t *testing.T) {
	for name, c := range map[string]struct {
		heard time.Duration // the observer, after the failure began
		still time.Duration // how long it may stand still meanwhile
	}{
		"it goes on to tell":              {3 * time.Second, 2500 * time.Millisecond},
		"it fell silent with the failure": {0, asleepWait},
	} {
		e := New(DefaultParams())
		e.now = clock.Time(time.Hour)
		began := e.now
		o := &observer{id: "agent", seen: began.Add(c.heard)}
		n := &entity{host: &hostState{name: "h"}, src: &report.Source{Host: "h"}}
		n.streams = []*stream{{entity: n, kind: signBeat, observer: o, gaps: stat.Accrual{Interval: time.Second}}}
		e.watched = n.streams
		e.now = began.Add(4 * time.Second)
		if still, _ := n.beatsThroughout(began); still != c.still {
			t.Errorf("%s: it may stand still for %v", name, still)
		}
		for _, s := range e.signSights() {
			if s.caller == n && s.good != o.seen {
				t.Errorf("%s: last heard at %v after it began", name, s.good.Sub(began))
			}
		}
	}
}

func TestLinkOfAHostWithoutAZoneMayBePartOfTheLinkOfZones(t *testing.T) {
	zones := &cut{near: side{zone: "a"}, far: side{zone: "b"}}
	in := func(zone string) side { return side{host: &hostState{name: "h", zone: zone}} }
	for name, c := range map[string]struct {
		link  cut
		maybe bool
	}{
		"an observer's, to one end":       {cut{near: in(""), far: in("b")}, true},
		"the other way round":             {cut{near: in("a"), far: in("")}, true},
		"to a third zone":                 {cut{near: in(""), far: in("c")}, false},
		"between two of whom it is known": {cut{near: in("a"), far: in("c")}, false},
		"of which nothing is known":       {cut{near: in(""), far: in("")}, false},
	} {
		if got := c.link.maybeWithin(zones); got != c.maybe {
			t.Errorf("%s: %v", name, got)
		}
	}
	if link := (cut{near: in(""), far: in("b")}); link.maybeWithin(&cut{near: side{zone: "b"}}) {
		t.Error("a zone that is cut off has no other side")
	}
}

// A cut that was never told has no more right than another to what is silent now.
func TestOnlyACutThatWasToldStands(t *testing.T) {
	e := New(DefaultParams())
	e.now = clock.Time(time.Hour)
	c, _ := aCut(e, e.now)
	if len(e.standing(false)) != 0 {
		t.Error("one that is only suspected stands")
	}
	c.entity.verdict = &verdict.Verdict{Class: verdict.ClassPartition}
	if got := e.standing(false); len(got) != 1 || got[0] != c {
		t.Errorf("the one that was told does not stand: %v", got)
	}
	if len(e.standing(true)) != 0 {
		t.Error("it stands as one that is slow")
	}
	c.entity.verdict, c.entity.cleared, c.goneAt = nil, e.now.Add(time.Second), e.now
	if len(e.standing(false)) != 1 {
		t.Error("one that was told and has just healed is not cut again sooner than another")
	}
}

// Two observers of whom nobody tells the zone lose a part of what they ask of each
// other's, and all else is well.
func TestZonesThatOnlyObserversOfUnknownZoneLoseMayBeALink(t *testing.T) {
	watchA, watchC := &hostState{name: "watch-a"}, &hostState{name: "watch-c"}
	var sights []sight
	for _, name := range []string{"1", "2", "3", "4"} {
		a, b, c := machine("a"+name, "a"), machine("b"+name, "b"), machine("c"+name, "c")
		sights = append(sights, seen(watchA, nil, c, 0.5, true), seen(watchA, nil, b, 0, false), seen(watchA, nil, a, 0, false),
			seen(watchC, nil, a, 0.5, true), seen(watchC, nil, b, 0, false), seen(watchC, nil, c, 0, false))
	}
	found := solve(byOrigin(sights), nil)
	if len(found) != 1 || !found[0].sameAs(&cut{near: side{zone: "a"}, far: side{zone: "c"}}) || !found[0].lossy {
		t.Errorf("found %+v", found)
	}
}
