// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// database is a server without telemetry on a host with an agent, which tells every
// two seconds which process takes connections at its port; and who calls it.
type database struct {
	*fleet
	caller  *report.Source
	callee  report.Callee
	host    string
	at      []string
	process report.Process
	outcome report.Outcome
}

func newDatabase(t *testing.T) *database {
	return &database{
		fleet: newFleet(t), caller: report.NewSource(report.Source{Service: report.ServiceID{Name: "orders"}, Instance: "orders-1", Host: "app1"}),
		callee: report.Callee{Address: "db:3306"}, host: "data1", at: []string{"10.0.0.31:3306", "data1:3306"},
		process: report.Process{State: report.ProcessRunning, PID: 17, StartTime: 5, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}, outcome: report.OutcomeOK,
	}
}

// look is what the agent on its host tells.
func (d *database) look(b *report.Batch) {
	d.lookAt(b, d.host, d.at...)
}

func (d *database) lookAt(b *report.Batch, host string, at ...string) {
	p, outcome := d.process, report.OutcomeOK
	if p.State != report.ProcessRunning {
		outcome = report.OutcomeOther
	}
	stamp := d.stamp()
	stamp.Observer = host
	b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp, Interval: 2 * time.Second, Host: host})
	stamp.Seq++
	d.obsSeq++
	b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Target: "process:mysqld:3306", Outcome: outcome, Interval: 2 * time.Second, Process: &p, Host: host, Addresses: at})
}

// call is what the caller tells of eight calls.
func (d *database) call(b *report.Batch) {
	first := b.Arrived.Add(-2 * time.Second)
	b.Calls = append(b.Calls, report.Calls{Caller: d.caller, Callee: d.callee, Outcome: d.outcome, Count: 8, First: first, Started: b.Arrived.Add(-time.Second), Last: b.Arrived, Done: first})
}

func (d *database) pass(t time.Duration, more ...func(b *report.Batch)) {
	d.tell(2*time.Second, t, func(b *report.Batch) {
		d.look(b)
		d.call(b)
		for _, tell := range more {
			tell(b)
		}
	})
}

func TestTheAgentOnItsHostTellsOfAServerWithoutTelemetry(t *testing.T) {
	for name, known := range map[string]func(d *database){
		"called by its address":     func(d *database) { d.callee = report.Callee{Address: "10.0.0.31:3306", Direct: true} },
		"called by its host's name": func(d *database) { d.callee = report.Callee{Address: "data1:3306"} },
		"called by both": func(d *database) {
			d.callee = report.Callee{Address: "10.0.0.31:3306", Direct: true, Named: "db.shop.example:3306"}
		},
		"called by a name": func(*database) {},
		"has a port that nobody calls, too": func(d *database) { // for its cluster
			d.at = []string{"10.0.0.31:25672", "data1:25672", "10.0.0.31:3306", "data1:3306"}
		},
		"called on the same host": func(d *database) {
			d.callee.Address, d.at = "localhost:3306@app1", []string{"localhost:3306@app1"}
			d.host = "app1"
		},
		"other hosts have other port":     func(d *database) {},
		"at another port nobody calls it": func(d *database) { d.at = []string{"10.0.0.31:3306", "10.0.0.31:4444", "data1:3306"} },
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			start := func() *database {
				d := newDatabase(t)
				known(d)
				d.pass(2*time.Minute, func(b *report.Batch) { d.lookAt(b, "data2", "10.0.0.32:5432", "data2:5432") })
				return d
			}
			culprit := func(d *database) string {
				if d.callee.Named != "" {
					return d.callee.Named
				}
				return d.callee.Address
			}
			t.Run("killed", func(t *testing.T) {
				d := start()
				at := d.now
				d.process, d.outcome = report.Process{State: report.ProcessGone, PID: 17, HasExitCode: true, ExitCode: 137, OOMKills: -1}, report.OutcomeTimeout
				d.pass(10 * time.Second)
				d.accused(at, 4*time.Second, verdict.ClassCrash, "process_exit", culprit(d))
			})
			t.Run("stopped", func(t *testing.T) {
				d := start()
				at := d.now
				d.process.State, d.outcome = report.ProcessStopped, report.OutcomeTimeout
				d.pass(20 * time.Second)
				d.accused(at, 16*time.Second, verdict.ClassCrash, "hang", culprit(d))
			})
			t.Run("held_back", func(t *testing.T) {
				d := start()
				at := d.now
				d.process.Throttled, d.outcome = 0.95, report.OutcomeTimeout
				d.pass(20 * time.Second)
				d.accused(at, 16*time.Second, verdict.ClassExhaustion, "cpu", culprit(d))
			})
		})
	}
}

