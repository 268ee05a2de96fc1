// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"
)

// starved is how a service with a database does in five seconds.
type starved struct {
	ok, failed int           // calls that it answers
	waited     int           // of failed, those that failed after a long wait
	made, slow int           // calls of the database that were answered, and of these those that took long
	bad        int           // calls of the database that failed
	took       time.Duration // what the slow ones take; the others 1 ms
}

var (
	starvedUsually = starved{ok: 20, made: 20}
	starvedOfPool  = starved{ok: 12, failed: 10, waited: 10, made: 12, slow: 5, took: 4 * time.Second}
)

// pass lets time go by, told of by a web service and billing every five seconds.
func (c *starved) pass(f *fleet, web, billing *Source, d time.Duration) {
	db := Callee{Address: "mariadb:3306"}
	for end := f.now.Add(d); f.now < end; f.run(5 * time.Second) {
		first := f.now.Add(-4 * time.Second)
		all := c.ok + c.failed
		b := &Batch{Arrived: f.now}
		b.Calls = []Calls{
			{Caller: web, Callee: Callee{Address: "billing:8080", Service: "billing"}, Outcome: OutcomeOK, Count: c.ok, First: first, Last: f.now, Took: time.Duration(c.ok) * 3 * time.Millisecond},
			{Caller: billing, Callee: db, Outcome: OutcomeOK, Count: c.made, Slow: c.slow, First: first, Last: f.now,
				Took: time.Duration(c.made)*time.Millisecond + time.Duration(c.slow)*c.took},
		}
		if c.failed > 0 {
			b.Calls = append(b.Calls, Calls{Caller: web, Callee: b.Calls[0].Callee, Outcome: OutcomeServerError, Count: c.failed, First: first, Last: f.now, Took: time.Duration(c.waited) * 2 * time.Second})
		}
		if c.bad > 0 {
			b.Calls = append(b.Calls, Calls{Caller: billing, Callee: db, Outcome: OutcomeTimeout, Count: c.bad, First: first, Last: f.now, Took: time.Duration(c.bad) * 2 * time.Second})
		}
		b.Served = []Served{{Source: web, OK: all, Last: f.now, Took: time.Duration(all) * time.Millisecond},
			{Source: billing, OK: c.ok, Failed: c.failed, Waited: c.waited, Slow: c.slow, Last: f.now,
				Took: time.Duration(c.ok)*2*time.Millisecond + time.Duration(c.slow)*c.took + time.Duration(c.waited)*2*time.Second}}
		f.e.Observe(b)
	}
}

// No span tells of a wait for a connection, and metrics of pools come by the minute
// or never.
func TestAPoolThatIsUsedUpShowsInTheCallsThatAreNotMade(t *testing.T) {
	start := func(t *testing.T) (f *fleet, web, billing *Source) {
		f = newFleet(t)
		of := func(name string) *Source {
			return NewSource(Source{Service: ServiceID{Name: name, Namespace: "shop"}, Instance: name + "@app", Host: "host-" + name})
		}
		web, billing = of("web"), of("billing")
		starvedUsually.pass(f, web, billing, 2*time.Minute)
		return f, web, billing
	}
	t.Run("slow_reports_hold_it", func(t *testing.T) {
		f, web, billing := start(t)
		at := f.now
		starvedOfPool.pass(f, web, billing, 30*time.Second)
		f.accused(at, 20*time.Second, ClassExhaustion, "connection_pool", "billing@app")
		starvedUsually.pass(f, web, billing, time.Minute)
		if n := len(f.e.suspects); n != 0 {
			t.Errorf("%d still under suspicion a minute after: %s", n, f.dump())
		}
	})
	for name, change := range map[string]func(c *starved){
		"the_database_is_slow_for_all":     func(c *starved) { c.slow = c.made },
		"the_database_fails_them":          func(c *starved) { c.bad = 10 },
		"what_failed_had_asked_it":         func(c *starved) { c.made += c.failed },
		"it_failed_at_once":                func(c *starved) { c.waited = 0 },
		"no_connection_is_held":            func(c *starved) { c.slow, c.took = 0, 0 },
		"somebody_else_kept_it_waiting":    func(c *starved) { c.took = 10 * time.Millisecond },
		"one_or_two_waited":                func(c *starved) { c.failed, c.waited = 1, 1 },
		"nothing_fails_and_some_are_slow":  func(c *starved) { c.failed, c.waited = 0, 0 },
		"the_database_answers_nobody_more": func(c *starved) { c.made, c.slow = 0, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			f, web, billing := start(t)
			c := starvedOfPool
			change(&c)
			c.pass(f, web, billing, 30*time.Second)
			for _, ev := range f.events {
				if v := ev.Verdict; v != nil && v.Subclass == "connection_pool" {
					t.Errorf("said %s", ev.Body)
				}
			}
		})
	}
}
