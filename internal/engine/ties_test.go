// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// brokers is a cluster of three servers that no span names. Who writes to it tells of
// the calls that it answers; agents tell of the processes and of who is connected.
type brokers struct {
	*database
	states [3]report.Process
	ties   map[string][]string
	silent string // where nothing is acknowledged
	deaf   map[tie]bool
	anew   bool   // and connections there are opened anew, in vain
	calls  bool   // the caller's calls to the first of them are told
	unseen string // a host whose agent is silent
	more   func(b *report.Batch)
}

func newBrokers(t *testing.T) *brokers {
	c := &brokers{database: newDatabase(t), ties: map[string][]string{
		"app1": {"10.0.0.1:4222"}, "s1": {"10.0.0.2:6222"}, "s2": {"10.0.0.1:6222"}, "s3": {"10.0.0.2:6222"},
	}}
	for i := range c.states {
		c.states[i] = c.process
	}
	c.pass(2*time.Minute, 6, 0, 0)
	return c
}

// pass lets time go by while so many of the caller's answers each second are good,
// are failures, and, of these, are of its own making.
func (c *brokers) pass(t time.Duration, ok, failed, own int, more ...func(b *report.Batch)) {
	c.tell(2*time.Second, t, func(b *report.Batch) {
		if ok+failed > 0 {
			b.Served = append(b.Served, report.Served{Source: c.caller, OK: 2 * ok, Failed: 2 * failed, Faults: 2 * own, Coded: 2 * ok, Last: b.Arrived})
		}
		if c.calls {
			c.call(b)
		}
		if c.more != nil {
			c.more(b)
		}
		for i, host := range [...]string{"s1", "s2", "s3"} {
			if host == c.unseen {
				continue
			}
			c.process = c.states[i]
			ip := "10.0.0." + host[1:]
			c.lookAt(b, host, ip+":4222", ip+":6222")
		}
		c.process = report.Process{State: report.ProcessRunning, PID: 17, StartTime: 5, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
		c.lookAt(b, "app1", "10.0.0.11:8080")
		for host, addresses := range c.ties {
			if host == c.unseen {
				continue
			}
			for _, a := range addresses {
				stamp := c.stamp()
				stamp.Observer = host
				outcome := report.OutcomeOK
				if a == c.silent || c.deaf[tie{host, a}] {
					outcome = report.OutcomeUnacknowledged
					if c.anew {
						outcome = report.OutcomeConnectTimeout
					}
				}
				b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Target: "connections:" + a, Outcome: outcome, Interval: 2 * time.Second,
					Passive: true, Host: host, Addresses: []string{a}, Direct: true})
			}
		}
		for _, tell := range more {
			tell(b)
		}
	})
}

func (c *brokers) killed(i, status int) {
	c.states[i].State, c.states[i].HasExitCode, c.states[i].ExitCode = report.ProcessGone, true, status
}

func TestAServerThatNoSpanNamesIsMissedByThoseWhoWereConnectedToIt(t *testing.T) {
	for name, falls := range map[string]func(c *brokers) (class verdict.Class, subclass, culprit string){
		"the_one_that_it_is_connected_to_is_killed": func(c *brokers) (verdict.Class, string, string) {
			c.killed(0, 137)
			return verdict.ClassCrash, "process_exit", "10.0.0.1:4222"
		},
		"another_of_its_cluster_is_killed": func(c *brokers) (verdict.Class, string, string) {
			c.killed(1, 137)
			return verdict.ClassCrash, "process_exit", "10.0.0.2:4222"
		},
		"it_is_stopped": func(c *brokers) (verdict.Class, string, string) {
			c.states[0].State = report.ProcessStopped
			return verdict.ClassCrash, "hang", "10.0.0.1:4222"
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newBrokers(t)
			fell := c.now
			class, subclass, culprit := falls(c)
			c.pass(20*time.Second, 3, 3, 3)
			if c.accused(fell, 20*time.Second, class, subclass, culprit) == nil {
				t.Errorf("%s was not named: %s", culprit, c.dump())
			}
			c.states = [3]report.Process{}
			for i := range c.states {
				c.states[i] = report.Process{State: report.ProcessRunning, PID: 18, StartTime: c.now, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
			}
			c.pass(time.Minute, 6, 0, 0)
			if got := c.verdicts(); len(got) != 2 {
				t.Errorf("said %v, want the server's and that it is over", got)
			}
		})
	}
}

func TestAServerThatNoSpanNamesIsNotBlamed(t *testing.T) {
	for name, what := range map[string]func(c *brokers){
		"if_nobody_fails":      func(c *brokers) { c.killed(1, 137); c.pass(time.Minute, 6, 0, 0) },
		"if_it_ends_in_order":  func(c *brokers) { c.killed(1, 143); c.pass(4*time.Second, 5, 1, 1); c.pass(time.Minute, 6, 0, 0) },
		"by_failures_long_ago": func(c *brokers) { c.pass(time.Minute, 5, 1, 0); c.killed(1, 137); c.pass(20*time.Second, 5, 1, 0) },
		"by_those_who_were_not_connected": func(c *brokers) {
			c.ties["app1"] = nil
			c.pass(2*time.Minute, 6, 0, 0)
			c.killed(1, 137)
			c.pass(6*time.Second, 3, 3, 3)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newBrokers(t)
			what(c)
			for i := range c.events {
				if ev := &c.events[i]; ev.Verdict != nil && ev.Verdict.Culprit.Type == verdict.CulpritExternal {
					t.Errorf("said %s", ev.Body)
				}
			}
		})
	}
}

