// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestFailedCalleeExcusesOnlyWhoCannotUseIt(t *testing.T) {
	for name, c := range map[string]struct {
		class   verdict.Class
		state   string // of the callee, as its caller meets it
		through bool
	}{
		"cut off for others":                {verdict.ClassPartition, "up", true},
		"dead for others":                   {verdict.ClassCrash, "up", true},
		"something is wrong with it":        {verdict.ClassUnknown, "up", true},
		"what it answers may be wrong":      {verdict.ClassByzantine, "up", false},
		"what it answers may come too late": {verdict.ClassExhaustion, "up", false},
		"cut off for it, too":               {verdict.ClassPartition, "cut", false},
		"dead for it, too":                  {verdict.ClassCrash, "dead", false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newShop(t)
			f.run(time.Minute)
			f.ledger.state = c.state
			f.run(5 * time.Second)
			asked := 0
			f.e.instance(f.payment1.src).eachCallee(func(ed *edge) bool {
				asked++
				if got := f.e.getsThrough(ed, &verdict.Verdict{Class: c.class}); got != c.through {
					t.Errorf("its calls to %s get through: %v", ed.callee.name(), got)
				}
				return false
			})
			if asked == 0 {
				t.Fatal("it calls nobody")
			}
		})
	}
}
