// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// links lists who were said to be parted.
func links(events []verdict.Event) (out []string) {
	for _, ev := range events {
		if ev.Verdict != nil && ev.Verdict.Culprit.Type == verdict.CulpritLink {
			out = append(out, ev.Verdict.Culprit.Name)
		}
	}
	return out
}

// isBetween says whether a call is between these two, whoever makes it.
func isBetween(from, to *zoned, a, b string) bool {
	return from.src.Instance == a && to.src.Instance == b || from.src.Instance == b && to.src.Instance == a
}

func TestNoCutBeginsOnAWayThatIsOpenAgain(t *testing.T) {
	for name, c := range map[string]struct {
		answered time.Duration // when the calls that are answered begin, before those that are not are told
		link     bool
	}{
		"calls_that_began_later_were_answered":    {time.Second, false},
		"only_calls_from_before_it_were_answered": {20 * time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			cart := f.add("cart", "cart-0")
			shop, mail := f.add("shop", "shop-0"), f.add("mail", "mail-0")
			f.calls(shop, cart)
			f.calls(mail, cart)
			f.run(60 * time.Second)
			cart.callers = cart.callers[1:]
			f.run(20 * time.Second)
			tell := func(o report.Outcome, count int, first, last time.Duration) {
				f.e.Observe(&report.Batch{Arrived: f.now, Calls: []report.Calls{{Caller: shop.src, Callee: report.Callee{Address: cart.addr, Direct: true}, Outcome: o, Count: count,
					First: f.now.Add(-first), Started: f.now.Add(-first), Last: f.now.Add(-last), Done: f.now.Add(-last)}}})
			}
			tell(report.OutcomeOK, 3, c.answered, c.answered-10*time.Millisecond)
			f.run(time.Second)
			for range 8 {
				tell(report.OutcomeConnectTimeout, 5, 16*time.Second, 500*time.Millisecond)
				f.run(time.Second)
			}
			cut := foundCut{cut: cut{near: side{entity: f.e.instance(shop.src)}, far: side{entity: f.e.instance(cart.src)}}}
			sights := f.e.sights()
			if open := cut.isOpen(sights); open == c.link {
				t.Errorf("open: %v", open)
			}
			if cut.lossy = true; cut.isOpen(sights) {
				t.Error("what loses some lets others through")
			}
		})
	}
}

func TestCallsThatArriveLateCrossAnOpenWay(t *testing.T) {
	for name, arrive := range map[string]bool{"none_arrives": false, "some_arrive_when_their_caller_has_given_up": true} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			z.times = 4
			z.run(60 * time.Second)
			way := func(from, to *zoned) bool { return isBetween(from, to, "svc0-a0", "svc1-b0") }
			z.answer = func(from, to *zoned) report.Outcome {
				if way(from, to) && (!arrive || z.rand.IntN(2) == 0) {
					return report.OutcomeConnectTimeout // its queue is full
				}
				return report.OutcomeOK
			}
			z.starved = func(from, to *zoned) bool { return arrive && way(from, to) }
			z.run(40 * time.Second)
			if got := links(z.events); (len(got) > 0) == arrive {
				t.Errorf("parted: %v", got)
			}
		})
	}
}
