// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package enginehost

import (
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/collector/component"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Sync is an Engine on a clock that its owner moves: what is observed is judged
// before Observe returns. It serves replays. Observe and Advance must be called
// from one goroutine.
type Sync struct {
	engine *engine.Engine
	now    atomic.Int64
	batch  *report.Batch
	onto   func(verdict.Event)
	news   []verdict.Event // of which subscribers have not heard

	mu          sync.Mutex // guards subscribers
	subscribers map[int]func(Update)
	next        int
}

var _ Engine = (*Sync)(nil)

// Ticks of the virtual clock: often while something happens, seldom over the
// long gaps of a recording, and a bounded number over years.
const (
	syncTick     = 250 * time.Millisecond
	syncTickGap  = time.Second
	syncLongGap  = time.Minute
	syncGapTicks = 100_000
)

// NewSync returns an engine that hands each event to onto, in order.
func NewSync(p engine.Params, onto func(verdict.Event)) *Sync {
	return &Sync{engine: engine.New(p), batch: &report.Batch{}, onto: onto, subscribers: map[int]func(Update){}}
}

// Advance moves the clock to t, with the ticks between. A t that lies before
// now changes nothing.
func (s *Sync) Advance(t clock.Time) {
	now := s.Now()
	if now == 0 {
		s.tick(t)
		return
	}
	step := syncTick
	if t.Sub(now) > syncLongGap {
		step = max(syncTickGap, t.Sub(now)/syncGapTicks)
	}
	for t.Sub(now) >= step {
		now = now.Add(step)
		s.tick(now)
	}
}

func (s *Sync) tick(now clock.Time) {
	s.now.Store(int64(now))
	s.engine.Tick(now)
	s.tell()
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.news
	s.news = nil
	for _, f := range s.subscribers {
		f(Update{Now: now, Events: news})
	}
}

func (s *Sync) tell() {
	for _, ev := range s.engine.Events() {
		s.onto(ev)
		s.news = append(s.news, ev)
	}
}

// Stepped says that time stands still until all subscribers have returned.
func (s *Sync) Stepped() {}

// NewBatch returns an empty batch.
func (s *Sync) NewBatch() *report.Batch { return s.batch }

// Observe judges b at once.
func (s *Sync) Observe(b *report.Batch) {
	b.Arrived = s.Now()
	s.engine.Observe(b)
	b.Reset()
	s.tell()
}

// Now is the time to which the clock was moved.
func (s *Sync) Now() clock.Time { return clock.Time(s.now.Load()) }

// Dated is t: there is no other clock.
func (s *Sync) Dated(t clock.Time) clock.Time { return t }

// Snapshot is what holds true now.
func (s *Sync) Snapshot() *verdict.Snapshot { return s.engine.Snapshot() }

// Baselines is how long spans usually take.
func (s *Sync) Baselines() *engine.Baselines { return s.engine.Baselines() }

// Subscribe calls f after every tick, and waits for it. f is never called while
// its owner observes.
func (s *Sync) Subscribe(f func(Update)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id := s.next
	s.next++
	s.subscribers[id] = f
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subscribers, id)
	}
}

// Host returns a host that offers s as the extension id.
func (s *Sync) Host(id component.ID) component.Host {
	return syncHost{map[component.ID]component.Component{id: syncExtension{Sync: s}}}
}

type syncHost struct {
	extensions map[component.ID]component.Component
}

func (h syncHost) GetExtensions() map[component.ID]component.Component { return h.extensions }

// syncExtension is what a host holds: an engine that needs no start.
type syncExtension struct {
	*Sync
	component.StartFunc
	component.ShutdownFunc
}
