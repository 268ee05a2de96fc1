// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Three times as much is asked of a service. One of its instances is throttled, and slow;
// of another nobody tells what it is short of.
func TestWhoBearsTheSameLoadAsOneThatIsShortIsShortToo(t *testing.T) {
	const short, other = "svc1-b0", "svc1-a0"
	for name, c := range map[string]struct {
		times    float64 // as often as usual
		late     int     // one in so many answers of the other is late, 0: none
		culprits []string
	}{
		"asked more, and slow now and then": {3, 4, []string{"instance " + short, "instance " + other}},
		"asked more, and as fast as ever":   {3, 0, []string{"instance " + short}},
		"asked as often as ever":            {1, 4, []string{"instance " + short}},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.never = func(from, _ *zoned) bool { return from.src.Service.Name == "svc1" } // a victim of nobody that is known
			z.run(90 * time.Second)
			z.times = c.times
			z.late = func(to *zoned) bool {
				return to.src.Instance == short || to.src.Instance == other && c.late > 0 && z.rand.IntN(c.late) == 0
			}
			z.more = func(b *report.Batch) {
				if (z.now/1e8)%50 == 0 {
					b.Levels = append(b.Levels, report.Level{Source: z.who(short).src, Kind: report.LevelThrottled, Share: 0.6, At: z.now})
				}
			}
			z.run(40 * time.Second)
			z.expect(t, verdict.ClassExhaustion, c.culprits...)
			for _, who := range c.culprits {
				if z.verdicts()[who] == nil {
					t.Errorf("nothing is said of %s", who)
				}
			}
		})
	}
}

// What comes over from one that is short by itself is no demand for its service.
func TestWhoTakesOverFromOneThatIsShortIsNot(t *testing.T) {
	z := newZones()
	z.never = func(from, _ *zoned) bool { return from.src.Service.Name == "svc1" }
	z.run(90 * time.Second)
	z.late = func(to *zoned) bool {
		return to.src.Instance == "svc1-b0" || to.src.Instance == "svc1-a0" && z.rand.IntN(4) == 0
	}
	z.more = func(b *report.Batch) {
		if (z.now/1e8)%50 == 0 {
			b.Levels = append(b.Levels, report.Level{Source: z.who("svc1-b0").src, Kind: report.LevelThrottled, Share: 0.6, At: z.now})
		}
		for i := range b.Calls { // callers choose who answers sooner
			if b.Calls[i].Callee.Address == z.who("svc1-a0").addr {
				b.Calls[i].Count *= 2
			}
		}
	}
	z.run(40 * time.Second)
	z.expect(t, verdict.ClassExhaustion, "instance svc1-b0")
}