func TestNobodyIsTakenForAServerOfAnotherHost(t *testing.T) {
	gone := report.Process{State: report.ProcessGone, PID: 17, HasExitCode: true, ExitCode: 137, OOMKills: -1}
	t.Run("two_hosts_have_the_port", func(t *testing.T) {
		d := newDatabase(t)
		other := func(b *report.Batch) { d.lookAt(b, "data2", "10.0.0.32:3306", "data2:3306") }
		d.pass(2*time.Minute, other)
		d.process = gone
		d.tell(2*time.Second, 20*time.Second, func(b *report.Batch) { // data2's runs on
			d.look(b)
			d.call(b)
		})
		d.nobodyAccused(false)
	})
	t.Run("its_callers_are_well", func(t *testing.T) { // a container of that name stands where nobody looks
		d := newDatabase(t)
		d.pass(2 * time.Minute)
		d.process = gone
		d.pass(time.Minute)
		d.nobodyAccused(false)
		d.process, d.outcome = report.Process{State: report.ProcessRunning, PID: 18, StartTime: 9e9, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}, report.OutcomeOK
		d.pass(30 * time.Second)
		d.nobodyAccused(false)
	})
	t.Run("two_hosts_have_the_address", func(t *testing.T) { // a bridge to containers
		d := newDatabase(t)
		d.callee, d.at = report.Callee{Address: "172.17.0.1:3306", Direct: true}, []string{"172.17.0.1:3306", "data1:3306"}
		d.pass(2*time.Minute, func(b *report.Batch) { d.lookAt(b, "data2", "172.17.0.1:3306", "data2:3306") })
		d.process = gone
		d.pass(20*time.Second, func(b *report.Batch) {
			alive := *d
			alive.process = report.Process{State: report.ProcessRunning, PID: 3, StartTime: 5, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
			alive.lookAt(b, "data2", "172.17.0.1:3306", "data2:3306")
		})
		d.nobodyAccused(false)
	})
	t.Run("it_is_called_by_another_name_at_another_port", func(t *testing.T) { // who of the two is meant, nobody knows
		d := newDatabase(t)
		d.at = []string{"10.0.0.31:3306", "10.0.0.31:6379", "data1:3306"}
		d.pass(2*time.Minute, func(b *report.Batch) {
			b.Calls = append(b.Calls, report.Calls{Caller: d.caller, Callee: report.Callee{Address: "cache:6379"}, Outcome: report.OutcomeOK, Count: 8, First: b.Arrived.Add(-time.Second), Started: b.Arrived.Add(-time.Second), Last: b.Arrived, Done: b.Arrived})
		})
		if n := d.e.external("db:3306"); n.host != nil {
			t.Errorf("it stands on %s, where one process goes by two names", n.host.name)
		}
	})
	t.Run("another_is_known_by_its_pid", func(t *testing.T) {
		d := newDatabase(t)
		shop := report.NewSource(report.Source{Service: report.ServiceID{Name: "shop"}, Instance: "shop-1", Host: "data2"})
		d.pass(2*time.Minute, func(b *report.Batch) {
			d.lookAt(b, "data2", "10.0.0.32:3306", "data2:3306")
			b.Probes[len(b.Probes)-1].Source = shop
		})
		if n := d.e.external("db:3306"); n.host != nil {
			t.Errorf("it stands on %s, though another has that port", n.host.name)
		}
	})
	t.Run("another_shares_its_first_port_with_many", func(t *testing.T) {
		d := newDatabase(t)
		d.at = []string{"10.0.0.31:111", "10.0.0.31:3306", "data1:3306"}
		d.pass(2*time.Minute, func(b *report.Batch) { d.lookAt(b, "data2", "10.0.0.32:111", "10.0.0.32:3306", "data2:3306") })
		d.at = []string{"10.0.0.31:3306", "data1:3306"}
		d.pass(time.Minute)
		if n := d.e.external("db:3306"); n.host != nil {
			t.Errorf("it stands on %s, though another has that port", n.host.name)
		}
	})
	t.Run("it_has_moved", func(t *testing.T) {
		d := newDatabase(t)
		d.pass(time.Minute)
		d.host, d.at = "data2", []string{"10.0.0.32:3306", "data2:3306"}
		d.pass(15 * time.Minute)
		if n := d.e.external("db:3306"); n.host == nil || n.host.name != "data2" {
			t.Errorf("it stands on %v, want data2", n.host)
		}
	})
	t.Run("a_public_name", func(t *testing.T) {
		d := newDatabase(t)
		d.callee.Address = "db.provider.example:3306"
		d.pass(2 * time.Minute)
		d.process, d.outcome = gone, report.OutcomeTimeout
		d.pass(10 * time.Second)
		for _, ev := range d.events {
			if strings.Contains(ev.Body, "process") {
				t.Errorf("said %s", ev.Body)
			}
		}
	})
	t.Run("that_it_runs_is_not_believed_of_a_name_alone", func(t *testing.T) {
		d := newDatabase(t)
		d.pass(2 * time.Minute)
		at := d.now
		d.outcome = report.OutcomeRefused // another of that name
		d.pass(20 * time.Second)
		d.accused(at, 16*time.Second, verdict.ClassCrash, "process_exit", "db:3306")
	})
	t.Run("nobody_calls_it", func(t *testing.T) {
		d := newDatabase(t)
		d.tell(2*time.Second, time.Minute, d.look)
		d.process = gone
		d.tell(2*time.Second, time.Minute, d.look)
		d.nobodyAccused(false)
		if n := len(d.e.reg.byKey); n != 0 {
			t.Errorf("%d are known, of whom nobody but their host told", n)
		}
	})
}

func TestAServerIsRestartedInOrder(t *testing.T) {
	d := newDatabase(t)
	d.callee = report.Callee{Address: "10.0.0.31:3306", Direct: true}
	d.pass(2 * time.Minute)
	d.process, d.outcome = report.Process{State: report.ProcessGone, PID: 17, HasExitCode: true, ExitCode: 0, OOMKills: -1}, report.OutcomeRefused
	d.pass(4 * time.Second)
	d.process, d.outcome = report.Process{State: report.ProcessRunning, PID: 18, StartTime: 9, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}, report.OutcomeOK
	d.pass(time.Minute)
	d.nobodyAccused(false)
}

func TestServersAreForgotten(t *testing.T) {
	p := DefaultParams()
	p.MaxInstances, p.MaxAddresses = 50, 50
	d := newDatabase(t)
	d.e = New(p)
	for i := range 500 {
		address := fmt.Sprintf("10.0.%d.%d:%d", i/256, i%256, 1000+i)
		d.callee = report.Callee{Address: address, Direct: true, Named: fmt.Sprintf("db%d:%d", i, 1000+i)}
		d.tell(time.Second, time.Second, func(b *report.Batch) {
			d.lookAt(b, "data1", address)
			d.call(b)
		})
	}
	s := &d.e.servers
	for what, n := range map[string]int{"addresses": len(s.at), "ports": len(s.ports), "names": len(s.named)} {
		if n > 51 {
			t.Errorf("%d %s are kept", n, what)
		}
	}
}

func TestOnlyALongWaitForAProcessorExplainsSlowness(t *testing.T) {
	for name, c := range map[string]struct {
		wait float64
		slow int
	}{"waits_most_of_the_time": {0.98, 4}, "waits_half_of_the_time": {0.55, 4}} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			d.callee = report.Callee{Address: "10.0.0.31:3306", Direct: true}
			d.pass(2 * time.Minute)
			at := d.now
			d.process.CPUWait = c.wait
			d.tell(2*time.Second, 40*time.Second, func(b *report.Batch) {
				d.look(b)
				d.call(b)
				b.Calls[0].Slow = c.slow
			})
			if c.wait > waitsFrom {
				d.accused(at, 30*time.Second, verdict.ClassExhaustion, "cpu", "10.0.0.31:3306")
				return
			}
			d.nobodyAccused(true)
		})
	}
}

