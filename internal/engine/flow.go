// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
)

// Where nobody tells how many messages wait in a queue, the spans of those who send
// and of those who read tell at least whether any is read while more are sent. They
// do not tell how many there are: not everybody has spans. A queue of which it is
// told otherwise is known by that.

// flow is what spans tell of a queue.
type flow struct {
	queue string
	sent  float64 // since the latest was read
	read  float64 // in all
	used  clock.Time
}

// sent takes in that messages were sent.
func (e *Engine) sent(s *report.Sent) {
	if s.Source != nil && s.Count > 0 {
		e.sends(s)
	}
	if s.Queue == "" || s.Count <= 0 {
		return
	}
	key := queueKey{name: s.Queue}
	q := e.queueOf(key)
	if q != nil && !q.inferred || q == nil && e.toldOf(s.Queue) {
		return
	}
	f := e.flow(s.Queue)
	f.sent, f.used = f.sent+float64(s.Count), e.now
	if f.read == 0 {
		return // nobody is known to read it
	}
	e.queueIs(&report.Queue{Name: s.Queue, Waiting: f.sent, Read: f.read})
	if q == nil {
		if q = e.queueOf(key); q != nil {
			q.inferred = true
		}
	}
}

// sending is how an instance sends messages.
type sending struct {
	rate stat.Rate
	last clock.Time // event time of the latest
	to   []string   // the queues that it was seen to send to, at most maxReadings
}

// sends takes in that an instance sent messages, whatever becomes of them.
func (e *Engine) sends(s *report.Sent) {
	n := e.instance(s.Source)
	if n == nil || n.kind != kindInstance {
		return
	}
	if n.sending == nil {
		n.sending = &sending{}
	}
	n.sending.rate.Add(float64(s.Count), 0, e.now, n.episode == nil)
	n.sending.last = max(n.sending.last, s.Last)
	if s.Queue != "" && len(n.sending.to) < maxReadings && !slices.Contains(n.sending.to, s.Queue) {
		n.sending.to = append(n.sending.to, s.Queue)
	}
}

// flowed takes in that messages were read.
func (e *Engine) flowed(c *report.Consumed) {
	for _, f := range e.flows {
		if f.queue == c.Queue {
			f.sent, f.read = 0, f.read+float64(c.Count)
		}
	}
}

// toldOf says whether how many wait in a queue is told, for whomever.
func (e *Engine) toldOf(name string) bool {
	for _, q := range e.queues {
		if q.key.name == name && !q.inferred {
			return true
		}
	}
	return false
}

// flow returns what is known of a queue by spans, new if need be; the one that was
// used longest ago makes room.
func (e *Engine) flow(queue string) *flow {
	oldest := 0
	for i, f := range e.flows {
		if f.queue == queue {
			return f
		}
		if f.used < e.flows[oldest].used {
			oldest = i
		}
	}
	f := &flow{queue: queue}
	if len(e.flows) < maxFlows {
		e.flows = append(e.flows, f)
	} else {
		e.flows[oldest] = f
	}
	return f
}

// maxFlows is how many queues are known by spans alone.
const maxFlows = 256
