// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
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
func (c *starved) pass(f *fleet, web, billing *report.Source, d time.Duration) {
	db := report.Callee{Address: "mariadb:3306"}
	for end := f.now.Add(d); f.now < end; f.run(5 * time.Second) {
		first := f.now.Add(-4 * time.Second)
		all := c.ok + c.failed
		b := &report.Batch{Arrived: f.now}
		b.Calls = []report.Calls{
			{Caller: web, Callee: report.Callee{Address: "billing:8080", Service: "billing"}, Outcome: report.OutcomeOK, Count: c.ok, First: first, Last: f.now, Took: time.Duration(c.ok) * 3 * time.Millisecond},
			{Caller: billing, Callee: db, Outcome: report.OutcomeOK, Count: c.made, Slow: c.slow, First: first, Last: f.now,
				Took: time.Duration(c.made)*time.Millisecond + time.Duration(c.slow)*c.took},
		}
		if c.failed > 0 {
			b.Calls = append(b.Calls, report.Calls{Caller: web, Callee: b.Calls[0].Callee, Outcome: report.OutcomeServerError, Count: c.failed, First: first, Last: f.now, Took: time.Duration(c.waited) * 2 * time.Second})
		}
		if c.bad > 0 {
			b.Calls = append(b.Calls, report.Calls{Caller: billing, Callee: db, Outcome: report.OutcomeTimeout, Count: c.bad, First: first, Last: f.now, Took: time.Duration(c.bad) * 2 * time.Second})
		}
		b.Served = []report.Served{{Source: web, OK: all, Last: f.now, Took: time.Duration(all) * time.Millisecond},
			{Source: billing, OK: c.ok, Failed: c.failed, Waited: c.waited, Slow: c.slow, Last: f.now,
				Took: time.Duration(c.ok)*2*time.Millisecond + time.Duration(c.slow)*c.took + time.Duration(c.waited)*2*time.Second}}
		f.e.Observe(b)
	}
}

