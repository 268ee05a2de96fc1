// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// The kernel of one machine sends again and again what another does not get: packets are
// lost on the way, whoever's they are.
func TestAWayThatLosesPacketsByTheWordOfAKernel(t *testing.T) {
	for name, c := range map[string]struct {
		lasts      time.Duration
		breathless string
		hears      bool
		said       bool
	}{
		"for_long":                        {24 * time.Second, "", true, true},
		"for_a_moment":                    {4 * time.Second, "", true, false},
		"to_a_machine_out_of_breath":      {24 * time.Second, "data1", true, false},
		"from_a_machine_out_of_breath":    {24 * time.Second, "app1", true, false},
		"to_one_of_which_no_agent_speaks": {24 * time.Second, "", false, false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWired(t)
			from := w.now
			w.packets, w.hears = 0.35, c.hears
			for range c.lasts / (2 * time.Second) {
				if c.breathless != "" {
					w.e.Observe(&report.Batch{Arrived: w.now, Levels: []report.Level{{Source: &report.Source{Host: c.breathless}, Kind: report.LevelCPU, Share: 1, At: w.now}}})
				}
				w.pass(2 * time.Second)
			}
			w.packets, w.hears = 0, true
			w.pass(time.Minute)
			if !c.said {
				for _, ev := range w.events {
					if ev.Verdict != nil && ev.Verdict.Culprit.Type == verdict.CulpritLink {
						t.Errorf("said %s", ev.Body)
					}
				}
				return
			}
			w.accused(from, 16*time.Second, verdict.ClassPartition, "lossy_link", "app1→data1")
			if got := w.verdicts(); len(got) != 2 {
				t.Errorf("said %v", got)
			}
		})
	}
}
