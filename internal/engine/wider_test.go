// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// machine is a host in a zone, "" if nobody tells that, with one process.
func machine(name, zone string) *entity {
	return &entity{kind: kindInstance, host: &hostState{name: name, zone: zone}, src: &report.Source{}}
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

// told is an engine at a time, with cuts that somebody was told of.
func told(now clock.Time, cuts ...*cutState) *Engine {
	e := New(DefaultParams())
	e.now = now
	for _, c := range cuts {
		c.entity = e.cutEntity(c)
		c.entity.cut = c
		e.suspect(c.entity)
		c.entity.verdict = &verdict.Verdict{Class: verdict.ClassPartition}
		e.cuts = append(e.cuts, c)
	}
	return e
}

func TestMachineBehindACutOfItsZoneIsNotCutOffItself(t *testing.T) {
	b, a, c := machine("b1", "b"), machine("a1", "a"), machine("c1", "c")
	observer, gateway := machine("observer", ""), machine("gateway", "")
	across := []sight{
		seen(a.host, a, b, 1, true), seen(observer.host, nil, b, 1, true),
		{from: b.host, to: gateway.host, share: 1, weight: 1, since: 10e9, good: 9e9},
	}
	for name, x := range map[string]struct {
		sights   []sight
		healed   clock.Time // 0: the link stands
		absorbed bool
	}{
		"all who do not reach it are, or may be, beyond the link": {across, 0, true},
		"a third zone does not reach it either":                   {append([]sight{seen(c.host, c, b, 1, true)}, across...), 0, false},
		"nor did they since the link healed":                      {across, 15e9, false},
		"the link healed after they had tried":                    {across, 25e9, true},
	} {
		link := &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "b"}}, at: 21e9, began: 10e9, goneAt: x.healed}
		if x.healed != 0 {
			link.at = x.healed
		}
		e := told(26e9, link)
		sights := append([]sight(nil), x.sights...)
		for i := range sights {
			sights[i].tried = 20e9
		}
		weighSights(sights)
		f := foundCut{cut: cut{near: side{host: b.host}, prior: priorHost}, bad: 20e9}
		if got := e.absorbed(&f, sights); got != x.absorbed {
			t.Errorf("%s: absorbed %v", name, got)
		}
		if x.healed != 0 {
			continue
		}
		// The same of one that was told before the link was found.
		node := &cutState{cut: f.cut, found: foundCut{asked: true}, at: 26e9, began: 10e9}
		e = told(26e9, node, link)
		e.absorb(sights)
		if got := node.entity.cutOff == link; got != x.absorbed {
			t.Errorf("%s: told before, it is inside the link: %v", name, got)
		}
		if link.entity.cutOff != nil {
			t.Errorf("%s: the link is inside the node", name)
		}
		e.countedOn(b.host, "it counted on")
		if got := node.entity.episode.found[belief.EvReturnCounted].strength == 0; got != x.absorbed {
			t.Errorf("%s: that it counted on says nothing of the node: %v", name, got)
		}
	}
}

func TestZoneThatIsSilentBeyondALinkIsNotCutOffFromAll(t *testing.T) {
	b, c, gateway := machine("b1", "b"), machine("c1", "c"), machine("gateway", "")
	beats := sight{from: b.host, to: gateway.host, share: 1, weight: 3, since: 10e9, good: 9e9}
	for name, x := range map[string]struct {
		sights   []sight
		absorbed bool
	}{
		"the gateway may stand beyond it": {[]sight{beats}, true},
		"a third zone does not reach it":  {[]sight{beats, seen(c.host, c, b, 1, true)}, false},
	} {
		e := told(26e9, &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "b"}}, at: 26e9, began: 10e9})
		weighSights(x.sights)
		if got := e.absorbed(&foundCut{cut: cut{near: side{zone: "b"}, prior: priorZone}, bad: 20e9}, x.sights); got != x.absorbed {
			t.Errorf("%s: absorbed %v", name, got)
		}
	}
}

