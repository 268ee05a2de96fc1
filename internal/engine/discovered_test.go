// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Clients that find their server by discovery, such as a sentinel's or a broker's own
// word, do not tell its address on calls that go well: it is first named by an error.

func discovered(t *testing.T) *database {
	d := newDatabase(t)
	d.callee, d.at = report.Callee{Address: "10.0.0.31:6379", Direct: true}, []string{"10.0.0.31:6379", "127.0.0.1:6379"}
	d.tell(2*time.Second, 2*time.Minute, d.look)
	return d
}

func TestOneThatIsFirstNamedByAnErrorIsToldByItsAgent(t *testing.T) {
	t.Run("killed", func(t *testing.T) {
		d := discovered(t)
		at := d.now
		d.process, d.outcome = report.Process{State: report.ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: 137, OOMKills: -1}, report.OutcomeRefused
		d.tell(2*time.Second, 4*time.Second, d.look)
		d.pass(10 * time.Second)
		d.accused(at, 8*time.Second, verdict.ClassCrash, "process_exit", "10.0.0.31:6379")
	})
	t.Run("stopped", func(t *testing.T) {
		d := discovered(t)
		at := d.now
		d.process.State, d.outcome = report.ProcessStopped, report.OutcomeTimeout
		d.pass(25 * time.Second)
		d.accused(at, 20*time.Second, verdict.ClassCrash, "hang", "10.0.0.31:6379")
	})
	t.Run("ended_in_order", func(t *testing.T) {
		d := discovered(t)
		d.process, d.outcome = report.Process{State: report.ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: 0, OOMKills: -1}, report.OutcomeRefused
		d.tell(2*time.Second, 4*time.Second, d.look)
		d.pass(4 * time.Second)
		d.nobodyAccused(true)
	})
	t.Run("first_called_by_a_name_when_another_of_its_port_is_gone", func(t *testing.T) {
		d := newDatabase(t)
		d.tell(2*time.Second, time.Minute, d.look)
		d.process = report.Process{State: report.ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: 137, OOMKills: -1}
		d.tell(2*time.Second, 10*time.Second, d.look)
		d.pass(30 * time.Second) // and is well, wherever it stands
		d.nobodyAccused(false)
	})
	t.Run("gone_and_never_called", func(t *testing.T) {
		d := discovered(t)
		d.process = report.Process{State: report.ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: 137, OOMKills: -1}
		d.tell(2*time.Second, 20*time.Second, d.look)
		d.nobodyAccused(false)
	})
}

// TestWhatProducersKeptIsNoDemand: a broker is away for a while, its clients keep what
// they have for it without an error, and send all of it when it is back.
func TestWhatProducersKeptIsNoDemand(t *testing.T) {
	for name, c := range map[string]struct {
		away    time.Duration
		accused bool
	}{
		"after it was away": {20 * time.Second, false},
		"out of the blue":   {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			d.callee = report.Callee{Address: "kafka/orders"}
			second := func(ok, late, lost int) {
				d.tell(time.Second, time.Second, func(b *report.Batch) {
					first := b.Arrived.Add(-time.Second)
					if ok > 0 {
						b.Calls = append(b.Calls, report.Calls{Caller: d.caller, Callee: d.callee, Outcome: report.OutcomeOK, Count: ok, Slow: late, First: first, Started: first, Last: b.Arrived, Done: first})
					}
					if lost > 0 {
						b.Calls = append(b.Calls, report.Calls{Caller: d.caller, Callee: d.callee, Outcome: report.OutcomeTimeout, Count: lost, First: first, Started: first, Last: b.Arrived, Done: first})
					}
				})
			}
			for range 120 {
				second(4, 0, 0)
			}
			d.tell(time.Second, c.away, func(*report.Batch) {})
			for range 12 {
				second(24, 18, 3)
			}
			for range 20 {
				second(4, 0, 0)
			}
			if c.accused {
				d.accused(d.began, 3*time.Minute, verdict.ClassExhaustion, "overload", "kafka/orders")
				return
			}
			d.nobodyAccused(true)
		})
	}
}

