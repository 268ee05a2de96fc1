// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Batch is what one passing pdata batch showed. The engine owns it after
// Observe; Reset makes it reusable.
type Batch struct {
	// Arrived is when the batch reached the engine's process, on its clock.
	Arrived clock.Time

	Observers []ObserverBeat
	Beats     []Beat
	Probes    []Probe
	Signs     []Sign
	Calls     []Calls
	Served    []Served
	Facts     []Fact
	Errors    []ErrorLine
	Levels    []Level
	Places    []Place
	Queues    []Queue
	Consumed  []Consumed
	Sent      []Sent
	Hops      []Hop
	Passing   []Passing
	Doors     []Door
	Spans     []SpanSample
}

// Reset empties b and keeps its memory.
func (b *Batch) Reset() {
	b.Arrived = 0
	clear(b.Observers)
	clear(b.Beats)
	clear(b.Probes)
	clear(b.Signs)
	clear(b.Calls)
	clear(b.Served)
	clear(b.Facts)
	clear(b.Errors)
	clear(b.Levels)
	clear(b.Places)
	clear(b.Queues)
	clear(b.Consumed)
	clear(b.Sent)
	clear(b.Hops)
	clear(b.Passing)
	clear(b.Doors)
	b.Observers, b.Beats, b.Probes, b.Signs = b.Observers[:0], b.Beats[:0], b.Probes[:0], b.Signs[:0]
	b.Calls, b.Served, b.Facts, b.Errors, b.Hops, b.Spans = b.Calls[:0], b.Served[:0], b.Facts[:0], b.Errors[:0], b.Hops[:0], b.Spans[:0]
	b.Levels, b.Places, b.Queues, b.Consumed, b.Doors = b.Levels[:0], b.Places[:0], b.Queues[:0], b.Consumed[:0], b.Doors[:0]
	b.Sent, b.Passing = b.Sent[:0], b.Passing[:0]
}

// Empty says whether b holds no observation.
func (b *Batch) Empty() bool { return b.Len() == 0 }

// Len is the number of observations in b.
func (b *Batch) Len() int {
	return len(b.Observers) + len(b.Beats) + len(b.Probes) + len(b.Signs) +
		len(b.Calls) + len(b.Served) + len(b.Facts) + len(b.Errors) + len(b.Levels) + len(b.Places) + len(b.Queues) + len(b.Consumed) + len(b.Sent) + len(b.Hops) + len(b.Passing) + len(b.Doors) + len(b.Spans)
}

// Stamp says which observer saw something and when, on that observer's clock.
type Stamp struct {
	Observer string        // observer's id; "" is the engine's own process
	At       clock.Time    // observed time, observer's wall clock
	Uptime   time.Duration // observer's monotonic clock since its start; 0 if unknown
	Seq      uint64        // observer's own count; 0 if unknown. A repeat is duplication in transport
}
