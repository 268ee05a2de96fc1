// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// What an instance has to know of its siblings. In an outage all instances of a
// service ask at once, and each of a thousand must not look at a thousand: many are
// counted now and then, for all of them.

// siblings sums up instances of a service.
type siblings struct {
	at      clock.Time   // when they were counted
	all     bool         // the one who asks is one of them
	silent  int          // silent, or answer nobody
	absent  int          // those, and who has left or has a verdict
	crashed int          // known to have crashed
	short   int          // told to do less than is asked of them
	served  []clock.Time // when each last answered a call, in order; event time
}

const (
	// fewSiblings are counted anew each time.
	fewSiblings = 64
	// countedFor is how long the count of more of them holds.
	countedFor = 250 * time.Millisecond
)

// siblings returns what is known of n's siblings, for use at once.
func (e *Engine) siblings(n *entity) *siblings {
	s := n.service
	if len(s.instances) <= fewSiblings {
		e.few.count(s, n, e.now)
		return &e.few
	}
	if s.counted == nil {
		s.counted = &siblings{all: true}
	}
	if e.now.Sub(s.counted.at) >= countedFor {
		s.counted.count(s, nil, e.now)
	}
	return s.counted
}

// count counts the instances of s other than one.
func (c *siblings) count(s *service, other *entity, now clock.Time) {
	c.at, c.silent, c.absent, c.crashed, c.short, c.served = now, 0, 0, 0, 0, c.served[:0]
	for _, i := range s.instances {
		if i == other {
			continue
		}
		if i.silent() {
			c.silent++
		}
		if i.absent() {
			c.absent++
		}
		if i.crashed() {
			c.crashed++
		}
		if i.overloaded() {
			c.short++
		}
		c.served = append(c.served, i.served.last)
	}
	slices.Sort(c.served)
}

// without leaves out of a count the one who asks, if it is counted.
func (c *siblings) without(count int, counted bool) int {
	if c.all && counted {
		count--
	}
	return max(count, 0)
}

// goOn is how many of n's siblings have answered a call since t.
func (c *siblings) goOn(n *entity, t clock.Time) int {
	at, _ := slices.BinarySearch(c.served, t+1)
	return c.without(len(c.served)-at, n.served.last > t)
}

// silent says whether n is silent, or answers nobody.
func (n *entity) silent() bool {
	return n.episode != nil && (n.episode.silent() || n.episode.stalls)
}

// absent says whether n does not do its share.
func (n *entity) absent() bool { return n.left || n.verdict != nil || n.silent() }

func (n *entity) crashed() bool { return n.verdict != nil && n.verdict.Class == verdict.ClassCrash }
