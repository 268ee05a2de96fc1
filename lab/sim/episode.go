// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

const (
	// planAhead is how long before an injection it is decided whom it hits: a
	// call that has begun by then ends as if nothing were to come.
	planAhead = 20 * time.Second
	// afterwards is how long the engine is followed after a fault was taken back.
	afterwards = 60 * time.Second
)

// episode is what came of one injection.
type episode struct {
	Number   int           `json:"episode"`
	Scenario string        `json:"scenario"`
	Class    verdict.Class `json:"class"` // what is right; empty for a confounder
	Hidden   bool          `json:"hidden,omitempty"`
	OneSided bool          `json:"one_sided,omitempty"`
	Passes   verdict.Class `json:"passes,omitempty"` // what a hidden fault may be called as well
	What     string        `json:"what"`
	Habits   habits        `json:"habits"`
	Skipped  bool          `json:"skipped,omitempty"`

	First   says     `json:"first"`  // the first verdict with a class, or unknown
	During  says     `json:"during"` // when the fault was taken back
	Final   says     `json:"final"`  // 60 s after that
	Exact   bool     `json:"exact"`  // the culprit, at the most specific level
	Others  []string `json:"others"` // who else was accused
	Unknown int      `json:"unknowns"`

	Delay      time.Duration `json:"delay"`       // from the start to the right verdict; -1 if none
	DelaySeen  time.Duration `json:"delay_seen"`  // from the first evidence to it
	CleanTime  time.Duration `json:"clean_time"`  // before the injection
	CleanFalse []string      `json:"clean_false"` // verdicts in that time
	CleanOpen  int           `json:"clean_unknown"`
	Guesses    []guess       `json:"guesses"`
	Open       []guess       `json:"open"` // the same of those that name no class
	Reason     string        `json:"reason"`
	events     []string
}

// says is what the engine held of a fault at one time.
type says struct {
	Class      verdict.Class `json:"class"`
	Culprit    bool          `json:"culprit"` // it named the right one
	Name       string        `json:"name"`
	Confidence float64       `json:"confidence"`
	Subclass   string        `json:"subclass,omitempty"`
}

// guess is a first verdict and whether it was right: that of no class if
// something failed there.
type guess struct {
	Class      verdict.Class `json:"class"`
	Confidence float64       `json:"confidence"`
	Right      bool          `json:"right"`
	Terms      []float64     `json:"terms"`
}

// play runs one episode. Equal seeds give equal episodes.
func play(seed uint64, number int, list []scenario, verbose, trace bool) episode {
	return playFor(seed, number, list, 30*time.Second, verbose, trace)
}

// playFor is play with another length of quiet episodes.
func playFor(seed uint64, number int, list []scenario, quiet time.Duration, verbose, trace bool) episode {
	sc := &list[number%len(list)]
	sub := seed*1_000_003 + uint64(number)
	w := newWorld(sub)
	for try := uint64(1); sc.can != nil && !sc.can(w) && try < 400; try++ {
		w = newWorld(sub + try<<40)
	}
	w.quiet = quiet
	w.verbose, w.trace = verbose || trace, trace
	inj := &injection{scenario: sc, start: w.span(100*time.Second, 150*time.Second), exact: nobody, near: nobody}
	w.injection = inj
	ep := episode{Number: number, Scenario: sc.name, Class: sc.class, Habits: w.habits, Delay: -1, DelaySeen: -1, CleanTime: inj.start}
	w.live()
	w.agenda.run(inj.start - planAhead)
	w.time = inj.start - planAhead
	if sc.can != nil && !sc.can(w) || !sc.do(w, inj) {
		ep.Skipped = true
		return ep
	}
	w.injected = true
	w.agenda.run(inj.end + afterwards)
	inj.settle(w)
	ep.Hidden, ep.OneSided, ep.Passes, ep.What = inj.hidden, inj.oneSided, inj.passes, inj.what
	w.judge(&ep)
	if w.verbose {
		ep.events = append([]string{fmt.Sprintf("%8.2f  %s of %s until %.2f", inj.start.Seconds(), sc.name, strings.TrimSpace(inj.what), inj.end.Seconds())}, w.seen...)
	}
	return ep
}

// story is what the engine held of one culprit over time.
type story struct {
	culprit verdict.Culprit
	events  []verdictEvent
	level   int // 2: exactly the culprit, 1: near, 0: another
}

