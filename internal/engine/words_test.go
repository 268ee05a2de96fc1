// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestARevisionSaysWhatItChanges(t *testing.T) {
	cards := verdict.Culprit{Type: verdict.CulpritInstance, Name: "cards-1"}
	node := verdict.Culprit{Type: verdict.CulpritNode, Name: "b1"}
	short := func(c verdict.Culprit) *verdict.Verdict {
		return &verdict.Verdict{Class: verdict.ClassExhaustion, Subclass: "cpu", Culprit: c}
	}
	for _, c := range []struct {
		before, now *verdict.Verdict
		want        string
	}{
		{short(cards), short(node), "resource_exhaustion (cpu) of b1, not of cards-1"},
		{short(cards), &verdict.Verdict{Class: verdict.ClassCrash, Subclass: "hang", Culprit: cards}, "not resource_exhaustion (cpu) but crash (hang)"},
		{&verdict.Verdict{Class: verdict.ClassUnknown, Culprit: node}, &verdict.Verdict{Class: verdict.ClassPartition, Culprit: node}, "not unknown but network_partition"},
	} {
		if got := revision(c.before, c.now); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}
