// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// consumer is a process that takes no connections, on a host with an agent. It reads a
// queue of which only spans tell.
type consumer struct {
	*fleet
	src         *report.Source
	process     report.Process
	reads, sent int  // messages each five seconds
	polls       bool // it asks somebody each five seconds, and reads no queue
	mute        bool // it tells nothing, and goes on
	serves      bool // it takes connections, of which nobody tells
	byPID       bool // its telemetry tells its pid
	target      string
}

func newConsumer(t *testing.T, known ...func(c *consumer)) *consumer {
	c := &consumer{
		fleet:   newFleet(t),
		src:     report.NewSource(report.Source{Service: report.ServiceID{Name: "worker"}, Host: "app1", Instance: "3d1219c7-0000-4404-aaa1-6d2a48adfda4", Volatile: true}),
		process: runs(17), reads: 25, sent: 25, target: "process:python:worker",
	}
	for _, k := range known {
		k(c)
	}
	c.pass(2 * time.Minute)
	return c
}

func runs(pid int64) report.Process {
	return report.Process{State: report.ProcessRunning, PID: pid, StartTime: clock.Time(pid) * 1e10, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
}

func (c *consumer) pass(d time.Duration) {
	c.tell(time.Second, d, func(b *report.Batch) {
		if c.due(2*time.Second, 0) {
			p, outcome := c.process, report.OutcomeOK
			if p.State != report.ProcessRunning {
				outcome = report.OutcomeOther
			}
			stamp := c.stamp()
			stamp.Observer = "app1"
			b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp, Interval: 2 * time.Second, Host: "app1"})
			stamp.Seq++
			c.obsSeq++
			look := report.Probe{Stamp: stamp, Named: c.src, Target: c.target, Outcome: outcome,
				Interval: 2 * time.Second, Process: &p, Host: "app1", Client: !c.serves, Direct: true}
			if c.byPID {
				look.Source, look.Named = c.src, nil
			}
			if c.serves {
				look.Addresses = []string{"10.0.0.11:9000", "app1:9000"}
			}
			b.Probes = append(b.Probes, look)
		}
		if c.due(5*time.Second, time.Second) {
			if c.sent > 0 && !c.polls {
				b.Sent = append(b.Sent, report.Sent{Queue: "ship", Count: c.sent})
			}
			if c.process.State == report.ProcessRunning && !c.mute && c.due(20*time.Second, time.Second) {
				b.Calls = append(b.Calls, report.Calls{Caller: c.src, Callee: report.Callee{Address: "api:80"}, Outcome: report.OutcomeOK, Count: 1, First: b.Arrived, Last: b.Arrived, Done: b.Arrived})
			}
			switch {
			case c.reads == 0:
			case c.polls:
				b.Calls = append(b.Calls, report.Calls{Caller: c.src, Callee: report.Callee{Address: "api:80"}, Outcome: report.OutcomeOK, Count: c.reads, First: b.Arrived, Last: b.Arrived, Done: b.Arrived})
			default:
				b.Consumed = append(b.Consumed, report.Consumed{Source: c.src, Queue: "ship", Count: c.reads, Last: b.Arrived})
			}
		}
	})
}

// ends is how its process ends.
func (c *consumer) ends(status int) {
	c.process, c.reads = report.Process{State: report.ProcessGone, PID: 17, StartTime: 17e10, HasExitCode: status >= 0, ExitCode: max(status, 0), OOMKills: -1}, 0
}

