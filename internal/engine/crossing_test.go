// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// betweenZones says whether two hosts stand in these two zones.
func betweenZones(x, y zoneHost, a, b string) bool {
	return x.zone == a && y.zone == b || x.zone == b && y.zone == a
}

func TestSlowWaysAreToldByWhatCallsSpendOnThem(t *testing.T) {
	const usual, slow = time.Millisecond, 120 * time.Millisecond
	for name, c := range map[string]struct {
		wire     func(z *zones, from, to *zoned) time.Duration
		class    verdict.Class
		subclass string
	}{
		"all calls between two zones are late": {func(_ *zones, from, to *zoned) time.Duration {
			if betweenZones(from.at, to.at, "zone-a", "zone-b") {
				return slow
			}
			return usual
		}, verdict.ClassPartition, "slow_link"},
		"some calls between two zones are sent again": {func(z *zones, from, to *zoned) time.Duration {
			if betweenZones(from.at, to.at, "zone-a", "zone-b") && z.rand.IntN(10) < 4 {
				return 200 * time.Millisecond
			}
			return usual
		}, verdict.ClassPartition, "lossy_link"},
		"calls wait in one callee's full queue": {func(_ *zones, _, to *zoned) time.Duration {
			if to.src.Instance == "svc1-b0" {
				return slow
			}
			return usual
		}, verdict.ClassNone, ""},
		"one machine has no breath": {func(_ *zones, from, to *zoned) time.Duration {
			if from.at.name == "zone-b-h1" || to.at.name == "zone-b-h1" {
				return slow
			}
			return usual
		}, verdict.ClassNone, ""},
		"for a moment all between two zones wait": {func(z *zones, from, to *zoned) time.Duration {
			if betweenZones(from.at, to.at, "zone-a", "zone-b") && z.now < 1_800_000_000_000_000_000+62e9 {
				return 1500 * time.Millisecond
			}
			return usual
		}, verdict.ClassNone, ""},
		"all between all zones wait": {func(_ *zones, from, to *zoned) time.Duration {
			if from.at.zone != to.at.zone {
				return slow
			}
			return usual
		}, verdict.ClassNone, ""},
		"all wait now and then, and those of one zone more": {func(z *zones, from, to *zoned) time.Duration {
			often := 25 // in a hundred
			if from.at.zone == "zone-a" || to.at.zone == "zone-a" {
				often = 35
			}
			if z.rand.IntN(100) < often {
				return slow
			}
			return usual
		}, verdict.ClassNone, ""},
		"a call here and there is late": {func(z *zones, _, _ *zoned) time.Duration {
			if z.rand.IntN(50) == 0 {
				return slow
			}
			return usual
		}, verdict.ClassNone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			z.wire = func(from, to *zoned) time.Duration { return c.wire(z, from, to) }
			z.run(20 * time.Second)
			z.expect(t, c.class, "link zone-a→zone-b", "link zone-b→zone-a")
			for _, v := range z.verdicts() {
				if string(v.Subclass) != c.subclass {
					t.Errorf("subclass %q, want %q", v.Subclass, c.subclass)
				}
			}
		})
	}
}

func TestSlowZoneIsNoneWhoseMachinesHaveNoBreath(t *testing.T) {
	for name, busy := range map[string]bool{"its machines are idle": false, "its machines are busy": true} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			z.wire = func(from, to *zoned) time.Duration {
				if (from.at.zone == "zone-a") != (to.at.zone == "zone-a") {
					return 120 * time.Millisecond
				}
				return time.Millisecond
			}
			for range 20 {
				if busy {
					b := &report.Batch{Arrived: z.now}
					for name, h := range z.e.hosts {
						if h.zone == "zone-a" {
							b.Levels = append(b.Levels, report.Level{Source: &report.Source{Host: name}, Kind: report.LevelCPU, Share: 1, At: z.now})
						}
					}
					z.e.Observe(b)
				}
				z.run(time.Second)
			}
			if busy {
				z.expect(t, verdict.ClassNone)
				return
			}
			z.expect(t, verdict.ClassPartition, "zone zone-a")
		})
	}
}

