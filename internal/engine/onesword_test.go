// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Agents ask one instance a question of which the answer is known.
func TestWhatTheWordOfOneWeighsThatAnAnswerWasWrong(t *testing.T) {
	const (
		right = report.OutcomeOK
		wrong = report.OutcomeWrongAnswer
		none  = report.OutcomeUnset // it does not ask
	)
	for name, x := range map[string]struct {
		says  [3]report.Outcome
		class verdict.Class
		sure  bool // more than what is seen from one side
	}{
		"one of three_is_answered_wrongly":       {[3]report.Outcome{right, wrong, right}, verdict.ClassUnknown, false},
		"one_is_and_one_is_answered_well":        {[3]report.Outcome{none, wrong, right}, verdict.ClassUnknown, false},
		"nobody_else_asks":                       {[3]report.Outcome{none, wrong, none}, verdict.ClassByzantine, false},
		"two_of_three_are_answered_wrongly":      {[3]report.Outcome{wrong, wrong, right}, verdict.ClassByzantine, true},
		"all_are_answered_wrongly":               {[3]report.Outcome{wrong, wrong, wrong}, verdict.ClassByzantine, true},
		"all_are_answered_well":                  {[3]report.Outcome{right, right, right}, verdict.ClassNone, false},
		"two_are_and_nobody_else_asks_the_known": {[3]report.Outcome{none, wrong, wrong}, verdict.ClassByzantine, true},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			began := false
			z.more = func(b *report.Batch) {
				if (z.now/1e8)%20 != 0 {
					return
				}
				for agent, o := range x.says {
					if o == none {
						continue
					}
					if !began {
						o = right
					}
					b.Probes = append(b.Probes, report.Probe{Stamp: z.stampOf(agent), Source: z.who("svc1-b0").src, Target: "http://x/answer", Outcome: o, Interval: 2 * time.Second, Direct: true})
				}
			}
			z.run(60 * time.Second)
			began = true
			z.run(30 * time.Second)
			got := verdict.ClassNone
			for who, v := range z.verdicts() {
				if who != "instance svc1-b0" {
					t.Errorf("%s: %s", who, classWords(v))
					continue
				}
				t.Logf("%.2f: %s", v.Confidence, v.Reason)
				if got = v.Class; got == verdict.ClassByzantine && v.Confidence > ceilingOneVoice != x.sure {
					t.Errorf("confidence is %.2f", v.Confidence)
				}
			}
			if got != x.class {
				t.Errorf("it is %q", got)
			}
			// When it is over, who asks last has not asked again yet.
			z.events = nil
			began = false
			z.run(10 * time.Second)
			for who, v := range z.verdicts() {
				t.Errorf("afterwards %s: %s", who, classWords(v))
			}
		})
	}
}
