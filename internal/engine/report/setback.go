// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// MoveOn has everything in b that ended at Arrived less by, or before, be as much later.
// A host's clock was set back by so much, and the engine's went on: what is dated since is
// then as old as it is. What is dated by a clock that was not set back would seem to come from
// the future, and stays as it is.
func (b *Batch) MoveOn(by time.Duration) {
	m := moveOn{by, b.Arrived.Add(-by)}
	for i := range b.Beats {
		if t := &b.Beats[i]; t.Observer == "" {
			m.all(0, &t.Due) // by a sender's clock, nobody knows which: rather too late than too soon
		}
	}
	for i := range b.Signs {
		m.all(b.Signs[i].Dated, &b.Signs[i].Dated)
	}
	for i := range b.Calls {
		c := &b.Calls[i]
		m.all(c.Last, &c.First, &c.Started, &c.Done, &c.Last)
	}
	for i := range b.Served {
		m.all(b.Served[i].Last, &b.Served[i].Last)
	}
	for i := range b.Facts {
		m.all(b.Facts[i].At, &b.Facts[i].At)
	}
	for i := range b.Errors {
		m.all(b.Errors[i].At, &b.Errors[i].At)
	}
	for i := range b.Consumed {
		m.all(b.Consumed[i].Last, &b.Consumed[i].Last)
	}
	for i := range b.Sent {
		m.all(b.Sent[i].Last, &b.Sent[i].Last)
	}
	for i := range b.Hops {
		m.all(b.Hops[i].At, &b.Hops[i].At)
	}
}

type moveOn struct {
	by   time.Duration
	upTo clock.Time
}

// all moves the times of what ended at end, those that are told.
func (m moveOn) all(end clock.Time, times ...*clock.Time) {
	if end > m.upTo {
		return
	}
	for _, t := range times {
		if *t != 0 {
			*t = t.Add(m.by)
		}
	}
}
