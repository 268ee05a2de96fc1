// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package replay

import (
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// standing is a verdict and the time for which it stood: until it was cleared or
// revised, or to the end.
type standing struct {
	verdict.Event
	until clock.Time
}

// verdicts are what was said, `unknown` included, in the order in which it was.
func verdicts(events []verdict.Event) []standing {
	var all []standing
	last := map[string]int{} // entity -> place of what stands of it
	for i := range events {
		ev := events[i]
		if !begins(&ev) && ev.Kind != contract.EventFailureCleared {
			continue
		}
		if at, stands := last[ev.Entity]; stands {
			all[at].until = ev.At
			delete(last, ev.Entity)
		}
		if begins(&ev) {
			last[ev.Entity] = len(all)
			all = append(all, standing{ev, math.MaxInt64})
		}
	}
	return all
}

// accuses says whether ev is a verdict of one of the four classes.
func accuses(ev *verdict.Event) bool {
	return begins(ev) && ev.Verdict.Class != verdict.ClassUnknown
}

// begins says whether from ev on a verdict stands.
func begins(ev *verdict.Event) bool {
	return (ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised) &&
		ev.Verdict != nil && ev.Verdict.Class != verdict.ClassNone
}

// during says whether a verdict stood while the fault lasted, or in the minute
// after it.
func (f *fault) during(v *standing) bool {
	return !v.At.UTC().After(f.End.Add(after)) && !v.until.UTC().Before(f.Start)
}

// delay is how long after the fault began v was said; 0 if it stood by then: those
// who write labels are not always there first.
func (f *fault) delay(v *standing) float64 {
	return max(v.At.UTC().Sub(f.Start), time.Duration(0)).Seconds()
}