// A link between two zones is late while the processes of one of them wait for a
// processor.
func TestLinkIsNotSlowWhoseMachinesHaveNoBreath(t *testing.T) {
	for name, c := range map[string]struct {
		before, since float64 // share of the time that they wait
		zone          string
		others        int // of ten calls out of and into that zone, how many are late
		link          bool
	}{
		"they wait for half of the time":                 {0.05, 0.5, "zone-b", 3, false},
		"those of the other zone do":                     {0.05, 0.5, "zone-a", 3, false},
		"those of a zone do that has nothing to do with": {0.05, 0.5, "zone-c", 0, true},
		"they wait a little":                             {0.05, 0.2, "zone-b", 0, true},
		"they always wait so":                            {0.45, 0.5, "zone-b", 0, true},
		"they wait, and only that link is late":          {0.05, 0.5, "zone-b", 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			run := func(seconds int, wait float64) {
				for range seconds {
					b := &report.Batch{Arrived: z.now}
					for _, i := range z.instances {
						if i.at.zone == c.zone {
							b.Levels = append(b.Levels, report.Level{Source: i.src, Kind: report.LevelCPUWait, Share: wait, At: z.now})
						}
					}
					z.e.Observe(b)
					z.run(time.Second)
				}
			}
			run(60, c.before)
			z.wire = func(from, to *zoned) time.Duration {
				if betweenZones(from.at, to.at, "zone-a", "zone-b") || (from.at.zone == c.zone) != (to.at.zone == c.zone) && z.rand.IntN(10) < c.others {
					return 120 * time.Millisecond
				}
				return time.Millisecond
			}
			run(20, c.since)
			if !c.link {
				z.expect(t, verdict.ClassNone)
				return
			}
			z.expect(t, verdict.ClassPartition, "link zone-a→zone-b", "link zone-b→zone-a")
		})
	}
}

func TestWhatIsSlowNowAndThenAroundASlowLinkIsNoSlowPlace(t *testing.T) {
	link := foundCut{cut: cut{near: side{zone: "b"}, far: side{zone: "c"}}, share: 0.95}
	place := func(zone string, share float64) foundCut {
		return foundCut{cut: cut{near: side{zone: zone}}, share: share}
	}
	for name, c := range map[string]struct {
		place foundCut
		stays bool
	}{
		"around it":          {place("b", 0.35), false},
		"around it as often": {place("c", 0.8), true},
		"elsewhere":          {place("a", 0.35), true},
	} {
		t.Run(name, func(t *testing.T) {
			if left := withoutWake([]foundCut{link, c.place}); len(left) != 1 && !c.stays || len(left) != 2 && c.stays {
				t.Errorf("left: %+v", left)
			}
		})
	}
	if left := withoutWake([]foundCut{place("b", 0.35)}); len(left) != 1 {
		t.Error("a slow place alone is none")
	}
}

// Who is short of something makes late both what it is asked and what it asks others.
func TestLinkIsNotSlowIfAllThatIsLateIsOfOneWhoIsShort(t *testing.T) {
	a1, a2 := &hostState{name: "a1", zone: "a"}, &hostState{name: "a2", zone: "a"}
	on := func(h *hostState) *entity { return &entity{host: h, src: &report.Source{}} }
	web, cart, checkout, search := on(a1), on(a1), on(a2), on(a2)
	way := func(caller, target *entity) sight {
		s := seen(caller.host, caller, target, 1, false)
		s.late = true
		return s
	}
	f := foundCut{cut: cut{near: side{host: a1}, far: side{host: a2}}}
	one := []sight{way(web, checkout), way(checkout, cart), seen(a1, web, search, 0, false)}
	if who := f.inAllThatIsLate(one); who != checkout {
		t.Errorf("of one: %+v", who)
	}
	if who := f.inAllThatIsLate(append(one, way(web, search))); who != nil {
		t.Errorf("of two: %+v", who)
	}
	of := func(class verdict.Class, subclass verdict.Subclass) *entity {
		return &entity{verdict: &verdict.Verdict{Class: class, Subclass: subclass}}
	}
	if !of(verdict.ClassExhaustion, "file_descriptors").short() || of(verdict.ClassExhaustion, "overload").short() || of(verdict.ClassCrash, "").short() || on(a1).short() {
		t.Error("who is short")
	}
}