// A proxy without telemetry is not called by anybody who tells of it. That it is gone
// shows in those behind it, whom nobody asks any more.
func TestAProxyThatNoSpanNamesIsMissedByThoseBehindIt(t *testing.T) {
	for name, c := range map[string]struct {
		status, asked int
		missed        bool
	}{
		"they_are_asked_no_more": {137, 0, true},
		"it_ended_in_order":      {0, 0, false},
		"they_are_asked_as_ever": {137, 6, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBrokers(t)
			b.ties["s3"] = []string{"10.0.0.11:8080"} // the proxy is connected to the caller of the others
			b.e.book.put("10.0.0.11:8080", b.e.instance(b.caller), b.now)
			b.pass(30*time.Second, 6, 0, 0)
			from := b.now
			b.killed(2, c.status)
			b.pass(20*time.Second, c.asked, 0, 0)
			if got := b.verdicts(); !c.missed && len(got) != 0 {
				t.Errorf("said %v", got)
			}
			if c.missed && b.accused(from, 20*time.Second, verdict.ClassCrash, "process_exit", "10.0.0.3:4222") == nil {
				t.Errorf("said %v", b.verdicts())
			}
		})
	}
}

// What is not connected to one that fell makes its failures itself.
func TestFailuresOfItsOwnAreNotExcusedByAServerThatFellElsewhere(t *testing.T) {
	c := newBrokers(t)
	c.ties["app1"] = nil
	c.pass(2*time.Minute, 6, 0, 0)
	from := c.now
	c.killed(1, 137)
	c.pass(40*time.Second, 0, 6, 6)
	if c.accused(from, 40*time.Second, verdict.ClassByzantine, "error_response", "orders-1") == nil {
		t.Errorf("said %v", c.verdicts())
	}
}

// A member of a cluster that is cut off from the others turns its callers away.
func TestFailuresAreNotOfItsOwnWhereItsServersAreCutOffFromEachOther(t *testing.T) {
	c := newBrokers(t)
	c.silent = "10.0.0.2:6222"
	c.pass(10*time.Second, 0, 6, 0) // for an answer, at first
	c.pass(20*time.Second, 0, 6, 6)
	c.silent = ""
	c.pass(10*time.Second, 0, 6, 6)
	c.pass(time.Minute, 6, 0, 0)
	for _, said := range c.verdicts() {
		if !strings.Contains(said, "network_partition") {
			t.Errorf("said %s", said)
		}
	}
}