// TestALogOnItsHostTellsWhyAServerEnded: the log of a broker is read, and nobody says
// whose it is.
func TestALogOnItsHostTellsWhyAServerEnded(t *testing.T) {
	wrote := func(d *database, host string) func(b *report.Batch) {
		return func(b *report.Batch) {
			b.Facts = append(b.Facts, report.Fact{Source: report.NewSource(report.Source{Host: host}), Kind: report.FactDiskFull, At: b.Arrived, Text: "java.io.IOException: No space left on device"})
		}
	}
	for name, c := range map[string]struct {
		host     string
		exit     int
		before   time.Duration
		class    verdict.Class
		subclass string
	}{
		"it ended by itself":          {"data1", 1, 2 * time.Second, verdict.ClassExhaustion, "disk"},
		"it was written elsewhere":    {"data9", 1, 2 * time.Second, verdict.ClassCrash, "process_exit"},
		"it was written long before":  {"data1", 1, time.Minute, verdict.ClassCrash, "process_exit"},
		"it was killed from outside":  {"data1", 137, 2 * time.Second, verdict.ClassCrash, "process_exit"},
		"nobody has ended":            {"data1", -1, 2 * time.Second, verdict.ClassNone, ""},
		"it was ended in order after": {"data1", 0, 2 * time.Second, verdict.ClassNone, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			d.callee = report.Callee{Address: "10.0.0.31:3306", Direct: true}
			d.pass(2 * time.Minute)
			at := d.now
			d.tell(c.before, c.before, func(b *report.Batch) {
				d.look(b)
				d.call(b)
				wrote(d, c.host)(b)
			})
			if c.exit >= 0 {
				d.process, d.outcome = report.Process{State: report.ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: c.exit, OOMKills: -1}, report.OutcomeRefused
			}
			if c.class == verdict.ClassNone {
				d.pass(4 * time.Second)
				d.nobodyAccused(true)
				return
			}
			d.pass(10 * time.Second)
			d.accused(at.Add(c.before), 6*time.Second, c.class, c.subclass, "10.0.0.31:3306")
		})
	}
}

// TestACutToOneExplainsNoAnswerToAnother: a database that its standby cannot reach
// turns its callers away.
func TestACutToOneExplainsNoAnswerToAnother(t *testing.T) {
	e := New(DefaultParams())
	n := &entity{kind: kindExternal}
	for name, c := range map[string]struct {
		far  side
		kind belief.Evidence
		want bool
	}{
		"a link, and it says that it is full": {side{host: &hostState{}}, belief.EvCallersOverloaded, true},
		"a link, and its callers wait":        {side{host: &hostState{}}, belief.EvCallersTimeout, false},
		"it is cut off from all":              {side{}, belief.EvCallersOverloaded, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := &episode{}
			p.note(c.kind, 1, e.now, "")
			if got := p.answersOthers(n, &cutState{cut: cut{near: side{host: &hostState{}}, far: c.far}}); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// TestOneThatIsSlowForOneHostIsNotOverloaded: what one caller sends gets through late,
// and it tries again; the other is served as ever.
func TestOneThatIsSlowForOneHostIsNotOverloaded(t *testing.T) {
	for name, both := range map[string]bool{"slow for one": false, "slow for both": true} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			other := report.NewSource(report.Source{Service: report.ServiceID{Name: "orders"}, Instance: "orders-2", Host: "app2"})
			second := func(ok, late, lost int) {
				d.tell(time.Second, time.Second, func(b *report.Batch) {
					first := b.Arrived.Add(-time.Second)
					tell := func(who *report.Source, o report.Outcome, count, slow int) {
						if count > 0 {
							b.Calls = append(b.Calls, report.Calls{Caller: who, Callee: d.callee, Outcome: o, Count: count, Slow: slow, First: first, Started: first, Last: b.Arrived, Done: first})
						}
					}
					tell(d.caller, report.OutcomeOK, ok, late)
					tell(d.caller, report.OutcomeTimeout, lost, 0)
					if both {
						tell(other, report.OutcomeOK, ok, late)
						tell(other, report.OutcomeTimeout, lost, 0)
					} else {
						tell(other, report.OutcomeOK, 4, 0)
					}
				})
			}
			for range 120 {
				second(4, 0, 0)
			}
			for range 15 {
				second(20, 16, 3)
			}
			if both {
				d.accused(d.began.Add(2*time.Minute), 20*time.Second, verdict.ClassExhaustion, "overload", "db:3306")
				return
			}
			for range 20 {
				second(4, 0, 0)
			}
			d.nobodyAccused(true)
		})
	}
}

