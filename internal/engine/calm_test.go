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

func TestFailureIsCalmOnceNothingSpeaksForItAndNotBefore(t *testing.T) {
	z := newZones()
	n := z.who("svc1-b0")
	z.run(60 * time.Second)
	z.answer = func(_, to *zoned) report.Outcome {
		if to == n {
			return report.OutcomeTimeout
		}
		return report.OutcomeOK
	}
	var v *verdict.Verdict
	for range 40 {
		z.run(time.Second)
		if v = z.e.Snapshot().Verdict(n.src, z.now); z.e.Snapshot().Spares(v, z.now) {
			t.Fatal("spared while its callers wait in vain")
		}
	}
	if v == nil {
		t.Fatal("no verdict: this shows nothing")
	}
	over := z.now
	z.answer = func(_, _ *zoned) report.Outcome { return report.OutcomeOK }
	for spared := false; !spared; spared = z.e.Snapshot().Spares(v, z.now) {
		z.run(500 * time.Millisecond)
		if v = z.e.Snapshot().Verdict(n.src, z.now.Add(-5*time.Second)); v == nil || z.now.Sub(over) > 30*time.Second {
			return // it was taken back as soon
		}
		if z.e.Snapshot().Spares(v, over.Add(-time.Second)) {
			t.Fatal("what began while it lasted is spared")
		}
	}
	if quiet := z.now.Sub(over); quiet < calmAfter {
		t.Errorf("calm after %s", quiet)
	}
}

// Whether what went well belongs to a failure is told by what comes after it: while the
// failure goes on there is soon more of it, and once it is over no more.
func TestWhatBeganAfterTheLastEvidenceIsToldByMore(t *testing.T) {
	for name, fails := range map[string]report.Outcome{
		"hangs": report.OutcomeTimeout, "errs": report.OutcomeServerError, "answers a probe wrongly": report.OutcomeOK,
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			n := z.who("svc1-b0")
			z.run(60 * time.Second)
			z.answer = func(_, to *zoned) report.Outcome {
				if to == n {
					return fails
				}
				return report.OutcomeOK
			}
			known := report.Probe{Stamp: report.Stamp{Observer: "agent-zone-c", Seq: 1 << 40}, Source: n.src, Target: "http://x/answer", Interval: time.Second, Direct: true, Outcome: report.OutcomeOK}
			if fails == report.OutcomeOK {
				known.Outcome = report.OutcomeWrongAnswer
			}
			z.more = func(b *report.Batch) {
				if (z.now/1e8)%10 == 0 {
					known.Seq++
					known.At, known.Uptime = z.now, time.Duration(z.now-1_800_000_000_000_000_000+1e12)
					b.Probes = append(b.Probes, known)
				}
			}
			z.run(30 * time.Second)
			v := z.e.Snapshot().Verdict(n.src, z.now)
			if v == nil {
				t.Fatal("no verdict: this shows nothing")
			}
			if s := z.e.Snapshot(); s.Awaits(v, z.now.Add(-3*time.Second)) || !s.Awaits(v, z.now.Add(time.Second)) {
				t.Error("what spoke in the last three seconds is not known")
			}
			over := z.now
			z.answer = func(_, _ *zoned) report.Outcome { return report.OutcomeOK }
			known.Outcome = report.OutcomeOK
			for z.now.Sub(over) < 25*time.Second {
				z.run(500 * time.Millisecond)
				v := z.e.Snapshot().Verdict(n.src, over)
				if v == nil {
					t.Fatal("spans that come late find no verdict any more")
				}
				if !z.e.Snapshot().Awaits(v, over.Add(2*time.Second)) {
					t.Fatalf("%s after the end, verdict held %v: what began after it is blamed on it", z.now.Sub(over), v.Holds())
				}
			}
		})
	}
}

