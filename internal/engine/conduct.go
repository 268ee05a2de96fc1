// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Instances of one service that are asked alike should answer alike. What each of
// them does is added up over windows and compared with its siblings when a window
// ends; what does not concern the contents of its work, such as load and durations,
// is not. Who has never been in step, such as a canary or a shard, is never out of
// step.

// conduct is what an instance did in the current window, and how it compared.
type conduct struct {
	token   uint64 // of its process: another one is learned anew
	version string

	answers  float64 // that were no failures
	rejected float64 // of answers, those that blame the request
	sized    float64 // of answers, those of which is told how large they are
	size     float64 // sum over them of log₂(1 + bytes)
	square   float64 // sum of the squares of that
	made     float64 // calls that it made
	failed   float64 // of those, the ones that failed or were not tried
	asked    [report.Mixes]float64

	share   float64    // usual answers, in those of the middle one of its siblings
	usual   float64    // usual calls that it makes for an answer
	badAt   clock.Time // when its own calls last failed at more than a trickle
	against [numMeasures]measure
}

// measure is one of the ways in which an instance is compared.
type measure struct {
	inStep uint8      // windows in which it was like its siblings, at most inStepFull
	odd    uint8      // a bit for each window in which it was not, latest lowest
	run    uint8      // windows in a row in which it was not
	below  bool       // it is less than its siblings'
	since  clock.Time // when the current run began
	x, med float64    // its own in the latest odd window, and what is usual
}

const (
	measureSize     = iota // log₂ of the bytes of an answer
	measureRejected        // 0-1, share of its answers that blame the request
	measureMade            // calls that it makes for an answer
	numMeasures
)

const (
	// Siblings are compared over windows of conductWindow.
	conductWindow  = 10 * time.Second
	conductAnswers = 20.0     // in a window; fewer tell nothing
	inStepFull     = 30       // windows: who is odd for longer, and hurts nobody, is so for good
	inStepEnough   = 6        // windows in step before an odd one counts
	oddEnough      = 3        // of the last five windows
	oddOf          = 1<<5 - 1 // these, a bit each
	// shareFar is how many times more or less than usual it may be asked, among its
	// siblings, before it is asked for other things, by others.
	shareFar    = 2.0
	shareMemory = 8 // windows that its usual share remembers
)

// conducts takes in what n answered.
func (e *Engine) conducts(n *entity, v *report.Served) {
	c := n.conduct
	if c == nil {
		if len(n.service.instances) <= siblingsLeast {
			return
		}
		c = &conduct{}
		n.conduct = c
		if !n.service.compared {
			n.service.compared = true
			e.compared = append(e.compared, n.service)
		}
	}
	c.answers += float64(v.OK)
	c.rejected += float64(v.Rejected)
	c.sized += float64(v.Sized)
	c.size += v.Size
	c.square += v.SizeSquare
	for i, k := range v.Asked {
		c.asked[i] += float64(k)
	}
}

// calls takes in calls that its instance made.
func (c *conduct) calls(k *report.Calls) {
	if c == nil {
		return
	}
	c.made += float64(k.Count)
	if k.Outcome.Failed() {
		c.failed += float64(k.Count)
	}
}

// compareConduct compares siblings when a window has ended.
func (e *Engine) compareConduct() {
	if e.now.Sub(e.comparedAt) < conductWindow {
		return
	}
	whole := e.comparedAt != 0 && e.now.Sub(e.comparedAt) < 2*conductWindow && !e.self.justWoke()
	e.comparedAt = e.now
	keep := e.compared[:0]
	for _, s := range e.compared {
		if len(s.instances) <= siblingsLeast {
			s.compared = false
			for _, n := range s.instances {
				n.conduct = nil
			}
			continue
		}
		keep = append(keep, s)
		e.compare(s, whole)
	}
	clear(e.compared[len(keep):])
	e.compared = keep
}

