// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// withDatabase is a service that answers ten calls a second, and asks a database and a
// cache for each of them. Neither sends telemetry.
type withDatabase struct {
	*fleet
	api *proc
}

func newWithDatabase(t *testing.T) *withDatabase {
	d := &withDatabase{fleet: newFleet(t)}
	d.api = d.add("api", "api-1")
	d.second(90, func(b *report.Batch) {
		d.served(b, 10, 0, 0)
		d.asks(b, "db:5432", report.OutcomeOK, 10)
		d.asks(b, "cache:6379", report.OutcomeOK, 10)
	})
	return d
}

// second tells the same each second.
func (d *withDatabase) second(times int, what func(b *report.Batch)) {
	d.tell(time.Second, time.Duration(times)*time.Second, what)
}

func (d *withDatabase) served(b *report.Batch, ok, failed, waited int) {
	b.Served = append(b.Served, report.Served{Source: d.api.src, OK: ok, Failed: failed, Waited: waited, Last: b.Arrived})
}

func (d *withDatabase) asks(b *report.Batch, whom string, o report.Outcome, times int) {
	b.Calls = append(b.Calls, report.Calls{Caller: d.api.src, Callee: report.Callee{Address: whom}, Outcome: o, Count: times, First: b.Arrived - 1e7, Last: b.Arrived, Done: b.Arrived})
}

func (d *withDatabase) first(entity string) *verdict.Event {
	for i := range d.events {
		if ev := &d.events[i]; ev.Kind == contract.EventFailureDetected && ev.Entity == entity {
			return ev
		}
	}
	return nil
}

// Pools and drivers write no span of an attempt to connect: a server that is gone is
// not called any more.
func TestAServerThatIsNoLongerCalledIsMissed(t *testing.T) {
	for name, c := range map[string]struct {
		after  func(d *withDatabase)
		missed bool
	}{
		"a_call_broke_off": {func(d *withDatabase) {
			d.second(1, func(b *report.Batch) { d.served(b, 0, 1, 0); d.asks(b, "db:5432", report.OutcomeReset, 1) })
			d.second(20, func(b *report.Batch) { d.served(b, 0, 10, 0); d.asks(b, "cache:6379", report.OutcomeOK, 10) })
		}, true},
		"its_callers_wait_and_fail": {func(d *withDatabase) {
			d.second(20, func(b *report.Batch) { d.served(b, 0, 10, 10); d.asks(b, "cache:6379", report.OutcomeOK, 10) })
		}, true},
		"its_callers_fail_at_once": { // before they come to it, perhaps
			func(d *withDatabase) {
				d.second(20, func(b *report.Batch) { d.served(b, 0, 10, 0); d.asks(b, "cache:6379", report.OutcomeOK, 10) })
			}, false},
		"its_callers_fail_and_say_that_a_call_failed": {func(d *withDatabase) {
			d.second(20, func(b *report.Batch) {
				b.Served = append(b.Served, report.Served{Source: d.api.src, Failed: 10, Passed: 10, Last: b.Arrived})
				d.asks(b, "cache:6379", report.OutcomeOK, 10)
			})
		}, true},
		"each_call_fails_and_nobody_tells_how": {func(d *withDatabase) {
			d.second(20, func(b *report.Batch) {
				d.served(b, 0, 10, 0)
				d.asks(b, "cache:6379", report.OutcomeOK, 10)
				d.asks(b, "db:5432", report.OutcomeOther, 10)
			})
		}, true},
		"some_calls_fail_and_nobody_tells_how": {func(d *withDatabase) {
			d.second(20, func(b *report.Batch) {
				d.served(b, 5, 5, 0)
				d.asks(b, "cache:6379", report.OutcomeOK, 10)
				d.asks(b, "db:5432", report.OutcomeOther, 5)
				d.asks(b, "db:5432", report.OutcomeOK, 5)
			})
		}, false},
		"its_callers_wait_and_call_nobody": { // for whom, nobody can tell
			func(d *withDatabase) {
				d.second(20, func(b *report.Batch) { d.served(b, 0, 10, 10) })
			}, false},
		"its_callers_wait_for_another": {
			func(d *withDatabase) {
				d.second(20, func(b *report.Batch) { d.served(b, 0, 10, 10); d.asks(b, "cache:6379", report.OutcomeTimeout, 10) })
			}, false},
		"its_callers_went_on_well_without_it": { // a client of a cluster calls another member since
			func(d *withDatabase) {
				d.second(1, func(b *report.Batch) { d.served(b, 9, 1, 0); d.asks(b, "db:5432", report.OutcomeReset, 1) })
				d.second(40, func(b *report.Batch) { d.served(b, 10, 0, 0); d.asks(b, "cache:6379", report.OutcomeOK, 10) })
				d.second(20, func(b *report.Batch) { d.served(b, 0, 10, 10); d.asks(b, "cache:6379", report.OutcomeOK, 10) })
			}, false},
		"it_is_connected_to_again": {func(d *withDatabase) {
			d.second(1, func(b *report.Batch) { d.served(b, 0, 1, 0); d.asks(b, "db:5432", report.OutcomeReset, 1) })
			d.second(20, func(b *report.Batch) { d.served(b, 0, 10, 0); d.asks(b, "db:5432", report.OutcomeSent, 10) })
		}, false},
		"its_callers_are_asked_for_something_else": {func(d *withDatabase) {
			d.second(1, func(b *report.Batch) { d.served(b, 9, 1, 0); d.asks(b, "db:5432", report.OutcomeReset, 1) })
			d.second(20, func(b *report.Batch) { d.served(b, 10, 0, 0); d.asks(b, "cache:6379", report.OutcomeOK, 10) })
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newWithDatabase(t)
			c.after(d)
			ev := d.first("db:5432")
			switch {
			case c.missed && (ev == nil || ev.Verdict.Class != verdict.ClassUnknown):
				t.Errorf("said %v, want unknown of db:5432; %s", ev, d.dump())
			case !c.missed && ev != nil:
				t.Errorf("said %s", ev.Body)
			}
			if ev := d.first(d.api.src.Name()); ev != nil {
				t.Errorf("said %s", ev.Body)
			}
			d.second(20, func(b *report.Batch) {
				d.served(b, 10, 0, 0)
				d.asks(b, "db:5432", report.OutcomeOK, 10)
				d.asks(b, "cache:6379", report.OutcomeOK, 10)
			})
			if len(d.verdicts())%2 != 0 {
				t.Errorf("it is well again: %v", d.verdicts())
			}
		})
	}
}

