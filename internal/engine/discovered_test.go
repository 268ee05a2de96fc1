// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"
)

// Clients that find their server by discovery, such as a sentinel's or a broker's own
// word, do not tell its address on calls that go well: it is first named by an error.

func discovered(t *testing.T) *database {
	d := newDatabase(t)
	d.callee, d.at = Callee{Address: "10.0.0.31:6379", Direct: true}, []string{"10.0.0.31:6379", "127.0.0.1:6379"}
	d.tell(2*time.Second, 2*time.Minute, d.look)
	return d
}

func TestOneThatIsFirstNamedByAnErrorIsToldByItsAgent(t *testing.T) {
	t.Run("killed", func(t *testing.T) {
		d := discovered(t)
		at := d.now
		d.process, d.outcome = Process{State: ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: 137, OOMKills: -1}, OutcomeRefused
		d.tell(2*time.Second, 4*time.Second, d.look)
		d.pass(10 * time.Second)
		d.accused(at, 8*time.Second, ClassCrash, "process_exit", "10.0.0.31:6379")
	})
	t.Run("stopped", func(t *testing.T) {
		d := discovered(t)
		at := d.now
		d.process.State, d.outcome = ProcessStopped, OutcomeTimeout
		d.pass(25 * time.Second)
		d.accused(at, 20*time.Second, ClassCrash, "hang", "10.0.0.31:6379")
	})
	t.Run("ended_in_order", func(t *testing.T) {
		d := discovered(t)
		d.process, d.outcome = Process{State: ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: 0, OOMKills: -1}, OutcomeRefused
		d.tell(2*time.Second, 4*time.Second, d.look)
		d.pass(4 * time.Second)
		d.nobodyAccused(true)
	})
	t.Run("gone_and_never_called", func(t *testing.T) {
		d := discovered(t)
		d.process = Process{State: ProcessGone, PID: 17, StartTime: 5, HasExitCode: true, ExitCode: 137, OOMKills: -1}
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
			d.callee = Callee{Address: "kafka/orders"}
			second := func(ok, late, lost int) {
				d.tell(time.Second, time.Second, func(b *Batch) {
					first := b.Arrived.Add(-time.Second)
					if ok > 0 {
						b.Calls = append(b.Calls, Calls{Caller: d.caller, Callee: d.callee, Outcome: OutcomeOK, Count: ok, Slow: late, First: first, Started: first, Last: b.Arrived, Done: first})
					}
					if lost > 0 {
						b.Calls = append(b.Calls, Calls{Caller: d.caller, Callee: d.callee, Outcome: OutcomeTimeout, Count: lost, First: first, Started: first, Last: b.Arrived, Done: first})
					}
				})
			}
			for range 120 {
				second(4, 0, 0)
			}
			d.tell(time.Second, c.away, func(*Batch) {})
			for range 12 {
				second(24, 18, 3)
			}
			for range 20 {
				second(4, 0, 0)
			}
			if c.accused {
				d.accused(d.began, 3*time.Minute, ClassExhaustion, "overload", "kafka/orders")
				return
			}
			d.nobodyAccused(true)
		})
	}
}