// compare closes the window of a service's instances. A window that was not whole
// tells nothing.
func (e *Engine) compare(s *service, whole bool) {
	peers := e.alike[:0]
	for _, n := range s.instances {
		if c := n.conduct; c != nil {
			c.renew(n)
			if whole && !n.left && c.answers >= conductAnswers {
				peers = append(peers, n)
			} else {
				c.passOver()
			}
		}
	}
	e.alike = peers
	asked := comparable(peers)
	e.comparePeers(peers, asked)
	e.compareFlow(peers, asked)
	for _, n := range s.instances {
		c := n.conduct
		if c == nil {
			continue
		}
		c.empty()
		if n.episode != nil {
			e.mark(n)
		} else if c.convicts() {
			e.suspect(n)
		}
	}
	clear(peers)
}

// renew forgets what is known of another process, or another version.
func (c *conduct) renew(n *entity) {
	token := n.incarnations[len(n.incarnations)-1].token
	if token != c.token && c.token != 0 || n.version != c.version && c.version != "" {
		asked := *c
		*c = conduct{answers: asked.answers, rejected: asked.rejected, sized: asked.sized, size: asked.size, square: asked.square,
			made: asked.made, failed: asked.failed, asked: asked.asked}
	}
	c.token, c.version = token, n.version
}

// empty begins a window.
func (c *conduct) empty() {
	c.answers, c.rejected, c.sized, c.size, c.square, c.made, c.failed = 0, 0, 0, 0, 0, 0, 0
	c.asked = [report.Mixes]float64{}
}

// passOver lets a window pass in which nothing can be told.
func (c *conduct) passOver() {
	for i := range c.against {
		c.against[i].odd <<= 1
	}
}

// isOdd says whether n has been out of step of late, after long in step.
func (c *conduct) isOdd(k int) bool {
	m := &c.against[k]
	count := 0
	for b := m.odd & oddOf; b != 0; b &= b - 1 {
		count++
	}
	return m.inStep >= inStepEnough && count >= oddEnough
}

// convicts says whether it is out of step in two ways at once.
func (c *conduct) convicts() bool {
	return c != nil && c.isOdd(measureMade) && (c.isOdd(measureSize) || c.isOdd(measureRejected))
}

// steps takes in a window in which it was in step.
func (m *measure) steps() {
	m.odd, m.run = m.odd<<1, 0
	m.inStep = min(m.inStep+1, inStepFull)
}

// strays takes in a window in which it was not. What lasts, and convicts nobody, is
// how it is.
func (m *measure) strays(now clock.Time, x, med float64, held bool) {
	if below := x < med; m.run == 0 || below != m.below {
		m.odd, m.run, m.below, m.since = 0, 0, below, now.Add(-conductWindow)
	}
	m.x, m.med = x, med
	m.odd = m.odd<<1 | 1
	if m.run < inStepFull {
		m.run++
	} else if !held {
		m.inStep, m.odd = 0, 0
	}
}

// comparable says of each peer whether it is asked for the same as the others, and
// as much as usual among them. One that a balancer sends other work does other work.
func comparable(peers []*entity) []bool {
	var all [report.Mixes]float64
	total := 0.0
	rates := make([]float64, len(peers))
	for i, n := range peers {
		rates[i] = n.conduct.answers
		for k, x := range n.conduct.asked {
			all[k] += x
			total += x
		}
	}
	middle := stat.Median(rates)
	alike := make([]bool, len(peers))
	for i, n := range peers {
		c := n.conduct
		own, apart := 0.0, 0.0
		for _, x := range c.asked {
			own += x
		}
		rest := total - own
		for k, x := range c.asked {
			if own > 0 && rest > 0 {
				apart += math.Abs(x/own-(all[k]-x)/rest) / 2
			}
		}
		share := c.answers / middle
		if c.share == 0 {
			c.share = share
		}
		alike[i] = share < c.share*shareFar && share > c.share/shareFar && (own == 0 || apart < askedApart(own))
		c.share += (share - c.share) / shareMemory
		if !alike[i] {
			for k := range c.against {
				c.against[k].inStep = 0 // it does other work now, and has to show how
			}
		}
	}
	return alike
}

// conducted is the engine's part of all this, and room to work in.
type conducted struct {
	compared          []*service // those that have siblings that answer
	comparedAt        clock.Time
	alike             []*entity
	values, errs, off []float64
	who               []int
}