func TestWhatWaitedForOneThatWasStoppedIsNoOverload(t *testing.T) {
	d := newDatabase(t)
	billing := report.NewSource(report.Source{Service: report.ServiceID{Name: "billing"}, Instance: "billing-1", Host: "data1"})
	d.callee = report.Callee{Address: "10.0.0.31:8080", Direct: true}
	second := func(ok, late, lost int) {
		d.tell(time.Second, time.Second, func(b *report.Batch) {
			d.look(b)
			b.Probes[0].Source = billing
			first := b.Arrived.Add(-time.Second)
			d.hopID++
			b.Hops = append(b.Hops, report.Hop{Span: d.hopID, Source: d.caller, Callee: d.callee, Duration: time.Millisecond, At: b.Arrived},
				report.Hop{Span: d.hopID, Server: true, Source: billing, Duration: time.Millisecond, At: b.Arrived})
			if ok > 0 {
				b.Served = append(b.Served, report.Served{Source: billing, OK: ok, Coded: ok, Slow: late, Last: b.Arrived})
				b.Calls = append(b.Calls, report.Calls{Caller: d.caller, Callee: d.callee, Outcome: report.OutcomeOK, Count: ok, Slow: late, First: first, Started: first, Last: b.Arrived, Done: first})
			}
			if lost > 0 {
				b.Calls = append(b.Calls, report.Calls{Caller: d.caller, Callee: d.callee, Outcome: report.OutcomeTimeout, Count: lost, First: first, Started: first, Last: b.Arrived, Done: first})
			}
			if late > 0 {
				b.Levels = append(b.Levels, report.Level{Source: &report.Source{Host: "data1"}, Kind: report.LevelCPU, Share: 1, At: b.Arrived})
			}
		})
	}
	for range 240 {
		second(5, 0, 0)
	}
	d.process.State = report.ProcessStopped
	for range 20 {
		second(0, 0, 5)
	}
	d.process.State = report.ProcessRunning
	for range 8 {
		second(40, 30, 10)
	}
	for range 30 {
		second(5, 0, 0)
	}
	said := d.verdicts()
	if len(said) == 0 || !strings.Contains(said[0], "crash/hang") {
		t.Fatalf("said %v, want a hang", said)
	}
	if all := fmt.Sprint(said); strings.Contains(all, "exhaustion") {
		t.Errorf("said %s", all)
	}
}

