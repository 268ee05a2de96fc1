// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"strings"
	"sync"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Settings are the knobs of an Extractor. The zero value is usable.
type Settings struct {
	// Observer is the id that is stamped on heartbeat records which carry no
	// observer of their own, and on scrapes. "" is the engine's own process.
	Observer string
	// MaxSources is how many resources are kept interned, at least; up to twice
	// as many may be. 0 means 50 000.
	MaxSources int
	// MaxHops is how many ends of calls are handed to the engine per second at
	// most, so that it learns who stands behind an address. 0 means 200.
	MaxHops int
}

const (
	defaultSources = 50_000
	defaultHops    = 200
	maxCallees     = 16_384 // interned addresses
	namesEach      = 4      // by which a source can be found, at least
	maxSupervised  = 16_384 // pods and containers whose restarts are followed
)

// Extractor reads pdata. It may be used by many goroutines at once.
type Extractor struct {
	observer string
	sources  *cache[sourceID, report.Source]
	callees  *cache[calleeID, callee]
	pods     *cache[podKey, report.Source] // who runs in a pod or container
	states   *cache[stateID, int64]        // what a supervisor said last
	counts   counts
	meters   meters
	gate     hopGate
	skips    skips
	scratch  sync.Pool // *scratch
}

// New returns an Extractor that has seen nothing.
func New(s Settings) *Extractor {
	if s.MaxSources <= 0 {
		s.MaxSources = defaultSources
	}
	if s.MaxHops <= 0 {
		s.MaxHops = defaultHops
	}
	x := &Extractor{
		observer: s.Observer,
		sources:  newCache[sourceID, report.Source](s.MaxSources),
		callees:  newCache[calleeID, callee](maxCallees),
		pods:     newCache[podKey, report.Source](namesEach * s.MaxSources),
		states:   newCache[stateID, int64](maxSupervised),
	}
	x.gate.open(s.MaxHops)
	x.scratch.New = func() any { return newScratch() }
	return x
}

// Own says whether telemetry was emitted by Faultline itself. It is never
// evidence, except the heartbeat records of the receiver heartbeat: they are
// how evidence travels.
func Own(scope pcommon.InstrumentationScope) bool {
	return strings.HasPrefix(scope.Name(), contract.ScopePrefix)
}