func TestNobodyIsAccusedOfWhatWasBeforeACutHealed(t *testing.T) {
	d, a, b := machine("d1", "d"), machine("a1", "a"), machine("b1", "b")
	for name, x := range map[string]struct {
		tried   clock.Time
		told    bool
		accused bool
	}{
		"they tried before":                {20e9, true, false},
		"they tried after":                 {24e9, true, true},
		"of a cut that nobody was told of": {20e9, false, true},
	} {
		zone := &cutState{cut: cut{near: side{zone: "c"}}, at: 21e9, began: 10e9, goneAt: 22e9}
		e := told(26e9, zone)
		if !x.told {
			zone.entity.verdict = nil
		}
		sights := []sight{seen(a.host, a, d, 1, true), seen(b.host, b, d, 1, true)}
		for i := range sights {
			sights[i].tried = x.tried
		}
		weighSights(sights)
		if got := !e.absorbed(&foundCut{cut: cut{near: side{host: d.host}, prior: priorHost}}, sights); got != x.accused {
			t.Errorf("%s: accused %v", name, got)
		}
	}
}

func TestWhoDoesNotReachThoseThatAreCutOffIsNot(t *testing.T) {
	a, b1, b2, c := machine("a1", ""), machine("b1", ""), machine("b2", ""), machine("c1", "")
	cuts := func() []*cutState {
		return []*cutState{
			{cut: cut{near: side{host: b1.host}}, at: 26e9, began: 10e9},
			{cut: cut{near: side{host: b2.host}}, at: 26e9, began: 10e9},
		}
	}
	silent := []sight{seen(a.host, a, b1, 1, true), seen(a.host, a, b2, 1, true), seen(b1.host, b1, a, 1, true)}
	for name, x := range map[string]struct {
		sights  []sight
		accused bool
	}{
		"it is only they":               {silent, false},
		"somebody else does not either": {append([]sight{seen(c.host, c, a, 1, true)}, silent...), true},
	} {
		e := told(26e9, cuts()...)
		weighSights(x.sights)
		if got := !e.absorbed(&foundCut{cut: cut{near: side{host: a.host}, prior: priorHost}}, x.sights); got != x.accused {
			t.Errorf("%s: accused %v", name, got)
		}
	}
}

func TestOneOfSeveralThatFallSilentTogetherIsDoubtful(t *testing.T) {
	for name, x := range map[string]struct {
		zone     string
		apart    time.Duration
		doubtful bool
	}{
		"together, in zones that nobody tells": {"", time.Second, true},
		"one after the other":                  {"", 20 * time.Second, false},
		"in a zone, which would be found":      {"b", time.Second, false},
	} {
		one := &cutState{cut: cut{near: side{host: machine("b1", x.zone).host}}, at: 26e9, began: 10e9}
		other := &cutState{cut: cut{near: side{host: machine("b2", x.zone).host}}, at: 26e9, began: clock.Time(10e9).Add(x.apart)}
		if e := told(40e9, one, other); e.oneOfSeveral(one) != x.doubtful || e.oneOfSeveral(other) != x.doubtful {
			t.Errorf("%s: doubtful %v, %v", name, e.oneOfSeveral(one), e.oneOfSeveral(other))
		}
	}
	one := &cutState{cut: cut{near: side{host: machine("b1", "").host}}, at: 26e9, began: 10e9}
	if e := told(40e9, one); e.oneOfSeveral(one) {
		t.Error("one alone is doubtful")
	}
}

