// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package score compares what Faultline said with what was done to the fleet.
//
// Judge is pure: the real lab reads its inputs from the files of a run, the
// simulated lab makes them in memory, and both get the same figures. The order
// of the inputs does not matter.
package score

import (
	"time"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

const (
	// settle is how long after its end a fault may still be the reason for a
	// verdict or for a failed call: the longest of the moments that are scored.
	settle = 60 * time.Second
	// tagWait is how long the processor holds a failed span for its verdict, so
	// that spans from so long before the verdict on can be tagged.
	tagWait = 3 * time.Second
	// unsure is the confidence up to which a verdict on a fault that is seen
	// from one side only is right, whatever class it names.
	unsure = 0.75
	// unknown is the class of what failed without the evidence telling why.
	unknown = "unknown"
	// silent stands in the tables for "no verdict".
	silent = "none"
)

// Verdict is an event of the engine. Events other than failure.detected,
// failure.revised and failure.cleared are counted and not scored.
type Verdict struct {
	At         time.Time
	Event      string // failure.detected, failure.revised, failure.cleared, …
	Entity     string // who was judged, the same in all events of one failure; may be empty
	Class      string
	Subclass   string
	Confidence float64 // 0-1
	Role       string  // culprit, victim, or empty
	Culprit    ledger.Culprit
	Incident   string
	Since      time.Time // start of the failure, as the engine dates it
	Revision   int64
	Text       string // for a person; not scored
}

// Tag is what the processor wrote on a span.
type Tag struct {
	Class, Subclass, Role string
	Culprit               ledger.Culprit
}

// Span is a span as it left the processor, reduced to what is scored.
type Span struct {
	Trace                      [16]byte
	ID, Parent                 [8]byte
	Service, Instance, Version string
	Place                      *Place // nil if it does not tell
	Address                    string // whom a client called, without the port; may be empty
	Operation                  string // route, else the span's name
	Start                      time.Time
	Duration                   time.Duration
	Client                     bool // of kind client: it waits for an answer
	Server                     bool // of kind server or consumer: an answer
	Failed                     bool
	Tag                        *Tag // nil if it carries no failure.class
}

func (s *Span) end() time.Time { return s.Start.Add(s.Duration) }

// Place is where a span was made; what its resource does not tell is empty.
type Place struct{ Host, Zone string }

// Judge scores one run. Without arrivals there are no delays from the first
// evidence.
func Judge(injections []ledger.Injection, verdicts []Verdict, spans []Span, calls []ledger.Call, arrivals ...ledger.Arrival) Result {
	t := newTally()
	t.add(injections, verdicts, spans, calls, arrivals)
	return t.result()
}

// matches says whether a verdict's culprit is the one that is wanted: every
// field that the account sets must agree.
func matches(want, got ledger.Culprit) bool {
	agree := func(want, got string) bool { return want == "" || want == got }
	return want != (ledger.Culprit{}) && agree(want.Type, got.Type) && agree(want.Name, got.Name) &&
		agree(want.Service, got.Service) && agree(want.Instance, got.Instance)
}

// level is the place of got among the right culprits, 0 for the most specific
// one, or -1.
func level(in *ledger.Injection, got ledger.Culprit) int {
	for i, want := range in.Culprits {
		if matches(want, got) {
			return i
		}
	}
	return -1
}

// named says whether a class is an answer.
func named(class string) bool { return class != "" && class != unknown }
