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

// A way that was cut for a while and is open again has lost a share of what was asked
// lately, as one that loses packets has; but all of it was lost at once.
func TestWayThatIsOpenAgainIsNotTakenToLosePackets(t *testing.T) {
	for name, c := range map[string]struct {
		lost func(i int) bool // the call of second i
		back bool
	}{
		"cut for twenty seconds":    {func(i int) bool { return i >= 40 && i < 60 }, true},
		"every other call is lost":  {func(i int) bool { return i >= 40 && i%2 == 0 }, false},
		"most calls are lost":       {func(i int) bool { return i >= 40 && i%5 != 4 }, false},
		"cut once more":             {func(i int) bool { return i >= 40 && i < 50 || i >= 52 && i < 60 }, false},
		"never anything was silent": {func(int) bool { return false }, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			ledger, web := f.add("ledger", "ledger-1"), f.add("web", "web-1")
			f.run(time.Second)
			n, caller := f.e.instance(ledger.src), f.e.instance(web.src)
			for i := range 65 {
				outcome := report.OutcomeOK
				if c.lost(i) {
					outcome = report.OutcomeConnectTimeout
				}
				f.e.seenFrom(n, caller.host, caller, outcome, 1, f.now, f.now)
				f.run(time.Second)
			}
			if got := n.seenBy(caller).back(); got != c.back {
				t.Errorf("it is back: %v, want %v", got, c.back)
			}
		})
	}
}