func TestEndOfAProcessThatTakesNoConnectionsIsSeen(t *testing.T) {
	polls := func(c *consumer) { c.polls = true }
	serves := func(c *consumer) { c.polls, c.serves = true, true }
	for name, k := range map[string]struct {
		known    func(c *consumer)
		status   int
		within   time.Duration
		subclass string
	}{
		"killed":                      {func(*consumer) {}, 137, 14 * time.Second, "process_exit"},
		"a_poller_is_killed":          {polls, 137, 14 * time.Second, "process_exit"},
		"it_exits_and_messages_wait":  {func(*consumer) {}, 1, 25 * time.Second, "process_exit"},
		"it_crashes_on_a_bad_pointer": {polls, 139, 14 * time.Second, "process_exit"},
		"its_pid_is_known":            {func(c *consumer) { c.polls, c.byPID = true, true }, 137, 14 * time.Second, "process_exit"},
		"a_server_is_killed":          {serves, 137, 14 * time.Second, "process_exit"},
		"a_server_on_a_bad_pointer":   {serves, 139, 14 * time.Second, "process_exit"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsumer(t, k.known)
			at := c.now
			c.ends(k.status)
			c.pass(30 * time.Second)
			c.accused(at, k.within, verdict.ClassCrash, k.subclass, "worker@app1")
			c.src = report.NewSource(report.Source{Service: c.src.Service, Host: "app1", Instance: "aaaaaaaa-0000-4404-aaa1-6d2a48adfda4", Volatile: true})
			c.reads = 25
			c.pass(40 * time.Second) // the agent still tells of the one that went
			c.process = runs(18)
			c.pass(20 * time.Second)
			if c.first("failure.cleared") == nil || len(c.verdicts())%2 != 0 {
				t.Errorf("it is back, and said is %v; %s", c.verdicts(), c.dump())
			}
		})
	}
	t.Run("stopped", func(t *testing.T) {
		c := newConsumer(t)
		at := c.now
		c.process.State, c.reads = report.ProcessStopped, 0
		c.pass(90 * time.Second)
		c.accused(at, 30*time.Second, verdict.ClassCrash, "hang", "worker@app1")
		if said := c.verdicts(); len(said) != 1 {
			t.Errorf("said %v, want it to stand", said)
		}
	})
	t.Run("a_server_is_stopped", func(t *testing.T) {
		c := newConsumer(t, serves)
		at := c.now
		c.process.State, c.reads = report.ProcessStopped, 0
		c.pass(30 * time.Second)
		c.accused(at, 16*time.Second, verdict.ClassCrash, "hang", "worker@app1")
		c.process.State, c.reads = report.ProcessRunning, 25
		c.pass(20 * time.Second)
		if said := c.verdicts(); len(said) != 2 {
			t.Errorf("it is back, and said is %v; %s", said, c.dump())
		}
	})
	t.Run("memory_ran_out_and_it_was_started_again", func(t *testing.T) {
		for name, between := range map[string]time.Duration{"at_once": 0, "after_a_moment": 4 * time.Second} {
			t.Run(name, func(t *testing.T) {
				c := newConsumer(t, func(c *consumer) { c.process.OOMKills = 0 })
				at := c.now
				c.ends(137)
				c.process.OOMKills = 1
				c.pass(between)
				c.process, c.reads = runs(18), 25
				c.process.OOMKills = 1
				c.pass(20 * time.Second)
				c.accused(at, 14*time.Second, verdict.ClassExhaustion, "oom_kill", "worker@app1")
			})
		}
	})
	t.Run("it_runs_and_reads_nothing", func(t *testing.T) {
		c := newConsumer(t)
		at := c.now
		c.reads = 0
		c.pass(60 * time.Second)
		c.accused(at, 45*time.Second, verdict.ClassCrash, "hang", "worker@app1")
	})
	t.Run("it_runs_and_tells_nothing", func(t *testing.T) { // its exporter may be broken
		c := newConsumer(t)
		c.reads, c.mute = 0, true
		c.pass(60 * time.Second)
		c.nobodyAccused(true)
	})
}

