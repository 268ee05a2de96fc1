// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// wired is a database and its caller on two hosts with agents. The caller's tells
// whether what is sent to the database is acknowledged.
type wired struct {
	*database
	acked   report.Outcome
	calls   bool    // they end
	hears   bool    // the database's agent is heard
	packets float64 // share that is lost
	large   int     // calls each time that get no answer
}

func newWired(t *testing.T) *wired {
	w := &wired{database: newDatabase(t), acked: report.OutcomeOK, calls: true, hears: true}
	w.pass(2 * time.Minute)
	return w
}

func (w *wired) pass(d time.Duration) {
	w.tell(2*time.Second, d, func(b *report.Batch) {
		if w.hears {
			w.look(b)
		}
		if w.calls {
			w.call(b)
		}
		if w.large > 0 {
			first := b.Arrived.Add(-2 * time.Second)
			b.Calls = append(b.Calls, report.Calls{Caller: w.caller, Callee: w.callee, Outcome: report.OutcomeTimeout, Count: w.large, First: first, Started: first, Last: b.Arrived, Done: first})
		}
		b.Served = append(b.Served, report.Served{Source: w.caller, OK: 4, Coded: 4, Last: b.Arrived})
		stamp := w.stamp()
		stamp.Observer = "app1"
		b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp, Interval: 2 * time.Second, Host: "app1"})
		stamp.Seq++
		w.obsSeq++
		b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Target: "connections:10.0.0.31:3306", Outcome: w.acked, Interval: 2 * time.Second,
			Passive: true, Host: "app1", Addresses: []string{"10.0.0.31:3306"}, Direct: true, Loss: w.packets})
	})
}

func TestWhatIsNotAcknowledgedTellsACutFromAHang(t *testing.T) {
	t.Run("both_ends_live", func(t *testing.T) {
		w := newWired(t)
		at := w.now
		w.acked, w.calls = report.OutcomeUnacknowledged, false
		w.pass(20 * time.Second)
		v := w.accused(at, 10*time.Second, verdict.ClassPartition, "partial", "orders-1→db:3306")
		if v.Confidence < 0.8 {
			t.Errorf("confidence %.2f, though both ends are seen", v.Confidence)
		}
		w.acked, w.calls = report.OutcomeOK, true
		w.pass(30 * time.Second)
		if w.first("failure.cleared") == nil {
			t.Error("it never cleared")
		}
	})
	t.Run("its_host_is_silent", func(t *testing.T) {
		w := newWired(t)
		w.acked, w.calls, w.hears = report.OutcomeUnacknowledged, false, false
		w.pass(30 * time.Second)
		w.nobodyAccused(true)
		if said := fmt.Sprint(w.verdicts()); !strings.Contains(said, "failure.detected data1 unknown") {
			t.Errorf("said %v, want unknown of data1", said)
		}
	})
	t.Run("it_hangs", func(t *testing.T) {
		w := newWired(t)
		at := w.now
		w.outcome = report.OutcomeTimeout
		w.pass(30 * time.Second)
		w.accused(at, 25*time.Second, verdict.ClassCrash, "hang", "db:3306")
	})
	t.Run("for_a_moment", func(t *testing.T) {
		w := newWired(t)
		w.acked = report.OutcomeUnacknowledged
		w.pass(2 * time.Second)
		w.acked = report.OutcomeOK
		w.pass(time.Minute)
		w.nobodyAccused(false)
	})
	t.Run("nobody_is_made_known", func(t *testing.T) {
		w := newWired(t)
		before := len(w.e.reg.byKey)
		w.tell(2*time.Second, 10*time.Second, func(b *report.Batch) {
			stamp := w.stamp()
			b.Probes = append(b.Probes, report.Probe{Stamp: stamp, Target: "connections:192.0.2.7:443", Outcome: report.OutcomeUnacknowledged, Interval: 2 * time.Second,
				Passive: true, Host: "app1", Addresses: []string{"192.0.2.7:443"}, Direct: true})
		})
		if now := len(w.e.reg.byKey); now != before {
			t.Errorf("%d are known, before %d", now, before)
		}
	})
}
