// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// clockState follows by how much a sender's clock is ahead of its observer's. A
// clock that steps is nobody's failure, but it spoils what is ordered by time.
type clockState struct {
	ahead time.Duration
	known int           // beats from which it was learned, at most stepBeats
	odd   time.Duration // another offset, seen of late
	run   int           // beats in a row that show it
}

const (
	// stepFrom is the change of offset that is a step and no drift.
	stepFrom = 2 * time.Second
	// stepBeats must agree: what lay in a queue looks like a clock that is behind.
	stepBeats = 5
	stepAlike = 500 * time.Millisecond
)

// late is how much later than usual a beat came after it was sent, by its sender's
// clock; 0 if nobody knows, or if it is more than limit: then the clock was set.
func (c *clockState) late(b *report.Beat, limit time.Duration) time.Duration {
	if b.SentAt == 0 || b.At == 0 || c.known < stepBeats {
		return 0
	}
	late := b.At.Sub(b.SentAt) + c.ahead
	if late < 0 || late > limit {
		return 0
	}
	return late
}

// clock takes in when a beat was sent by its sender's clock.
func (e *Engine) clock(s *stream, b *report.Beat) {
	if b.SentAt == 0 || b.At == 0 {
		return
	}
	c, ahead := &s.clock, b.SentAt.Sub(b.At)
	if c.known < stepBeats {
		if c.known == 0 || ahead > c.ahead {
			c.ahead = ahead // the quickest: what was buffered tells nothing of a clock
		}
		c.known++
		return
	}
	if step := ahead - c.ahead; step.Abs() < stepFrom {
		c.ahead += step / 8
		c.run = 0
		return
	}
	if c.run == 0 || (ahead-c.odd).Abs() > stepAlike {
		c.odd, c.run = ahead, 1
		return
	}
	if c.run++; c.run < stepBeats {
		return
	}
	step := ahead - c.ahead
	c.ahead, c.run = ahead, 0
	way := "forward"
	if step < 0 {
		way = "back"
	}
	n := s.entity
	if n.host != nil {
		n.host.stepped = e.now // the calls of its host will show the same
	}
	e.emit(verdict.Event{Kind: contract.EventClockStepped, Source: n.src, Entity: n.name(),
		Body: fmt.Sprintf("the clock of %s stepped %s by %s", n.name(), way, inWords(step.Abs()))})
}