// One process that some call by its name and others by its address, or at two of its
// ports, is one server.
func TestAServerByTwoNamesIsOneIncident(t *testing.T) {
	for name, c := range map[string]struct {
		first, second report.Callee
		incidents     int
	}{
		"its_address_and_its_name": {report.Callee{Address: "10.0.0.32:5672"}, report.Callee{Address: "10.0.0.32:5672", Direct: true, Named: "rabbitmq:5672"}, 1},
		"two_of_its_ports":         {report.Callee{Address: "rabbitmq:5672"}, report.Callee{Address: "rabbitmq:15672"}, 1},
		"two_servers":              {report.Callee{Address: "rabbitmq:5672"}, report.Callee{Address: "redis:6379"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			worker, orders := f.add("worker", "worker-1"), f.add("orders", "orders-1")
			calls := func(o report.Outcome, second time.Duration, d time.Duration) {
				for at := f.now; f.now < at.Add(d); f.run(time.Second) {
					b := &report.Batch{Arrived: f.now, Calls: []report.Calls{{Caller: worker.src, Callee: c.first, Outcome: o, Count: 5, First: f.now, Last: f.now}}}
					if callee := c.second; f.now >= at.Add(second) {
						if o == report.OutcomeOK && callee.Direct {
							callee = report.Callee{Address: callee.Named} // who it is shows only when it fails
						}
						b.Calls = append(b.Calls, report.Calls{Caller: orders.src, Callee: callee, Outcome: o, Count: 5, First: f.now, Last: f.now})
					}
					f.e.Observe(b)
				}
			}
			calls(report.OutcomeOK, 0, time.Minute)
			calls(report.OutcomeRefused, 15*time.Second, 40*time.Second)
			incidents, held, handedOver := map[string]bool{}, map[string]bool{}, false
			for _, ev := range f.events {
				switch {
				case ev.Verdict == nil:
				case ev.Kind == contract.EventFailureDetected:
					incidents[ev.Verdict.Incident], held[ev.Entity] = true, true
				case ev.Kind == contract.EventFailureCleared:
					delete(held, ev.Entity)
					handedOver = handedOver || strings.HasSuffix(ev.Body, "it is rabbitmq:5672")
				}
			}
			if len(incidents) != c.incidents {
				t.Errorf("%d incidents, want %d: %s", len(incidents), c.incidents, f.dump())
			}
			if c.second.Direct && (len(held) > 1 || !handedOver) {
				t.Errorf("accused at the end: %v", held)
			}
		})
	}
}