func TestOneWayCutIsNamedFromWhereToWhereNothingGets(t *testing.T) {
	z := newZones()
	z.run(60 * time.Second)
	z.lost = func(from, to zoneHost) bool { return from.zone == "zone-a" && to.zone == "zone-b" }
	z.run(30 * time.Second)
	v := z.verdicts()["link zone-a→zone-b"]
	if v == nil || v.Class != verdict.ClassPartition || v.Subclass != "one_way" {
		t.Errorf("got %+v", v)
		z.dump(t)
	}
}

func TestCutBothWaysIsNotOneWay(t *testing.T) {
	z := newZones()
	z.run(60 * time.Second)
	z.lost = func(from, to zoneHost) bool { return betweenZones(from, to, "zone-a", "zone-b") }
	z.run(30 * time.Second)
	for who, v := range z.verdicts() {
		if v.Subclass == "one_way" {
			t.Errorf("%s: %s: %s", who, classWords(v), v.Reason)
		}
	}
}

// heldBack lets svc1-b0 get to most of its calls when their callers have gone.
func heldBack(z *zones) *entity {
	z.run(60 * time.Second)
	z.starved = func(from, to *zoned) bool {
		return (to.src.Instance == "svc1-b0" || from.src.Instance == "svc1-b0") && z.rand.IntN(10) < 9
	}
	z.run(20 * time.Second)
	return z.e.instance(z.who("svc1-b0").src)
}

func TestAnswersThatComeTooLateAreNotLostOnTheWay(t *testing.T) {
	n := heldBack(newZones())
	for _, w := range n.views {
		if w.unheard != [2]clock.Time{} {
			t.Errorf("from %s: answered in vain at %v", w.from.name, w.unheard)
		}
	}
}

func TestSilenceOfOneWhoIsHeldBackIsNoSightOfTheNetwork(t *testing.T) {
	z := newZones()
	z.more = func(b *report.Batch) {
		if (z.now/1e8)%10 == 0 && z.now > 1_800_000_000_000_000_000+60e9 {
			b.Levels = append(b.Levels, report.Level{Source: z.who("svc1-b0").src, Kind: report.LevelCPUWait, Share: 0.95, At: z.now})
		}
	}
	n := heldBack(z)
	for _, s := range z.e.sights() {
		if (s.target == n || s.caller == n) && s.share >= silentFrom {
			t.Errorf("%+v", s)
		}
	}
	z.expect(t, verdict.ClassExhaustion, "instance svc1-b0")
}

func TestWhoWaitsNoLongerThanALostAnswerTakesIsNotCutOff(t *testing.T) {
	for waits, cutOff := range map[time.Duration]bool{150 * time.Millisecond: false, 2 * time.Second: true} {
		t.Run(waits.String(), func(t *testing.T) {
			z := newZones()
			z.run(10 * time.Second)
			client, server := z.who("svc0-a0").src, z.who("svc1-b0").src
			z.e.joined(&pendingHop{source: client, lost: true, took: waits, at: z.now},
				&pendingHop{source: server, server: true, took: 5 * time.Millisecond, at: z.now.Add(5*time.Millisecond - waits)})
			w := z.e.instance(server).view(z.e.instance(client).host, z.e.instance(client))
			if got := w.unheard[1] != 0; got != cutOff {
				t.Errorf("answered in vain: %v", got)
			}
		})
	}
}

