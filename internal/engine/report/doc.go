// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package report is what goes into the engine: the words in which a Batch tells what
// somebody saw, and of whom.
//
//	ObserverBeat, Beat, Sign     who gives signs of life
//	Probe                        what a look at somebody found
//	Calls, Served, Hop           how calls ended, as caller and callee tell it: Outcome
//	Fact, ErrorLine              what a log, an event or a host says outright
//	Level, Queue, Consumed, Sent how much is used, and how much waits
//	Place, Door                  where somebody is
//	SpanSample                   how long spans of a kind take
//
// Who it is about is a Source. Nothing here is judged.
package report