// Who stops in order closes its port first and ends later: its agent sees one go that
// takes connections nowhere, or elsewhere.
func TestAServerThatClosesItsPortBeforeItEnds(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		after  time.Duration // of closing the port
		other  bool          // another process takes connections at the port now
		crash  bool
	}{
		"in_order":                     {0, 2 * time.Second, false, false},
		"and is killed":                {137, 2 * time.Second, false, true},
		"long after that":              {0, 40 * time.Second, false, true},
		"that another has opened anew": {137, 4 * time.Second, true, false},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			d := newDatabase(t)
			d.callee = report.Callee{Address: "10.0.0.31:3306", Direct: true}
			d.at = []string{"10.0.0.31:3306", "10.0.0.31:4444"}
			d.pass(2 * time.Minute)
			d.at, d.outcome = []string{"10.0.0.31:4444"}, report.OutcomeRefused
			next := func(b *report.Batch) {
				if c.other {
					other := *d
					other.process = report.Process{State: report.ProcessRunning, PID: 18, StartTime: 9, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
					other.lookAt(b, "data1", "10.0.0.31:3306")
					b.Probes[len(b.Probes)-1].Target = "process:mysqld-new:3306"
				}
			}
			if c.other {
				d.outcome = report.OutcomeOK
			}
			d.pass(c.after, next)
			d.process = report.Process{State: report.ProcessGone, PID: 17, HasExitCode: true, ExitCode: c.status, OOMKills: -1}
			d.pass(4*time.Second, next)
			if c.status == 0 && !c.crash { // it is restarted
				d.process, d.outcome = report.Process{State: report.ProcessRunning, PID: 19, StartTime: 9e10, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}, report.OutcomeOK
				d.at = []string{"10.0.0.31:3306", "10.0.0.31:4444"}
			}
			d.pass(20*time.Second, next)
			if crash := d.first(contract.EventFailureDetected) != nil; crash != c.crash {
				t.Errorf("accused: %v, want %v: %v %s", crash, c.crash, d.verdicts(), d.dump())
			}
		})
	}
}

// A server that its agent saw end in order is refused to its callers for as long as it is
// away: that is no crash of it, at no time.
func TestServerThatEndedInOrderIsNoCrashForAsLongAsItIsAway(t *testing.T) {
	for name, known := range map[string]report.Callee{
		"called by its address":              {Address: "10.0.0.31:3306", Direct: true},
		"called by its host's name":          {Address: "data1:3306"},
		"called by a name that nobody knows": {Address: "db:3306"},
	} {
		for status, ended := range map[int]bool{0: true, 143: true, 139: false} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				d := newDatabase(t)
				d.callee = known
				d.pass(2 * time.Minute)
				at := d.now
				// Its agent tells first, and its callers fail a while later.
				d.process = report.Process{State: report.ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: status, OOMKills: -1}
				d.tell(2*time.Second, 4*time.Second, d.look)
				d.outcome = report.OutcomeRefused
				turn := 0
				d.tell(time.Second, 3*time.Minute, func(b *report.Batch) {
					if turn++; turn%2 == 0 {
						d.look(b)
					} else {
						d.call(b)
					}
				})
				if ended {
					d.nobodyAccused(false)
					return
				}
				d.accused(at, 12*time.Second, verdict.ClassCrash, "process_exit", known.Address)
			})
		}
	}
}
