// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"

	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Basis is what a verdict's confidence is made from: the belief itself, and what
// else tells how far such a belief is to be trusted.
type Basis struct {
	Cause   cause
	Kind    entityKind
	Belief  float64 // 0-1, posterior of the class
	Sources int     // independent groups of evidence that agree
	Proof   bool    // there is evidence that needs no second look
	Looked  bool    // a probe, or the process's own host, says so
}

// TermNames are the terms of the log-odds that a verdict is right, in order.
var TermNames = [...]string{
	"always", "log-odds of the belief", "two sources or more", "three sources or more", "proof",
	"hang", "hang that was looked at", "closed port", "partition", "exhaustion", "byzantine",
	"service", "external", "link", "node or zone",
}

// GrowingTerms is how many of them, after the first, must not speak against: more
// evidence for a verdict makes nobody less sure of it.
const GrowingTerms = 4

const numTerms = len(TermNames)

// Terms are the values of the terms for b: logistic regression (Platt, 1999) over
// the belief, as the belief takes its evidence for more independent than it is.
func (b Basis) Terms() (t [numTerms]float64) {
	on := func(i int, yes bool) {
		if yes {
			t[i] = 1
		}
	}
	p := stat.Clamp(b.Belief, 0.01, 0.9975)
	t[0], t[1] = 1, math.Log(p/(1-p))
	on(2, b.Sources >= 2)
	on(3, b.Sources >= 3)
	on(4, b.Proof)
	on(5, b.Cause == causeHang && !b.Looked)
	on(6, b.Cause == causeHang && b.Looked)
	on(7, b.Cause == causeNotListening)
	on(8, b.Cause == causePartition || b.Cause == causeSetup)
	on(9, b.Cause == causeExhaustion)
	on(10, b.Cause == causeByzantine)
	on(11, b.Kind == kindService)
	on(12, b.Kind == kindExternal)
	on(13, b.Kind == kindLink)
	on(14, b.Kind == kindNode || b.Kind == kindZone)
	return t
}

// coefficients are fitted on the simulated lab by `make calibrate`, which prints
// them; docs/accuracy.md says how they hold on other faults and on real ones.
var coefficients = [numTerms]float64{
	2.55,  // always
	0.00,  // log-odds of the belief
	0.00,  // two sources or more
	0.00,  // three sources or more
	0.34,  // proof
	-2.11, // hang
	-0.10, // hang that was looked at
	-0.22, // closed port
	0.58,  // partition
	-0.43, // exhaustion
	0.53,  // byzantine
	-0.84, // service
	-0.68, // external
	-0.21, // link
	-0.94, // node or zone
}

// confidence is the calibrated probability, 0-1, that class and culprit are
// right. It is rounded, because more digits would feign precision, and never 1.
func (b Basis) confidence() float64 {
	x := 0.0
	for i, t := range b.Terms() {
		x += coefficients[i] * t
	}
	return min(rounded(1/(1+math.Exp(-x))), surest)
}

const (
	confidenceSteps = 20   // of confidence between 0 and 1
	surest          = 0.99 // nothing is certain
)

func rounded(x float64) float64 { return math.Round(x*confidenceSteps) / confidenceSteps }
