// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// clockState follows by how much a sender's clock is ahead of its observer's. A
// clock that steps is nobody's failure, but it spoils what is ordered by time.
type clockState struct {
	ahead time.Duration
	known bool
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

// clock takes in when a beat was sent by its sender's clock.
func (e *Engine) clock(s *stream, b *Beat) {
	if b.SentAt == 0 || b.At == 0 {
		return
	}
	c, ahead := &s.clock, b.SentAt.Sub(b.At)
	if !c.known {
		c.known, c.ahead = true, ahead
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
	e.emit(Event{Kind: contract.EventClockStepped, Source: n.src, Entity: n.name(),
		Body: fmt.Sprintf("the clock of %s stepped %s by %s", n.name(), way, inWords(step.Abs()))})
}