// TestOneThatIsSeenToBeStoppedSaysNothingOfTheNetwork: its backlog fills up, and its
// callers cannot even connect.
func TestOneThatIsSeenToBeStoppedSaysNothingOfTheNetwork(t *testing.T) {
	for state, want := range map[report.ProcessState]bool{report.ProcessStopped: true, report.ProcessRunning: false, report.ProcessGone: false} {
		d := newDatabase(t)
		d.callee = report.Callee{Address: "10.0.0.31:3306", Direct: true}
		d.pass(30 * time.Second)
		d.process.State, d.outcome = state, report.OutcomeConnectTimeout
		d.pass(6 * time.Second)
		n := d.e.reg.byKey[externalKey("10.0.0.31:3306")]
		if n == nil {
			t.Fatal("nobody is known")
		}
		if got := n.answersNobody(d.e); got != want {
			t.Errorf("process state %d: %v, want %v", state, got, want)
		}
	}
}

// TestAPoolOfConnectionsToOneThatIsSeenToBeStoppedIsNotTooSmall: its calls have not had
// the time to fail, and others that the caller asks are well.
func TestAPoolOfConnectionsToOneThatIsSeenToBeStoppedIsNotTooSmall(t *testing.T) {
	for state, want := range map[report.ProcessState]bool{report.ProcessStopped: true, report.ProcessGone: true, report.ProcessRunning: false} {
		d := newDatabase(t)
		cache := func(b *report.Batch) {
			d.call(b)
			b.Calls[len(b.Calls)-1].Callee = report.Callee{Address: "cache:6379"}
		}
		d.pass(2*time.Minute, cache)
		d.process.State = state
		d.tell(2*time.Second, 4*time.Second, func(b *report.Batch) { d.look(b); cache(b) })
		if got := d.e.poolStands(d.e.instance(d.caller), d.now.Add(-time.Second)); got != want {
			t.Errorf("process state %d: %v, want %v", state, got, want)
		}
	}
}

// TestALogOnItsHostTellsThatAServerStops: a broker that is restarted takes ten seconds to
// be back, and its log, of which nobody says whose it is, told that it would stop.
func TestALogOnItsHostTellsThatAServerStops(t *testing.T) {
	for name, c := range map[string]struct {
		host    string
		before  time.Duration
		exit    int
		away    time.Duration
		accused bool
	}{
		"it stops":                    {"data1", 2 * time.Second, -1, 14 * time.Second, false},
		"it was written elsewhere":    {"data9", 2 * time.Second, -1, 14 * time.Second, true},
		"it was written long before":  {"data1", time.Minute, -1, 14 * time.Second, true},
		"it was killed all the same":  {"data1", 2 * time.Second, 137, 14 * time.Second, true},
		"somebody else's, it goes on": {"data1", 2 * time.Second, -1, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			d.callee = report.Callee{Address: "10.0.0.31:3306", Direct: true}
			d.pass(2 * time.Minute)
			d.tell(c.before, c.before, func(b *report.Batch) {
				d.look(b)
				d.call(b)
				b.Facts = append(b.Facts, report.Fact{Source: report.NewSource(report.Source{Host: c.host}), Kind: report.FactStopping, At: b.Arrived, Text: "SIGTERM received - shutting down", Said: true})
			})
			if c.away > 0 {
				d.process, d.outcome = report.Process{State: report.ProcessGone, PID: 17, StartTime: 5, HasExitCode: c.exit > 0, ExitCode: max(c.exit, 0), OOMKills: -1}, report.OutcomeRefused
				d.pass(c.away)
			}
			d.process, d.outcome = report.Process{State: report.ProcessRunning, PID: 18, StartTime: 9, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}, report.OutcomeOK
			d.pass(30 * time.Second)
			if c.accused {
				d.accused(d.began, 10*time.Minute, verdict.ClassCrash, "process_exit", "10.0.0.31:3306")
				return
			}
			d.nobodyAccused(true)
		})
	}
}
