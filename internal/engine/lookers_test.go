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

// lookers are three observers that ask ten targets of whom nothing else tells.
func (f *fleet) lookers(d time.Duration, finds func(observer, target int, at time.Duration) report.Outcome) {
	const targets = 10
	srcs := make([]*report.Source, targets)
	for i := range srcs {
		srcs[i] = report.NewSource(report.Source{Service: report.ServiceID{Name: fmt.Sprint("svc-", i/2)}, Instance: fmt.Sprintf("svc-%d-%d", i/2, i%2), Host: fmt.Sprint("n-", i), Zone: fmt.Sprint("z-", i%3)})
	}
	seq := uint64(0)
	for second := range int(d / time.Second) {
		f.run(time.Second)
		b := &report.Batch{Arrived: f.now}
		for o := range 3 {
			stamp := func() report.Stamp {
				seq++
				return report.Stamp{Observer: fmt.Sprint("agent-", o), At: f.now, Uptime: f.now.Sub(f.began) + time.Hour, Seq: seq}
			}
			b.Observers = append(b.Observers, report.ObserverBeat{Stamp: stamp(), Interval: time.Second, Host: fmt.Sprint("agent-host-", o)})
			for i, src := range srcs {
				if (second+o+i)%2 == 0 {
					b.Probes = append(b.Probes, report.Probe{Stamp: stamp(), Source: src, Target: fmt.Sprintf("https://10.1.0.%d/answer", i), Interval: 2 * time.Second, Direct: true,
						Outcome: finds(o, i, f.now.Sub(f.began))})
				}
			}
		}
		f.e.Observe(b)
	}
}

func TestCertificateThatNoProbeAcceptsIsToldByProbesAlone(t *testing.T) {
	for name, c := range map[string]struct {
		outcome  report.Outcome
		lasts    time.Duration
		observer int // that alone sees it; -1: all
		want     string
	}{
		"for good":              {report.OutcomeTLS, time.Hour, -1, "network_partition/tls"},
		"for one round":         {report.OutcomeTLS, 2 * time.Second, -1, ""},
		"to one observer":       {report.OutcomeTLS, time.Hour, 1, ""},
		"a name that is gone":   {report.OutcomeDNS, time.Hour, -1, "unknown/"}, // it may be taken out of service
		"a name for one lookup": {report.OutcomeDNS, 2 * time.Second, -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			f.lookers(3*time.Minute, func(o, i int, at time.Duration) report.Outcome {
				if from := 2 * time.Minute; i == 2 && at > from && at <= from+c.lasts && (c.observer < 0 || c.observer == o) {
					return c.outcome
				}
				return report.OutcomeOK
			})
			said := ""
			for _, ev := range f.events {
				if (ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised) && (ev.Verdict.Class != verdict.ClassUnknown || c.want != "") {
					said = fmt.Sprintf("%s/%s", ev.Verdict.Class, ev.Verdict.Subclass)
					if strings.HasPrefix(ev.Verdict.Reason, ";") || ev.Verdict.Class == verdict.ClassUnknown && !strings.Contains(ev.Verdict.Reason, "network_partition") {
						t.Errorf("reason %q", ev.Verdict.Reason)
					}
				}
			}
			if said != c.want {
				t.Errorf("said %q, want %q; %v", said, c.want, f.verdicts())
			}
		})
	}
}

// When a cut heals, the observer that was behind it finds fault with all until it looks
// again; one that goes on to while all others find them well is not believed for a while.
func TestObserverThatSoonLooksAgainIsBelieved(t *testing.T) {
	for lasts, believed := range map[time.Duration]bool{3 * time.Second: true, 20 * time.Second: false} {
		f := newFleet(t)
		const from = 2 * time.Minute
		f.lookers(from+lasts+5*time.Second, func(o, _ int, at time.Duration) report.Outcome {
			if o == 0 && at >= from && at < from+lasts {
				return report.OutcomeConnectTimeout
			}
			return report.OutcomeOK
		})
		told := f.first("observer.degraded")
		if o := f.e.observers["agent-0"]; o.credible(f.e.now) != believed || told == nil || told.Entity != o.name() {
			t.Errorf("after it found fault for %s it is believed: %v; told %v", lasts, !believed, told)
		}
	}
}
