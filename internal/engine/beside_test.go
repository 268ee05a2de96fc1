// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// around is what a host with three others of two zones on each side sees.
func around(share func(zone string) float64) (host *hostState, sights []sight) {
	host = &hostState{name: "a1", zone: "a"}
	for _, zone := range []string{"b", "c"} {
		for _, name := range []string{"1", "2", "3"} {
			other := &hostState{name: zone + name}
			caller := &entity{host: host, src: &report.Source{}}
			sights = append(sights, seen(host, caller, &entity{host: other, src: &report.Source{}}, share(zone), false))
			sights = append(sights, seen(other, &entity{host: other, src: &report.Source{}}, caller, share(zone), false))
		}
	}
	return host, sights
}

func TestPlaceThatSomeReachIsNotCutOff(t *testing.T) {
	host, sights := around(func(zone string) float64 {
		if zone == "b" {
			return 1
		}
		return 0
	})
	found := solve(sights, nil)
	if len(found) != 3 {
		t.Errorf("want one each for three, got %d: %+v", len(found), found)
	}
	for _, f := range found {
		if f.near.host == host && f.far.anywhere() {
			t.Errorf("%s is taken to be cut off from all", f.near.name())
		}
	}
	_, sights = around(func(string) float64 { return 1 })
	if found := solve(sights, nil); len(found) != 1 || found[0].near.host == nil || found[0].near.host.name != host.name || !found[0].far.anywhere() {
		t.Errorf("cut off from all: %+v", found)
	}
	_, sights = around(func(string) float64 { return 0.4 })
	if found := solve(sights, nil); len(found) != 1 || !found[0].far.anywhere() || !found[0].lossy {
		t.Errorf("loses a part of all: %+v", found)
	}
}

func TestSilenceTowardsWhoGetsAnswersIsNoCut(t *testing.T) {
	host, observer := &hostState{name: "host"}, &hostState{name: "observer"}
	gone := &entity{host: host, src: &report.Source{}}
	beats := func() []sight {
		return []sight{{from: host, to: observer, caller: gone, share: 1, weight: 1, since: 10e9}}
	}
	for name, c := range map[string]struct {
		probe sight
		left  int
	}{
		"its probes are refused":            {sight{from: observer, to: host, target: gone, good: 20e9}, 0},
		"its probes get no reply":           {sight{from: observer, to: host, target: gone, share: 1, good: 9e9, bad: 20e9}, 1},
		"they were answered, but before":    {sight{from: observer, to: host, target: gone, good: 9e9}, 1},
		"somebody else is answered by them": {sight{from: &hostState{name: "other"}, to: host, target: gone, good: 20e9}, 1},
	} {
		if left := unanswered(beats(), []sight{c.probe}); len(left) != c.left {
			t.Errorf("%s: %d silences left, want %d", name, len(left), c.left)
		}
	}
}

// aCut is a link between zones a and b, followed since the start of an engine, and
// one who stands in zone b.
func aCut(e *Engine, began clock.Time) (c *cutState, behind *entity) {
	c = &cutState{cut: cut{near: side{zone: "a"}, far: side{zone: "b"}}, at: e.now, began: began}
	c.entity = e.cutEntity(c)
	c.entity.cut = c
	e.suspect(c.entity)
	e.cuts = append(e.cuts, c)
	behind = &entity{kind: kindInstance, host: &hostState{name: "b1", zone: "b"}, src: &report.Source{}}
	behind.episodeOf(e)
	return c, behind
}

func TestCutLastsWhileNothingGetsThrough(t *testing.T) {
	for name, c := range map[string]struct {
		share float64
		lasts bool
	}{"nothing gets through": {1, true}, "half of it does": {0.5, false}, "all does": {0, false}} {
		e := New(DefaultParams())
		e.now = clock.Time(time.Hour)
		cut, behind := aCut(e, e.now)
		from := &hostState{name: "a1", zone: "a"}
		e.now = e.now.Add(cutStands + time.Second)
		s := seen(from, &entity{host: from, src: &report.Source{}}, behind, c.share, true)
		s.good = e.now
		e.followCuts([]sight{s, s, s}, nil)
		if got := cut.stands(e.now); got != c.lasts {
			t.Errorf("%s: it stands: %v", name, got)
		}
	}
}