// An agent of whose host nobody tells the zone looks from somewhere: what it reaches and
// what not shows on which side of a cut that is.
func TestObserversOfUnknownZoneShareTheCutOfTheirZone(t *testing.T) {
	a1, b1, c1, c2 := machine("a1", "a"), machine("b1", "b"), machine("c1", "c"), machine("c2", "c")
	watchA, watchC := machine("watch-a", ""), machine("watch-c", "")
	sees := func(o, n *entity, share float64) sight {
		s := sight{from: o.host, to: n.host, target: n, share: share, weight: 2, good: 9e9, broken: share > 0}
		if share > 0 {
			s.since, s.bad, s.tried = 10e9, 13e9, 12e9
		} else {
			s.good = 13e9
		}
		return s
	}
	calls := sees(a1, c1, 1)
	calls.caller = a1
	sights := byOrigin([]sight{
		calls, sees(watchA, c1, 1), sees(watchA, c2, 1), sees(watchA, a1, 0), sees(watchA, b1, 0),
		sees(watchC, a1, 1), sees(watchC, c1, 0), sees(watchC, c2, 0), sees(watchC, b1, 0),
	})
	found := solve(sights, nil)
	if len(found) != 1 {
		t.Fatalf("found %d cuts, want one", len(found))
	}
	ends := [2]string{found[0].near.zone, found[0].far.zone}
	if ends != [2]string{"a", "c"} && ends != [2]string{"c", "a"} {
		t.Errorf("cut between %s and %s, want the zones", found[0].near.name(), found[0].far.name())
	}
	if found[0].paths != 4 {
		t.Errorf("explains %d silences, want all four", found[0].paths)
	}
}

// Nobody tells the zones of agents, but those who beat to them: an agent of zone c, whose
// probes of zone a are silent, is not thought to stand in zone b, where one call failed.
func TestObserverStandsWhereThoseDoWhoBeatToIt(t *testing.T) {
	a1, a2, b1, b2, c1 := machine("a1", "a"), machine("a2", "a"), machine("b1", "b"), machine("b2", "b"), machine("c1", "c")
	watchA, watchB, watchC := machine("watch-a", ""), machine("watch-b", ""), machine("watch-c", "")
	here := &hostState{name: "gateway"}
	beats := func(n, o *entity) sight { return sight{from: n.host, to: o.host, caller: n, weight: 1, good: 20e9} }
	calls := seen(a1.host, a1, b1, 1, true) // its name look-up fails in zone c
	calls.weight = 1.5
	through := seen(watchA.host, nil, c1, 0, false) // some gets through
	through.weight = 1
	sights := []sight{
		calls, seen(watchC.host, nil, a1, 1, true), seen(watchC.host, nil, a2, 1, true), seen(watchC.host, nil, b1, 0, false), seen(watchC.host, nil, b2, 0, false),
		seen(watchA.host, nil, b1, 0, false), seen(watchA.host, nil, b2, 0, false), through,
		seen(watchB.host, nil, a1, 0, false), seen(watchB.host, nil, c1, 0, false),
	}
	for name, c := range map[string]struct {
		beats   []sight
		drawnIn bool // zone b is
	}{
		"they beat to the agents of their zones": {[]sight{beats(a1, watchA), beats(a2, watchA), beats(b1, watchB), beats(c1, watchC)}, false},
		"each hears two zones":                   {[]sight{beats(a1, watchA), beats(c1, watchA), beats(b1, watchC), beats(c1, watchC)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			found := solve(byOrigin(slices.Concat(sights, c.beats)), here)
			drawnIn := slices.ContainsFunc(found, func(f foundCut) bool { return f.near.zone == "b" || f.far.zone == "b" })
			if len(found) == 0 || drawnIn != c.drawnIn {
				t.Errorf("%d cuts are found, and zone b is part of one: %v", len(found), drawnIn)
			}
		})
	}
	if homes := homesOf([]sight{beats(a1, machine("gateway", ""))}, nil); len(homes) != 1 {
		t.Errorf("%d observers have a home, want one", len(homes))
	}
	if homes := homesOf([]sight{{from: a1.host, to: here, caller: a1}}, here); len(homes) != 0 {
		t.Error("the engine is thought to stand with one that it hears")
	}
}

