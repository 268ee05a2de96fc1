// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/stat"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// behind is a service of several instances behind one name, called by a client
// that knows only the name. Each instance has a host with a neighbour on it.
type behind struct {
	e         *Engine
	now       clock.Time
	client    *report.Source
	instances []*replica
	perSecond int
	seq       uint64
	each      func(b *report.Batch) // once a second
	events    []verdict.Event
}

type replica struct {
	src, neighbour *report.Source
	state          string // "", deadlock, paused, closed, gone, unsent, slow
	beats          bool
	status         report.Status
	inc, seq       uint64
	alone          bool // no neighbour tells anything
	outcome        report.Outcome
	ownFault       bool // what it answers with failures, it made itself
}

func newBehind(n int) *behind {
	f := &behind{e: New(DefaultParams()), now: clock.Time(1_800_000_000_000_000_000), perSecond: 12, each: func(*report.Batch) {},
		client: report.NewSource(report.Source{Service: report.ServiceID{Name: "web"}, Instance: "web-1", Host: "w"})}
	for i := range n {
		host := fmt.Sprintf("h%d", i)
		f.instances = append(f.instances, &replica{
			src:       report.NewSource(report.Source{Service: report.ServiceID{Name: "api"}, Instance: fmt.Sprintf("api-%d", i), Host: host}),
			neighbour: report.NewSource(report.Source{Service: report.ServiceID{Name: "cron"}, Instance: fmt.Sprintf("cron-%d", i), Host: host}),
			inc:       uint64(i + 1), outcome: report.OutcomeOK,
		})
	}
	return f
}

// run lets d pass; everything is told once a second.
func (f *behind) run(d time.Duration) {
	for end := f.now.Add(d); f.now < end; {
		f.now = f.now.Add(time.Second)
		b := &report.Batch{Arrived: f.now}
		var ready []*replica
		for _, r := range f.instances {
			if r.state != "unsent" {
				ready = append(ready, r)
			}
			f.live(r, b)
		}
		for i := range f.perSecond {
			f.call(ready[i%len(ready)], b)
		}
		b.Served = append(b.Served, report.Served{Source: f.client, OK: f.perSecond, Last: f.now})
		f.each(b)
		f.e.Observe(b)
		for range 4 {
			f.e.Tick(f.now)
		}
		f.events = append(f.events, f.e.Events()...)
	}
}

func (f *behind) live(r *replica, b *report.Batch) {
	if r.beats && r.state != "paused" && r.state != "gone" {
		r.seq++
		f.seq++
		b.Beats = append(b.Beats, report.Beat{Source: r.src, Interval: time.Second, Incarnation: r.inc, Seq: r.seq, Status: r.status})
	}
	if !r.alone && r.state != "paused" {
		b.Served = append(b.Served, report.Served{Source: r.neighbour, OK: 1, Last: f.now})
	}
}

func (f *behind) call(r *replica, b *report.Batch) {
	outcome, slow := r.outcome, 0
	switch r.state {
	case "deadlock", "paused":
		outcome = report.OutcomeTimeout
	case "closed", "gone":
		outcome = report.OutcomeRefused
	case "slow":
		slow = 1
	}
	b.Calls = append(b.Calls, report.Calls{Caller: f.client, Callee: report.Callee{Address: "api:80"}, Outcome: outcome, Count: 1, Slow: slow, First: f.now.Add(-time.Second), Last: f.now})
	if outcome.Answered() {
		v := report.Served{Source: r.src, OK: 1, Slow: slow, Last: f.now}
		if outcome != report.OutcomeOK && outcome != report.OutcomeWrongAnswer {
			v.OK, v.Failed = 0, 1
			if r.ownFault {
				v.Faults = 1
			}
		}
		b.Served = append(b.Served, v)
		f.seq++
		b.Hops = append(b.Hops, report.Hop{Span: f.seq << 20, Source: f.client, Callee: report.Callee{Address: "api:80"}}, report.Hop{Span: f.seq << 20, Server: true, Source: r.src})
	}
}

// said lists what was said of whom, but for what was never more than unknown.
func (f *behind) said() map[string]*verdict.Verdict {
	out := map[string]*verdict.Verdict{}
	for _, ev := range f.events {
		if v := ev.Verdict; v != nil && v.Class != verdict.ClassUnknown && v.Until == 0 {
			out[string(v.Culprit.Type)+" "+v.Culprit.Name] = v
		}
	}
	return out
}

