// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import "github.com/faultline-otel/faultline/internal/engine/clock"

// Fact is something that a log line, an event or a host says outright.
type Fact struct {
	Source *Source // whom it is about; a source without service is a node
	Kind   FactKind
	Value  int64      // exit code, count (of lines: FactIntegrity) or bytes, by Kind
	At     clock.Time // event time
	Text   string     // the words that said so, for people, at most 200 bytes
	Whom   string     // FactDoubts: the words that name who gave what is found at fault
	Said   bool       // by one who merely speaks in its name: to be borne out

	Told clock.Time // when it came, by the clock of the engine, which fills it in where that was late; else 0
}

// ErrorLine is a line of a log that says that a request failed.
type ErrorLine struct {
	Source *Source    // who wrote it
	Kind   uint64     // hash of its words without what varies in them
	Trace  uint64     // hash of the request's trace; 0 if not told
	Count  int        // of such lines, where no trace is told
	Quoted bool       // it only tells how a call of its writer ended
	At     clock.Time // event time
	Text   string     // for people, at most 200 bytes
}

// ExitUntold is the exit status of one that did not end well, of which no more is told.
const ExitUntold = -1

// FactKind is what a Fact says.
type FactKind uint8

// Values of FactKind.
const (
	FactNone         FactKind = iota
	FactExit                  // the process ended, Value = exit status (128+n for signal n) or ExitUntold
	FactPanic                 // it wrote a panic, fatal error, segmentation fault or unhandled exception at its end
	FactOOMKill               // the kernel or the runtime ended it for lack of memory
	FactOutOfMemory           // it says that memory ran out, and may go on
	FactStopping              // it was told to stop or says that it stops (SIGTERM, "shutting down", Killing)
	FactStarted               // it says that it starts
	FactRestarts              // restarts counted by its supervisor, Value = cumulative
	FactCrashLoop             // its supervisor backs off from restarting it
	FactDiskFull              // no space left on device, quota exceeded
	FactNoDescriptor          // too many open files
	FactNoThread              // cannot create a thread or process
	FactPoolEmpty             // timed out waiting for a connection of a pool
	FactIntegrity             // checksum, signature or digest mismatch
	FactNodeDown              // node not ready, or, Value = 1, started anew; Source is the node
	FactDeploy                // a new version is rolled out
	FactBackwards             // a count of it that only rises fell, in one run of the process
	FactEquivocated           // it signed two different words for the same thing
	FactNoPort                // it has no local port left to call from
	FactForged                // what it signed was sent again in its name
	FactAlive                 // its agent or host sees it running
	FactEvicted               // its node ended it because the node itself was short, Value = LevelKind of what
	FactOverLimit             // it was ended because it used more disk than its limit
	FactTwins                 // what is told in its name can only come from several; Value = 1: or is one count that jumps back and forth
	FactDoubts                // it finds fault with what somebody gave it, named by Whom; Value = how often
	FactReady                 // its supervisor says whether it is ready, Value = 1 or 0
	NumFacts
)

// CameAt is when f came, as far as that matters: late, or when it was.
func (f *Fact) CameAt() clock.Time { return max(f.At, f.Told) }
