// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Devices of one version crash again and again after they were updated in order; whether
// the version is to blame is told by those who do not, and by where they are.
func TestVersionThatCrashesAgainAndAgain(t *testing.T) {
	for name, c := range map[string]struct {
		runs  func(i int) string // version
		loops func(i int) bool
		site  func(i int) string
		want  string // version to blame; "" for each device by itself
	}{
		"all that run it":             {func(i int) string { return fmt.Sprint(1 + min(i/16, 1)) }, func(i int) bool { return i >= 16 }, func(i int) string { return fmt.Sprint("site-", i%3) }, "2"},
		"all but one that run it":     {func(i int) string { return fmt.Sprint(1 + min(i/16, 1)) }, func(i int) bool { return i >= 16 && i < 19 }, func(i int) string { return fmt.Sprint("site-", i%3) }, "2"},
		"one of another version, too": {func(i int) string { return fmt.Sprint(1 + min(i/16, 1)) }, func(i int) bool { return i >= 15 }, func(i int) string { return fmt.Sprint("site-", i%3) }, ""},
		"all at one site":             {func(i int) string { return fmt.Sprint(1 + min(i/16, 1)) }, func(i int) bool { return i >= 16 }, func(i int) string { return fmt.Sprint("site-", i/16) }, ""},
		"of the usual version":        {func(i int) string { return fmt.Sprint(1 + min(i/16, 1)) }, func(i int) bool { return i < 4 }, func(i int) string { return fmt.Sprint("site-", i%3) }, ""},
		"only two of them":            {func(i int) string { return fmt.Sprint(1 + min(i/18, 1)) }, func(i int) bool { return i >= 18 }, func(i int) string { return fmt.Sprint("site-", i%3) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			var loop []*proc
			for i := range 20 {
				p := f.add("meter", fmt.Sprint("m-", i))
				src := *p.src
				src.Version, src.Group = c.runs(i), c.site(i)
				p.src = report.NewSource(src)
				if c.loops(i) {
					loop = append(loop, p)
				}
			}
			f.run(2 * time.Minute)
			each := func(what func(p *proc)) {
				for _, p := range loop {
					what(p)
				}
			}
			each(func(p *proc) { f.announce(p, report.StatusStopping); p.state = "dead" })
			f.run(5 * time.Second)
			each((*proc).restart)
			f.run(20 * time.Second)
			for range 5 {
				each(func(p *proc) {
					f.beatAs(p, func(b *report.Beat) {
						b.Seq++
						b.Status, b.HasExitCode, b.ExitCode, b.Remote = report.StatusFailed, true, 139, ""
					})
					p.state = "dead"
				})
				f.run(5 * time.Second)
				each((*proc).restart)
				f.run(12 * time.Second)
			}
			blamed, looping := "", map[string]bool{}
			for _, ev := range f.events {
				if v := ev.Verdict; v != nil && (ev.Kind == contract.EventFailureDetected || ev.Kind == contract.EventFailureRevised) {
					if v.Subclass == verdict.SubclassCrashLoop {
						looping[ev.Entity] = true
					}
					if v.Culprit.Type == verdict.CulpritVersion {
						blamed = v.Culprit.Name
					}
				}
			}
			if blamed != c.want || len(looping) != len(loop) {
				t.Errorf("blamed %q, want %q; %d loop, want %d: %v", blamed, c.want, len(looping), len(loop), f.verdicts())
			}
		})
	}
}