func TestCallsThatWaitAtOneDoorAreNoSlowLink(t *testing.T) {
	a1, a2, c1, c2 := &hostState{name: "a1", zone: "a"}, &hostState{name: "a2", zone: "a"}, &hostState{name: "c1", zone: "c"}, &hostState{name: "c2", zone: "c"}
	on := func(h *hostState) *entity { return &entity{host: h, src: &report.Source{}} }
	web, edge, pay, stock := on(a1), on(a2), on(c1), on(c2)
	books, bank := on(&hostState{name: "b1", zone: "b"}), &entity{kind: kindExternal, address: "bank:443"}
	way := func(caller, target *entity, share float64) sight {
		s := seen(caller.host, caller, target, share, false)
		s.late = true
		return s
	}
	// The callee gets late to what it is asked, and what it asks others itself is well.
	one := []sight{way(web, pay, 0.8), way(edge, pay, 1), way(pay, bank, 0), way(pay, web, 0)}
	if found := solve(one, nil); len(found) == 0 || !found[0].near.door || found[0].near.entity != pay || found[0].sure < surelyCut {
		t.Errorf("one callee: %+v", found)
	}
	two := []sight{way(web, pay, 0.8), way(edge, stock, 1), way(stock, books, 0), way(web, books, 0), way(edge, books, 0)}
	if found := solve(two, nil); len(found) == 0 || found[0].near.zone == "" || found[0].far.zone == "" {
		t.Errorf("two callees: %+v", found)
	}
}

func TestCutIsFoundBehindTheNamesOfServices(t *testing.T) {
	z := newZones()
	z.byName = true
	z.run(60 * time.Second)
	z.blocked = func(x, y zoneHost) bool { return betweenZones(x, y, "zone-a", "zone-b") }
	z.run(30 * time.Second)
	z.expect(t, verdict.ClassPartition, "link zone-a→zone-b", "link zone-b→zone-a")
}

func TestNodeThatRefusesWhenItComesBackWasDown(t *testing.T) {
	const host = "zone-a-h1"
	for name, c := range map[string]struct {
		refuses string // the instances that do
		class   verdict.Class
	}{
		"it refuses at first":       {"svc", verdict.ClassCrash},
		"it answers from the first": {"none", verdict.ClassUnknown},
		"one of three refuses":      {"svc1", verdict.ClassUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.beatless = true
			z.run(60 * time.Second)
			z.dead[host] = true
			z.run(30 * time.Second)
			delete(z.dead, host)
			z.answer = func(_, to *zoned) report.Outcome {
				if to.at.name == host && strings.HasPrefix(to.src.Instance, c.refuses) {
					return report.OutcomeRefused
				}
				return report.OutcomeOK
			}
			z.run(2 * time.Second)
			z.answer = func(_, _ *zoned) report.Outcome { return report.OutcomeOK }
			z.run(40 * time.Second)
			if v := z.verdicts()["node "+host]; v == nil || v.Class != c.class {
				t.Errorf("got %+v", v)
				z.dump(t)
			}
		})
	}
}

func TestFailureToSetUpConnectionsIsToldThoughHeartbeatsGoOn(t *testing.T) {
	for outcome, subclass := range map[report.Outcome]string{report.OutcomeTLS: "tls", report.OutcomeDNS: "dns"} {
		t.Run(subclass, func(t *testing.T) {
			z := newZones()
			z.run(60 * time.Second)
			z.answer = func(_, to *zoned) report.Outcome {
				if to.src.Instance == "svc1-b0" {
					return outcome
				}
				return report.OutcomeOK
			}
			z.run(15 * time.Second)
			z.expect(t, verdict.ClassPartition, "instance svc1-b0")
			if v := z.verdicts()["instance svc1-b0"]; v != nil && string(v.Subclass) != subclass {
				t.Errorf("subclass %q", v.Subclass)
			}
		})
	}
}

// seen is what one caller sees of one callee.
func seen(from *hostState, caller, target *entity, share float64, broken bool) sight {
	s := sight{from: from, to: target.host, caller: caller, target: target, share: share, broken: broken, weight: 3, good: 20e9}
	if share > 0 {
		s.since, s.bad, s.good = 10e9, 20e9, 9e9
	}
	return s
}