func (f *behind) expect(t *testing.T, culprit string, class verdict.Class, subclass string) {
	t.Helper()
	said := f.said()
	for who, v := range said {
		if who != culprit {
			t.Errorf("accused %s: %s (%s): %s", who, v.Class, v.Subclass, v.Reason)
		}
	}
	if class == verdict.ClassNone {
		return
	}
	v := said[culprit]
	if v == nil {
		t.Fatalf("%s not accused; held: %v", culprit, f.e.Snapshot())
	}
	if v.Class != class || string(v.Subclass) != subclass {
		t.Errorf("%s: %s (%s), want %s (%s): %s", culprit, v.Class, v.Subclass, class, subclass, v.Reason)
	}
}

func TestOneOfSeveralBehindAName(t *testing.T) {
	for name, c := range map[string]struct {
		inject          func(f *behind)
		for_            time.Duration
		culprit         string
		class           verdict.Class
		subclass        string
		setUp           func(f *behind)
		perSecondBefore int
	}{
		"that_answers_nobody_while_its_siblings_do_hangs": {
			inject: func(f *behind) { f.instances[1].state = "deadlock" }, for_: 20 * time.Second,
			culprit: "instance api-1", class: verdict.ClassCrash, subclass: "hang",
		},
		"that_refuses_on_and_on_is_dead": {
			inject: func(f *behind) { f.instances[1].state = "gone" }, for_: 20 * time.Second,
			culprit: "instance api-1", class: verdict.ClassCrash, subclass: "process_exit",
		},
		"that_refuses_on_and_on_and_beats_has_closed_its_port": {
			setUp:  func(f *behind) { f.instances[1].beats = true },
			inject: func(f *behind) { f.instances[1].state = "closed" }, for_: 30 * time.Second,
			culprit: "instance api-1", class: verdict.ClassCrash, subclass: "not_listening",
		},
		"that_is_no_longer_sent_calls_is_left_in_peace": {
			inject: func(f *behind) {
				f.instances[1].state = "unsent"
				f.each = func(b *report.Batch) { // one call fails, as on any day
					b.Calls = append(b.Calls, report.Calls{Caller: f.client, Callee: report.Callee{Address: "api:80"}, Outcome: report.OutcomeTimeout, Count: 1, First: f.now, Last: f.now})
					f.each = func(*report.Batch) {}
				}
			}, for_: 60 * time.Second,
		},
		"that_refuses_for_a_moment_until_it_is_taken_off_may_have_stopped": {
			inject: func(f *behind) {
				f.instances[1].state = "gone"
				f.run(2 * time.Second)
				f.instances[1].state = "unsent"
			}, for_: 60 * time.Second,
		},
		"that_pauses_for_seconds_with_its_machine_is_left_in_peace": {
			setUp: func(f *behind) { f.instances[1].beats = true },
			inject: func(f *behind) {
				f.instances[1].state = "paused"
				f.run(6 * time.Second)
				f.instances[1].state = ""
			}, for_: 40 * time.Second,
		},
		"that_stands_still_while_others_on_its_machine_go_on_hangs": {
			setUp: func(f *behind) { f.instances[1].beats = true },
			inject: func(f *behind) {
				r := f.instances[1]
				r.state = "deadlock"
				r.beats = false
			}, for_: 20 * time.Second,
			culprit: "instance api-1", class: verdict.ClassCrash, subclass: "hang",
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBehind(3)
			if c.setUp != nil {
				c.setUp(f)
			}
			f.run(2 * time.Minute)
			c.inject(f)
			f.run(c.for_)
			f.expect(t, c.culprit, c.class, c.subclass)
		})
	}
}

func TestServiceIsToldByItsInstancesWhetherFailuresAreItsOwn(t *testing.T) {
	for name, own := range map[string]bool{"its_own": true, "it_cannot_call_whom_it_needs": false} {
		t.Run(name, func(t *testing.T) {
			f := newBehind(2)
			f.run(3 * time.Minute)
			f.instances[0].outcome, f.instances[0].ownFault = report.OutcomeServerError, own
			f.run(40 * time.Second)
			if own {
				f.expect(t, "instance api-0", verdict.ClassByzantine, "error_response")
				return
			}
			f.expect(t, "", verdict.ClassNone, "")
		})
	}
}

func TestServiceIsJudgedAsOneWhereAllOfItIsSlow(t *testing.T) {
	f := newBehind(3)
	f.each = func(b *report.Batch) { // its own callee is as fast as ever
		for _, r := range f.instances {
			b.Calls = append(b.Calls, report.Calls{Caller: r.src, Callee: report.Callee{Address: "db:5432"}, Outcome: report.OutcomeOK, Count: 3, First: f.now, Last: f.now})
		}
	}
	f.run(2 * time.Minute)
	f.perSecond = 40
	for _, r := range f.instances {
		r.state = "slow"
	}
	f.run(40 * time.Second)
	f.expect(t, "service api", verdict.ClassExhaustion, "overload")
}

