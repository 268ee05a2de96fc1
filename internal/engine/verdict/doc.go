// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package verdict is what comes out of the engine: a Verdict says which class of
// failure, who the Culprit is, and why; an Event, that one was reached, revised or
// cleared; an Incident, which belong together. A Snapshot is all of it at one moment,
// made to be asked by many at once whose failure a span is.
package verdict
