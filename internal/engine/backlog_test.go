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

// away lets nobody hear of a device for a while; then it sends, at once and in order,
// the beats that keeps says it has kept.
func (f *fleet) away(p *proc, state string, d time.Duration, keeps func(into time.Duration) bool) {
	from, seq := f.now, p.seq
	p.state = state
	f.run(d)
	b := &report.Batch{Arrived: f.now}
	for into := p.interval; into < d; into += p.interval {
		if keeps(into) {
			seq++
			b.Beats = append(b.Beats, report.Beat{Stamp: f.stamp(), Source: p.src, Interval: p.interval, Incarnation: p.incarnation, Seq: seq, SentAt: from.Add(into)})
		}
	}
	f.e.Observe(b)
	p.seq, p.state = seq, "up"
	f.run(30 * time.Second)
}

func TestBeatsThatWereKeptTellACutFromAHang(t *testing.T) {
	for name, c := range map[string]struct {
		state string
		keeps func(into time.Duration) bool
		class verdict.Class
	}{
		"all_that_it_could_not_send":       {"cut", func(time.Duration) bool { return true }, verdict.ClassPartition},
		"the_one_that_was_under_way":       {"frozen", func(into time.Duration) bool { return into == 2*time.Second }, verdict.ClassUnknown},
		"those_that_it_had_before_it_hung": {"frozen", func(into time.Duration) bool { return into <= 6*time.Second }, verdict.ClassUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			f := newSites(t, 2, 6)
			f.run(3 * time.Minute)
			f.away(f.procs[0], c.state, time.Minute, c.keeps)
			ev := f.first(contract.EventFailureCleared)
			if ev == nil || ev.Verdict.Class != c.class {
				t.Errorf("at last said %v, want %s: %s", f.verdicts(), c.class, f.dump())
			}
			if ev := f.first(contract.EventClockStepped); ev != nil {
				t.Error(ev.Body)
			}
		})
	}
}

func TestClockIsNotLearnedFromABacklog(t *testing.T) {
	f := newSites(t, 1, 4)
	p := f.procs[0]
	f.away(p, "cut", 30*time.Second, func(into time.Duration) bool { return into > 22*time.Second })
	f.run(time.Minute)
	if ev := f.first(contract.EventClockStepped); ev != nil {
		t.Error(ev.Body)
	}
}
