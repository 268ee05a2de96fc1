// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import "sync/atomic"

// Engine judges. See the package comment for who may call what.
type Engine struct {
	params    Params
	now       Time
	events    []Event
	snapshot  atomic.Pointer[Snapshot]
	baselines atomic.Pointer[Baselines]
}

// New returns an engine that has seen nothing.
func New(p Params) *Engine { return &Engine{params: p} }

// Observe takes in what a batch showed and evaluates whom it touches. It does
// not keep b.
func (e *Engine) Observe(b *Batch) {}

// Tick lets time pass: deadlines run out, evidence fades. Call it every 250 ms
// or so; now must not go back.
func (e *Engine) Tick(now Time) {}

// Events returns what happened since the last call, in order, and forgets it.
func (e *Engine) Events() []Event {
	out := e.events
	e.events = nil
	return out
}

// Snapshot returns what holds true now; it may be nil.
func (e *Engine) Snapshot() *Snapshot { return e.snapshot.Load() }

// Baselines returns the usual durations of spans; it may be nil.
func (e *Engine) Baselines() *Baselines { return e.baselines.Load() }

// Freeze stops judging until Thaw: what arrives is learned from, nobody is
// accused or cleared.
func (e *Engine) Freeze() {}

// Thaw starts judging. Everybody gets a fresh deadline.
func (e *Engine) Thaw(now Time) {}

// Save returns the engine's state for Restore.
func (e *Engine) Save() ([]byte, error) { return nil, nil }

// Restore takes up what Save returned. A state that cannot be read is an error
// and leaves e as it was.
func (e *Engine) Restore(state []byte) error { return nil }

// Stats returns the sizes and losses of everything bounded.
func (e *Engine) Stats() Stats { return Stats{} }

// Stats are gauges of what is kept and counters of what did not fit.
type Stats struct {
	Instances, Services, Observers, Addresses, Edges, SpanKinds int
	// Forgotten counts what was dropped because a cap was reached, by what.
	ForgottenInstances, ForgottenAddresses, ForgottenEdges, ForgottenSpanKinds, ForgottenObservers uint64
	// Suspects is the number of instances with a posterior worth computing.
	Suspects int
	// Verdicts is the number of verdicts in force.
	Verdicts int
}
