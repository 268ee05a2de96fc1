// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestWhoTakesNoConnectionsThoughItsBacklogIsNotFull(t *testing.T) {
	for name, c := range map[string]struct {
		waits time.Duration // until nobody can connect any more
		class verdict.Class
	}{
		"is_cut_off_from_its_callers_though_it_beats": {500 * time.Millisecond, verdict.ClassPartition},
		"hangs_if_many_may_wait_in_it":                {6 * time.Second, verdict.ClassCrash},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			cart := f.add("cart", "cart-0")
			f.calls(f.add("shop", "shop-0"), cart)
			f.calls(f.add("mail", "mail-0"), cart)
			f.run(60 * time.Second)
			cart.state = "deadlock" // who asks on a connection that stands waits
			f.run(c.waits)
			cart.state = "full"
			f.run(30 * time.Second)
			last := verdict.ClassNone
			for _, ev := range f.events {
				if v := ev.Verdict; v != nil && v.Culprit.Name == "cart-0" {
					last = v.Class
					if v.Class == verdict.ClassPartition && v.Confidence > ceilingOneSided {
						t.Errorf("told with a confidence of %.2f", v.Confidence)
					}
				}
			}
			if last != c.class {
				t.Errorf("%s, want %s: %v", last, c.class, f.verdicts())
			}
		})
	}
}
