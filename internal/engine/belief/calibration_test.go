// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package belief

import (
	"math"
	"testing"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestWeightsLieOnTheSideOnWhichTheyMakeSense(t *testing.T) {
	for name, scale := range map[string]Scale{"named": Named, "open": Open} {
		for i := range scale {
			if term := &scale[i]; term.Bound(term.Weight) != term.Weight {
				t.Errorf("%s, %s: %.2f", name, term.Name, term.Weight)
			}
		}
	}
}

func TestDoubtfulVerdictsSayLess(t *testing.T) {
	instance := func(c Cause) Case { return Case{Cause: c, Level: verdict.CulpritInstance} }
	with := func(c Case, change func(*Case)) Case { change(&c); return c }
	looked := func(s *Strengths) { s[EvProbeNoAnswer] = 1 }
	for name, x := range map[string]struct {
		cause        Cause
		sure, unsure func(*Strengths) // nil: nothing but what the case says
		surer, less  Case
	}{
		"a probe looked at who hangs": {surer: instance(CauseHang), less: instance(CauseHang), sure: looked},
		"a hang beside a cut may be behind it": {
			surer: instance(CauseHang), less: with(instance(CauseHang), func(c *Case) { c.OtherCuts = 1 }), sure: looked, unsure: looked,
		},
		"it is known what is short": {surer: with(instance(CauseExhaustion), func(c *Case) { c.Short = true }), less: instance(CauseExhaustion)},
		"who turns some away and serves others may not be full": {
			surer: instance(CauseExhaustion), less: instance(CauseExhaustion),
			sure:   func(s *Strengths) { s[EvCallersOverloaded] = 1 },
			unsure: func(s *Strengths) { s[EvCallersOverloaded], s[EvCallersSucceed] = 1, 1 },
		},
		"who was killed may have been so for want of memory": {
			surer: instance(CauseDead), less: instance(CauseDead),
			sure:   func(s *Strengths) { s[EvExitKilled], s[EvProbeRefused] = 1, 1 },
			unsure: func(s *Strengths) { s[EvExitKilled] = 1 },
		},
		"several cuts at once": {
			surer: Case{Cause: CausePartition, Level: verdict.CulpritNode}, less: Case{Cause: CausePartition, Level: verdict.CulpritNode, OtherCuts: 2},
		},
		"a place is told by how it came back": {
			surer: Case{Cause: CausePartition, Level: verdict.CulpritNode}, less: Case{Cause: CausePartition, Level: verdict.CulpritNode},
			unsure: func(s *Strengths) { s[EvReturnCounted] = 1 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			says := func(c Case, evidence func(*Strengths)) float64 {
				var found Strengths
				if evidence != nil {
					evidence(&found)
				}
				b := Weigh(&found, CauseHealthy, 1)
				return Named.logOdds(Named.Values(&b, &c)) // that of the confidence is rounded
			}
			if sure, unsure := says(x.surer, x.sure), says(x.less, x.unsure); sure <= unsure {
				t.Errorf("%.2f nats, and %.2f where it is doubtful", sure, unsure)
			}
		})
	}
}

func TestConfidenceIsRoundedAndNeverCertain(t *testing.T) {
	scale := Scale{{"always", 1, either, always}}
	for _, x := range []struct{ odds, want float64 }{{-9, 0}, {0, 0.5}, {0.9, 0.7}, {9, 0.99}} {
		if got := scale.Confidence([]float64{x.odds}); math.Abs(got-x.want) > 1e-9 {
			t.Errorf("log-odds of %.1f: %.3f, want %.2f", x.odds, got, x.want)
		}
	}
}
