// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// counter is a service of which only spans tell: a shop that calls it, and a store
// that it calls. Requests wait in one queue before as many workers as it has.
type counter struct {
	*fleet
	shop, self, store *report.Source
	dice              *rand.Rand

	asks     float64       // requests a second
	users    int           // instead: so many who ask again when they are answered, after a second
	work     time.Duration // for a request
	workers  int           // 0: as many as there are requests
	room     time.Duration // for how long a request may wait in the queue; 0: as long as it takes
	timeout  time.Duration // of the shop
	retries  int           // of the shop
	storage  time.Duration // that the store takes
	hidden   time.Duration // that somebody takes of whom nothing tells
	stands   bool          // it answers nobody
	lossy    float64       // share of requests that do not arrive
	every    time.Duration // between exports
	free     []clock.Time  // when each worker is free
	requests []request
	back     []clock.Time // when users, or those who try again, ask
	again    []int
	batch    report.Batch
	sent     clock.Time
}

type request struct {
	at, begin, end, client clock.Time
	storage                time.Duration
	told, lost, asked      bool
	try                    int
}

func newCounter(t *testing.T, seed uint64) *counter {
	c := &counter{fleet: newFleet(t), dice: rand.New(rand.NewPCG(5, seed)), asks: 20, work: 20 * time.Millisecond, workers: 2,
		timeout: 20 * time.Second, storage: 5 * time.Millisecond, every: 5 * time.Second}
	c.shop = report.NewSource(report.Source{Service: report.ServiceID{Name: "shop"}, Host: "h1", Instance: "shop-1"})
	c.self = report.NewSource(report.Source{Service: report.ServiceID{Name: "counter"}, Host: "h2", Instance: "counter-1"})
	c.store = report.NewSource(report.Source{Service: report.ServiceID{Name: "store"}, Host: "h3", Instance: "store-1"})
	c.pass(3 * time.Minute)
	return c
}

// ask lets a request come, and decides how it ends.
func (c *counter) ask(at clock.Time, try int) {
	took := time.Duration(float64(c.work) * (0.7 + 0.6*c.dice.Float64()))
	storage := time.Duration(float64(c.storage) * (0.7 + 0.6*c.dice.Float64()))
	r := request{at: at, begin: at, try: try, storage: storage}
	total := took + storage + time.Duration(float64(c.hidden)*(0.7+0.6*c.dice.Float64()))
	switch {
	case c.dice.Float64() < c.lossy:
		r.lost = true
	case c.workers > 0:
		for len(c.free) < c.workers {
			c.free = append(c.free, 0)
		}
		c.free = c.free[:c.workers]
		first := 0
		for i := range c.free {
			if c.free[i] < c.free[first] {
				first = i
			}
		}
		r.begin = max(at, c.free[first])
		if c.room > 0 && r.begin.Sub(at) > c.room {
			r.lost = true // its queue is full
			break
		}
		c.free[first] = r.begin.Add(total)
	}
	r.end = r.begin.Add(total)
	if c.stands {
		r.end = at.Add(time.Hour)
	}
	r.client = min(r.end, at.Add(c.timeout))
	if r.lost {
		r.client = at.Add(c.timeout)
	}
	c.requests = append(c.requests, r)
}

func (c *counter) pass(d time.Duration) {
	for end := c.now.Add(d); c.now < end; {
		c.now = c.now.Add(step)
		n := c.asks * step.Seconds()
		if c.users > 0 {
			n = 0
			for len(c.back) < c.users {
				c.back = append(c.back, c.now.Add(time.Duration(c.dice.Int64N(int64(time.Second)))))
				c.again = append(c.again, 0)
			}
		}
		for range 10 {
			if c.dice.Float64() < n/10 {
				c.ask(c.now, 0)
			}
		}
		for i := 0; i < len(c.back); i++ {
			if c.back[i] != 0 && c.back[i] <= c.now {
				c.ask(c.now, c.again[i])
				c.back[i] = 0
				if c.users == 0 {
					c.back, c.again = append(c.back[:i], c.back[i+1:]...), append(c.again[:i], c.again[i+1:]...)
					i--
				}
			}
		}
		c.ends()
		if c.now.Sub(c.sent) >= c.every {
			c.sent = c.now
			b := c.batch
			b.Arrived = c.now
			c.e.Observe(&b)
			c.batch = report.Batch{}
		}
		if c.due(tickEvery, 0) {
			c.e.Tick(c.now)
		}
		c.events = append(c.events, c.e.Events()...)
	}
}

// ends tells of what ended in this step.
func (c *counter) ends() {
	left := c.requests[:0]
	for _, r := range c.requests {
		if !r.lost && !r.told && r.end <= c.now {
			r.told = true
			c.served(c.self, r.begin.Sub(r.at)+r.end.Sub(r.begin), r.end)
			c.served(c.store, r.storage, r.end)
			c.calls(c.self, report.Callee{Address: "store:1"}, report.OutcomeOK, r.storage, r.end)
		}
		if !r.asked && r.client <= c.now {
			r.asked = true
			o := report.OutcomeOK
			if r.lost || r.end > r.client {
				o = report.OutcomeTimeout
			}
			c.calls(c.shop, report.Callee{Address: "counter:1"}, o, r.client.Sub(r.at), r.client)
			switch {
			case c.users > 0:
				for i := range c.back {
					if c.back[i] == 0 {
						c.back[i], c.again[i] = c.now.Add(time.Second), 0
						break
					}
				}
			case o != report.OutcomeOK && r.try < c.retries:
				c.back, c.again = append(c.back, c.now.Add(100*time.Millisecond)), append(c.again, r.try+1)
			}
		}
		if !r.asked || !r.told && !r.lost {
			left = append(left, r)
		}
	}
	c.requests = left
}

