// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"

	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// belief is the posterior over causes and what made it.
type belief struct {
	p      [numCauses]float64
	score  dB              // log-odds against an arbitrary zero
	added  [numEvidence]dB // what each finding contributed, before caps
	groups [numCauses][numGroups]float64
}

// strengths is how strong each kind of evidence is, 0-1.
type strengths [numEvidence]float64

// weigh adds up what was found: in each group the strongest and a share
// of the rest, clipped to the group's cap, because members of a group err
// together; over groups as independent.
func weigh(found *strengths, held cause, temperature float64) belief {
	var b belief
	var strongest, rest [numCauses][numGroups][2]float64 // [0] for, [1] against
	for kind, v := range found {
		if v == 0 {
			continue
		}
		r := &weights[kind]
		for c := range b.score {
			x := r.weights[c] * v
			b.added[kind][c] = x
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
		if cause(c) == held && held != causeHealthy {
			b.score[c] += stay
		}
		for g := range b.groups[c] {
			sum := strongest[c][g][0] + restOfGroup*rest[c][g][0] + strongest[c][g][1] + restOfGroup*rest[c][g][1]
			b.groups[c][g] = stat.Clamp(sum, -groupCap[g], groupCap[g])
		}
	}
	if found[evOOMKill] > 0 || found[evLastLimit] > 0 || found[evMemoryAtEnd] > 0 {
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
func (b *belief) diesOfExhaustion() {
	for g := range b.groups[causeExhaustion] {
		if group(g) != groupEnding {
			b.groups[causeExhaustion][g] = max(b.groups[causeExhaustion][g], b.groups[causeDead][g])
		}
	}
}

// softmax turns decibels into probabilities.
func (b *belief) softmax(temperature float64) {
	top := math.Inf(-1)
	for _, s := range b.score {
		top = max(top, s)
	}
	sum := 0.0
	for c, s := range b.score {
		b.p[c] = math.Pow(10, (s-top)/(10*temperature))
		sum += b.p[c]
	}
	for c := range b.p {
		b.p[c] /= sum
	}
}

// class is the probability of a public class.
func (b *belief) class(class Class) float64 {
	sum := 0.0
	for c, p := range b.p {
		if cause(c).class() == class && class != ClassNone {
			sum += p
		}
	}
	return sum
}

// failure is the probability that it is a failure of the entity at all.
func (b *belief) failure() float64 {
	sum := 0.0
	for c, p := range b.p {
		if cause(c).class() != ClassNone {
			sum += p
		}
	}
	return sum
}

var classes = [...]Class{ClassCrash, ClassPartition, ClassExhaustion, ClassByzantine}

// best returns the likeliest class.
func (b *belief) best() Class {
	first := classes[0]
	for _, c := range classes[1:] {
		if b.class(c) > b.class(first) {
			first = c
		}
	}
	return first
}

// likeliest is the likeliest cause within a class.
func (b *belief) likeliest(class Class) cause {
	best := causeHealthy
	for c, p := range b.p {
		if cause(c).class() == class && (best == causeHealthy || p > b.p[best]) {
			best = cause(c)
		}
	}
	return best
}

// independent counts the groups that speak for a cause with weight.
func (b *belief) independent(c cause) int {
	count := 0
	for _, x := range b.groups[c] {
		if x >= countsFrom {
			count++
		}
	}
	return count
}

const countsFrom = 3.0 // dB

// classOf is the probability of a cause, or of the public class that it is of.
func (b *belief) classOf(c cause) float64 {
	if class := c.class(); class != ClassNone {
		return b.class(class)
	}
	return b.p[c]
}

// candidates are the two likeliest causes of different classes, what is no
// failure of the entity included.
func (b *belief) candidates() (first, second cause) {
	first, second = causeHealthy, causeHealthy
	for c := causePlanned; c < causeObserver; c++ {
		switch {
		case first == causeHealthy || b.p[c] > b.p[first]:
			if first != causeHealthy && first.class() != c.class() {
				second = first
			}
			first = c
		case first.class() == c.class() && c.class() != ClassNone:
		case second == causeHealthy || b.p[c] > b.p[second]:
			second = c
		}
	}
	return first, second
}