func TestWhoWasBehindACutIsItsVictimForAWhile(t *testing.T) {
	const healed = 40 * time.Second
	for name, c := range map[string]struct {
		onset, now time.Duration
		proven     bool
		excused    bool
	}{
		"it fell silent with the cut":       {onset: time.Second, now: healed + 5*time.Second, excused: true},
		"it fell silent after it":           {onset: healed + time.Second, now: healed + 5*time.Second},
		"it is not back long after it":      {onset: time.Second, now: healed + heardAgainFor + time.Second},
		"it is known to have died meantime": {onset: time.Second, now: healed + 5*time.Second, proven: true},
	} {
		e := New(DefaultParams())
		e.now = clock.Time(time.Hour)
		start := e.now
		cut, n := aCut(e, start)
		cut.goneAt = start.Add(healed)
		cut.entity.cleared = cut.goneAt
		e.endEpisode(cut.entity)
		e.now = start.Add(c.now)
		n.cutOff, n.episode.onset = cut, start.Add(c.onset)
		n.episode.note(belief.EvNoProgress, 1, e.now, "")
		if c.proven {
			n.episode.note(belief.EvExitCrash, 1, e.now, "")
		}
		detectReach(e, n, n.episode)
		if got := n.episode.found[belief.EvExplainedByCut].strength > 0; got != c.excused {
			t.Errorf("%s: excused: %v", name, got)
		}
		if got := n.episode.found[belief.EvNoProgress].strength == 0; got != c.excused {
			t.Errorf("%s: that it answered nobody is left out: %v", name, got)
		}
	}
}

func TestSilenceInAPlaceThatIsCutOffIsTheCuts(t *testing.T) {
	for name, c := range map[string]struct {
		at    string // where it stands
		onset time.Duration
		want  bool
	}{
		"it stands there":                      {"a", time.Second, true},
		"it stands elsewhere":                  {"b", time.Second, false},
		"it was silent long before the others": {"a", -time.Minute, false},
	} {
		e := New(DefaultParams())
		e.now = clock.Time(time.Hour)
		cut, n := aCut(e, e.now)
		cut.far = side{}
		n.host.zone = c.at
		e.suspect(n)
		n.episode.note(belief.EvSilent, 1, e.now, "")
		n.episode.onset = cut.began.Add(c.onset)
		cut.hide(e)
		if got := n.cutOff == cut; got != c.want {
			t.Errorf("%s: cut off: %v", name, got)
		}
	}
}

func TestWhoCountedOnBehindACutWasCutOffByIt(t *testing.T) {
	for name, c := range map[string]struct {
		gap  time.Duration
		kind belief.Evidence
		want bool
	}{
		"it was away as long as the cut":   {20 * time.Second, belief.EvReturnCounted, true},
		"it was away for long before it":   {5 * time.Minute, belief.EvReturnCounted, false},
		"it comes back as another process": {20 * time.Second, belief.EvReturnNew, false},
	} {
		e := New(DefaultParams())
		e.now = clock.Time(time.Hour)
		cut, n := aCut(e, e.now)
		e.now = e.now.Add(20 * time.Second)
		cut.at = e.now
		e.cutReturned(n, c.kind, c.gap)
		if got := n.cutOff == cut; got != c.want {
			t.Errorf("%s: cut off: %v", name, got)
		}
	}
}

func TestTwoFailuresAtOnceAreToldAsTwo(t *testing.T) {
	pair := func(x, y zoneHost, a, b string) bool {
		return x.name == a && y.name == b || x.name == b && y.name == a
	}
	t.Run("two links", func(t *testing.T) {
		z := newZones()
		z.run(60 * time.Second)
		z.blocked = func(x, y zoneHost) bool {
			return pair(x, y, "zone-a-h1", "zone-b-h1") || pair(x, y, "zone-b-h0", "zone-c-h1")
		}
		z.run(30 * time.Second)
		got := z.verdicts()
		for _, ends := range [][2]string{{"zone-a-h1", "zone-b-h1"}, {"zone-b-h0", "zone-c-h1"}} {
			if got["link "+ends[0]+"→"+ends[1]] == nil && got["link "+ends[1]+"→"+ends[0]] == nil {
				t.Errorf("nothing is said of %v", ends)
			}
		}
		for who, v := range got {
			t.Logf("%s: %s %s", who, classWords(v), v.Reason)
		}
	})
	t.Run("a cut and a port that is closed elsewhere", func(t *testing.T) {
		z := newZones()
		z.run(60 * time.Second)
		z.blocked = func(x, y zoneHost) bool { return betweenZones(x, y, "zone-a", "zone-b") }
		z.answer = func(_, to *zoned) report.Outcome {
			if to.src.Instance == "svc2-c1" {
				return report.OutcomeRefused
			}
			return report.OutcomeOK
		}
		z.run(30 * time.Second)
		got := z.verdicts()
		if v := got["instance svc2-c1"]; v == nil || v.Class != verdict.ClassCrash && v.Class != verdict.ClassUnknown {
			t.Errorf("the closed port is taken for a part of the cut: %v", v)
		}
		for who, v := range got {
			t.Logf("%s: %s %s", who, classWords(v), v.Reason)
		}
		if got["link zone-a→zone-b"] == nil && got["link zone-b→zone-a"] == nil {
			t.Errorf("of the cut nothing is said: %v", got)
		}
	})
}
