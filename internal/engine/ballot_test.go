// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// replicas is a store whose replicas vouch for their state in their heartbeats.
type replicas struct {
	e        *Engine
	now      clock.Time
	began    clock.Time
	interval time.Duration
	rand     *rand.Rand
	seq      uint64
	srcs     []*report.Source
	started  []time.Duration // of the latest start
	phase    []time.Duration // when in the interval it beats
	digest   func(i int, at time.Duration) string
	events   []verdict.Event
}

func newReplicas(n int, interval time.Duration) *replicas {
	r := &replicas{e: New(DefaultParams()), interval: interval, rand: rand.New(rand.NewPCG(3, 4))}
	r.now = clock.Time(time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC).UnixNano())
	r.began = r.now
	for i := range n {
		r.srcs = append(r.srcs, report.NewSource(report.Source{Service: report.ServiceID{Name: "store"}, Instance: fmt.Sprintf("s-%d", i), Host: fmt.Sprintf("h%d", i), Version: "1"}))
		r.started = append(r.started, time.Duration(i)*time.Millisecond)
		r.phase = append(r.phase, time.Duration(r.rand.Int64N(int64(interval))))
	}
	return r
}

// version lets one run another version from now on.
func (r *replicas) version(i int, version string) {
	src := *r.srcs[i]
	src.Version = version
	r.srcs[i] = report.NewSource(src)
}

func (r *replicas) stamp() report.Stamp {
	r.seq++
	return report.Stamp{Observer: observer1, At: r.now, Uptime: r.now.Sub(r.began) + time.Hour, Seq: r.seq}
}

func (r *replicas) run(d time.Duration) {
	const step = 50 * time.Millisecond
	due := func(every, phase time.Duration) bool {
		at := r.now.Sub(r.began) + every - phase
		return at/every != (at-step)/every
	}
	for end := r.now.Add(d); r.now < end; {
		r.now = r.now.Add(step)
		at := r.now.Sub(r.began)
		b := &report.Batch{Arrived: r.now}
		for i, src := range r.srcs {
			if due(r.interval, r.phase[i]) {
				b.Beats = append(b.Beats, report.Beat{Stamp: r.stamp(), Source: src, Interval: r.interval, Digest: r.digest(i, at),
					Incarnation: uint64(r.started[i]) + 1, Seq: uint64((at-r.started[i])/r.interval) + 1})
			}
		}
		if due(time.Second, 0) {
			b.Observers = append(b.Observers, report.ObserverBeat{Stamp: r.stamp(), Interval: time.Second, Host: "h"})
		}
		if !b.Empty() {
			r.e.Observe(b)
		}
		if due(250*time.Millisecond, 0) {
			r.e.Tick(r.now)
		}
		r.events = append(r.events, r.e.Events()...)
	}
}

// said are those who were accused, and of what.
func (r *replicas) said() map[string]string {
	out := map[string]string{}
	for _, ev := range r.events {
		if ev.Verdict != nil {
			out[ev.Verdict.Culprit.Name] = string(ev.Verdict.Class) + " " + string(ev.Verdict.Subclass)
		}
	}
	return out
}

func TestDigestOfOneReplicaThatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		replicas int
		interval time.Duration
		within   time.Duration
		wrong    func(i int, at time.Duration) bool
		want     []string
	}{
		"of three":                           {3, time.Second, 20 * time.Second, func(i int, _ time.Duration) bool { return i == 1 }, []string{"s-1"}},
		"of three who beat every 10 seconds": {3, 10 * time.Second, 2 * time.Minute, func(i int, _ time.Duration) bool { return i == 1 }, []string{"s-1"}},
		"several of many, each its own":      {20, 5 * time.Second, time.Minute, func(i int, _ time.Duration) bool { return i < 3 }, []string{"s-0", "s-1", "s-2"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplicas(c.replicas, c.interval)
			from := 30 * c.interval
			r.digest = func(i int, at time.Duration) string {
				state := fmt.Sprint("state ", at/(40*c.interval))
				if at > from && c.wrong(i, at) {
					return fmt.Sprint("mine ", i, state)
				}
				return state
			}
			r.run(from + c.within)
			said := r.said()
			if len(said) != len(c.want) {
				t.Errorf("said %v, want %v", said, c.want)
			}
			for _, who := range c.want {
				if said[who] != "byzantine wrong_answer" {
					t.Errorf("said %q of %s", said[who], who)
				}
			}
		})
	}
}