// Of all that a service is asked, only some needs the server that went.
func TestAServerThatSomeRequestsNeedIsMissed(t *testing.T) {
	second := func(d *withDatabase, times int, asked, failed, passed int) {
		d.second(times, func(b *report.Batch) {
			b.Served = append(b.Served, report.Served{Source: d.api.src, OK: 10 - failed, Failed: failed, Passed: passed, Last: b.Arrived})
			d.asks(b, "cache:6379", report.OutcomeOK, 10)
			if asked > 0 {
				d.asks(b, "db:5432", report.OutcomeOK, asked)
			}
		})
	}
	for name, c := range map[string]struct {
		asked, failed, passed int // a second, once it is not called any more
		missed                bool
	}{
		"those_fail_with_the_words_of_a_client": {4, 4, 4, true},
		"most_of_them_go_well_without":          {8, 3, 3, false},
		"few_fail":                              {4, 1, 1, false},
		"they_fail_in_words_of_their_own":       {4, 4, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := &withDatabase{fleet: newFleet(t)}
			d.api = d.add("api", "api-1")
			second(d, 90, c.asked, 0, 0)
			second(d, 20, 0, c.failed, c.passed)
			switch ev := d.first("db:5432"); {
			case c.missed && (ev == nil || ev.Verdict.Class != verdict.ClassUnknown):
				t.Errorf("said %v, want unknown of db:5432; %s", ev, d.dump())
			case !c.missed && ev != nil:
				t.Errorf("said %s", ev.Body)
			}
			second(d, 20, c.asked, 0, 0)
			if len(d.verdicts())%2 != 0 {
				t.Errorf("it is well again: %v", d.verdicts())
			}
		})
	}
}