func TestEventsOfOneFailureTellOneHost(t *testing.T) {
	e := New(DefaultParams())
	e.Tick(1e18)
	id := report.ServiceID{Name: "payment"}
	n := e.instance(report.NewSource(report.Source{Service: id, Instance: "payment-1", Host: "node-a"}))
	if less := report.NewSource(report.Source{Service: id, Instance: "payment-1"}); e.instance(less) != n || n.src != less {
		t.Fatal("not one entity, described by who spoke last: this shows nothing")
	}
	if host := n.described().Host; host != "node-a" {
		t.Errorf("host %q", host)
	}
}

func TestWhatSpeaksForAFailure(t *testing.T) {
	bad, good := belief.EvProbeRefused, belief.EvPortOpen
	for name, c := range map[string]struct {
		calm   bool
		change func(e *Engine, n *entity)
	}{
		"nothing_for_three_seconds": {true, func(*Engine, *entity) {}},
		"evidence_of_late":          {false, func(e *Engine, n *entity) { n.episode.found[bad].at = e.now.Add(-calmAfter + 1) }},
		"evidence_that_was_taken_back": {true, func(e *Engine, n *entity) {
			n.episode.found[bad].at, n.episode.found[bad].strength = e.now, 0
			n.calls.lastFail = e.now.Add(-calmAfter)
		}},
		"evidence_that_it_is_well": {true, func(e *Engine, n *entity) { n.episode.found[good].at, n.episode.found[good].strength = e.now, 1 }},
		"a_share_of_failures_of_its_own": {true, func(e *Engine, n *entity) { // of late, and none of them is of now
			own := belief.EvOwnErrors
			n.episode.found[own].at, n.episode.found[own].strength, n.episode.bad[own.Group()] = e.now, 1, true
			n.integrity.errs[workAnswers].last = e.now.Add(-calmAfter)
		}},
		"a_failure_of_its_own": {false, func(e *Engine, n *entity) {
			own := belief.EvOwnErrors
			n.episode.found[own].at, n.episode.found[own].strength, n.episode.bad[own.Group()] = e.now, 1, true
			n.integrity.errs[workAnswers].last = e.now.Add(-time.Second)
		}},
		"a_call_that_failed": {false, func(e *Engine, n *entity) { n.calls.lastFail = e.now }},
		"it_is_well":         {false, func(_ *Engine, n *entity) { n.episode = nil }},
		"nobody_calls_it":    {true, func(_ *Engine, n *entity) { n.calls = nil }},
	} {
		t.Run(name, func(t *testing.T) {
			e, all := sized(1)
			n := all[0]
			e.now = e.now.Add(time.Minute)
			p := n.episodeOf(e)
			p.found[bad].strength, p.found[bad].at, p.bad[bad.Group()] = 1, e.now.Add(-calmAfter), true
			n.calls = &callStats{}
			c.change(e, n)
			if since := e.calm(n); (since != 0) != c.calm {
				t.Errorf("calm since %d", since)
			}
		})
	}
}

// What shows once a scrape, or a beat, stands until the next one is due, and no longer.
func TestLastSeenFallStandsUntilTheNextIsDue(t *testing.T) {
	for name, c := range map[string]struct {
		told []time.Duration // before now
		last time.Duration
	}{
		"every five seconds, and due":      {[]time.Duration{13 * time.Second, 8 * time.Second}, 3 * time.Second},
		"every five seconds, and not due":  {[]time.Duration{9 * time.Second, 4 * time.Second}, 0},
		"several at once":                  {[]time.Duration{9 * time.Second, 4 * time.Second, 4 * time.Second}, 0},
		"once, of which nobody knows more": {[]time.Duration{4 * time.Second}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			e, all := sized(1)
			e.now = e.now.Add(time.Minute)
			for _, ago := range c.told {
				all[0].facts = append(all[0].facts, report.Fact{Kind: report.FactBackwards, At: e.now.Add(-ago)})
			}
			if got := e.now.Sub(e.lastWrong(all[0])); got != c.last {
				t.Errorf("%s ago", got)
			}
		})
	}
}