func TestReplicaThatWasPutRightIsToldWhenItIsWrongAgain(t *testing.T) {
	r := newReplicas(3, time.Second)
	r.digest = func(i int, at time.Duration) string {
		state := fmt.Sprint("state ", at/time.Minute)
		if wrong := at > time.Minute && at < 6*time.Minute || at > 10*time.Minute; i == 1 && wrong {
			return "mine " + state
		}
		return state
	}
	r.run(10 * time.Minute)
	if len(r.said()) != 1 {
		t.Fatalf("said %v", r.said())
	}
	r.events = nil
	r.run(30 * time.Second)
	if said := r.said(); said["s-1"] != "byzantine wrong_answer" {
		t.Errorf("said %v", said)
	}
}

// One replica after the other loses all that it has, and vouches for the same nothing.
func TestReplicaThatIsWrongAsAnotherWasBefore(t *testing.T) {
	r := newReplicas(3, time.Second)
	empty := func(i int, at time.Duration) bool {
		return i == 1 && at > time.Minute && at < 2*time.Minute || i == 2 && at > 4*time.Minute
	}
	r.digest = func(i int, at time.Duration) string {
		if empty(i, at) {
			return "nothing"
		}
		return fmt.Sprint("state ", at/(40*time.Second))
	}
	r.run(4 * time.Minute)
	if said := r.said(); len(said) != 1 || said["s-1"] != "byzantine wrong_answer" {
		t.Fatalf("said %v", said)
	}
	r.events = nil
	r.run(20 * time.Second)
	if said := r.said(); len(said) != 1 || said["s-2"] != "byzantine wrong_answer" {
		t.Errorf("then said %v", said)
	}
}

// What one was convicted of for being ahead of the rest is right once they follow.
func TestStateThatAllCameToIsNobodysFault(t *testing.T) {
	r := newReplicas(3, time.Second)
	r.digest = func(i int, at time.Duration) string {
		switch {
		case i > 0 && at < 2*time.Minute, at < time.Minute:
			return "old"
		case i == 2 && at > 4*time.Minute && at < 6*time.Minute:
			return "new" // it has fallen behind
		case at > 4*time.Minute:
			return "newest"
		}
		return "new"
	}
	r.run(3 * time.Minute)
	if said := r.said(); said["s-0"] != "byzantine wrong_answer" {
		t.Fatalf("said %v", said)
	}
	r.events = nil
	r.run(5 * time.Minute)
	if said := r.said(); said["s-2"] != "" {
		t.Errorf("then said %v", said)
	}
}