func TestWhoCannotConnectToOneIsNotIllHimself(t *testing.T) {
	h, other := &hostState{name: "h1"}, &hostState{name: "h2"}
	caller, sibling := &entity{host: h, src: &report.Source{}}, &entity{host: other, src: &report.Source{}}
	beside, db := &entity{host: h, src: &report.Source{}}, &entity{kind: kindExternal, address: "db:5432"}
	for broken, want := range map[bool]*entity{true: db, false: nil} {
		found := solve([]sight{seen(h, caller, db, 1, broken), seen(h, beside, db, 0, false), seen(other, sibling, db, 0, false)}, nil)
		if len(found) == 0 || found[0].near.entity != caller || found[0].far.entity != want {
			t.Errorf("broken %v: %+v", broken, found)
		}
	}
}

func TestServerOfWhichNobodyTellsThePlaceGoesDownWithItsMachine(t *testing.T) {
	dead := &hostState{name: "dead"}
	db := &entity{kind: kindExternal, address: "db:5432", src: &report.Source{}}
	var sights []sight
	for range 3 {
		h := &hostState{name: "h"}
		caller := &entity{host: h, src: &report.Source{}}
		for range 2 {
			sights = append(sights, seen(h, caller, &entity{host: dead, src: &report.Source{}}, 1, true))
		}
		sights = append(sights, seen(h, caller, db, 1, true), seen(h, caller, &entity{host: &hostState{name: "fine"}, src: &report.Source{}}, 0, false))
	}
	found := solve(sights, nil)
	if len(found) != 1 || found[0].near.host != dead || found[0].placed[placeless{target: db}] != nearSide {
		t.Errorf("%+v", found)
	}
}

func TestLatenessOfWhoWaitsIsNoSilenceOfItsOwn(t *testing.T) {
	h := &hostState{name: "h1"}
	top, middle, bottom := &entity{host: h}, &entity{host: h}, &entity{host: h}
	sights := []sight{seen(h, top, middle, 1, false), seen(h, middle, bottom, 1, true)}
	(&Engine{}).passOn(sights)
	if sights[0].weight > 1 || sights[1].weight < 3 {
		t.Errorf("weights %.1f and %.1f", sights[0].weight, sights[1].weight)
	}
}

func TestNeighbourHeardBeforeTheNextBeatWasDueProvesNothing(t *testing.T) {
	for after, want := range map[time.Duration]bool{3 * time.Second: false, 8 * time.Second: true} {
		e := New(DefaultParams())
		e.Tick(1e18)
		h := &hostState{name: "h"}
		n := &entity{host: h, src: &report.Source{Host: "h"}, streams: []*stream{{kind: signBeat, observer: e.self, gaps: stat.Accrual{Interval: 5 * time.Second}}}}
		h.heard(&entity{host: h, src: &report.Source{Host: "h", Instance: "other"}}, e.now.Add(after))
		p := &episode{onset: e.now}
		p.blame(belief.EvSilent, 1, e.now, "no heartbeat")
		e.Tick(e.now.Add(30 * time.Second)) // it has had its turn
		detectSurroundings(e, n, p)
		if got := p.found[belief.EvHostAlive].strength > 0; got != want {
			t.Errorf("heard %s after: host alive %v, want %v", after, got, want)
		}
	}
}

func TestLatenessOfWhoWaitsAcrossACutIsNoSilenceOfItsOwn(t *testing.T) {
	top, middle, bottom := machine("a1", "a"), machine("a2", "a"), machine("b1", "b")
	for name, x := range map[string]struct {
		told, broken bool
		from         *entity
		passedOn     bool
	}{
		"it tells of its own calls later":     {true, false, top, true},
		"it cannot even be connected to":      {true, true, top, false},
		"the call to it crosses the cut, too": {true, false, bottom, false},
		"nobody was told of the cut":          {false, false, top, false},
	} {
		e := told(26e9, &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "b"}}, at: 26e9, began: 9e9})
		if !x.told {
			e.cuts[0].entity.verdict = nil
		}
		sights := []sight{seen(x.from.host, x.from, middle, 1, x.broken), seen(middle.host, middle, bottom, 1, true)}
		sights[1].since = 15e9
		e.passOn(sights)
		if got := sights[0].weight < 1; got != x.passedOn {
			t.Errorf("%s: weight %.1f", name, sights[0].weight)
		}
	}
}