// Who writes to a cluster whose members are restarted one after the other fails for
// some seconds each time.
func TestFailuresAreNotOfItsOwnWhileItsServersAreRestarted(t *testing.T) {
	c := newBrokers(t)
	for i := range c.states {
		c.killed(i, 1)
		c.states[i].ExitCode = 0
		c.pass(4*time.Second, 2, 4, 4)
		c.states[i] = report.Process{State: report.ProcessRunning, PID: 18, StartTime: c.now, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
		c.pass(4*time.Second, 2, 4, 4)
	}
	c.pass(time.Minute, 6, 0, 0)
	if got := c.verdicts(); len(got) != 0 {
		t.Errorf("said %v", got)
	}
	from := c.now
	c.states[0].StartTime = c.now
	c.pass(80*time.Second, 2, 4, 4)
	if c.accused(from, 80*time.Second, verdict.ClassByzantine, "error_response", "orders-1") == nil {
		t.Errorf("failures that go on are its own: %v", c.verdicts())
	}
}

func (*brokers) bridge() *report.Source {
	return report.NewSource(report.Source{Service: report.ServiceID{Name: "bridge"}, Instance: "bridge-1", Host: "app1"})
}

// sends is what a bridge on the caller's host tells: so many messages sent each second.
func (c *brokers) sends(perSecond int) func(b *report.Batch) {
	return func(b *report.Batch) {
		if perSecond > 0 {
			b.Sent = append(b.Sent, report.Sent{Source: c.bridge(), Queue: "readings", Count: 2 * perSecond, Last: b.Arrived})
		}
	}
}

// A bridge takes messages from one broker to another: nobody calls it, and while there
// is nothing to take it does nothing and fails nobody.
func TestAServerThatNoSpanNamesIsMissedByThoseWhoSendNoMore(t *testing.T) {
	c := newBrokers(t)
	c.pass(time.Minute, 6, 0, 0, c.sends(3))
	fell := c.now
	c.killed(0, 137)
	c.pass(20*time.Second, 6, 0, 0)
	if c.accused(fell, 14*time.Second, verdict.ClassCrash, "process_exit", "10.0.0.1:4222") == nil {
		t.Errorf("it was not named: %s", c.dump())
	}
}

func TestAServerThatNoSpanNamesIsNotBlamedForSilence(t *testing.T) {
	for name, what := range map[string]func(c *brokers){
		"if_it_ends_in_order": func(c *brokers) { c.killed(0, 143); c.pass(30*time.Second, 6, 0, 0) },
		"while_they_go_on":    func(c *brokers) { c.killed(0, 137); c.pass(30*time.Second, 6, 0, 0, c.sends(3)) },
		"that_began_before":   func(c *brokers) { c.pass(20*time.Second, 6, 0, 0); c.killed(0, 137); c.pass(30*time.Second, 6, 0, 0) },
		"of_those_who_ended_too": func(c *brokers) {
			c.killed(0, 137)
			c.pass(2*time.Second, 6, 0, 0, func(b *report.Batch) {
				b.Facts = append(b.Facts, report.Fact{Source: c.bridge(), Kind: report.FactExit, Value: 0, At: b.Arrived})
			})
			c.pass(30*time.Second, 6, 0, 0)
		},
		"that_begins_later": func(c *brokers) {
			c.killed(0, 137)
			c.pass(20*time.Second, 6, 0, 0, c.sends(3))
			c.pass(30*time.Second, 6, 0, 0)
		},
		"of_those_not_connected": func(c *brokers) {
			c.ties["app1"] = nil
			c.pass(2*time.Minute, 6, 0, 0, c.sends(3))
			c.killed(0, 137)
			c.pass(30*time.Second, 6, 0, 0)
		},
		"that_is_over_in_moments": func(c *brokers) {
			c.killed(0, 137)
			c.pass(6*time.Second, 6, 0, 0)
			c.restarted(0)
			c.pass(30*time.Second, 6, 0, 0, c.sends(3))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newBrokers(t)
			c.pass(time.Minute, 6, 0, 0, c.sends(3))
			what(c)
			c.nobodyAccused(false)
		})
	}
}

func (c *brokers) restarted(i int) {
	c.states[i] = report.Process{State: report.ProcessRunning, PID: 18, StartTime: c.now, OOMKills: -1, Throttled: -1, CPUWait: -1, PressureCPU: -1}
}

// Who is missed after a while ended when the agent saw it: what was written then is why.
func TestWhoIsMissedLateEndedBefore(t *testing.T) {
	c := newBrokers(t)
	fell := c.now
	c.pass(2*time.Second, 6, 0, 0, func(b *report.Batch) {
		b.Facts = append(b.Facts, report.Fact{Source: report.NewSource(report.Source{Host: "s1"}), Kind: report.FactDiskFull, At: b.Arrived, Text: "No space left on device"})
	})
	c.killed(0, 1)
	c.pass(14*time.Second, 6, 0, 0)
	c.pass(10*time.Second, 3, 3, 3)
	if c.accused(fell, 26*time.Second, verdict.ClassExhaustion, "disk", "10.0.0.1:4222") == nil {
		t.Errorf("it was not named: %s", c.dump())
	}
}

// That it was started anew while nobody missed it is no news when it is stopped.
func TestAStartThatNobodyMissedIsNoReturn(t *testing.T) {
	c := newBrokers(t)
	c.killed(0, 137)
	c.pass(20*time.Second, 3, 3, 3)
	c.restarted(0)
	c.pass(2*time.Minute, 6, 0, 0)
	c.states[0].PID, c.states[0].StartTime = 19, c.now
	c.pass(2*time.Minute, 6, 0, 0)
	c.events = nil
	fell := c.now
	c.states[0].State = report.ProcessStopped
	c.pass(20*time.Second, 3, 3, 3)
	if c.accused(fell, 20*time.Second, verdict.ClassCrash, "hang", "10.0.0.1:4222") == nil {
		t.Errorf("it was not named: %s", c.dump())
	}
}

func TestTiesAreBounded(t *testing.T) {
	f := newFleet(t)
	f.e.ties.cap = 4
	for i := range 64 {
		f.e.connected(&report.Probe{Host: "app1", Addresses: []string{string(rune('a'+i)) + ":1"}})
		f.e.looked(&report.Probe{Host: string(rune('a' + i)), Target: "process:x", Addresses: []string{"x:1"}, Process: &report.Process{State: report.ProcessStopped}})
	}
	if len(f.e.ties.at) > 4 || f.e.ties.dropped != 60+64-maxFallen || len(f.e.ties.fallen) > maxFallen {
		t.Errorf("%d ties, %d dropped, %d fallen", len(f.e.ties.at), f.e.ties.dropped, len(f.e.ties.fallen))
	}
	if !slices.IsSortedFunc(f.e.ties.fallen, func(a, b fallen) int { return int(a.since - b.since) }) {
		t.Error("they are not in order")
	}
}
