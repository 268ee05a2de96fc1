// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package engine is the failure model in pure Go: observations go in, verdicts
// come out. It knows nothing of pdata, YAML, HTTP or files, and has no clock of
// its own: time is handed in with every batch and tick, so that a recording
// replayed gives the same answer every time.
//
// Data flows one way:
//
//	Batch ─► entities (who is who) ─► detectors (state per entity)
//	      ─► evidence (rows of weights) ─► belief (log-odds per cause)
//	      ─► verdict (hysteresis, words) ─► incident ─► Snapshot, Event
//
// What needs no entity stands in rooms below it: package report is what goes in,
// verdict what comes out, belief what evidence weighs, stat what is usual of one
// stream of numbers, clock the time that is handed in. The arrow runs from here to
// there.
//
// A new kind of evidence is one new file evidence_*.go and its row in
// belief/weights.go; nothing else changes.
//
// An Engine has a single writer: Observe, Tick, Freeze, Save and Restore must be
// called from one goroutine. Snapshot and Baselines may be read from any.
package engine
