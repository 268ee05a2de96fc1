// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package sample writes recordings of a small made-up fleet to which something
// happens, as the file exporter would have written them. Replays are tested and
// shown with them.
//
//	checkout-1 ─► payment-1, payment-2 ─► ledger-1
//
// Every process beats once a second and sends its spans. The same story gives
// the same bytes.
package sample

//go:generate go run ./generate ../../../../testdata/replay

import (
	"encoding/json"
	"time"
)

// Interval is a part of a recording, from its start on.
type Interval struct{ From, To time.Duration }

func (i Interval) has(t time.Duration) bool { return t >= i.From && t < i.To }

// Story is what happens in a recording. A zero Interval never happens.
type Story struct {
	Length time.Duration
	// Crashed: payment-1 is gone, its callers are refused; then it starts anew.
	Crashed Interval
	// Stopped: payment-2 announces that it stops, drains and ends; its callers
	// call payment-1 only. Then it starts anew.
	Stopped Interval
	// Unrecorded: the observer and all that records stand still. What was sent
	// meanwhile is lost.
	Unrecorded Interval
}

// Example is the story that testdata/replay shows.
var Example = Story{Length: 2 * time.Minute, Crashed: Interval{time.Minute, 90 * time.Second}}

// Begin is when each recording begins.
var Begin = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// Labels returns the labels file of the story.
func (s Story) Labels() ([]byte, error) {
	type fault struct {
		Start    time.Time `json:"start"`
		End      time.Time `json:"end"`
		Service  string    `json:"service"`
		Instance string    `json:"instance"`
		Class    string    `json:"class"`
		Type     string    `json:"type"`
	}
	faults := []fault{}
	if c := s.Crashed; c.To > 0 {
		faults = append(faults, fault{Begin.Add(c.From), Begin.Add(c.To), "payment", "payment-1", "crash", "process_exit"})
	}
	text, err := json.MarshalIndent(map[string]any{"faults": faults}, "", "  ")
	return append(text, '\n'), err
}

// Lines returns the recording, by time: traces and then heartbeats of each second.
func (s Story) Lines() ([]string, error) {
	f := newFleet()
	var out []string
	for at := time.Duration(0); at < s.Length; at += time.Second {
		f.at = at
		f.step(s)
		if s.Unrecorded.has(at) {
			continue
		}
		spans, err := f.requests(s)
		if err != nil {
			return nil, err
		}
		beats, err := f.heartbeats()
		if err != nil {
			return nil, err
		}
		out = append(out, spans, beats)
	}
	return out, nil
}
