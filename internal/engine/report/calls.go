// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Callee is whom a call was made to, as far as the caller tells.
type Callee struct {
	Address string // host:port as dialled (network.peer.* before server.*); "" if not told
	Service string // peer.service or rpc/db/messaging system where no address is told
	Direct  bool   // Address is that of one instance (network.peer.*, or an IP), not a name
	Named   string // host:port as configured (server.*) where Address is another; "" if the same
}

// Calls counts calls of one caller to one callee that ended in one way.
type Calls struct {
	Caller  *Source
	Callee  Callee
	Outcome Outcome
	Count   int
	Slow    int           // of Count, those far slower than calls of their kind usually are
	First   clock.Time    // earliest start, event time
	Started clock.Time    // latest start, event time; 0 if not told
	Last    clock.Time    // latest end, event time
	Done    clock.Time    // earliest end, event time; 0 if not told
	Took    time.Duration // how long they took together; 0 if not told
	Hearsay bool          // only a line of a log tells of it: the caller may repeat another's words, and be a proxy without a service
	Counted bool          // by a metric: between First and Last, and of no use where spans tell the same
}

// Served counts calls that an instance answered: it makes progress.
type Served struct {
	Source *Source
	OK     int
	Failed int
	Faults int    // of Failed, those that it made itself: 500, gRPC INTERNAL, an exception
	Waited int    // of Failed, those that took far longer than their kind usually does
	Passed int    // of Failed, those that are another's by what they say: a call that failed, a gateway's status
	Wants  int    // of Failed, those that say that a call failed, by words or a gateway's status, or in which one did that names nobody
	Says   string // the words of the first of Wants, for people, at most 200 bytes
	Slow   int    // of OK, those far slower than their kind usually is
	Coded  int    // of OK, those with a status code of success
	// Rejected are those of OK that blame the request, and Sized those of the rest of
	// which is told how large the answer is: Size is the sum over them of log₂(1 +
	// bytes), SizeSquare that of its squares. Asked sorts those of OK by what was asked for.
	Rejected, Sized  int
	Size, SizeSquare float64
	Asked            [Mixes]uint16
	Last             clock.Time    // latest end, event time
	Took             time.Duration // how long all of them took together; 0 if not told
	Counted          bool          // by a metric, as Calls.Counted
	Bare             bool          // of Counted: by a library that counts nothing else, such as calls that are made
}

// Hop is one end of a call in a trace. The engine joins a client's hop with the
// server's hop below it and so learns who stands behind an address.
type Hop struct {
	Span   uint64 // client: hash of trace and span id; server: of trace and parent span id
	Server bool
	Lost   bool // of a client: it gave up before an answer came
	Failed bool // of a server: it answered with a failure
	Source *Source
	Callee Callee // of a client
	// Duration is that of the span, 0 if unknown, and At its end, event time. Began is
	// its start as the clock of its host has it, however wrong; 0 if not told.
	Duration time.Duration
	At       clock.Time
	Began    clock.Time
}

// Passing is a span of a server that writes none of the calls that it makes: it stands
// in the place of a client's hop, if a server's hangs directly below it.
type Passing struct {
	Span   uint64 // hash of trace and span id
	Source *Source
}

// Nameless says whether the caller tells nothing of its callee but what is asked of it:
// the interface, as some clients of RPC do.
func (c *Callee) Nameless() bool { return c.Address == "" && c.Named == "" && c.Service != "" }

// Mixes is into how many kinds requests are sorted, to tell whether two are asked alike.
const Mixes = 8
