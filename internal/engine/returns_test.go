// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Who comes back and has counted on was cut off, unless what was missed would not have had to
// leave its machine: a script that beats while its server answers beats not, and counts on.
func TestWhoCountsOnBesideWhoHearsItWasNotCutOff(t *testing.T) {
	for remote, cut := range map[string]bool{"10.0.0.7": true, "127.0.0.1": false, "::1": false, "::ffff:127.0.0.1": false} {
		t.Run(remote, func(t *testing.T) {
			f := newFleet(t)
			p := f.add("ldap", "ldap-1")
			p.beats, p.interval, p.remote = true, time.Second, remote
			f.run(time.Minute)
			p.state = "cut"
			f.run(20 * time.Second)
			p.state = "up"
			f.run(20 * time.Second)
			told := false
			for _, ev := range f.events {
				told = told || ev.Kind == contract.EventFailureRevised && ev.Verdict.Class == verdict.ClassPartition
			}
			if told != cut {
				t.Errorf("it was told to have been cut off: %v; %v", told, f.verdicts())
			}
		})
	}
}
