// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// took shows the engine n spans of one kind that took d each.
func took(e *Engine, n int, d time.Duration) {
	b := &report.Batch{Arrived: e.now}
	for range n {
		b.Spans = append(b.Spans, report.SpanSample{Key: 1, Duration: d})
	}
	e.Observe(b)
	e.Tick(e.now.Add(time.Second))
}

func TestSpans_a_failure_does_not_become_the_usual(t *testing.T) {
	e := New(DefaultParams())
	took(e, 1000, 10*time.Millisecond)
	took(e, 200, time.Second)
	if tail := e.Baselines().Of(1); !tail.Slow(time.Second) || !tail.Late(time.Second) || tail.Late(10*time.Millisecond) {
		t.Errorf("after 200 slow ones: %+v", tail)
	}
	// Durations of all lengths, on top of each other, must not carry it up.
	for i := range 1000 {
		took(e, 7, 10*time.Millisecond)
		took(e, 3, time.Duration(12+i%190)*time.Millisecond)
	}
	if tail := e.Baselines().Of(1); !tail.Slow(30 * time.Millisecond) {
		t.Errorf("after 3,000 that were late by more and more: %+v", tail)
	}
	for range 60 { // however often it is called
		took(e, 2000, time.Second)
	}
	if tail := e.Baselines().Of(1); !tail.Slow(time.Second) {
		t.Errorf("after a minute of slow ones: %+v", tail)
	}
	for range 3000 {
		took(e, 30, time.Second)
	}
	if tail := e.Baselines().Of(1); tail.Slow(time.Second) {
		t.Errorf("within the hour it is still thought slow: %+v", tail)
	}
}