// Replicas beat at different times, and get a change at different times.
func TestDigestsThatDifferForAReasonAccuseNobody(t *testing.T) {
	for name, c := range map[string]struct {
		replicas int
		run      time.Duration
		set      func(r *replicas)
	}{
		"writes come all the time, and one beats half a second after the rest": {3, 2 * time.Hour, func(r *replicas) {
			r.phase = []time.Duration{0, 0, 500 * time.Millisecond}
			writes, next := 0, time.Duration(0)
			r.digest = func(_ int, at time.Duration) string {
				for ; next <= at; writes++ {
					next += time.Duration(r.rand.ExpFloat64() * float64(time.Second))
				}
				return fmt.Sprint("state ", writes)
			}
		}},
		"a write comes between the beats of one and those of the rest": {3, time.Hour, func(r *replicas) {
			r.phase = []time.Duration{0, 200 * time.Millisecond, 600 * time.Millisecond}
			r.digest = func(_ int, at time.Duration) string { return fmt.Sprint("state ", at*2000/2001/time.Second) }
		}},
		"one leads and the rest follow after some seconds": {3, time.Hour, func(r *replicas) {
			r.digest = func(i int, at time.Duration) string {
				if i > 0 {
					at -= 9 * time.Second
				}
				return fmt.Sprint("state ", at/time.Minute)
			}
		}},
		"the rest need ever longer to follow": {3, 2 * time.Hour, func(r *replicas) {
			r.digest = func(i int, at time.Duration) string {
				if i > 0 {
					at -= 5*time.Second + at/240
				}
				return fmt.Sprint("state ", at/time.Minute)
			}
		}},
		"one follows the others late": {3, time.Hour, func(r *replicas) {
			r.digest = func(i int, at time.Duration) string {
				if i == 2 {
					at -= 25 * time.Second
				}
				return fmt.Sprint("state ", at/time.Minute)
			}
		}},
		"one follows no more": {3, 10 * time.Minute, func(r *replicas) {
			r.digest = func(i int, at time.Duration) string {
				if i == 2 {
					at = min(at, 2*time.Minute)
				}
				return fmt.Sprint("state ", at/time.Minute)
			}
		}},
		"two against two": {4, 5 * time.Minute, func(r *replicas) {
			r.digest = func(i int, at time.Duration) string { return fmt.Sprint("state ", at > time.Minute && i%2 == 0) }
		}},
		"the new version has another form, and the last is to be replaced": {5, 10 * time.Minute, func(r *replicas) {
			r.digest = func(i int, at time.Duration) string {
				form := "old"
				if up := time.Minute * time.Duration(i+1); i < 4 && at > up {
					if form = "new"; r.started[i] < up {
						r.started[i] = at
						r.version(i, "2")
					}
				}
				return fmt.Sprint(form, at/(50*time.Second))
			}
		}},
		"nobody tells a version, and the last is to be replaced": {5, 10 * time.Minute, func(r *replicas) {
			for i := range r.srcs {
				r.version(i, "")
			}
			r.digest = func(i int, at time.Duration) string {
				form := "old"
				if up := time.Minute * time.Duration(i+1); i < 4 && at > up {
					if form = "new"; r.started[i] < up {
						r.started[i] = at
					}
				}
				return fmt.Sprint(form, at/(50*time.Second))
			}
		}},
		"one changes its version while it runs": {3, 10 * time.Minute, func(r *replicas) {
			r.digest = func(i int, at time.Duration) string {
				if i == 1 && at > 2*time.Minute {
					r.version(1, "2")
					return "new"
				}
				return "old"
			}
		}},
		"they are shards": {6, 10 * time.Minute, func(r *replicas) {
			r.digest = func(i int, at time.Duration) string {
				if i == 2 && at > 5*time.Minute {
					i = 5 // it is moved
				}
				return fmt.Sprint("shard ", i/3, at/(30*time.Second))
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplicas(c.replicas, time.Second)
			c.set(r)
			r.run(c.run)
			if said := r.said(); len(said) > 0 {
				t.Errorf("said %v", said)
			}
		})
	}
}

// To compare digests costs each beat the same, however many replicas there are.
func TestDigestsOfManyReplicasAreRememberedWithinBounds(t *testing.T) {
	r := newReplicas(300, time.Second)
	r.digest = func(i int, at time.Duration) string { return fmt.Sprint(i, at) }
	r.run(30 * time.Second)
	var s *service
	for _, s = range r.e.reg.services {
	}
	if got := len(s.ballot.said); got != maxWords || len(s.ballot.order) != maxWords {
		t.Errorf("%d digests remembered, want %d", got, maxWords)
	}
	if said := r.said(); len(said) > 0 {
		t.Errorf("said %v", said)
	}
}

// A replica that used to follow each change at once and stays with an old digest has
// stopped following; which of two reasons it has nobody can tell.
func TestReplicaThatStopsFollowing(t *testing.T) {
	state := func(at time.Duration) string { return fmt.Sprint("state ", at/(4*time.Second)) }
	const from = 3 * time.Minute
	for name, c := range map[string]struct {
		digest  func(r *replicas, i int, at time.Duration) string
		unknown bool
	}{
		"one stays with an old one": {func(_ *replicas, i int, at time.Duration) string {
			if i == 1 {
				return state(min(at, from))
			}
			return state(at)
		}, true},
		"one stays with an old one, and follows again": {func(_ *replicas, i int, at time.Duration) string {
			if i == 1 && at < from+100*time.Second {
				return state(min(at, from))
			}
			return state(at)
		}, true},
		"one falls behind for a moment": {func(_ *replicas, i int, at time.Duration) string {
			if i == 1 && at < from+20*time.Second {
				return state(min(at, from))
			}
			return state(at)
		}, false},
		"one usually follows late": {func(_ *replicas, i int, at time.Duration) string {
			switch {
			case i != 1:
				return state(at)
			case at < from:
				return state(max(at-20*time.Second, 0))
			}
			return state(min(max(at-20*time.Second, 0), from))
		}, false},
		"all stand still": {func(_ *replicas, _ int, at time.Duration) string { return state(min(at, from)) }, false},
		"two of four do, as half of the shards is idle": {func(_ *replicas, i int, at time.Duration) string {
			if i%2 == 1 {
				return state(min(at, from))
			}
			return state(at)
		}, false},
		"it runs another version": {func(r *replicas, i int, at time.Duration) string {
			if i == 1 && at > from {
				r.version(1, "2")
				return state(from)
			}
			return state(at)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReplicas(4, time.Second)
			r.digest = func(i int, at time.Duration) string { return c.digest(r, i, at) }
			r.run(from + 2*time.Minute + 30*time.Second)
			for _, ev := range r.events {
				if v := ev.Verdict; v != nil && (!c.unknown || v.Class != verdict.ClassUnknown || v.Culprit.Name != "s-1") {
					t.Errorf("said %s", ev.Body)
				}
			}
			if said := r.said()["s-1"]; c.unknown && said == "" {
				t.Error("nobody was told")
			}
		})
	}
}