// What failed for want of a database is told yet when that is back: it was none of
// the caller's own making.
func TestFailuresForWantOfOneThatIsBackAreNotOnesOwn(t *testing.T) {
	d := newWithDatabase(t)
	fail := func(b *report.Batch) {
		b.Served = append(b.Served, report.Served{Source: d.api.src, Failed: 10, Faults: 10, Last: b.Arrived})
		d.asks(b, "cache:6379", report.OutcomeOK, 10)
	}
	d.second(1, func(b *report.Batch) { fail(b); d.asks(b, "db:5432", report.OutcomeReset, 1) })
	d.second(40, fail)
	d.second(9, func(b *report.Batch) { fail(b); d.asks(b, "db:5432", report.OutcomeOK, 10) })
	if ev := d.first(d.api.src.Name()); ev != nil {
		t.Errorf("said %s", ev.Body)
	}
	d.second(40, func(b *report.Batch) { fail(b); d.asks(b, "db:5432", report.OutcomeOK, 10) })
	if ev := d.first(d.api.src.Name()); ev == nil || ev.Verdict.Class != verdict.ClassByzantine {
		t.Errorf("said %v of one that goes on failing", ev)
	}
}

func TestWhoIsIllItselfMissesNobody(t *testing.T) {
	d := newWithDatabase(t)
	d.second(25, func(b *report.Batch) {
		d.served(b, 0, 10, 10)
		d.asks(b, "cache:6379", report.OutcomeOK, 10)
		b.Facts = append(b.Facts, report.Fact{Source: d.api.src, Kind: report.FactOutOfMemory, At: b.Arrived, Text: "Java heap space"})
	})
	if ev := d.first(d.api.src.Name()); ev == nil || ev.Verdict.Class != verdict.ClassExhaustion {
		t.Errorf("said %v, want its memory; %s", ev, d.dump())
	}
	if ev := d.first("db:5432"); ev != nil {
		t.Errorf("said %s", ev.Body)
	}
}

