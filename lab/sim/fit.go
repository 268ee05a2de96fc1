// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// fitted are the coefficients of a scale of the engine's confidence.
type fitted struct {
	scale   belief.Scale
	w       []float64
	n       int
	logLoss float64 // nats a verdict
	// unseen is how far the same fit is off on verdicts that it was not made from:
	// each fifth of the episodes is told by a fit to the others.
	unseen tenths
	missed float64 // nats a verdict
}

const (
	fitRounds = 300
	// pull keeps a coefficient of which few verdicts tell near 0.
	pull  = 1.0
	folds = 5
)

// calibrate fits both scales and prints the weights for internal/engine/belief/calibration.go.
func calibrate(w io.Writer, done []episode) {
	fit(belief.Named, done, func(ep *episode) []guess { return ep.Guesses }).print(w, "Named")
	fit(belief.Open, done, func(ep *episode) []guess { return ep.Open }).print(w, "Open")
}

// fit finds the coefficients under which what came of the verdicts is likeliest.
func fit(scale belief.Scale, done []episode, of func(*episode) []guess) fitted {
	gather := func(take func(number int) bool) (all []guess) {
		for i := range done {
			if !done[i].Skipped && take(done[i].Number) {
				all = append(all, of(&done[i])...)
			}
		}
		return all
	}
	f := fitTo(scale, gather(func(int) bool { return true }))
	for fold := range folds {
		// Episodes of one scenario follow each other at a fixed distance: by blocks
		// each fold has some of all.
		in := func(number int) bool { return number/foldBlock%folds == fold }
		g := fitTo(scale, gather(func(number int) bool { return !in(number) }))
		for _, x := range gather(in) {
			p := g.predict(x.Terms)
			f.missed += lossOf(p, x.Right) / float64(f.n)
			x.Confidence = p
			f.unseen.add(x)
		}
	}
	return f
}

// foldBlock is about as many episodes as there are scenarios.
const foldBlock = 80

// fitTo is logistic regression, one coefficient after the other by Newton's method.
func fitTo(scale belief.Scale, all []guess) fitted {
	f := fitted{scale: scale, w: make([]float64, len(scale)), n: len(all)}
	odds := make([]float64, len(all)) // log-odds of each verdict
	for range fitRounds {
		for j := range f.w {
			slope, bend := 0.0, 1e-9
			for i := range all {
				t, right := all[i].Terms[j], 0.0
				if t == 0 {
					continue
				}
				if all[i].Right {
					right = 1
				}
				p := logistic(odds[i])
				slope += (right - p) * t
				bend += p * (1 - p) * t * t
			}
			if j > 0 {
				slope -= pull * f.w[j]
				bend += pull
			}
			w := scale[j].Bound(f.w[j] + stat.Clamp(slope/bend, -1, 1))
			for i := range all {
				odds[i] += (w - f.w[j]) * all[i].Terms[j]
			}
			f.w[j] = w
		}
	}
	for j := range f.w {
		f.w[j] = scale[j].Kept(f.w[j])
	}
	for i := range all {
		f.logLoss += lossOf(f.predict(all[i].Terms), all[i].Right) / float64(f.n)
	}
	return f
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

// lossOf is how surprising it is that what had the probability p came true or not, nats.
func lossOf(p float64, right bool) float64 {
	if !right {
		p = 1 - p
	}
	return -math.Log(max(p, 1e-9))
}

func (f *fitted) predict(terms []float64) float64 {
	x := 0.0
	for j, t := range terms {
		x += f.w[j] * t
	}
	return logistic(x)
}

// print writes them in the order of the scale.
func (f fitted) print(w io.Writer, name string) {
	_, ece, brier := f.unseen.total()
	fmt.Fprintf(w, "%s: %d verdicts, log-loss %.3f; of those left out %.3f, Brier score %.3f, expected calibration error %.3f\n", name, f.n, f.logLoss, f.missed, brier, ece)
	for j := range f.scale {
		fmt.Fprintf(w, "%8.2f  %s\n", f.w[j], f.scale[j].Name)
	}
}