func (c *counter) served(who *report.Source, took time.Duration, at clock.Time) {
	s := report.Served{Source: who, OK: 1, Took: took, Last: at}
	key := report.SpanKey(who.ServiceKey, "serve", 2, "")
	if c.e.Baselines().Of(key).Slow(took) {
		s.Slow = 1
	}
	c.batch.Served = append(c.batch.Served, s)
	c.batch.Spans = append(c.batch.Spans, report.SpanSample{Key: key, Duration: took})
}

func (c *counter) calls(who *report.Source, to report.Callee, o report.Outcome, took time.Duration, at clock.Time) {
	call := report.Calls{Caller: who, Callee: to, Outcome: o, Count: 1, Took: took, First: at.Add(-took), Started: at.Add(-took), Last: at, Done: at}
	if o == report.OutcomeOK {
		key := report.SpanKey(who.ServiceKey, "call", 3, to.Address)
		if c.e.Baselines().Of(key).Slow(took) {
			call.Slow = 1
		}
		c.batch.Spans = append(c.batch.Spans, report.SpanSample{Key: key, Duration: took})
	}
	c.batch.Calls = append(c.batch.Calls, call)
}

// overloaded checks that the counter is said to have more to do than it can.
func (c *counter) overloaded(at clock.Time, within time.Duration) {
	c.t.Helper()
	for _, ev := range c.events {
		v := ev.Verdict
		if v == nil || ev.At < at || v.Class == verdict.ClassUnknown {
			continue
		}
		c.t.Logf("%5.1f s  %s", ev.At.Sub(at).Seconds(), ev.Body)
		if v.Class == verdict.ClassExhaustion && v.Subclass == "overload" && v.Culprit.Service.Name == "counter" {
			if late := ev.At.Sub(at); late > within {
				c.t.Errorf("only after %v", late)
			}
			return
		}
		c.t.Fatalf("said %s", ev.Body)
	}
	c.t.Fatalf("nothing said: %s", c.dump())
}

func TestMoreThanItCanDoShowsInWhatIsUnderWay(t *testing.T) {
	for name, during := range map[string]func(c *counter){
		"a_fifth_more_than_it_can_do_and_callers_are_patient": func(c *counter) { c.asks, c.work = 26, 80*time.Millisecond },
		"it_can_do_less_than_it_used_to":                      func(c *counter) { c.work = 130 * time.Millisecond },
		"callers_give_up_and_try_again_after_what_began_it": func(c *counter) {
			c.timeout, c.retries, c.room = time.Second, 3, 3*time.Second
			c.work = 300 * time.Millisecond
			c.pass(5 * time.Second)
			c.work = 45 * time.Millisecond
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounter(t, 6)
			c.timeout = 10 * time.Second
			at := c.now
			during(c)
			c.pass(at.Add(time.Minute).Sub(c.now))
			c.overloaded(at, 45*time.Second)
		})
	}
}

func TestWhatMayRaiseWhatIsUnderWayIsNoOverload(t *testing.T) {
	for name, during := range map[string]func(c *counter){
		"a_spike_that_is_served": func(c *counter) { c.workers, c.asks = 8, 60; c.pass(time.Minute) },
		"a_spike_that_makes_it_wait_a_little": func(c *counter) {
			c.asks = 70
			c.pass(5 * time.Second)
			c.asks = 20
			c.pass(time.Minute)
		},
		"one_whom_it_calls_is_slow":     func(c *counter) { c.storage = 600 * time.Millisecond; c.pass(time.Minute) },
		"it_waits_for_one_who_does_not": func(c *counter) { c.workers, c.hidden = 0, 600*time.Millisecond; c.pass(time.Minute) },
		"callers_give_up_on_it_while_it_does": func(c *counter) {
			c.workers, c.hidden, c.timeout, c.retries = 0, 900*time.Millisecond, time.Second, 3
			c.pass(time.Minute)
		},
		"one_whom_it_calls_gets_slower_and_slower": func(c *counter) {
			c.workers = 0
			for range 8 {
				c.storage = c.storage*3/2 + 100*time.Millisecond
				c.pass(5 * time.Second)
			}
		},
		"a_cold_cache": func(c *counter) {
			c.workers = 0
			for _, ms := range []int{800, 500, 300, 100, 0} {
				c.hidden = time.Duration(ms) * time.Millisecond
				c.pass(8 * time.Second)
			}
		},
		"a_pause": func(c *counter) {
			c.free = []clock.Time{c.now.Add(4 * time.Second), c.now.Add(4 * time.Second)}
			c.pass(time.Minute)
		},
		"what_is_lost_on_the_way": func(c *counter) { c.timeout, c.retries, c.lossy = time.Second, 3, 0.3; c.pass(time.Minute) },
		"it_answers_nobody":       func(c *counter) { c.timeout, c.retries, c.stands = 2*time.Second, 3, true; c.pass(time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounter(t, 6)
			during(c)
			for _, ev := range c.events {
				if v := ev.Verdict; v != nil && v.Class == verdict.ClassExhaustion {
					t.Errorf("said %s", ev.Body)
				}
			}
		})
	}
}

func TestOverloadIsOverThoughMoreIsAskedThanBefore(t *testing.T) {
	c := newCounter(t, 7)
	c.timeout, c.asks = 5*time.Second, 110
	at := c.now
	c.pass(time.Minute)
	c.overloaded(at, 45*time.Second)
	c.asks = 50 // of 80 that it can do, and 20 that it used to be asked
	c.pass(2 * time.Minute)
	for _, n := range c.e.suspects {
		if v := n.verdict; v != nil {
			t.Errorf("still says %s", v.Reason)
		}
	}
}