// Of two zones that do not reach each other, of which one is the engine's, the other is
// cut off: where its servers stand of whom nobody tells must not turn that round.
func TestOtherOfTwoZonesIsTheOneThatIsCutOff(t *testing.T) {
	here := &hostState{name: "gateway"}
	a, b, c := machine("a1", "a"), machine("b1", "b"), machine("c1", "c")
	sights := []sight{seen(a.host, a, b, 1, true), seen(b.host, b, a, 1, true), {from: b.host, to: here, share: 1, weight: 3, since: 10e9, good: 9e9}}
	for range 4 {
		sights = append(sights, seen(a.host, a, &entity{kind: kindExternal, src: &report.Source{}}, 1, true))
	}
	for _, third := range []bool{false, true} {
		all := append([]sight(nil), sights...)
		if third {
			all = append(all, seen(c.host, c, a, 1, true), sight{from: c.host, to: here, share: 1, weight: 3, since: 10e9, good: 9e9})
		}
		found := solve(all, here)
		if len(found) == 0 {
			t.Fatalf("a third zone: %v: nothing found", third)
		}
		if got := found[0].near.here != nil; got != third {
			t.Errorf("a third zone: %v: cut off is %s, with the engine: %v", third, found[0].near.name(), got)
		}
	}
}

func TestZoneThatOnlyOneThatIsCutOffDoesNotReachIsNotCutOff(t *testing.T) {
	a, b, c := machine("a1", "a"), machine("b1", "b"), machine("c1", "c")
	silent := []sight{seen(a.host, a, b, 1, true), seen(b.host, b, a, 1, true)}
	for name, x := range map[string]struct {
		sights   []sight
		absorbed bool
	}{
		"only that does not":        {silent, true},
		"a third does not reach it": {append([]sight{seen(c.host, c, b, 1, true)}, silent...), false},
	} {
		e := told(26e9, &cutState{cut: cut{near: side{zone: "a"}}, at: 26e9, began: 10e9})
		weighSights(x.sights)
		if got := e.absorbed(&foundCut{cut: cut{near: side{zone: "b"}, prior: priorZone}, bad: 20e9}, x.sights); got != x.absorbed {
			t.Errorf("%s: absorbed %v", name, got)
		}
	}
}

// Who asks by a name and is answered by nobody behind it does not tell whom it meant.
func TestCutOfOneBehindANameIsNotBelievedWhileAnotherMayHaveBeenMeant(t *testing.T) {
	a, b, c := machine("a", "za"), machine("b", "zb"), machine("c", "zc")
	name := &entity{kind: kindService, src: &report.Source{}}
	silent := func(to *entity, by *entity, byName bool) sight {
		s := seen(by.host, by, to, 1, true)
		if byName {
			s.named = name
		}
		return s
	}
	other := machine("a2", "za")
	for what, x := range map[string]struct {
		sights []sight
		means  bool
	}{
		"nobody behind it answers":         {[]sight{silent(b, a, true), silent(c, a, true)}, true},
		"the other one answers":            {[]sight{silent(b, a, true), seen(a.host, a, c, 0, false)}, false},
		"another asks without a name":      {[]sight{silent(b, a, true), silent(c, a, true), silent(b, other, false)}, false},
		"only one behind its name is gone": {[]sight{silent(b, a, true)}, false},
		"another by the same name, alone":  {[]sight{silent(b, a, true), silent(c, a, true), silent(b, other, true)}, false},
	} {
		f := foundCut{cut: cut{near: side{zone: "za"}, far: side{zone: "zb"}}}
		if got := f.meansOthers(x.sights); got != x.means {
			t.Errorf("%s: may mean others: %v", what, got)
		}
	}
	f := foundCut{cut: cut{near: side{host: a.host}}}
	if f.meansOthers([]sight{silent(b, a, true), silent(c, a, true)}) {
		t.Error("whoever it meant is behind the cut, and yet it may mean others")
	}
}

// Whether a place was cut off or is down is not known yet; why nobody hears those there is.
func TestWhoIsBehindACutOfUnknownClassIsItsVictim(t *testing.T) {
	c := &cutState{cut: cut{near: side{zone: "a"}}, at: 26e9, began: 10e9}
	e := told(26e9, c)
	n := machine("a1", "a")
	n.cutOff = c
	for verdicts, want := range map[*verdict.Verdict]float64{nil: 0.8, {Class: verdict.ClassUnknown}: 1, {Class: verdict.ClassPartition}: 1} {
		c.entity.verdict = verdicts
		p := &episode{onset: 20e9}
		detectReach(e, n, p)
		if got := p.found[belief.EvExplainedByCut].strength; got != want {
			t.Errorf("with the verdict %v it explains %v, want %v", verdicts, got, want)
		}
	}
}