func TestRetriesAreNoDemand(t *testing.T) {
	t.Run("callers_try_three_times_because_it_fails", func(t *testing.T) {
		f := newBehind(1)
		f.run(2 * time.Minute)
		f.perSecond = 36
		f.each = func(b *report.Batch) { b.Served[len(b.Served)-1].OK = 12 } // what it is asked itself
		f.instances[0].outcome = report.OutcomeOverloaded
		f.run(40 * time.Second)
		f.expect(t, "instance api-0", verdict.ClassExhaustion, "quota")
	})
	t.Run("a_client_asks_six_times_as_much", func(t *testing.T) {
		f := newBehind(1)
		f.run(2 * time.Minute)
		f.perSecond = 72
		f.instances[0].outcome = report.OutcomeOverloaded
		f.run(40 * time.Second)
		if v := f.said()["client web"]; v == nil {
			t.Errorf("the client is not blamed: %v", f.said())
		}
	})
}

func TestUsualRateIsLearnedBeforeItIsJudged(t *testing.T) {
	var r stat.Rate
	now := clock.Time(1e9)
	for range 20 { // every second one call; the first batch comes late
		now = now.Add(time.Second)
		r.Add(1, 0, now, true)
		if r.More(now) {
			t.Fatalf("more than usual after %v: %+v", time.Duration(now-1e9), r)
		}
	}
	for range 60 {
		now = now.Add(time.Second)
		r.Add(1, 0, now, true)
	}
	for range 12 {
		now = now.Add(time.Second)
		r.Add(6, 0, now, false)
	}
	if !r.More(now) || r.Rose == 0 {
		t.Errorf("six times as often is not more: %+v", r)
	}
	if r.More(now.Add(time.Minute)) {
		t.Error("what was a minute ago is taken for now")
	}
}

func TestStopsInOrder(t *testing.T) {
	refusedProbe := func(f *behind, r *replica, b *report.Batch) {
		b.Probes = append(b.Probes, report.Probe{Source: r.src, Target: "tcp://api-1:80", Outcome: report.OutcomeRefused, Interval: time.Second, Direct: true})
	}
	t.Run("what_it_refused_while_away_is_forgiven_when_it_is_back", func(t *testing.T) {
		f := newBehind(1)
		r := f.instances[0]
		r.beats, r.status = true, report.StatusReady
		f.run(2 * time.Minute)
		r.status = report.StatusStopping
		f.run(2 * time.Second)
		r.state = "gone"
		f.each = func(b *report.Batch) { refusedProbe(f, r, b) }
		f.run(30 * time.Second)
		r.state, r.status, r.inc, r.seq = "closed", report.StatusStarting, 77, 0
		f.run(20 * time.Second)
		r.state, r.status = "", report.StatusReady
		f.each = func(*report.Batch) {}
		f.run(20 * time.Second)
		f.expect(t, "", verdict.ClassNone, "")
	})
	t.Run("it_answers_before_it_beats_again", func(t *testing.T) {
		f := newBehind(1)
		r := f.instances[0]
		r.beats, r.status = true, report.StatusReady
		f.run(2 * time.Minute)
		r.status = report.StatusStopping
		f.run(time.Second)
		r.state, r.beats = "gone", false
		f.run(time.Minute)
		r.state = ""
		f.run(3 * time.Second)
		r.beats, r.status, r.inc, r.seq = true, report.StatusReady, 77, 0
		f.run(20 * time.Second)
		for _, ev := range f.events {
			if ev.Verdict != nil {
				t.Errorf("said %s", ev.Body)
			}
		}
	})
	t.Run("an_older_word_that_comes_later_does_not_undo_the_announcement", func(t *testing.T) {
		f := newBehind(1)
		r := f.instances[0]
		r.beats, r.status = true, report.StatusReady
		f.run(2 * time.Minute)
		r.status = report.StatusStopping
		f.run(time.Second)
		f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: report.Stamp{Observer: "other", At: f.now, Uptime: time.Hour, Seq: 9},
			Source: r.src, Interval: time.Second, Incarnation: r.inc, Seq: r.seq - 1, Status: report.StatusReady}}})
		r.state = "gone"
		f.run(30 * time.Second)
		f.expect(t, "", verdict.ClassNone, "")
	})
	gone := func(status report.Status) *behind {
		f := newBehind(2)
		f.perSecond = 0 // nobody who calls it tells
		r := f.instances[1]
		r.beats, r.status = true, status
		f.each = func(b *report.Batch) {
			b.Probes = append(b.Probes, report.Probe{Source: r.src, Target: "tcp://api-1:80", Outcome: report.OutcomeOK, Interval: time.Second, Direct: true})
		}
		f.run(2 * time.Minute)
		r.state = "gone"
		f.each = func(b *report.Batch) { refusedProbe(f, r, b) }
		f.run(40 * time.Second)
		return f
	}
	t.Run("one_that_is_gone_and_hurts_nobody_may_have_been_stopped", func(t *testing.T) {
		gone(report.StatusUnset).expect(t, "", verdict.ClassNone, "")
	})
	t.Run("but_not_one_whose_heartbeats_tell_how_it_is", func(t *testing.T) {
		gone(report.StatusReady).expect(t, "instance api-1", verdict.ClassCrash, "process_exit")
	})
}

