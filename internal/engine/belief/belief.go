// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package belief

import (
	"math"

	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Posterior is the posterior over causes and what made it.
type Posterior struct {
	P      [NumCauses]float64
	score  dB              // log-odds against an arbitrary zero
	Added  [NumEvidence]dB // what each finding contributed, before caps
	groups [NumCauses][NumGroups]float64
	found  *Strengths
}

// Strengths is how strong each kind of evidence is, 0-1.
type Strengths [NumEvidence]float64

// Weigh adds up what was found: in each group the strongest and a share
// of the rest, clipped to the group's cap, because members of a group err
// together; over groups as independent.
func Weigh(found *Strengths, held Cause, temperature float64) Posterior {
	b := Posterior{found: found}
	var strongest, rest [NumCauses][NumGroups][2]float64 // [0] for, [1] against
	for kind, v := range found {
		if v == 0 {
			continue
		}
		r := &weights[kind]
		for c := range b.score {
			x := r.weights[c] * v
			b.Added[kind][c] = x
			side := 0
			if x < 0 {
				side = 1
			}
			if math.Abs(x) > math.Abs(strongest[c][r.group][side]) {
				rest[c][r.group][side] += strongest[c][r.group][side]
				strongest[c][r.group][side] = x
			} else {
				rest[c][r.group][side] += x
			}
		}
	}
	for c := range b.score {
		b.score[c] = prior[c]
		if Cause(c) == held && held != CauseHealthy {
			b.score[c] += stay
		}
		for g := range b.groups[c] {
			sum := strongest[c][g][0] + restOfGroup*rest[c][g][0] + strongest[c][g][1] + restOfGroup*rest[c][g][1]
			b.groups[c][g] = stat.Clamp(sum, -groupCap[g], groupCap[g])
		}
	}
	if found[EvOOMKill] > 0 || found[EvLastLimit] > 0 || found[EvMemoryAtEnd] > 0 {
		b.diesOfExhaustion()
	}
	for c := range b.score {
		for _, x := range b.groups[c] {
			b.score[c] += x
		}
	}
	b.softmax(temperature)
	return b
}

// diesOfExhaustion: an end for want of something shows all the signs that any end
// shows. Only why it ended tells the two apart.
func (b *Posterior) diesOfExhaustion() {
	for g := range b.groups[CauseExhaustion] {
		if Group(g) != GroupEnding {
			b.groups[CauseExhaustion][g] = max(b.groups[CauseExhaustion][g], b.groups[CauseDead][g])
		}
	}
}

// softmax turns decibels into probabilities.
func (b *Posterior) softmax(temperature float64) {
	top := math.Inf(-1)
	for _, s := range b.score {
		top = max(top, s)
	}
	sum := 0.0
	for c, s := range b.score {
		b.P[c] = math.Pow(10, (s-top)/(10*temperature))
		sum += b.P[c]
	}
	for c := range b.P {
		b.P[c] /= sum
	}
}

// Class is the probability of a public class.
func (b *Posterior) Class(class verdict.Class) float64 {
	sum := 0.0
	for c, p := range b.P {
		if Cause(c).Class() == class && class != verdict.ClassNone {
			sum += p
		}
	}
	return sum
}

// Failure is the probability that it is a failure of the entity at all.
func (b *Posterior) Failure() float64 {
	sum := 0.0
	for c, p := range b.P {
		if Cause(c).Class() != verdict.ClassNone {
			sum += p
		}
	}
	return sum
}

var classes = [...]verdict.Class{verdict.ClassCrash, verdict.ClassPartition, verdict.ClassExhaustion, verdict.ClassByzantine}

// Best returns the likeliest class.
func (b *Posterior) Best() verdict.Class {
	first := classes[0]
	for _, c := range classes[1:] {
		if b.Class(c) > b.Class(first) {
			first = c
		}
	}
	return first
}

// Likeliest is the likeliest cause within a class.
func (b *Posterior) Likeliest(class verdict.Class) Cause {
	best := CauseHealthy
	for c, p := range b.P {
		if Cause(c).Class() == class && (best == CauseHealthy || p > b.P[best]) {
			best = Cause(c)
		}
	}
	return best
}

// Independent counts the groups that speak for a cause with weight.
func (b *Posterior) Independent(c Cause) int {
	count := 0
	for _, x := range b.groups[c] {
		if x >= countsFrom {
			count++
		}
	}
	return count
}

const countsFrom = 3.0 // dB

// ClassOf is the probability of a cause, or of the public class that it is of.
func (b *Posterior) ClassOf(c Cause) float64 {
	if class := c.Class(); class != verdict.ClassNone {
		return b.Class(class)
	}
	return b.P[c]
}

// Candidates are the two likeliest causes of different classes, what is no
// failure of the entity included.
func (b *Posterior) Candidates() (first, second Cause) {
	first, second = CauseHealthy, CauseHealthy
	for c := CausePlanned; c < NumCauses; c++ {
		switch {
		case c == CauseObserver:
		case first == CauseHealthy || b.P[c] > b.P[first]:
			if first != CauseHealthy && first.Class() != c.Class() {
				second = first
			}
			first = c
		case first.Class() == c.Class() && c.Class() != verdict.ClassNone:
		case second == CauseHealthy || b.P[c] > b.P[second]:
			second = c
		}
	}
	return first, second
}
