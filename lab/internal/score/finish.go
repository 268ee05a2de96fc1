// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package score

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// claim is a confidence and whether it came true.
type claim struct {
	confidence float64
	right      bool
}

// claims gathers the first and the last class that each verdict named.
func (t *tally) claims(all []*episode) {
	right := func(st *step) bool {
		return st.of != nil && st.of.Kind == ledger.Fault && st.of.Class == st.Class && level(st.of, st.Culprit) >= 0
	}
	scored := func(st *step) bool { return st != nil && (st.of == nil || st.of.Failed == "") }
	for _, e := range all {
		if st := e.firstNamed(); scored(st) {
			t.first = append(t.first, claim{st.Confidence, right(st)})
		}
		if st := e.lastNamed(); scored(st) {
			c := claim{st.Confidence, right(st)}
			if !e.cleared.IsZero() && st == e.steps[len(e.steps)-1] {
				c.confidence = e.sure
			}
			t.final = append(t.final, c)
		}
	}
}

// calibrate computes the Brier score (Brier 1950) and the reliability table. A
// confidence that is no number from 0 to 1 is taken for the nearest, or for 0.
func calibrate(claims []claim) Calibration {
	var c Calibration
	for i := range c.Bins {
		c.Bins[i].From = float64(i) / 10
	}
	for i := range claims {
		p := &claims[i].confidence
		if *p = max(0, min(1, *p)); math.IsNaN(*p) {
			*p = 0
		}
	}
	slices.SortFunc(claims, func(a, b claim) int { // sums of floats depend on their order
		if d := cmp.Compare(a.confidence, b.confidence); d != 0 || a.right == b.right {
			return d
		} else if a.right {
			return 1
		}
		return -1
	})
	for _, cl := range claims {
		truth := 0.0
		if cl.right {
			truth = 1
		}
		c.Verdicts++
		c.Brier += (cl.confidence - truth) * (cl.confidence - truth)
		bin := &c.Bins[min(9, int(cl.confidence*10+1e-9))] // 0.3·10 is a little less than 3
		bin.Verdicts++
		bin.Confidence += cl.confidence
		bin.Right += truth
	}
	for i := range c.Bins {
		b := &c.Bins[i]
		if b.Verdicts == 0 {
			continue
		}
		n := float64(b.Verdicts)
		b.Confidence, b.Right = b.Confidence/n, b.Right/n
		c.ECE += math.Abs(b.Right-b.Confidence) * n / float64(c.Verdicts)
	}
	if c.Verdicts > 0 {
		c.Brier /= float64(c.Verdicts)
	}
	return c
}

func quantiles(ds []time.Duration) Quantiles {
	if len(ds) == 0 {
		return Quantiles{}
	}
	slices.Sort(ds)
	return Quantiles{N: len(ds), Median: rank(ds, 0.5).Seconds(), P95: rank(ds, 0.95).Seconds()}
}

func share(part, whole int) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

// result computes what can only be known of all runs together.
func (t *tally) result() Result {
	r := t.r
	for _, m := range []*Moments{&r.BothSides, &r.OneSided} {
		for _, moment := range []*Moment{&m.First, &m.After30, &m.After60} {
			moment.shares()
			for _, c := range moment.Classes {
				c.shares()
			}
		}
	}
	r.Delays = map[string]Delay{}
	for key, d := range t.delays {
		r.Delays[key] = Delay{
			Faults: d.faults, FromStart: quantiles(d.start), FromEvidence: quantiles(d.evidence),
			RightFromStart: quantiles(d.rightFromStart), RightFromEvidence: quantiles(d.rightFromFirst),
		}
	}
	for key, f := range r.False {
		if f.Hours > 0 {
			f.PerHour = float64(f.Count) / f.Hours
		}
		r.False[key] = f
	}
	r.Leave.AfterEnd, r.Leave.AfterRecovery = quantiles(t.leave.end), quantiles(t.leave.recovery)
	s := &r.Spans
	s.Recall, s.WholeRecall, s.Precision = share(s.FromRight, s.FromVerdict), share(s.HurtRight, s.Hurt), share(s.TaggedHurt, s.Tagged)
	r.First, r.Final = calibrate(t.first), calibrate(t.final)
	slices.SortStableFunc(r.Missed, func(a, b Miss) int {
		return cmp.Or(cmp.Compare(a.Injection, b.Injection), cmp.Compare(a.Got, b.Got))
	})
	return r
}

func (c *Count) shares() {
	c.Coverage, c.Accuracy = share(c.Answered, c.Faults), share(c.RightNamed, c.Answered)
	c.Correct, c.Culprit = share(c.Right, c.Faults), share(c.CulpritRight, c.Answered)
}