// A link within a zone that was cut off is known from before. What is left of the zone's
// cut when it heals is no new cut of the link, nor do those who come back speak for one.
func TestLinkWithinACutThatHealsIsNotTold(t *testing.T) {
	link := &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "c"}}, at: 50e9, goneAt: 60e9, found: foundCut{asked: true}}
	zone := &cutState{cut: cut{near: side{zone: "c"}}, at: 100e9, began: 90e9, found: foundCut{asked: true}}
	e := told(101e9, link, zone)
	link.entity.verdict = nil
	if e.believe(foundCut{cut: cut{near: side{zone: "c"}, far: side{zone: "a"}}, share: 1}, false); link.at != 50e9 {
		t.Error("the link is believed to be cut again")
	}
	host := &hostState{name: "c1", zone: "c"}
	for cutOff, want := range map[*cutState]float64{zone: 0, nil: 1} {
		link.entity.cutOff = cutOff
		e.countedOn(host, "it came back")
		if got := link.entity.episode.found[belief.EvReturnCounted].strength; got != want {
			t.Errorf("behind %v it counts %v for the link, want %v", cutOff, got, want)
		}
		link.entity.episode.found[belief.EvReturnCounted] = finding{}
	}
	e.now = 200e9
	if e.believe(foundCut{cut: cut{near: side{zone: "c"}, far: side{zone: "a"}}, share: 1}, false); link.at != e.now {
		t.Error("the link is not believed to be cut")
	}
}

// Behind a cut that is told, or may soon be, nobody is wondered at by himself.
func TestWhomACutAccountsForIsNotTold(t *testing.T) {
	for name, c := range map[string]struct {
		began, at, gone clock.Time
		told, accounts  bool
	}{
		"it was just found":              {20e9, 26e9, 0, false, true},
		"it is told":                     {1e9, 26e9, 0, true, true},
		"it was found, and never told":   {1e9, 26e9, 0, false, false},
		"it is over":                     {20e9, 25e9, 26e9, true, false},
		"it was not found again of late": {1e9, 10e9, 0, true, false},
	} {
		s := &cutState{cut: cut{near: side{zone: "a"}}, began: c.began, at: c.at, goneAt: c.gone}
		e := told(26e9, s)
		if !c.told {
			s.entity.verdict = nil
		}
		if got := s.accountsFor(e.now); got != c.accounts {
			t.Errorf("%s: it accounts for them: %v", name, got)
		}
	}
	if (*cutState)(nil).accountsFor(1) {
		t.Error("no cut accounts for somebody")
	}
}

// Calls into a machine that was down are told late, when others are answered there again: that
// is no link that was cut. A link that is cut while the rest goes on is.
func TestLateWordOfAMachineThatIsBackIsNoLink(t *testing.T) {
	b, c := machine("b1", "b"), machine("c1", "c")
	callers := []*entity{machine("a1", "a"), machine("a2", "a"), machine("a3", "a")}
	for name, x := range map[string]struct {
		tried, goodOn clock.Time // of the way from a; of that from c
		absorbed      bool
	}{
		"nobody tried since it was back":     {15e9, 18e9, true},
		"they tried since it was back":       {20e9, 18e9, false},
		"it never was away for those beyond": {15e9, 5e9, false},
		"it is not back":                     {15e9, 0, false},
	} {
		down := &cutState{cut: cut{near: side{host: b.host}}, at: 21e9, began: 10e9}
		e := told(22e9, down)
		other := seen(c.host, c, b, 0, false)
		other.good, other.goodOn = 21e9, x.goodOn
		sights := []sight{other}
		for _, a := range callers {
			way := seen(a.host, a, b, 1, true)
			way.tried, way.cut = x.tried, 8
			sights = append(sights, way)
		}
		link := &cut{near: side{zone: "a"}, far: side{zone: "b"}}
		if got := e.pastOfItsEnd(link, sights); got != x.absorbed {
			t.Errorf("%s: it is told of a time that is past: %v", name, got)
		}
	}
}
