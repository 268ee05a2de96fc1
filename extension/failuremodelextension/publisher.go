// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"sync"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/enginehost"
)

// publisher tells subscribers what is new, in a goroutine of its own, so that a
// slow one delays the others but never the engine.
type publisher struct {
	dropped func(events int64)

	mu      sync.Mutex // guards pending, now, wake
	pending []verdict.Event
	now     clock.Time
	wake    chan struct{} // holds one token when there is something to tell

	calls       sync.Mutex // held while subscribers are called; taken before mu
	subscribers []*subscriber

	stop, stopped chan struct{}
}

type subscriber struct{ f func(enginehost.Update) }

// maxPending is how many events wait for slow subscribers; older ones go.
const maxPending = 10_000

func newPublisher(dropped func(int64)) *publisher {
	return &publisher{dropped: dropped, wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{})}
}

// tick tells that time passed, with events if there are any.
func (p *publisher) tick(now clock.Time, events []verdict.Event) { p.tell(now, events) }

// events tells events, if there are any.
func (p *publisher) events(now clock.Time, events []verdict.Event) {
	if len(events) > 0 {
		p.tell(now, events)
	}
}

func (p *publisher) tell(now clock.Time, events []verdict.Event) {
	p.mu.Lock()
	p.now = now
	p.pending = append(p.pending, events...)
	if over := len(p.pending) - maxPending; over > 0 {
		p.pending = append(p.pending[:0:0], p.pending[over:]...)
		p.dropped(int64(over))
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *publisher) run() {
	defer close(p.stopped)
	for {
		select {
		case <-p.wake:
			p.call()
		case <-p.stop:
			p.call() // what happened last
			return
		}
	}
}

func (p *publisher) call() {
	p.calls.Lock()
	defer p.calls.Unlock()
	p.callLocked(p.takeLocked())
}

// takeLocked takes what is pending. Only who may call takes it, so that two
// callers cannot change the order.
func (p *publisher) takeLocked() enginehost.Update {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := enginehost.Update{Now: p.now, Events: p.pending}
	p.pending = nil
	return u
}

func (p *publisher) callLocked(u enginehost.Update) {
	for _, s := range p.subscribers {
		s.f(u)
	}
}

// close ends the publisher after a last call. It must have been run.
func (p *publisher) close() {
	close(p.stop)
	<-p.stopped
}

// subscribe has f called from now on. cancel tells it first what happened before:
// the last events before a shutdown are the ones that matter.
func (p *publisher) subscribe(f func(enginehost.Update)) (cancel func()) {
	s := &subscriber{f}
	p.calls.Lock()
	defer p.calls.Unlock()
	p.subscribers = append(p.subscribers, s)
	return func() {
		p.calls.Lock()
		defer p.calls.Unlock()
		if u := p.takeLocked(); len(u.Events) > 0 {
			p.callLocked(u)
		}
		for i, x := range p.subscribers {
			if x == s {
				p.subscribers = append(p.subscribers[:i:i], p.subscribers[i+1:]...)
				return
			}
		}
	}
}
