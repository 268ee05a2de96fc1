// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/faultline-otel/faultline/internal/engine/belief"
)

// fitted are the coefficients of the engine's confidence.
type fitted struct {
	w       []float64
	n       int
	logLoss float64 // nats a verdict
}

const (
	fitRounds = 20_000
	fitRate   = 0.5
	// pull keeps a coefficient of which few verdicts tell near 0.
	pull = 1.0
)

// fit finds the coefficients under which what came of the verdicts is likeliest:
// logistic regression by gradient descent.
func fit(done []episode) fitted {
	var all []guess
	for i := range done {
		all = append(all, done[i].Guesses...)
	}
	f := fitted{w: make([]float64, len(belief.TermNames)), n: len(all)}
	if f.n == 0 {
		return f
	}
	for range fitRounds {
		slope := make([]float64, len(f.w))
		f.logLoss = 0
		for i := range all {
			terms, right := all[i].terms, 0.0
			if all[i].Right {
				right = 1
			}
			p := f.predict(terms)
			f.logLoss -= (right*math.Log(p) + (1-right)*math.Log(1-p)) / float64(f.n)
			for j, t := range terms {
				slope[j] += (right - p) * t
			}
		}
		for j := range f.w {
			if j > 0 {
				slope[j] -= pull * f.w[j]
			}
			if f.w[j] += fitRate * slope[j] / float64(f.n); j >= 1 && j <= belief.GrowingTerms {
				f.w[j] = max(f.w[j], 0)
			}
		}
	}
	return f
}

func (f *fitted) predict(terms []float64) float64 {
	x := 0.0
	for j, t := range terms {
		x += f.w[j] * t
	}
	return 1 / (1 + math.Exp(-x))
}

// print writes them as the engine's source has them.
func (f fitted) print(w io.Writer) {
	fmt.Fprintf(w, "// %d verdicts, log-loss %.3f\nvar coefficients = [len(TermNames)]float64{\n", f.n, f.logLoss)
	for j, name := range belief.TermNames {
		fmt.Fprintf(w, "\t%.2f,%s // %s\n", f.w[j], strings.Repeat(" ", len("-0.00")-len(fmt.Sprintf("%.2f", f.w[j]))), name)
	}
	fmt.Fprintln(w, "}")
}
