// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// More verdicts than readings: those that are shown stay, with what was counted of
// them, and one that no longer holds makes room.
func TestReadingsThatHoldAreNotDisplaced(t *testing.T) {
	params := DefaultParams()
	params.MaxIncidents = 10
	e := New(params)
	e.Tick(1e18)
	of := func(i int) *verdict.Verdict {
		return &verdict.Verdict{Class: verdict.ClassCrash, Culprit: verdict.Culprit{Type: verdict.CulpritInstance, Name: fmt.Sprint(i)}}
	}
	for i := range 50 {
		e.count(of(i))
	}
	for i := range 50 {
		if r := e.readings[readingKey{of(i).Culprit, verdict.ClassCrash}]; (r != nil) != (i < 10) {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	if e.stats.ForgottenVerdicts != 40 {
		t.Errorf("%d were not counted", e.stats.ForgottenVerdicts)
	}
	e.read(nil) // none of them holds any more
	e.now = e.now.Add(time.Second)
	e.count(of(99))
	if r := e.readings[readingKey{of(99).Culprit, verdict.ClassCrash}]; len(e.readings) != 10 || r == nil || r.Detections != 1 {
		t.Errorf("%d readings, of the latest %+v", len(e.readings), r)
	}
}