func TestKilledAtItsMemoryLimit(t *testing.T) {
	for name, c := range map[string]struct {
		share    func(second int) float64
		class    verdict.Class
		subclass string
	}{
		"its_memory_grew_until_it_was_killed":   {func(s int) float64 { return 0.3 + max(0, float64(s-60))*0.011 }, verdict.ClassExhaustion, "oom_kill"},
		"its_memory_was_always_as_full_as_that": {func(int) float64 { return 0.97 }, verdict.ClassCrash, "process_exit"},
		"its_memory_was_far_from_full":          {func(int) float64 { return 0.4 }, verdict.ClassCrash, "process_exit"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBehind(1)
			r, second := f.instances[0], 0
			f.each = func(b *report.Batch) {
				if second++; second%5 == 0 {
					b.Levels = append(b.Levels, report.Level{Source: r.src, Kind: report.LevelMemory, Share: c.share(second), At: f.now})
				}
			}
			f.run(2 * time.Minute)
			r.state = "gone"
			f.each = func(*report.Batch) {}
			f.e.Observe(&report.Batch{Arrived: f.now, Facts: []report.Fact{{Source: r.src, Kind: report.FactExit, Value: 137, At: f.now}}})
			f.run(20 * time.Second)
			f.expect(t, "instance api-0", c.class, c.subclass)
		})
	}
}

func TestStartedAgainAtItsMemoryLimit(t *testing.T) {
	for name, c := range map[string]struct {
		before, usual, after float64
		facts                []report.Fact
		class                verdict.Class
	}{
		"its_memory_had_filled_up":                {0.93, 0.4, 0.3, nil, verdict.ClassExhaustion},
		"and_nothing_was_told_since":              {0.93, 0.4, -1, nil, verdict.ClassExhaustion},
		"it_was_always_as_full_as_that":           {0.93, 0.9, 0.3, nil, verdict.ClassNone},
		"it_rose_so_fast_that_it_had_to_meet_it":  {0.85, 0.4, 0.3, nil, verdict.ClassExhaustion},
		"it_rose_more_slowly":                     {0.85, 0.72, 0.3, nil, verdict.ClassNone},
		"it_was_far_from_full":                    {0.6, 0.4, 0.3, nil, verdict.ClassNone},
		"the_new_one_is_as_full":                  {0.93, 0.4, 0.92, nil, verdict.ClassNone},
		"it_had_said_that_it_would_stop":          {0.93, 0.4, 0.3, []report.Fact{{Kind: report.FactStopping}}, verdict.ClassNone},
		"it_ended_as_it_should":                   {0.93, 0.4, 0.3, []report.Fact{{Kind: report.FactExit, Value: 0}, {Kind: report.FactStarted}}, verdict.ClassNone},
		"its_status_says_that_it_ended_by_itself": {0.93, 0.4, 0.3, []report.Fact{{Kind: report.FactExit, Value: 1}}, verdict.ClassCrash},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBehind(1)
			r, second, share := f.instances[0], 0, c.usual
			counted := func(n int64) {
				f.e.Observe(&report.Batch{Arrived: f.now, Facts: []report.Fact{{Source: r.src, Kind: report.FactRestarts, Value: n, At: f.now}}})
			}
			f.each = func(b *report.Batch) {
				if second++; second%15 == 0 && share >= 0 {
					b.Levels = append(b.Levels, report.Level{Source: r.src, Kind: report.LevelMemory, Share: share, At: f.now})
				}
			}
			f.run(10 * time.Second)
			counted(0)
			f.run(3 * time.Minute)
			share = c.before
			f.run(15 * time.Second)
			for _, fact := range c.facts {
				fact.Source, fact.At = r.src, f.now
				f.e.Observe(&report.Batch{Arrived: f.now, Facts: []report.Fact{fact}})
			}
			share = c.after
			f.run(16 * time.Second)
			counted(1)
			f.run(2 * time.Second)
			f.expect(t, map[bool]string{true: "instance api-0"}[c.class != verdict.ClassNone], c.class, map[verdict.Class]string{verdict.ClassExhaustion: "oom_kill", verdict.ClassCrash: "process_exit"}[c.class])
		})
	}
}