// No span tells of a wait for a connection, and metrics of pools come by the minute
// or never.
func TestAPoolThatIsUsedUpShowsInTheCallsThatAreNotMade(t *testing.T) {
	start := func(t *testing.T) (f *fleet, web, billing *report.Source) {
		f = newFleet(t)
		of := func(name string) *report.Source {
			return report.NewSource(report.Source{Service: report.ServiceID{Name: name, Namespace: "shop"}, Instance: name + "@app", Host: "host-" + name})
		}
		web, billing = of("web"), of("billing")
		starvedUsually.pass(f, web, billing, 2*time.Minute)
		return f, web, billing
	}
	t.Run("slow_reports_hold_it", func(t *testing.T) {
		f, web, billing := start(t)
		at := f.now
		starvedOfPool.pass(f, web, billing, 30*time.Second)
		f.accused(at, 20*time.Second, verdict.ClassExhaustion, "connection_pool", "billing@app")
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

// newStarved is one whose calls wait in vain for connections to its database.
func newStarved(t *testing.T) (e *Engine, n *entity, db *edge) {
	f := newFleet(t)
	of := func(name string) *report.Source {
		return report.NewSource(report.Source{Service: report.ServiceID{Name: name, Namespace: "shop"}, Instance: name + "@app", Host: "host-" + name})
	}
	web, billing := of("web"), of("billing")
	starvedUsually.pass(f, web, billing, 2*time.Minute)
	starvedOfPool.pass(f, web, billing, 10*time.Second)
	n = f.e.reg.byKey[billing.Key]
	n.eachCallee(func(ed *edge) bool { db = ed; return true })
	if way, many := f.e.starvesFor(n); way != db || many < starvedMany {
		t.Fatalf("%v calls wait for %v; %s", many, way, f.dump())
	}
	return f.e, n, db
}

func TestWhatKeepsCallsWaitingIsAPoolOnlyIf(t *testing.T) {
	for name, c := range map[string]struct {
		change func(e *Engine, n *entity, db *edge)
		still  bool // it is one all the same
	}{
		"one_process_is_told_of":    {change: func(_ *Engine, n *entity, _ *edge) { n.kind = kindService }},
		"more_than_two_waited":      {change: func(_ *Engine, n *entity, _ *edge) { n.served.waited = stat.Fading{} }},
		"most_that_fail_waited":     {change: func(e *Engine, n *entity, _ *edge) { n.served.failed.Add(30, e.now, e.params.CallWindow) }},
		"what_it_is_asked_is_known": {change: func(_ *Engine, n *entity, _ *edge) { n.rate.Known = stat.RateKnown - 1 }},
		"it_is_usually_asked":       {change: func(_ *Engine, n *entity, _ *edge) { n.rate.Usual = 0 }},
		"nothing_stood_for_long":    {change: func(e *Engine, n *entity, _ *edge) { n.stoodFrom, n.stood = e.now.Add(-7*time.Second), e.now }},
		"nothing_stood_for_long_lately": {change: func(e *Engine, n *entity, _ *edge) {
			n.stoodFrom, n.stood = e.now.Add(-40*time.Second), e.now.Add(-21*time.Second)
		}, still: true},
		"it_stood_for_a_moment": {change: func(e *Engine, n *entity, _ *edge) { n.stoodFrom, n.stood = e.now.Add(-5*time.Second), e.now }, still: true},
		"most_calls_usually_ask_it": {change: func(e *Engine, n *entity, db *edge) {
			db.ok = stat.Fading{}
			db.ok.Add(5, e.now, e.params.CallWindow)
			db.rate.Usual, db.rate.UsualHeld = n.rate.Usual*0.4, db.rate.UsualHeld*0.4
		}},
		"it_answers":             {change: func(_ *Engine, _ *entity, db *edge) { db.ok = stat.Fading{} }},
		"it_fails_hardly_any":    {change: func(e *Engine, _ *entity, db *edge) { db.failed.Add(4, e.now, e.params.CallWindow) }},
		"it_may_fail_one":        {change: func(e *Engine, _ *entity, db *edge) { db.failed.Add(1, e.now, e.params.CallWindow) }, still: true},
		"it_has_answered_lately": {change: func(_ *Engine, n *entity, db *edge) { db.okEnd = n.served.last.Add(-7 * time.Second) }},
		"it_is_not_convicted": {change: func(_ *Engine, _ *entity, db *edge) {
			db.callee.verdict = &verdict.Verdict{Class: verdict.ClassExhaustion}
		}},
		"it_may_be_unknown": {change: func(_ *Engine, _ *entity, db *edge) {
			db.callee.verdict = &verdict.Verdict{Class: verdict.ClassUnknown}
		}, still: true},
		"it_is_not_slow_for_all": {change: func(e *Engine, _ *entity, db *edge) {
			db.run.last, db.run.slow = e.now, db.run.ok
			db.run.slow.Add(30, e.now, e.params.CallWindow)
		}},
		"as_many_did_not_ask":               {change: func(e *Engine, _ *entity, db *edge) { db.ok.Add(18, e.now, e.params.CallWindow) }},
		"how_long_it_is_held_is_known":      {change: func(_ *Engine, _ *entity, db *edge) { db.rate.Known = stat.RateKnown - 1 }},
		"what_is_known_of_that_is_of_now":   {change: func(e *Engine, _ *entity, db *edge) { db.rate.Began = e.now.Add(-time.Minute) }},
		"it_is_usually_held_for_some_time":  {change: func(_ *Engine, _ *entity, db *edge) { db.rate.UsualHeld = 0 }},
		"a_connection_is_never_free":        {change: func(_ *Engine, _ *entity, db *edge) { db.rate.Held, db.rate.UsualHeld = 0.7, 0.001 }},
		"each_is_held_for_longer_than_ever": {change: func(_ *Engine, _ *entity, db *edge) { db.rate.UsualHeld = db.rate.Held * 0.6 }},
	} {
		t.Run(name, func(t *testing.T) {
			e, n, db := newStarved(t)
			c.change(e, n, db)
			if way, _ := e.starvesFor(n); (way != nil) != c.still {
				t.Errorf("they wait for %v", way)
			}
		})
	}
}

// A moment in which the database stood still looks the same.
func TestAPoolIsSuspectedInTheSecondSpan(t *testing.T) {
	e, n, db := newStarved(t)
	n.episode, n.starved = nil, 0
	e.lookForStarved(n)
	e.lookForStarved(n)
	if n.episode != nil || n.starved != db.rate.Began {
		t.Fatal("it is suspected in the first span")
	}
	p := &episode{}
	if detectStarved(e, n, p); p.starvedOf != nil {
		t.Error("there is evidence in the first span")
	}
	n.starved = 0
	if detectStarved(e, n, p); p.starvedOf != nil {
		t.Error("there is evidence before the first span")
	}
	n.starved = db.rate.Began
	db.rate.Began += 5e9
	if e.lookForStarved(n); n.episode == nil {
		t.Error("it is not suspected in the second span")
	}
	if detectStarved(e, n, p); p.starvedOf != db.callee {
		t.Error("there is no evidence in the second span")
	}
	n.served.waited = stat.Fading{}
	if e.lookForStarved(n); n.starved != 0 {
		t.Error("it is remembered when it is over")
	}
	if detectStarved(e, n, p); p.starvedOf != nil {
		t.Error("there is evidence when it is over")
	}
}