func TestEndThatNobodyMissesAccusesNobody(t *testing.T) {
	polls := func(c *consumer) { c.polls = true }
	serves := func(c *consumer) { c.polls, c.serves = true, true }
	for name, k := range map[string]struct {
		known  func(c *consumer)
		during func(c *consumer)
	}{
		"a_job_is_done":                         {polls, func(c *consumer) { c.ends(0) }},
		"a_job_fails":                           {polls, func(c *consumer) { c.ends(1) }},
		"nobody_reads_its_pipe":                 {polls, func(c *consumer) { c.ends(141) }},
		"nobody_tells_how":                      {polls, func(c *consumer) { c.ends(-1) }},
		"asked_to_stop":                         {func(*consumer) {}, func(c *consumer) { c.ends(143) }},
		"another_of_it_reads_on":                {func(*consumer) {}, func(c *consumer) { c.ends(137); c.reads = 25 }},
		"another_of_it_asks_on":                 {polls, func(c *consumer) { c.ends(137); c.reads = 25 }},
		"stopped_and_it_reads_on":               {func(*consumer) {}, func(c *consumer) { c.process.State = report.ProcessStopped }},
		"started_again_at_once":                 {polls, func(c *consumer) { c.process = runs(18); c.process.HasExitCode, c.process.ExitCode = true, 137 }},
		"killed_long_after_its_last_work":       {polls, func(c *consumer) { c.reads, c.mute = 0, true; c.pass(30 * time.Second); c.ends(137) }},
		"a_job_whose_pid_is_known_fails":        {func(c *consumer) { c.polls, c.byPID = true, true }, func(c *consumer) { c.ends(1) }},
		"a_poller_is_stopped":                   {polls, func(c *consumer) { c.process.State, c.reads = report.ProcessStopped, 0 }},
		"a_server_is_asked_to_stop":             {serves, func(c *consumer) { c.ends(143) }},
		"a_server_fails_at_its_end":             {serves, func(c *consumer) { c.ends(1) }},
		"a_server_that_is_not_at_work_is_ended": {serves, func(c *consumer) { c.reads, c.mute = 0, true; c.pass(30 * time.Second); c.ends(137) }},
		"a_server_is_stopped_and_not_at_work": {serves, func(c *consumer) {
			c.reads, c.mute = 0, true
			c.pass(30 * time.Second)
			c.process.State = report.ProcessStopped
		}},
		"a_server_is_started_again_at_once": {serves, func(c *consumer) { c.process = runs(18); c.process.HasExitCode, c.process.ExitCode = true, 137 }},
		"another_server_of_it_goes_on":      {serves, func(c *consumer) { c.ends(137); c.reads = 25 }},
		"a_server_and_a_debugger": {serves, func(c *consumer) {
			c.process.State, c.reads = report.ProcessStopped, 0
			c.pass(5 * time.Second)
			c.process.State, c.reads = report.ProcessRunning, 25
		}},
		"a_debugger_for_a_moment": {polls, func(c *consumer) {
			c.process.State, c.reads = report.ProcessStopped, 0
			c.pass(5 * time.Second)
			c.process.State, c.reads = report.ProcessRunning, 25
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsumer(t, k.known)
			k.during(c)
			c.pass(40 * time.Second)
			c.nobodyAccused(false)
		})
	}
}

// Two processes of a host go by one name: of a helper that inherited it, or of one of
// several instances, nobody could say whose end it is.
func TestAProcessIsNotKnownByANameThatOthersHave(t *testing.T) {
	serves := func(c *consumer) { c.polls, c.serves = true, true }
	beside := func(c *consumer, p report.Process, client, byPID bool) func(*report.Batch) {
		return func(b *report.Batch) {
			look := report.Probe{Stamp: c.stamp(), Named: c.src, Target: "process:helper:9001", Outcome: report.OutcomeOK,
				Interval: 2 * time.Second, Process: &p, Host: "app1", Client: client, Direct: true}
			look.Observer = "app1"
			if byPID {
				look.Source, look.Named = c.src, nil
			}
			b.Probes = append(b.Probes, look)
		}
	}
	pass := func(c *consumer, d time.Duration, more func(*report.Batch)) {
		for end := c.now.Add(d); c.now < end; {
			c.tell(2*time.Second, 2*time.Second, more)
			c.pass(2 * time.Second)
		}
	}
	for name, known := range map[string]func(c *consumer) func(*report.Batch){
		"another_that_goes_by_it_runs":   func(c *consumer) func(*report.Batch) { return beside(c, runs(30), false, false) },
		"a_client_that_goes_by_it_runs":  func(c *consumer) func(*report.Batch) { return beside(c, runs(30), true, false) },
		"another_is_known_to_be_the_one": func(c *consumer) func(*report.Batch) { return beside(c, runs(30), false, true) },
		"another_instance_of_the_service": func(c *consumer) func(*report.Batch) {
			other := *c.src
			other.Instance, other.Volatile = "worker-2", false
			src := report.NewSource(other)
			return func(b *report.Batch) {
				b.Served = append(b.Served, report.Served{Source: src, OK: 1, Last: c.now})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConsumer(t, serves)
			more := known(c)
			pass(c, time.Minute, more)
			c.ends(137)
			pass(c, 40*time.Second, more)
			c.nobodyAccused(false)
		})
	}
	t.Run("it_is_known_by_its_pid_and_another_goes_by_its_name", func(t *testing.T) {
		c := newConsumer(t, serves, func(c *consumer) { c.byPID = true })
		more := beside(c, runs(30), false, false)
		pass(c, time.Minute, more)
		c.nobodyAccused(false)
		at := c.now
		c.ends(137)
		pass(c, 40*time.Second, more)
		c.accused(at, 14*time.Second, verdict.ClassCrash, "process_exit", "worker@app1")
	})
}

