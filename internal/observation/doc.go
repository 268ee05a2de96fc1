// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package observation turns passing telemetry (pdata) into what the engine
// takes in: a report.Batch of heartbeats, calls, facts and signs of life.
//
// It is the hot path of the processor. A healthy span costs no allocation: what
// must be kept as a string (sources, addresses) is interned once and found again
// by a hash. Nothing here judges; what a wording or a status code means is
// written down once, in tables (wording.go, outcome.go, signatures.go).
//
// Telemetry is input from strangers. Whatever it holds, nothing panics and
// nothing grows without bound: every cache has a cap, names longer than
// maxName bytes are shortened to a unique form, and heartbeat records that
// cannot be read are counted in Skipped.
package observation
