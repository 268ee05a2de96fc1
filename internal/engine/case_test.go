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

// Cuts make others doubtful while they stand, and as long as who was behind them may not
// have been heard since. What was cut an hour ago says nothing of now.
func TestOnlyCutsOfNowMakeVerdictsDoubtful(t *testing.T) {
	for name, c := range map[string]struct {
		found, open time.Duration // ago; open 0: it was not seen to be
		own         bool
		others      int
	}{
		"it stands":                 {found: time.Second, others: 1},
		"it is the one":             {found: time.Second, own: true},
		"it healed a moment ago":    {found: 20 * time.Second, open: 10 * time.Second, others: 1},
		"it healed a while ago":     {found: 70 * time.Second, open: time.Minute},
		"it was not found any more": {found: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.now = clock.Time(time.Hour)
			cut := &cutState{at: e.now.Add(-c.found)}
			if c.open != 0 {
				cut.goneAt = e.now.Add(-c.open)
			}
			e.cuts = append(e.cuts, cut)
			n := &entity{src: &report.Source{}}
			if c.own {
				n.cut = cut
			}
			if k := e.caseOf(n, &episode{}, &verdict.Verdict{}, belief.CauseDead); k.OtherCuts != c.others {
				t.Errorf("%d other cuts", k.OtherCuts)
			}
		})
	}
}

// A database tells nothing itself. Who had an answer of it tells that it lives, so that a
// cut between it and one of its callers is seen from both sides.
func TestCutToADatabaseIsSeenFromBothSidesWhileItAnswersOthers(t *testing.T) {
	began := clock.Time(time.Hour)
	for name, c := range map[string]struct {
		answered clock.Time
		oneSided bool
	}{
		"it answers others meanwhile":    {answered: began.Add(5 * time.Second)},
		"nobody has had an answer since": {answered: began.Add(-time.Second), oneSided: true},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.now = began.Add(10 * time.Second)
			shop := &hostState{name: "a", spanEnd: e.now}
			db := &entity{kind: kindExternal, calls: &callStats{okEnd: c.answered}}
			cut := &cutState{cut: cut{near: side{host: shop}, far: side{entity: db}}, began: began, at: e.now}
			if got := e.oneSided(cut, &episode{}); got != c.oneSided {
				t.Errorf("one-sided: %v", got)
			}
		})
	}
}
