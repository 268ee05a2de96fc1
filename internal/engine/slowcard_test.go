// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// lateAt is what is late into and out of a machine on which two processes run: towards whom,
// for how long, and whether one of the two waits for a processor.
type lateAt struct {
	processes int
	fast      int     // of its ways
	others    float64 // share of the calls that are late on ways of others
	since     clock.Time
	breath    float64 // share of the time that its processes wait for a processor
	untold    bool    // nobody tells that
	oneZone   bool    // all others stand in one zone
}

// believed says whether the machine is believed to be cut off slowly.
func (l lateAt) believed() bool {
	e := New(DefaultParams())
	e.now = 100e9
	zone := func(z string) string {
		if l.oneZone {
			return "b"
		}
		return z
	}
	var own []*entity
	at := machine("a2", "a").host
	for range l.processes {
		n := &entity{kind: kindInstance, host: at, src: &report.Source{}}
		if !l.untold {
			n.levels = &levels{}
			n.levels[report.LevelCPUWait] = levelState{at: 99e9, share: l.breath}
		}
		own = append(own, n)
	}
	var sights []sight
	for i, other := range []*entity{machine("b1", zone("b")), machine("c1", zone("c")), machine("d1", zone("d")), machine("e1", zone("e"))} {
		out := sight{from: at, to: other.host, caller: own[0], target: other, share: 1, weight: 3, since: l.since, bad: 99e9}
		in := sight{from: other.host, to: at, caller: other, target: own[len(own)-1], share: 1, weight: 3, since: l.since, bad: 99e9}
		if i < l.fast {
			out.share, in.share = 0, 0
		}
		sights = append(sights, out, in, sight{from: other.host, to: machine("f1", "f").host, caller: other, target: machine("f1", "f"), share: l.others, weight: 3})
	}
	return e.lookForSlowCards(sights)
}

func TestMachineOfWhichAllIsLateHasASlowCard(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*lateAt)
		want   bool
	}{
		"wherever to, of two processes":               {func(*lateAt) {}, true},
		"but half of its ways":                        {func(l *lateAt) { l.fast = 2 }, false},
		"of one process, which may be slow by itself": {func(l *lateAt) { l.processes = 1 }, false},
		"as is all that others do":                    {func(l *lateAt) { l.others = 0.6 }, false},
		"for a moment":                                {func(l *lateAt) { l.since = 97e9 }, false},
		"but its processes wait for a processor":      {func(l *lateAt) { l.breath = 0.7 }, false},
		"and nobody tells whether they wait":          {func(l *lateAt) { l.untold = true }, false},
		"to one zone, to which the link may be slow":  {func(l *lateAt) { l.oneZone = true }, false},
	} {
		l := lateAt{processes: 2, since: 90e9}
		c.change(&l)
		if got := l.believed(); got != c.want {
			t.Errorf("%s: believed %v", name, got)
		}
	}
}

// Late on all ways between two zones, and now and then on those to a third: that is the
// link between the two. Where somebody stands of whom no zone is told says nothing.
func TestZoneThatIsSlowTowardsOneOtherIsALink(t *testing.T) {
	for name, c := range map[string]struct {
		toC, toA float64 // share that is late
		far      string
	}{
		"to_one":              {0.9, 0.15, "zone-c"},
		"to_one_and_all_well": {0.9, 0, "zone-c"},
		"to_both":             {0.9, 0.8, ""},
		"more_to_one":         {0.9, 0.4, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b, nowhere := &hostState{zone: "zone-b"}, &hostState{}
			way := func(to *hostState, share float64) sight { return sight{from: b, to: to, share: share, weight: 3} }
			sights := []sight{
				way(&hostState{zone: "zone-c"}, c.toC), way(&hostState{zone: "zone-c"}, c.toC),
				way(&hostState{zone: "zone-a"}, c.toA), way(&hostState{zone: "zone-a"}, c.toA), way(nowhere, 0.9),
			}
			f := foundCut{cut: cut{near: side{zone: "zone-b"}}}
			if f.towardsOne(sights); f.far.zone != c.far {
				t.Errorf("it is between %q and %q", f.near.zone, f.far.zone)
			}
			if c.far != "" && (f.of != 2 || f.paths != 2 || f.share != c.toC) {
				t.Errorf("%d of %d ways, %.2f of them late", f.paths, f.of, f.share)
			}
		})
	}
}
