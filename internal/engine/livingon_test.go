// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A name that leads to nobody refuses as closed ports do. Processes that live on have not ended.
func TestWhoLivesOnHasNotEndedThoughItsNameRefuses(t *testing.T) {
	ready := func(f *behind) {
		f.each = func(b *report.Batch) {
			for _, r := range f.instances {
				b.Facts = append(b.Facts, report.Fact{Source: r.src, Kind: report.FactReady, Value: 1, At: f.now})
			}
		}
	}
	signs := func(f *behind) {
		f.each = func(b *report.Batch) {
			for _, r := range f.instances {
				b.Signs = append(b.Signs, report.Sign{Source: r.src, At: f.now, Dated: f.now})
			}
		}
	}
	stale := func(f *behind) {
		began := f.now
		f.each = func(b *report.Batch) {
			for _, r := range f.instances {
				b.Signs = append(b.Signs, report.Sign{Source: r.src, At: f.now, Dated: began})
			}
		}
	}
	for name, c := range map[string]struct {
		instances int
		living    func(f *behind)
		fall      func(f *behind)
		crash     bool
	}{
		"its_only_process_is_ready":                      {1, ready, nil, false},
		"its_only_process_sends_telemetry":               {1, signs, nil, false},
		"what_it_sends_is_from_before":                   {1, stale, nil, true},
		"nothing_tells_of_its_only_process":              {1, nil, nil, true},
		"all_of_several_machines_refuse_at_once":         {3, nil, nil, false},
		"and_nothing_but_their_ends_was_told":            {3, nil, func(f *behind) { f.exit(1) }, true},
		"and_they_were_told_to_stop":                     {3, nil, func(f *behind) { f.toldToStop() }, true},
		"its_only_process_was_ready_and_is_so_no_longer": {1, ready, func(f *behind) { f.notReady() }, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newBehind(c.instances)
			if c.living != nil {
				c.living(f)
			}
			f.run(2 * time.Minute)
			for _, r := range f.instances {
				r.state = "gone"
			}
			if c.fall != nil {
				c.fall(f)
			}
			f.run(40 * time.Second)
			unknown, crash := false, false
			for _, ev := range f.events {
				if ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised {
					unknown = unknown || ev.Verdict.Class == verdict.ClassUnknown && (ev.Entity == "api" || c.instances == 1)
					crash = crash || ev.Verdict.Class == verdict.ClassCrash
				}
			}
			if crash != c.crash || !crash && !unknown {
				t.Errorf("said crash: %v, unknown: %v; want crash: %v; %v", crash, unknown, c.crash, f.e.Snapshot())
			}
		})
	}
}

func (f *behind) exit(status int64) {
	for _, r := range f.instances {
		f.e.Observe(&report.Batch{Arrived: f.now, Facts: []report.Fact{{Source: r.src, Kind: report.FactExit, Value: status, At: f.now}}})
	}
}

// toldToStop is what Kubernetes says when all are replaced, and it is not they who refuse then.
func (f *behind) toldToStop() {
	for _, r := range f.instances {
		f.e.Observe(&report.Batch{Arrived: f.now, Facts: []report.Fact{{Source: r.src, Kind: report.FactStopping, At: f.now}}})
	}
	f.run(2 * time.Minute)
}

func (f *behind) notReady() {
	f.each = func(*report.Batch) {}
	for _, r := range f.instances {
		f.e.Observe(&report.Batch{Arrived: f.now, Facts: []report.Fact{{Source: r.src, Kind: report.FactReady, At: f.now}}})
	}
}

// Of pods without telemetry only Kubernetes tells. One that was ready for a while has worked.
func TestPodThatWasReadyForLongHasWorked(t *testing.T) {
	for name, c := range map[string]struct {
		ready time.Duration
		class verdict.Class
	}{
		"it_was":                         {3 * time.Minute, verdict.ClassExhaustion},
		"it_was_for_as_long_as_it_takes": {20 * time.Second, verdict.ClassUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			e, now := New(DefaultParams()), clock.Time(1_800_000_000_000_000_000)
			pod := func(uid string) *report.Source {
				return report.NewSource(report.Source{Service: report.ServiceID{Name: "orders"}, PodUID: uid, Host: "node-" + uid})
			}
			first, second := pod("1"), pod("2")
			e.Observe(&report.Batch{Arrived: now, Facts: []report.Fact{{Source: first, Kind: report.FactReady, Value: 1, At: now}}})
			for end := now.Add(c.ready); now < end; {
				now = now.Add(10 * time.Second)
				b := &report.Batch{Arrived: now}
				for _, p := range []*report.Source{first, second} { // the second is none that took the place of the first
					b.Facts = append(b.Facts, report.Fact{Source: p, Kind: report.FactReady, Value: 1, At: now})
				}
				e.Observe(b)
				e.Tick(now)
			}
			e.Events()
			e.Observe(&report.Batch{Arrived: now, Facts: []report.Fact{{Source: first, Kind: report.FactEvicted, Value: int64(report.LevelDisk), At: now, Text: "The node was low on resource: ephemeral-storage."}}})
			said := verdict.ClassNone
			for range 40 {
				now = now.Add(time.Second / 4)
				e.Tick(now)
				for _, ev := range e.Events() {
					if ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised {
						said = ev.Verdict.Class
						if said == verdict.ClassExhaustion && ev.Verdict.Culprit.Name != "node-1" {
							t.Errorf("culprit is %s, want the node", ev.Verdict.Culprit.Name)
						}
					}
				}
			}
			if said != c.class {
				t.Errorf("said %v, want %v", said, c.class)
			}
		})
	}
}
