// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestStatesThatPartAcrossACutAreASplitBrain(t *testing.T) {
	for name, c := range map[string]struct {
		cut, goOn bool
		subclass  string
	}{
		"both sides go on":               {true, true, "split_brain"},
		"one side stands still":          {true, false, "partial"},
		"nothing is cut between the two": {false, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			parted := false
			z.beating = func(n *zoned, b *report.Beat) {
				if n.src.Service.Name != "svc0" || n.at.zone == "zone-c" {
					return
				}
				count := int64(z.now) / 10e9
				b.Digest = fmt.Sprint("state ", count)
				if parted && n.at.zone == "zone-b" {
					b.Digest = fmt.Sprint("another ", count)
					if !c.goOn {
						b.Digest = "old"
					}
				}
			}
			z.run(20 * time.Second)
			z.run(60 * time.Second)
			parted = true
			if !c.goOn {
				z.run(20 * time.Second)
			}
			if c.cut {
				z.blocked = func(x, y zoneHost) bool { return betweenZones(x, y, "zone-a", "zone-b") }
			}
			z.run(30 * time.Second)
			z.blocked = func(_, _ zoneHost) bool { return false }
			z.run(10 * time.Second)
			parted = false
			z.run(20 * time.Second)
			for who, v := range z.verdicts() {
				if v.Class != verdict.ClassPartition || string(v.Subclass) != c.subclass {
					t.Errorf("%s: %s: %s", who, classWords(v), v.Reason)
				}
			}
			reconciled := 0
			for _, ev := range z.events {
				if ev.Kind == contract.EventPartitionReconciled {
					reconciled++
				}
			}
			if want := map[bool]int{true: 1}[c.subclass == "split_brain"]; reconciled != want {
				t.Errorf("reconciled %d times, want %d", reconciled, want)
			}
			if c.subclass != "" && len(z.verdicts()) == 0 {
				t.Error("nothing was said")
			}
			if t.Failed() {
				z.dump(t)
			}
		})
	}
}

// Before it is known where a cut lies, whom it parts differ already: who has the newest
// state is alone with it until the others get it.
func TestWhoDiffersWhileSomethingIsCutOffDoesNotLie(t *testing.T) {
	for name, silent := range map[string]bool{"an agent beside a sibling is silent": true, "all are heard": false} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			parted := false
			z.beating = func(n *zoned, b *report.Beat) {
				if n.src.Service.Name != "svc0" || n.at.zone == "zone-c" && silent && parted {
					return
				}
				b.Digest = fmt.Sprint("state ", int64(z.now)/10e9)
				if parted && n == z.instances[0] {
					b.Digest = fmt.Sprint("another ", int64(z.now)/10e9)
				}
			}
			z.run(80 * time.Second)
			for _, a := range z.agents {
				a.paused = silent && a.at.zone == "zone-c"
			}
			z.run(8 * time.Second)
			parted = true
			z.run(30 * time.Second)
			accused := 0
			for _, v := range z.verdicts() {
				if v.Class == verdict.ClassByzantine {
					accused++
				}
			}
			if want := map[bool]int{false: 1}[silent]; accused != want {
				t.Errorf("%d accused, want %d", accused, want)
				z.dump(t)
			}
		})
	}
}
