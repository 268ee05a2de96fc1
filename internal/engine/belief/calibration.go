// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package belief

import (
	"math"

	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Case is what a verdict says, and how it came about as far as the belief does not tell.
type Case struct {
	Cause Cause // the likeliest of its class; of `unknown` it does not matter
	Level verdict.CulpritType
	Proof bool // there is evidence that needs no second look
	Short bool // what it is short of is known
	// OtherCuts is how many other cuts stand, or healed a moment ago: it is hard to tell
	// then which way or place it is, and who is just behind it.
	OtherCuts int
	Silent    bool // it is not heard itself
	Asked     bool // it is a cut, and somebody asked across it in vain
	Uncalled  bool // an instance that nobody is known to call
}

// Scale says how often verdicts come true: logistic regression (Platt, 1999) over a few
// terms, as the belief takes its evidence for more independent than it is.
type Scale []Term

// Term is a part of the log-odds that a verdict comes true.
type Term struct {
	Name   string
	Weight float64 // nats
	Side   Side
	value  func(b *Posterior, c *Case) float64
}

// Side bounds a weight to what makes sense, whatever the fit says.
type Side struct {
	Least, Most float64 // nats
	// Floor is the least that is kept of a weight that is fitted without this bound, where
	// the lab has too many of a kind: so these do not bend the weights of other terms.
	Floor float64 // nats
}

const unbounded = 9 // nats: no weight comes near

var (
	either  = Side{-unbounded, unbounded, -unbounded}
	grows   = Side{0, unbounded, 0}           // more evidence makes nobody less sure
	shrinks = Side{-unbounded, 0, -unbounded} // nor does a reason for doubt make anybody surer
	// What no lab thought of comes on top of what it tells: 0.95 to begin with, at most.
	modest = Side{-unbounded, 3, -unbounded}
	// The simulated lab breaks nobody whom nobody calls, and lets many such sleep.
	shrinksSome = Side{-unbounded, 0, -2.5}
)

// Bound keeps a weight on its side.
func (t *Term) Bound(weight float64) float64 { return stat.Clamp(weight, t.Side.Least, t.Side.Most) }

// Kept is what is taken over of a weight that was fitted.
func (t *Term) Kept(weight float64) float64 { return max(weight, t.Side.Floor) }

// Values are those of the terms for one verdict.
func (s Scale) Values(b *Posterior, c *Case) []float64 {
	values := make([]float64, len(s))
	for i := range s {
		values[i] = s[i].value(b, c)
	}
	return values
}

// Confidence is the calibrated probability, 0-1, of what has these values. It is
// rounded, because more digits would feign precision, and never 1.
func (s Scale) Confidence(values []float64) float64 {
	return min(math.Round(confidenceSteps/(1+math.Exp(-s.logOdds(values))))/confidenceSteps, surest)
}

// logOdds is the sum of the terms, in nats.
func (s Scale) logOdds(values []float64) (sum float64) {
	for i, v := range values {
		sum += s[i].Weight * v
	}
	return sum
}

const (
	confidenceSteps = 20   // of confidence between 0 and 1
	surest          = 0.99 // nothing is certain
)

// Named is the scale of verdicts that name a class: that class and culprit are right.
// `make calibrate` fits the weights of both scales on the simulated lab and prints them;
// docs/accuracy.md says how they hold on other faults and on real ones.
var Named = Scale{
	{"always", 3.00, modest, always},
	{"proof", 1.26, grows, when(func(_ *Posterior, c *Case) bool { return c.Proof })},
	{"exhaustion", -0.96, either, when(func(_ *Posterior, c *Case) bool { return c.Cause == CauseExhaustion })},
	{"it is known what is short", 3.22, grows, when(func(_ *Posterior, c *Case) bool { return c.Cause == CauseExhaustion && c.Short })},
	// The one who turns them away may be full, or they have used up what is due to them.
	{"some are turned away, others served", -0.90, shrinks, func(b *Posterior, _ *Case) float64 {
		if b.found[EvCallersOverloaded] == 0 {
			return 0
		}
		return b.found[EvCallersSucceed]
	}},
	{"hang that nobody looked at", -0.63, shrinks, when(func(b *Posterior, c *Case) bool {
		return c.Cause == CauseHang && b.groups[c.Cause][GroupProbe] < countsFrom && b.groups[c.Cause][GroupRuntime] < countsFrom
	})},
	{"hang beside a cut", -1.94, shrinks, when(func(_ *Posterior, c *Case) bool { return c.Cause == CauseHang && c.OtherCuts > 0 })},
	// By the kernel for want of memory, perhaps, which is told in a moment.
	{"killed, and no more is known", -3.64, shrinks, when(func(b *Posterior, c *Case) bool {
		return c.Cause == CauseDead && b.found[EvExitKilled] > 0 && b.Independent(c.Cause) < 2
	})},
	{"place that is told by how it came back", -0.66, shrinks, when(func(b *Posterior, c *Case) bool {
		return c.wide() && b.groups[c.Cause][GroupReturn] >= countsFrom
	})},
	{"other cuts", -0.49, shrinks, when(func(_ *Posterior, c *Case) bool { return c.OtherCuts > 0 })},
}

// Open is the scale of `unknown`: that something failed there.
var Open = Scale{
	{"always", -0.15, either, always},
	{"log-odds that it is not well", 0.35, grows, func(b *Posterior, _ *Case) float64 { return logOdds(1 - b.P[CauseHealthy]) }},
	{"it is silent itself", 1.28, grows, when(func(_ *Posterior, c *Case) bool { return c.Silent })},
	{"cut across which somebody asked in vain", 2.18, grows, when(func(_ *Posterior, c *Case) bool { return c.Asked })},
	{"connections are refused", 2.15, grows, func(b *Posterior, _ *Case) float64 { return b.found[EvCallersRefused] }},
	{"its host lives", -2.37, either, func(b *Posterior, _ *Case) float64 { return b.found[EvHostAlive] }},
	{"instance that nobody calls", -2.50, shrinksSome, when(func(_ *Posterior, c *Case) bool { return c.Uncalled })},
	{"service", -0.81, either, when(func(_ *Posterior, c *Case) bool { return c.Level == verdict.CulpritService })},
	{"other cuts, each time twice as many", -0.88, shrinks, func(_ *Posterior, c *Case) float64 { return math.Log2(1 + float64(c.OtherCuts)) }},
}

// wide says whether it is not one who fails but a place, or the way between two.
func (c *Case) wide() bool {
	return c.Level == verdict.CulpritNode || c.Level == verdict.CulpritZone || c.Level == verdict.CulpritLink
}

func always(*Posterior, *Case) float64 { return 1 }

// when is a term that is there or not.
func when(is func(b *Posterior, c *Case) bool) func(*Posterior, *Case) float64 {
	return func(b *Posterior, c *Case) float64 {
		if is(b, c) {
			return 1
		}
		return 0
	}
}

// logOdds of a probability. Beyond 0.99 the belief only repeats itself.
func logOdds(p float64) float64 {
	p = stat.Clamp(p, 0.01, 0.99)
	return math.Log(p / (1 - p))
}