func TestWrongAnswersOfOneThatIsCalledRarely(t *testing.T) {
	f := newBehind(1)
	f.perSecond = 0
	second, wrongs := 0, 0
	f.each = func(b *report.Batch) {
		if second++; second%5 == 0 {
			o := report.OutcomeOK
			if second > 200 && second%2 == 0 && wrongs > 0 {
				o = report.OutcomeWrongAnswer
				wrongs--
			}
			f.instances[0].outcome = o
			f.call(f.instances[0], b)
		}
	}
	f.run(210 * time.Second)
	wrongs = 1
	f.run(30 * time.Second)
	f.expect(t, "", verdict.ClassNone, "") // a single one is no habit
	wrongs = 10
	f.run(60 * time.Second)
	f.expect(t, "instance api-0", verdict.ClassByzantine, "invalid_response")
}

func TestDigestsThatLaySomewhereAreNoDissent(t *testing.T) {
	f := newBehind(0)
	var srcs []*report.Source
	for i := range 3 {
		srcs = append(srcs, report.NewSource(report.Source{Service: report.ServiceID{Name: "store"}, Instance: fmt.Sprintf("s-%d", i), Host: fmt.Sprintf("h%d", i)}))
	}
	seq := uint64(0)
	beat := func(i int, seq uint64) report.Beat {
		return report.Beat{Source: srcs[i], Interval: time.Second, Incarnation: uint64(i + 1), Seq: seq, Digest: fmt.Sprint("state ", seq/20)}
	}
	held := false
	var kept []report.Beat
	f.perSecond = 0
	f.instances = []*replica{{src: srcs[0], state: "unsent", alone: true}}
	f.each = func(b *report.Batch) {
		seq++
		b.Beats = append(b.Beats, beat(0, seq), beat(1, seq))
		if held {
			kept = append(kept, beat(2, seq))
			return
		}
		b.Beats = append(append(b.Beats, kept...), beat(2, seq))
		kept = nil
	}
	f.run(90 * time.Second)
	held = true
	f.run(15 * time.Second)
	held = false
	f.run(30 * time.Second)
	f.expect(t, "", verdict.ClassNone, "")
}

func TestUnknownSaysWhatWouldTell(t *testing.T) {
	var b belief.Posterior
	b.P[belief.CauseDead], b.P[belief.CausePlanned], b.P[belief.CauseNotListening], b.P[belief.CausePartition] = 0.4, 0.3, 0.2, 0.05
	if first, second := b.Candidates(); first != belief.CauseDead || second != belief.CausePlanned {
		t.Errorf("candidates %v and %v", belief.CauseNames[first], belief.CauseNames[second])
	}
	e := New(DefaultParams())
	n := &entity{src: &report.Source{}}
	if got := e.missing(n, belief.CauseDead, belief.CausePlanned); got != "its exit status or a word from it when it stops would tell" {
		t.Error(got)
	}
	n.saysHowItIs = true
	if got := e.missing(n, belief.CausePlanned, belief.CauseDead); got != "its exit status would tell" {
		t.Error(got)
	}
	n.facts = []report.Fact{{Kind: report.FactExit}}
	if got := e.missing(n, belief.CausePlanned, belief.CauseDead); got != "how it comes back will tell" {
		t.Error(got)
	}
}

func TestEmptyPoolIsItsOwnersAndNotTheCallees(t *testing.T) {
	f := newBehind(1)
	dry := false
	f.each = func(b *report.Batch) {
		to := report.Callee{Address: "db:5432"}
		b.Calls = append(b.Calls, report.Calls{Caller: f.client, Callee: to, Outcome: report.OutcomeOK, Count: 4, First: f.now, Last: f.now})
		if dry {
			b.Calls = append(b.Calls, report.Calls{Caller: f.client, Callee: to, Outcome: report.OutcomeOverloaded, Count: 4, First: f.now, Last: f.now})
			b.Facts = append(b.Facts, report.Fact{Source: f.client, Kind: report.FactPoolEmpty, At: f.now, Text: "Connection is not available, request timed out after 1500ms"})
		}
	}
	f.run(2 * time.Minute)
	dry = true
	f.run(20 * time.Second)
	f.expect(t, "instance web-1", verdict.ClassExhaustion, "connection_pool")
}
