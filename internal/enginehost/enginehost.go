// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package enginehost is where the components meet: the interface by which the
// extension failure_model offers its engine, and the look-up that finds it.
package enginehost

import (
	"fmt"

	"go.opentelemetry.io/collector/component"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// DefaultID is the extension that components use unless they are told another.
var DefaultID = component.MustNewID("failure_model")

// Engine is what the extension failure_model offers to other components. All
// methods may be called from any goroutine.
type Engine interface {
	// NewBatch returns an empty batch, to be filled and handed to Observe.
	NewBatch() *report.Batch
	// Observe hands b over to the engine and never blocks. What does not fit
	// is dropped and counted. The caller must not touch b afterwards.
	Observe(b *report.Batch)
	// Now is the time on the engine's clock: the wall clock, or the recording's
	// under replay.
	Now() clock.Time
	// Dated is where on the engine's clock a time lies by which something is dated: at
	// t, unless the host's clock was set back. The engine's does not go back.
	Dated(t clock.Time) clock.Time
	// Snapshot is what holds true now; nil is an empty one.
	Snapshot() *verdict.Snapshot
	// Baselines is how long spans usually take; nil knows nothing.
	Baselines() *engine.Baselines
	// Subscribe calls f after every tick of the engine (4 a second) and
	// whenever there is something new, one call at a time and never from the
	// engine's own goroutine. f must not block: it hands over and returns.
	// cancel waits until no call is running; f has then heard of all that
	// happened before. It may call f itself.
	Subscribe(f func(Update)) (cancel func())
}

// Stepped is an Engine whose clock is moved by its owner and stands still until
// its subscribers have returned: they may, and to be in time must, do their work
// within the call.
type Stepped interface{ Stepped() }

// Update is what a subscriber is told.
type Update struct {
	Now    clock.Time
	Events []verdict.Event // in order; shared, must not be changed
}

// Find returns the engine that the extension id offers.
func Find(host component.Host, id component.ID) (Engine, error) {
	ext, ok := host.GetExtensions()[id]
	if !ok {
		return nil, fmt.Errorf("engine: extension %q is not started: add %q under `extensions:` and to `service::extensions`", id, id)
	}
	e, ok := ext.(Engine)
	if !ok {
		return nil, fmt.Errorf("engine: extension %q is no failure_model: name one, such as `engine: failure_model`", id)
	}
	return e, nil
}
