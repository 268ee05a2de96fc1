// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A kernel that can follow no more connections drops what is new: the callees are well, and no way is cut.
func TestConnectionsThatAFullTableDrops(t *testing.T) {
	for name, c := range map[string]struct {
		before, share float64
		ports         bool
	}{
		"it_fills_up":        {0.1, 1, true},
		"it_is_far_from_it":  {0.1, 0.5, false},
		"it_was_always_full": {1, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			web := f.add("web", "web-1")
			host := &report.Source{Host: web.src.Host}
			for _, callee := range []string{"api", "cart"} {
				p := f.add(callee, callee+"-1")
				f.calls(web, p)
				f.calls(f.add("job", "job-of-"+callee), p)
			}
			f.tell(5*time.Second, 3*time.Minute, levelsOf(host, report.LevelFlows, c.before))
			at := f.now
			for _, p := range f.procs {
				if len(p.callers) > 0 {
					for _, caller := range p.callers[:1] {
						f.inVain(caller, p)
					}
				}
			}
			f.tell(5*time.Second, 40*time.Second, levelsOf(host, report.LevelFlows, c.share))
			if c.ports {
				f.accused(at, 15*time.Second, verdict.ClassExhaustion, "ports", web.src.Host)
			}
			for _, ev := range f.events {
				if v := ev.Verdict; v != nil && (v.Subclass == verdict.SubclassPorts) != c.ports {
					t.Errorf("said %s", ev.Body)
				}
			}
		})
	}
}

// inVain makes all further connections of a caller time out, ten times a second.
func (f *fleet) inVain(caller, callee *proc) {
	callee.callers = callee.callers[1:]
	var again func(b *report.Batch)
	again = func(b *report.Batch) {
		if f.due(100*time.Millisecond, 0) {
			start := f.now.Add(-callee.timeout)
			b.Calls = append(b.Calls, report.Calls{Caller: caller.src, Callee: report.Callee{Address: callee.addr, Direct: true}, Outcome: report.OutcomeConnectTimeout, Count: 1, First: start, Last: f.now, Done: f.now})
		}
		f.later(again)
	}
	f.later(again)
}