// A full pool is short of connections while those who hold them make progress, else
// whom they wait for hangs.
func TestAPoolWhoseHoldersStandIsNotTooSmall(t *testing.T) {
	full := func(b *report.Batch, d *withDatabase) {
		b.Facts = append(b.Facts, report.Fact{Source: d.api.src, Kind: report.FactPoolEmpty, At: b.Arrived, Text: "no connection available"})
	}
	t.Run("they_make_progress", func(t *testing.T) {
		d := newWithDatabase(t)
		at := d.now
		d.second(15, func(b *report.Batch) { d.served(b, 5, 5, 5); d.asks(b, "db:5432", report.OutcomeOK, 5); full(b, d) })
		d.accused(at, 10*time.Second, verdict.ClassExhaustion, "connection_pool", d.api.src.Name())
	})
	t.Run("they_take_long_and_a_metric_tells_by_the_minute", func(t *testing.T) {
		d := newWithDatabase(t)
		web, i, share := d.add("web", "web-1"), 0, 0.2
		d.e.Observe(&report.Batch{Arrived: d.now, Hops: []report.Hop{
			{Span: 1 << 50, Source: web.src, Callee: report.Callee{Address: d.api.addr, Direct: true}},
			{Span: 1 << 50, Server: true, Source: d.api.src},
		}})
		told := func(b *report.Batch, good int) {
			d.served(b, good, 10-good, 10-good)
			for outcome, count := range map[report.Outcome]int{report.OutcomeOK: good, report.OutcomeTimeout: 10 - good} {
				b.Calls = append(b.Calls, report.Calls{Caller: web.src, Callee: report.Callee{Address: d.api.addr, Direct: true}, Outcome: outcome, Count: count, First: b.Arrived, Last: b.Arrived})
			}
			d.asks(b, "cache:6379", report.OutcomeOK, good)
			if i%60 == 1 {
				levelsOf(d.api.src, report.LevelPool, share)(b)
			}
			i++
		}
		d.second(180, func(b *report.Batch) { told(b, 10); d.asks(b, "db:5432", report.OutcomeOK, 10) })
		at, good := d.now, 10
		slow := func(b *report.Batch) {
			if i%5 <= 1 { // each of its calls takes three seconds now
				d.asks(b, "db:5432", report.OutcomeOK, 5)
			}
			told(b, good)
		}
		share = 1
		d.second(6, slow)
		good = 5 // who waits gives up
		d.second(15, slow)
		d.accused(at, 15*time.Second, verdict.ClassExhaustion, "connection_pool", d.api.src.Name())
	})
	t.Run("they_stand_and_a_metric_tells_first", func(t *testing.T) {
		d := newWithDatabase(t)
		d.calls(d.add("web", "web-1"), d.api)
		level := levelsOf(d.api.src, report.LevelPool, 0.2)
		d.second(30, func(b *report.Batch) {
			d.served(b, 10, 0, 0)
			d.asks(b, "db:5432", report.OutcomeOK, 10)
			d.asks(b, "cache:6379", report.OutcomeOK, 10)
			level(b)
		})
		d.api.state = "deadlock" // for some of its callers
		level = levelsOf(d.api.src, report.LevelPool, 1)
		d.second(8, func(b *report.Batch) { d.served(b, 0, 10, 10); level(b) })
		d.second(10, func(b *report.Batch) { d.served(b, 0, 10, 10); d.asks(b, "db:5432", report.OutcomeTimeout, 2) })
		if ev := d.first(d.api.src.Name()); ev != nil {
			t.Errorf("said %s", ev.Body)
		}
	})
	t.Run("they_are_lost", func(t *testing.T) {
		d := newWithDatabase(t)
		at := d.now
		d.second(25, func(b *report.Batch) { d.served(b, 0, 10, 10); full(b, d) })
		d.accused(at, 20*time.Second, verdict.ClassExhaustion, "connection_pool", d.api.src.Name())
		if ev := d.first("db:5432"); ev != nil {
			t.Errorf("said %s", ev.Body)
		}
	})
	t.Run("they_stand", func(t *testing.T) {
		d := newWithDatabase(t)
		d.second(2, func(b *report.Batch) {})
		d.second(15, func(b *report.Batch) {
			d.served(b, 0, 10, 10)
			d.asks(b, "db:5432", report.OutcomeTimeout, 2)
			full(b, d)
		})
		d.second(15, func(b *report.Batch) { d.served(b, 10, 0, 0); d.asks(b, "db:5432", report.OutcomeOK, 10) }) // nor when it goes on
		if ev := d.first(d.api.src.Name()); ev != nil {
			t.Errorf("said %s", ev.Body)
		}
		if ev := d.first("db:5432"); ev == nil || ev.Verdict.Class != verdict.ClassCrash {
			t.Errorf("said %v, want a hang of db:5432; %s", ev, d.dump())
		}
	})
}

// Of somebody of whom only calls tell, nobody gets as far as a connection: gone with his
// machine or cut off, he is not well. A moment of it is a switch to another machine.
func TestOneWhomNobodyReachesIsUnknown(t *testing.T) {
	for name, c := range map[string]struct {
		lasts int // s
		good  int // calls each second that reach him
		told  bool
	}{
		"for long":       {15, 0, true},
		"for a moment":   {3, 0, false},
		"some of all do": {15, 7, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newWithDatabase(t)
			d.second(c.lasts, func(b *report.Batch) {
				d.served(b, c.good, 10-c.good, 10-c.good)
				d.asks(b, "cache:6379", report.OutcomeOK, 10)
				d.asks(b, "db:5432", report.OutcomeConnectTimeout, 10-c.good)
				if c.good > 0 {
					d.asks(b, "db:5432", report.OutcomeOK, c.good)
				}
			})
			d.second(20, func(b *report.Batch) {
				d.served(b, 10, 0, 0)
				d.asks(b, "cache:6379", report.OutcomeOK, 10)
				d.asks(b, "db:5432", report.OutcomeOK, 10)
			})
			ev := d.first("db:5432")
			if (ev != nil) != c.told || ev != nil && ev.Verdict.Class != verdict.ClassUnknown {
				t.Errorf("said %v; %s", ev, d.dump())
			}
			if ev := d.first(d.api.src.Name()); ev != nil {
				t.Errorf("said %s", ev.Body)
			}
		})
	}
}
