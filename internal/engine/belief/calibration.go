// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package belief

import (
	"math"

	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// TermNames are the terms of the log-odds that a verdict is right, in order.
var TermNames = [...]string{
	"always", "log-odds of the belief", "two sources or more", "three sources or more", "proof",
	"hang", "hang that was looked at", "closed port", "partition", "exhaustion", "byzantine",
	"service", "external", "link", "node or zone",
}

// GrowingTerms is how many of them, after the first, must not speak against: more
// evidence for a verdict makes nobody less sure of it.
const GrowingTerms = 4

// Terms are their values for a class that is the likeliest because of one cause, and
// an entity of one level: logistic regression (Platt, 1999) over the belief, as the
// belief takes its evidence for more independent than it is. proof is evidence that
// needs no second look.
func (b *Posterior) Terms(c Cause, level verdict.CulpritType, proof bool) []float64 {
	t := make([]float64, len(TermNames))
	on := func(i int, yes bool) {
		if yes {
			t[i] = 1
		}
	}
	p := stat.Clamp(b.Class(c.Class()), 0.01, 0.9975)
	sources := b.Independent(c)
	// A probe, or the process's own host, says so.
	looked := b.groups[c][GroupProbe] >= countsFrom || b.groups[c][GroupRuntime] >= countsFrom
	t[0], t[1] = 1, math.Log(p/(1-p))
	on(2, sources >= 2)
	on(3, sources >= 3)
	on(4, proof)
	on(5, c == CauseHang && !looked)
	on(6, c == CauseHang && looked)
	on(7, c == CauseNotListening)
	on(8, c == CausePartition || c == CauseSetup)
	on(9, c == CauseExhaustion)
	on(10, c == CauseByzantine)
	on(11, level == verdict.CulpritService)
	on(12, level == verdict.CulpritExternal)
	on(13, level == verdict.CulpritLink)
	on(14, level == verdict.CulpritNode || level == verdict.CulpritZone)
	return t
}

// coefficients are fitted on the simulated lab by `make calibrate`, which prints
// them; docs/accuracy.md says how they hold on other faults and on real ones.
var coefficients = [len(TermNames)]float64{
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

// Confidence is the calibrated probability, 0-1, that class and culprit are
// right. It is rounded, because more digits would feign precision, and never 1.
func Confidence(terms []float64) float64 {
	x := 0.0
	for i, t := range terms {
		x += coefficients[i] * t
	}
	return min(Rounded(1/(1+math.Exp(-x))), surest)
}

const (
	confidenceSteps = 20   // of confidence between 0 and 1
	surest          = 0.99 // nothing is certain
)

// Rounded is a probability as it is told: more digits would feign precision.
func Rounded(x float64) float64 { return math.Round(x*confidenceSteps) / confidenceSteps }
