// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestScenariosApartChangeNoOtherEpisodes(t *testing.T) {
	for _, sc := range catalogue("") {
		if sc.apart {
			t.Errorf("%s is in the catalogue unasked", sc.name)
		}
	}
	if got := len(catalogue("conduct_")); got != len(conducts) {
		t.Errorf("%d are found by name, want %d", got, len(conducts))
	}
}

func TestOneThatDoesNothingIsFoundAndNoCacheOrSwitchIs(t *testing.T) {
	found := 0
	for _, ep := range playAll(11, 12, catalogue("conduct_")) {
		if ep.Class == verdict.ClassByzantine {
			if ep.First.Culprit && ep.First.Class == ep.Class {
				found++
			}
			continue
		}
		for _, other := range ep.Others {
			t.Errorf("episode %d, %s of %s: %s", ep.Number, ep.Scenario, ep.What, other)
		}
	}
	if found < 2 {
		t.Errorf("%d of 3 are found", found)
	}
}
