// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package ledger is the lab's account: what was done to the fleet, and what
// its services saw of it. The account is the truth that verdicts are scored
// against, so nothing in it may come from Faultline.
package ledger

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Names of the files of a run, one JSON object a line unless said otherwise.
const (
	InjectionsFile = "injections.jsonl" // Injection
	CallsFile      = "calls.jsonl"      // Call
	TracesFile     = "traces.jsonl"     // OTLP, the gateway's output after the processor
	EventsFile     = "events.jsonl"     // OTLP logs, the gateway's events
	RawFile        = "raw.jsonl"        // OTLP of all signals, what reached the gateway; only where asked for
	ArrivalsFile   = "arrivals.jsonl"   // Arrival
)

// Kind says what an injection is.
type Kind string

// Values of Kind.
const (
	Fault      Kind = "fault"
	Confounder Kind = "confounder" // looks like a failure and is none: it must get no class
	Clean      Kind = "clean"      // nothing is done: a stretch to learn what is usual
)

// Culprit is an answer to "who" that is right. Type is one of
// failure.culprit.type; Name is compared where it is set, and so is each of the
// other fields.
type Culprit struct {
	Type     string `json:"type"`
	Name     string `json:"name,omitempty"`
	Service  string `json:"service,omitempty"`
	Instance string `json:"instance,omitempty"`
}

// Injection is something that was done to the fleet.
type Injection struct {
	ID       string    `json:"id"`   // unique in a run, sorts by order
	Name     string    `json:"name"` // in the catalogue: "kill", "zone_cut", "rolling_deploy"
	Kind     Kind      `json:"kind"`
	Class    string    `json:"class,omitempty"`    // failure.class; empty for confounders
	Subclass string    `json:"subclass,omitempty"` // failure.subclass
	Culprits []Culprit `json:"culprits,omitempty"` // each is right; the most specific that the evidence names comes first
	Start    time.Time `json:"start"`
	End      time.Time `json:"end"` // when the fault was taken back; the fleet may need longer
	// Evidence names what can show it: "heartbeat", "process_probe",
	// "refused", "spans", "host_metrics", "logs", "known_answer", ….
	Evidence []string `json:"evidence,omitempty"`
	// OneSided: nobody behind the cut can report while it lasts, so unknown, or
	// a confidence of at most 0.75, is right meanwhile.
	OneSided bool `json:"one_sided,omitempty"`
	// Hidden: nothing observable shows it, so no verdict is right.
	Hidden bool `json:"hidden,omitempty"`
	// Group joins injections that were made together (compound ones).
	Group string `json:"group,omitempty"`
	// Failed says why the injection could not be made; it is then not scored.
	Failed string `json:"failed,omitempty"`
}

// Call is one call as its client saw it, written by the service itself beside
// its telemetry.
type Call struct {
	Trace    string        `json:"trace"` // hex
	Span     string        `json:"span"`  // hex, of the client span
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration_ns"`
	Service  string        `json:"service"`
	Instance string        `json:"instance"`
	Callee   string        `json:"callee"` // service
	Route    string        `json:"route,omitempty"`
	OK       bool          `json:"ok"`
	Wrong    bool          `json:"wrong,omitempty"` // answered, and the lab knows the answer to be wrong
	Error    string        `json:"error,omitempty"`
}

// Arrival is when evidence of an injection first could have been seen by the
// gateway: the lab's own tap on what reaches it.
type Arrival struct {
	ID string    `json:"id"` // of the injection
	At time.Time `json:"at"`
}

// Write appends v as a line.
func Write(w io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = w.Write(append(line, '\n'))
	return err
}

// maxLine bounds a line.
const maxLine = 1 << 20

// Read returns all lines of r as values of T. A line that was cut off at the
// end, as a killed writer leaves it, is left out; any other bad line is an
// error that gives its number.
func Read[T any](r io.Reader) ([]T, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var out []T
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, err
		}
		if len(line) > maxLine {
			return out, fmt.Errorf("line %d is longer than %d bytes", number, maxLine)
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return out, fmt.Errorf("line %d: %w", number, err)
		}
		out = append(out, v)
	}
}