func TestWhoGoesByANameOnAHost(t *testing.T) {
	of := func(instance, host string, volatile bool) *report.Source {
		return report.NewSource(report.Source{Service: report.ServiceID{Name: "shop"}, Instance: instance, Host: host, Volatile: volatile})
	}
	for name, c := range map[string]struct {
		known  bool
		change func(e *Engine, n *entity)
	}{
		"the_only_one":            {true, func(*Engine, *entity) {}},
		"another_on_another_host": {true, func(e *Engine, _ *entity) { e.instance(of("b", "app2", false)) }},
		"another_that_left":       {true, func(e *Engine, _ *entity) { e.instance(of("b", "app1", false)).left = true }},
		"another_long_silent": {true, func(e *Engine, n *entity) {
			e.instance(of("b", "app1", false)).heard = n.heard.Add(-severalFor)
		}},
		"another": {false, func(e *Engine, n *entity) {
			e.instance(of("b", "app1", false)).heard = n.heard.Add(-severalFor + 1)
		}},
		"its_predecessor": {true, func(e *Engine, n *entity) {
			n.src.Volatile = true
			b := e.instance(of("b", "app1", true))
			b.born, b.heard = n.born-2, n.born-1
		}},
	} {
		t.Run(name, func(t *testing.T) {
			e := New(DefaultParams())
			e.Tick(1e18)
			src := of("a", "app1", false)
			n := e.instance(src)
			c.change(e, n)
			if got := e.named(&report.Probe{Named: src}); (got == n) != c.known || e.named(&report.Probe{}) != nil {
				t.Errorf("it is %v", got)
			}
		})
	}
}

func TestAnotherProcessOfThatName(t *testing.T) {
	for name, c := range map[string]struct {
		another bool
		change  func(e *Engine, ps, o *probeState)
	}{
		"runs":                                  {true, func(*Engine, *probeState, *probeState) {}},
		"waits_for_a_disk":                      {true, func(_ *Engine, _, o *probeState) { o.process.State = report.ProcessDiskWait }},
		"is_gone":                               {false, func(_ *Engine, _, o *probeState) { o.process.State = report.ProcessGone }},
		"is_surely_it_and_gone":                 {true, func(_ *Engine, _, o *probeState) { o.process.State, o.named = report.ProcessGone, false }},
		"is_no_process":                         {false, func(_ *Engine, _, o *probeState) { o.process, o.named = nil, false }},
		"was_seen_long_ago":                     {false, func(e *Engine, _, o *probeState) { o.at = e.now.Add(-time.Minute) }},
		"is_the_same":                           {false, func(_ *Engine, ps, o *probeState) { o.target = ps.target }},
		"says_nothing_of_one_that_is_surely_it": {false, func(_ *Engine, ps, _ *probeState) { ps.named = false }},
		"of_a_client":                           {true, func(_ *Engine, ps, _ *probeState) { ps.named, ps.client = false, true }},
	} {
		t.Run(name, func(t *testing.T) {
			e, all := sized(1)
			look := func(target string) *probeState {
				p := runs(1)
				return &probeState{observer: e.observer("app1"), target: target, at: e.now, interval: time.Second, named: true, process: &p}
			}
			ps, o := look("process:a:1"), look("process:b:1")
			all[0].probes = []*probeState{ps, o}
			c.change(e, ps, o)
			if got := e.another(all[0], ps); got != c.another {
				t.Errorf("another: %v", got)
			}
		})
	}
}
