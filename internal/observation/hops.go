// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"math"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// hopGate chooses of which traces the engine is told who called whom. Both ends
// of a call must be chosen alike, so the trace's hash decides; the share of
// traces follows the rate, one second at a time. At low rates all are told.
type hopGate struct {
	most   int64 // hops a second
	limit  atomic.Uint64
	second atomic.Int64
	count  atomic.Int64
}

// leastShare of the traces is always told, so that the share can rise again.
const leastShare = math.MaxUint64 >> 20

func (g *hopGate) open(most int) {
	g.most = int64(most)
	g.limit.Store(math.MaxUint64)
}

// threshold returns the hash up to which traces are told now.
func (g *hopGate) threshold(now clock.Time) uint64 {
	second := int64(now) / int64(time.Second)
	before := g.second.Load()
	// A clock that was set back begins anew.
	if second != before && g.second.CompareAndSwap(before, second) {
		told, limit := g.count.Swap(0), g.limit.Load()
		seconds := max(second-before, 1)
		switch rate := told / seconds; {
		case rate > g.most:
			limit = max(limit/uint64(rate/g.most+1), leastShare)
		case rate < g.most/2 && limit <= math.MaxUint64/2:
			limit *= 2
		case rate < g.most/2:
			limit = math.MaxUint64
		}
		g.limit.Store(limit)
	}
	return g.limit.Load()
}

// told notes what a batch told, and the threshold that it ended with.
func (g *hopGate) told(hops int, threshold uint64) {
	if hops == 0 {
		return
	}
	g.count.Add(int64(hops))
	if threshold < g.limit.Load() {
		g.limit.Store(threshold)
	}
}

// hop tells one end of a call. A burst narrows the choice while it is read: the
// traces that remain are some of those chosen before.
func (sc *scratch) hop(h report.Hop) {
	sc.out.Hops = append(sc.out.Hops, h)
	if sc.hops++; sc.hops%int(sc.x.gate.most) == 0 {
		sc.threshold = max(sc.threshold/2, leastShare)
	}
}

// passing tells the spans of a resource that answers and writes no span of any call
// as those of a proxy: the span of a server behind it may hang below its own.
func (sc *scratch) passing(rs ptrace.ResourceSpans) {
	for _, ss := range rs.ScopeSpans().All() {
		for _, span := range ss.Spans().All() {
			trace := traceHash(span.TraceID())
			if span.Kind() != ptrace.SpanKindServer || trace > sc.threshold {
				continue
			}
			sc.out.Passing = append(sc.out.Passing, report.Passing{Span: hopKey(trace, span.SpanID()), Source: sc.src})
		}
	}
}
