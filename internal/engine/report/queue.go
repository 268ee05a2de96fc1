// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import "github.com/faultline-otel/faultline/internal/engine/clock"

// Queue is how many messages wait in a queue.
type Queue struct {
	Source  *Source // who tells it: the broker, or one who looks at it
	Name    string
	Group   string  // of those who read it; "" if there is one only, or it is not told
	Waiting float64 // messages; -1 if not told
	Read    float64 // cumulative; -1 if not told
}

// Consumed counts messages that an instance took from a queue and worked on.
type Consumed struct {
	Source *Source
	Queue  string
	Group  string // "" if not told
	Count  int
	Faults int        // of Count, those at which it failed by its own making; of one trace in a row, one
	Failed uint64     // hash of the trace of the latest of these; 0 if none
	Last   clock.Time // latest end, event time
}

// Sent counts messages that somebody put into a queue.
type Sent struct {
	Source *Source // who did; nil if not told
	Queue  string
	Count  int
	Last   clock.Time // end of the latest span
}
