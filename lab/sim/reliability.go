// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"math"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Of the verdicts that say 0.8, about 80 % should be right. Here that is counted.

// claims are how sure verdicts were, and how many of them were right.
type claims struct {
	named    tenths                 // those with a class
	heldDown bin                    // of them those that say less than was fitted, as they are seen from one side
	open     tenths                 // those without: right if something failed there
	bySaid   map[verdict.Class]*bin // named by what was said
}

// tenths are the verdicts by the tenth that their confidence lies in.
type tenths [10]bin

type bin struct {
	n     int
	sum   float64 // of the confidences
	right int
	brier float64 // sum of the squared errors
}

func (c *claims) add(ep *episode) {
	for _, g := range ep.Guesses {
		c.named.add(g)
		if g.heldDown() {
			c.heldDown.add(g)
		}
		if c.bySaid[g.Class] == nil {
			c.bySaid[g.Class] = &bin{}
		}
		c.bySaid[g.Class].add(g)
	}
	for _, g := range ep.Open {
		c.open.add(g)
	}
}

// heldDown says whether a verdict says less than was fitted: what is seen from one side
// never says more than 0.75, be it right ever so often here.
func (g *guess) heldDown() bool {
	return g.Confidence < belief.Named.Confidence(g.Terms)-1e-9
}

func (t *tenths) add(g guess) { t[min(int(g.Confidence*10+1e-9), 9)].add(g) }

func (b *bin) add(g guess) {
	b.n++
	b.sum += g.Confidence
	hit := 0.0
	if g.Right {
		b.right++
		hit = 1
	}
	b.brier += (g.Confidence - hit) * (g.Confidence - hit)
}

func (b *bin) mean() float64  { return b.sum / float64(b.n) }
func (b *bin) share() float64 { return float64(b.right) / float64(b.n) }

// total is the number of verdicts, their expected calibration error and Brier score.
func (t *tenths) total() (n int, ece, brier float64) {
	for _, b := range t {
		if b.n == 0 {
			continue
		}
		n += b.n
		ece += math.Abs(b.mean()-b.share()) * float64(b.n)
		brier += b.brier
	}
	return n, ece / float64(max(n, 1)), brier / float64(max(n, 1))
}

const (
	// telling is how many verdicts of a tenth tell how many of them are right.
	telling = 300
	// farFrom is how far the share may be from the mean of what they say, of each
	// tenth from 0.5 on, and farOnAverage that of all.
	farFrom      = 0.07
	farOnAverage = 0.05
)

// far lists where what verdicts say is too far from what came of them. It looks at all
// of them, as a reader does, and at those with and without a class. The lower tenths of
// `unknown` are bounded, not fitted, so that their average says little.
func (c *claims) far() (out []string) {
	for _, x := range [...]struct {
		what string
		of   tenths
	}{{"all", c.all()}, {"named", c.named}, {"unknown", c.open}} {
		for i := range x.of {
			if b := &x.of[i]; i >= 5 && b.n >= telling && math.Abs(b.mean()-b.share()) > farFrom {
				out = append(out, fmt.Sprintf("%s, %.1f – %.1f: said %.2f, right %.2f", x.what, float64(i)/10, float64(i+1)/10, b.mean(), b.share()))
			}
		}
		if n, ece, _ := x.of.total(); x.what != "unknown" && n >= telling && ece > farOnAverage {
			out = append(out, fmt.Sprintf("%s: expected calibration error %.3f", x.what, ece))
		}
	}
	return out
}

// all are the verdicts with and without a class.
func (c *claims) all() (sum tenths) {
	for i := range sum {
		a, b := &c.named[i], &c.open[i]
		sum[i] = bin{a.n + b.n, a.sum + b.sum, a.right + b.right, a.brier + b.brier}
	}
	return sum
}

func (c *claims) print(w io.Writer) {
	fmt.Fprintf(w, "\n%-19s %5s %9s %8s\n", "confidence", "n", "mean", "right")
	c.named.print(w, "")
	for _, class := range [...]verdict.Class{verdict.ClassCrash, verdict.ClassPartition, verdict.ClassExhaustion, verdict.ClassByzantine} {
		if b := c.bySaid[class]; b != nil {
			b.print(w, string(class))
		}
	}
	if c.heldDown.n > 0 {
		c.heldDown.print(w, "seen from one side")
	}
	n, ece, brier := c.named.total()
	fmt.Fprintf(w, "expected calibration error %.3f, Brier score %.3f, %d verdicts\n", ece, brier, n)
	// What `unknown` states is how likely it is that something failed there at all.
	c.open.print(w, "unknown ")
	n, ece, brier = c.open.total()
	fmt.Fprintf(w, "of `unknown`, that something failed there: expected calibration error %.3f, Brier score %.3f, %d verdicts\n", ece, brier, n)
	all := c.all()
	all.print(w, "all ")
	n, ece, brier = all.total()
	fmt.Fprintf(w, "of all: expected calibration error %.3f, Brier score %.3f, %d verdicts\n", ece, brier, n)
}

func (t *tenths) print(w io.Writer, what string) {
	for i := range t {
		if t[i].n > 0 {
			t[i].print(w, fmt.Sprintf("%s%.1f – %.1f", what, float64(i)/10, float64(i+1)/10))
		}
	}
}

func (b *bin) print(w io.Writer, what string) {
	fmt.Fprintf(w, "%-19s %5d %9.2f %8.2f\n", what, b.n, b.mean(), b.share())
}
