// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// One that hung is killed and started anew on a machine that is as busy as ever. What its
// callers waited for before says nothing of the new process.
func TestAProcessThatTookTheOneThatHungIsNotShortOfAnything(t *testing.T) {
	d := newDatabase(t)
	busy := func(b *report.Batch) {
		b.Levels = append(b.Levels, report.Level{Source: &report.Source{Host: "data1"}, Kind: report.LevelCPU, Share: 1, At: b.Arrived},
			report.Level{Source: &report.Source{Host: "data1"}, Kind: report.LevelRunQueue, Share: 0.95, At: b.Arrived})
	}
	d.pass(2*time.Minute, busy)
	hung := d.now
	d.outcome = report.OutcomeTimeout
	d.pass(20*time.Second, busy)
	d.accused(hung, 18*time.Second, verdict.ClassCrash, "hang", "db:3306")
	d.process.State, d.process.HasExitCode, d.process.ExitCode = report.ProcessGone, true, 137
	d.outcome = report.OutcomeRefused
	d.pass(2*time.Second, busy)
	d.process = report.Process{State: report.ProcessRunning, PID: 18, StartTime: d.now, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
	d.outcome = report.OutcomeOK
	d.pass(30*time.Second, busy)
	for _, ev := range d.events {
		if ev.Verdict != nil && ev.Verdict.Class == verdict.ClassExhaustion {
			t.Errorf("said %s", ev.Body)
		}
	}
	if len(d.e.suspects) != 0 {
		t.Errorf("half a minute later: %s", d.dump())
	}
}