// classAt is the class that was held last, up to t.
func (s *story) at(t time.Duration) (v *verdict.Verdict) {
	for _, e := range s.events {
		if e.at <= t && !e.cleared {
			v = e.verdict
		}
	}
	return v
}

func (s *story) began() time.Duration {
	for _, e := range s.events {
		if !e.cleared {
			return e.at
		}
	}
	return never
}

// stories gathers what was said of each culprit from a time on.
func (w *world) stories(from, to time.Duration) (out []*story) {
	by := map[verdict.Culprit]*story{}
	for _, e := range w.log {
		if e.at < from || e.at >= to {
			continue
		}
		c := e.verdict.Culprit
		s := by[c]
		if s == nil {
			s = &story{culprit: c}
			switch {
			case w.injection.exact(c):
				s.level = 2
			case w.injection.near(c):
				s.level = 1
			}
			by[c] = s
			out = append(out, s)
		}
		s.events = append(s.events, e)
	}
	kept := out[:0]
	for _, s := range out {
		if s.began() != never { // else only the end of something earlier
			kept = append(kept, s)
		}
	}
	return kept
}

func (w *world) judge(ep *episode) {
	inj := w.injection
	for _, s := range w.stories(0, inj.start) {
		if v := s.at(inj.start); v.Class == verdict.ClassUnknown {
			ep.CleanOpen++
		} else {
			ep.CleanFalse = append(ep.CleanFalse, describe(v))
		}
		ep.guess(s, verdict.ClassNone)
	}
	told := w.stories(inj.start, math.MaxInt64)
	end := inj.end + afterwards
	main := chief(told, end)
	for _, s := range told {
		ep.guess(s, inj.scenario.class)
		v := s.at(end)
		switch {
		case v.Class == verdict.ClassUnknown:
			ep.Unknown++
		case s == main && s.level > 0:
		case s.level == 0 || v.Class != inj.scenario.class:
			ep.Others = append(ep.Others, describe(v))
		}
	}
	if main == nil {
		return
	}
	ep.Exact = main.level == 2
	hold := func(v *verdict.Verdict) says {
		if v == nil {
			return says{}
		}
		return says{v.Class, main.level > 0, string(v.Culprit.Type) + " " + v.Culprit.Name, v.Confidence, string(v.Subclass)}
	}
	for _, e := range main.events {
		if e.cleared {
			continue
		}
		if ep.First.Class == "" || ep.First.Class == verdict.ClassUnknown {
			ep.First = hold(e.verdict)
		}
		if main.level > 0 && e.verdict.Class == inj.scenario.class && ep.Delay < 0 {
			ep.Delay = e.at - inj.start
			ep.DelaySeen = max(0, e.at-min(w.evidence, e.at))
		}
	}
	ep.During, ep.Final = hold(main.at(inj.end)), hold(main.at(end))
	ep.Reason = main.at(end).Reason
}

// chief is the verdict that counts as the answer: of the culprit itself, else
// of somebody near, else the first with a class, else the first.
func chief(told []*story, end time.Duration) (best *story) {
	rank := func(s *story) int {
		r := s.level * 2
		if s.at(end).Class != verdict.ClassUnknown {
			r++
		}
		return r
	}
	for _, s := range told {
		if best == nil || rank(s) > rank(best) || rank(s) == rank(best) && s.began() < best.began() {
			best = s
		}
	}
	return best
}

// guess notes the first class that was given to somebody, and with which
// confidence.
func (ep *episode) guess(s *story, right verdict.Class) {
	failed := s.level > 0 && right != verdict.ClassNone
	open := false
	for _, e := range s.events {
		switch {
		case e.cleared:
			continue
		case e.verdict.Class == verdict.ClassUnknown:
			if !open {
				open = true
				ep.Open = append(ep.Open, guess{Class: e.verdict.Class, Confidence: e.verdict.Confidence, Terms: e.verdict.Terms, Right: failed})
			}
			continue
		case ep.Hidden && s.level > 0:
			return // no evidence could make it right
		}
		ep.Guesses = append(ep.Guesses, guess{
			Class: e.verdict.Class, Confidence: e.verdict.Confidence, Terms: e.verdict.Terms,
			Right: failed && e.verdict.Class == right,
		})
		return
	}
}

func describe(v *verdict.Verdict) string {
	return fmt.Sprintf("%s %s: %s (%.2f)", v.Culprit.Type, v.Culprit.Name, v.Class, v.Confidence)
}
