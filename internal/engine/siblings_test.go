// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// sized is an engine with n instances of one service, each of which answered last in
// the order of their births.
func sized(n int) (*Engine, []*entity) {
	e := New(DefaultParams())
	e.Tick(1e18)
	var all []*entity
	for i := range n {
		src := report.NewSource(report.Source{Service: report.ServiceID{Name: "shop"}, Instance: fmt.Sprint(i)})
		e.Observe(&report.Batch{Arrived: e.now + 1, Served: []report.Served{{Source: src, OK: 1, Last: e.now + 1}}})
		all = append(all, e.instance(src))
	}
	return e, all
}

func TestSiblingsAreCountedWithoutTheOneWhoAsks(t *testing.T) {
	for _, n := range []int{2, fewSiblings, fewSiblings + 1, 500} {
		e, all := sized(n)
		all[0].verdict = &verdict.Verdict{Class: verdict.ClassCrash}
		all[1].left = true
		e.now = e.now.Add(time.Second)
		for i, absent := range []int{1, 1} {
			c := e.siblings(all[i])
			if got := c.without(c.absent, all[i].absent()); got != absent {
				t.Errorf("%d of the siblings of %d of %d are absent, want %d", got, i, n, absent)
			}
			if got := c.without(c.crashed, all[i].crashed()); got != i {
				t.Errorf("%d of the siblings of %d of %d crashed", got, i, n)
			}
		}
		for _, i := range []int{0, n / 2, n - 1} {
			want := 0
			for _, m := range all {
				if m != all[i] && m.served.last > all[n/3].served.last {
					want++
				}
			}
			if got := e.siblings(all[i]).goOn(all[i], all[n/3].served.last); got != want {
				t.Errorf("%d of the siblings of %d of %d go on, want %d", got, i, n, want)
			}
		}
	}
}

func TestManySiblingsAreCountedForAllOfThem(t *testing.T) {
	e, all := sized(300)
	e.now = e.now.Add(time.Second)
	first := e.siblings(all[0])
	began := first.at
	e.now = e.now.Add(countedFor - 1)
	for _, n := range all {
		if c := e.siblings(n); c != first || c.at != began {
			t.Fatal("counted anew for each")
		}
	}
	e.now = e.now.Add(1)
	if e.siblings(all[1]).at == began {
		t.Error("what was counted stands for ever")
	}
}

// Callers that fail at a name of very many do not have all of these judged each time:
// the next tick does.
func TestFailedCallOfALargeServiceMarksNobodyBehindIt(t *testing.T) {
	e, all := sized(300)
	for _, n := range all {
		e.suspect(n)
	}
	e.settle()
	caller := report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "w", Host: "hw"})
	c := report.Calls{Caller: caller, Callee: report.Callee{Service: "shop"}, Outcome: report.OutcomeTimeout, Count: 1, First: e.now, Last: e.now}
	e.called(&c)
	if len(e.pending) > 3 {
		t.Errorf("%d are to be judged for one call that failed", len(e.pending))
	}
	e.settle()
}

func TestOfManyThatAreSlowNotEachLooksAtAll(t *testing.T) {
	for _, n := range []int{fewSiblings, 300} {
		e, all := sized(n)
		e.now = e.now.Add(time.Second)
		s := all[0].service
		if e.allSlow(s) {
			t.Fatal("slow from the beginning")
		}
		for _, i := range all {
			i.served.ok.Add(100, e.now, e.params.CallWindow)
			i.served.slow.Add(100, e.now, e.params.CallWindow)
		}
		if few := n <= fewSiblings; e.allSlow(s) != few {
			t.Errorf("of %d it is found out at once: %v", n, !few)
		}
		e.now = e.now.Add(countedFor)
		if !e.allSlow(s) {
			t.Errorf("%d that are slow are not found", n)
		}
	}
}

func TestFewSiblingsAreCountedEachTime(t *testing.T) {
	e, all := sized(3)
	e.siblings(all[0])
	all[1].left = true
	if c := e.siblings(all[0]); c.absent != 1 {
		t.Errorf("%d are absent", c.absent)
	}
}

func TestWhoOfSiblingsDoesNotDoItsShare(t *testing.T) {
	for name, c := range map[string]struct {
		change                  func(n *entity, p *episode)
		silent, absent, crashed int
	}{
		"suspected":       {func(*entity, *episode) {}, 0, 0, 0},
		"silent":          {func(_ *entity, p *episode) { p.found[belief.EvSilent].now = true }, 1, 1, 0},
		"answers_nobody":  {func(_ *entity, p *episode) { p.stalls = true }, 1, 1, 0},
		"crashed":         {func(n *entity, _ *episode) { n.verdict = &verdict.Verdict{Class: verdict.ClassCrash} }, 0, 1, 1},
		"another_verdict": {func(n *entity, _ *episode) { n.verdict = &verdict.Verdict{Class: verdict.ClassExhaustion} }, 0, 1, 0},
		"left":            {func(n *entity, _ *episode) { n.left = true }, 0, 1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, all := sized(3)
			c.change(all[1], all[1].episodeOf(e))
			if got := e.siblings(all[0]); got.silent != c.silent || got.absent != c.absent || got.crashed != c.crashed {
				t.Errorf("%d silent, %d absent, %d crashed", got.silent, got.absent, got.crashed)
			}
		})
	}
}
