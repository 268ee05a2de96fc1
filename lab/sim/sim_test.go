// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/belief"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func pickScenarios(t *testing.T, names ...string) (out []scenario) {
	t.Helper()
	for _, name := range names {
		found := false
		for _, sc := range catalogue("") {
			if sc.name == name {
				out = append(out, sc)
				found = true
			}
		}
		if !found {
			t.Fatalf("no scenario %s", name)
		}
	}
	return out
}

func playAll(seed uint64, n int, list []scenario) []episode {
	return run(n, 2, func(n int) episode { return play(seed, n, list, false, false) })
}

func TestEqualSeedsGiveEqualEpisodes(t *testing.T) {
	list := catalogue("")
	for n := 0; n < len(list); n += 13 {
		a, err := json.Marshal(play(5, n, list, false, false))
		if err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(play(5, n, list, false, false))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("episode %d, %s:\n%s\n%s", n, list[n].name, a, b)
		}
	}
}

func TestEveryScenarioFindsItsVictim(t *testing.T) {
	list := catalogue("")
	done := playAll(1, 2*len(list), list)
	for n := range list {
		if done[n].Skipped && done[n+len(list)].Skipped {
			t.Errorf("%s: hit nobody in two fleets", list[n].name)
		}
	}
	s := summarize(done)
	for _, r := range s.classes {
		// What no reading of the evidence may lose: measured values are far
		// above these.
		floor := map[string]float64{"crash": 0.4, "resource_exhaustion": 0.4, "byzantine": 0.3}[r.name]
		if share := float64(r.right) / float64(r.n); share < floor {
			t.Errorf("%s: %.2f of %d right, want at least %.2f", r.name, share, r.n, floor)
		}
	}
	if hours := s.cleanTime.Hours(); float64(len(s.cleanFalse)) > 1+hours {
		t.Errorf("%d classes given in %.1f healthy fleet-hours: %v", len(s.cleanFalse), hours, s.cleanFalse)
	}
}

func TestStopsThatAreAnnouncedAreNoCrash(t *testing.T) {
	list := pickScenarios(t, "rolling_deploy", "scale_down", "restart_without_drain", "node_drain")
	for _, ep := range playAll(1, 16, list) {
		for _, other := range ep.Others {
			t.Errorf("episode %d, %s of %s: %s", ep.Number, ep.Scenario, ep.What, other)
		}
	}
}

func TestQuietFleetIsLeftInPeace(t *testing.T) {
	for _, ep := range playAll(3, 8, pickScenarios(t, "nothing")) {
		for _, other := range append(ep.Others, ep.CleanFalse...) {
			t.Errorf("episode %d: %s", ep.Number, other)
		}
	}
}

func TestTimelinePauseGoesOnAsBefore(t *testing.T) {
	var l timeline
	l.set(0, running, 7)
	l.set(50*time.Second, dead, 7)
	l.pause(10*time.Second, 20*time.Second, stopped)
	for _, want := range []struct {
		at time.Duration
		is state
	}{{0, running}, {10 * time.Second, stopped}, {19 * time.Second, stopped}, {20 * time.Second, running}, {50 * time.Second, dead}} {
		if got := l.at(want.at); got.is != want.is || got.inc != 7 {
			t.Errorf("at %v: %+v, want state %d", want.at, got, want.is)
		}
	}
	if up, ok := l.awake(15 * time.Second); !ok || up != 20*time.Second {
		t.Errorf("awake after 15 s: %v %v, want 20 s", up, ok)
	}
}

func TestOutcomeFollowsFromTheWorld(t *testing.T) {
	for _, c := range []struct {
		name string
		is   state
		cut  bool
		want report.Outcome
	}{
		{"dead_process_refuses", dead, false, report.OutcomeRefused},
		{"closed_port_refuses", deaf, false, report.OutcomeRefused},
		{"stopped_process_accepts_and_is_silent", stopped, false, report.OutcomeNoAnswer},
		{"stuck_process_accepts_and_is_silent", stuck, false, report.OutcomeNoAnswer},
		{"cut_does_not_even_connect", running, true, report.OutcomeConnectTimeout},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(11)
			w.habits.Noise = 0
			w.backlog = time.Hour
			var u *dependency
			for _, s := range w.all {
				for _, x := range s.uses {
					if x.on.kind == database && x.on.procs[0].host != s.procs[0].host {
						u = x
					}
				}
			}
			if u == nil {
				t.Fatal("nobody uses a database on another host")
			}
			p, to := u.of.procs[0], u.on.procs[0]
			to.life.set(0, c.is, 9)
			if c.cut {
				w.rules = append(w.rules, rule{to: never, loss: 1, hits: func(_, b end) bool { return b.proc == to }})
			}
			if a := w.exchange(time.Second, p, to, u, 1, 0); a.outcome != c.want {
				t.Errorf("%v, want %v", a.outcome, c.want)
			}
		})
	}
}

func TestTableIsPrinted(t *testing.T) {
	var out bytes.Buffer
	summarize(playAll(1, 20, catalogue("kill"))).print(&out, 1)
	for _, want := range []string{"kill", "expected calibration error", "fleet-hours"} {
		if !bytes.Contains(out.Bytes(), []byte(want)) {
			t.Errorf("the table lacks %q:\n%s", want, out.String())
		}
	}
}

func TestConfidenceIsHeldAgainstWhatCameTrue(t *testing.T) {
	those := func(says float64, n, right int, open bool) *claims {
		c := &claims{bySaid: map[verdict.Class]*bin{}}
		ep := episode{}
		for i := range n {
			g := guess{Confidence: says, Right: i < right, Terms: make([]float64, len(belief.Named))}
			if open {
				ep.Open = append(ep.Open, g)
			} else {
				ep.Guesses = append(ep.Guesses, g)
			}
		}
		c.add(&ep)
		return c
	}
	for name, c := range map[string]struct {
		claims *claims
		far    int
	}{
		"as often as they say":            {those(0.8, 1000, 790, false), 0},
		"more rarely":                     {those(0.8, 1000, 600, false), 4}, // of the tenth and on average, of those with a class and of all
		"the same of those without class": {those(0.8, 1000, 600, true), 3},
		"too few to tell":                 {those(0.8, 200, 20, false), 0},
		"what is less likely than not":    {those(0.3, 1000, 330, false), 0},
	} {
		if far := c.claims.far(); len(far) != c.far {
			t.Errorf("%s: %q", name, far)
		}
	}
}

func TestFitFindsWhatVerdictsDependOn(t *testing.T) {
	var done []episode
	for i := range 1000 {
		terms := make([]float64, len(belief.Named))
		right := i%10 != 0 // nine of ten
		if terms[0] = 1; i%2 == 0 {
			terms[5], right = 1, i%4 == 0 // a half
		}
		done = append(done, episode{Number: i, Guesses: []guess{{Right: right, Terms: terms}}})
	}
	f := fit(belief.Named, done, func(ep *episode) []guess { return ep.Guesses })
	doubtful := make([]float64, len(belief.Named))
	doubtful[0], doubtful[5] = 1, 1
	if p := f.predict(doubtful); math.Abs(p-0.5) > 0.03 {
		t.Errorf("%.2f of those come true, not a half", p)
	}
	for i := range f.w {
		if i != 0 && i != 5 && f.w[i] != 0 {
			t.Errorf("%s has %.2f, and no verdict tells of it", belief.Named[i].Name, f.w[i])
		}
	}
	if _, ece, _ := f.unseen.total(); ece > 0.05 {
		t.Errorf("of those left out it is off by %.3f", ece)
	}
}
