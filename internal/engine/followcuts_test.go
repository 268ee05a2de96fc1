// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

func TestLinkLastsWhileBothEndsLiveAndNothingGetsThrough(t *testing.T) {
	for name, dies := range map[string]bool{"both_ends_live": false, "one_end_is_gone": true} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.times = 4
			z.run(60 * time.Second)
			z.answer = func(from, to *zoned) report.Outcome {
				if isBetween(from, to, "svc0-a0", "svc1-b0") {
					return report.OutcomeConnectTimeout
				}
				return report.OutcomeOK
			}
			z.run(20 * time.Second)
			if z.dead["zone-b-h0"] = dies; dies {
				z.run(12 * time.Second)
			}
			for _, c := range z.e.cuts {
				if c.far.anywhere() || c.entity.verdict == nil {
					continue
				}
				c.at = z.e.now.Add(-cutStands / 2) // something else explains it meanwhile
				z.e.followCuts(z.e.sights(), nil)
				if held := c.at == z.e.now; held == dies {
					t.Errorf("holds: %v", held)
				}
				return
			}
			t.Error("no link is told")
		})
	}
}
