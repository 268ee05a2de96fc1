// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"sort"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// state is what a process, an agent or a machine is doing.
type state uint8

const (
	running  state = iota
	starting       // alive, not yet listening
	dead
	stopped  // by a signal, a pause of its machine or of its collector of garbage
	stuck    // alive, accepts, answers nobody; its timers go on
	deaf     // alive, its port closed
	draining // it serves what it has and is no longer sent new calls
)

func (s state) timersRun() bool { return s != dead && s != stopped }

type phase struct {
	from time.Duration
	is   state
	inc  uint64
}

// timeline is somebody's whole life in an episode, known in advance: so that a
// call can be followed into the future at once.
type timeline []phase

// set ends what was planned from a time on and lets a phase begin there.
func (l *timeline) set(from time.Duration, is state, inc uint64) {
	at := sort.Search(len(*l), func(i int) bool { return (*l)[i].from >= from })
	*l = append((*l)[:at], phase{from, is, inc})
}

// pause puts a phase into a life that goes on afterwards as it was.
func (l *timeline) pause(from, to time.Duration, is state) {
	was := l.at(from)
	var after timeline
	now := l.at(to)
	for _, p := range *l {
		if p.from > to {
			after = append(after, p)
		}
	}
	l.set(from, is, was.inc)
	l.set(to, now.is, now.inc)
	*l = append(*l, after...)
}

func (l timeline) at(t time.Duration) phase {
	for i := len(l) - 1; i > 0; i-- {
		if l[i].from <= t {
			return l[i]
		}
	}
	return l[0]
}

// next is when the phase at t ends.
func (l timeline) next(t time.Duration) time.Duration {
	for i := range l {
		if l[i].from > t {
			return l[i].from
		}
	}
	return math.MaxInt64
}

// awake is the first time from t on at which its timers run; never if it dies
// before.
func (l timeline) awake(t time.Duration) (time.Duration, bool) {
	for {
		switch l.at(t).is {
		case stopped:
			if t = l.next(t); t == math.MaxInt64 {
				return 0, false
			}
		case dead:
			return 0, false
		default:
			return t, true
		}
	}
}

// now is p's phase, its machine's state included.
func (p *proc) now(t time.Duration) phase {
	ph := p.life.at(t)
	if len(p.host.life) > 0 {
		if m := p.host.life.at(t); m.is != running && ph.is != dead {
			ph.is = m.is
		}
	}
	return ph
}

func (h *host) gone(t time.Duration) bool { return len(h.life) > 0 && h.life.at(t).is == dead }

// effect is something that is the matter with a process for a time.
type effect struct {
	from, to time.Duration
	kind     effectKind
	x        float64
}

type effectKind uint8

const (
	slow          effectKind = iota // its work takes x times as long
	failing                         // it answers a share x with an error of its own
	lying                           // it answers a share x wrongly
	turningAway                     // it turns a share x away for quota
	poolDry                         // a share x of its calls gets no connection of a pool
	diskFull                        // a share x of its work needs a disk that is full
	noDescriptor                    // a share x of its calls gets no descriptor
	noThread                        // a share x of its work gets no thread
	throttled                       // x of the CPU periods
	filling                         // its memory grows to its limit over the time
	badDigest                       // it tells each observer something else
	backwards                       // its counts run backwards
	selfTest                        // its known answer is wrong
	clockOff                        // x seconds
	badRequest                      // a share x of its clients asks nonsense
	lowMemory                       // x: share of the time in which all wait for memory
	busyCPU                         // much CPU, nobody hurt
	breakerOpen                     // its calls are not tried
	duplicateSend                   // its telemetry is sent twice
	parted                          // its state is that of its side of a cut
	hammering                       // it calls one callee x times as often as it should
	idling                          // it answers without calling anybody
	hollow                          // its answers are x as long, in powers of two
)

// has returns how strongly a kind of effect holds at t, 0 if not.
func (p *proc) has(kind effectKind, t time.Duration) float64 { return strength(p.effects, kind, t) }

func strength(effects []effect, kind effectKind, t time.Duration) float64 {
	x := 0.0
	for i := range effects {
		if e := &effects[i]; e.kind == kind && t >= e.from && t < e.to {
			x = max(x, e.x)
		}
	}
	return x
}

// rule is something that is the matter with the network, one way.
type rule struct {
	from, to time.Duration
	hits     func(a, b end) bool // packets from a to b
	loss     float64             // 1: nothing gets through
	rejects  bool                // and a router says so
	delay    time.Duration
	flap     time.Duration // it holds every other of these
	tls      bool
	dns      bool
}

// end is where a packet leaves or arrives; proc is nil for agents and the
// gateway.
type end struct {
	host *host
	proc *proc
}

// way is what packets from a to b and back meet.
type way struct {
	loss     float64 // of one packet, there or back
	there    float64 // of one packet on its way there
	back     float64
	rejects  bool
	delay    time.Duration
	tls, dns bool
}

func (w *world) way(a, b end, t time.Duration) way {
	out := way{}
	if a.host != b.host {
		out.delay = 300 * time.Microsecond
		if a.host.zone != b.host.zone {
			out.delay = 1500 * time.Microsecond
		}
		if b.host.gone(t) || a.host.gone(t) {
			out.loss, out.there, out.back = 1, 1, 1
			out.rejects = w.arpFails && a.host.zone == b.host.zone
		} else if len(b.host.life) > 0 && b.host.life.at(t).is == stopped {
			out.loss, out.there, out.back = 1, 1, 1
		}
	}
	for i := range w.rules {
		r := &w.rules[i]
		if t < r.from || t >= r.to || r.flap > 0 && (t-r.from)/r.flap%2 == 1 {
			continue
		}
		there, back := r.hits(a, b), r.hits(b, a)
		if !there && !back {
			continue
		}
		if r.loss > 0 {
			if there {
				out.there = 1 - (1-out.there)*(1-r.loss)
			}
			if back {
				out.back = 1 - (1-out.back)*(1-r.loss)
			}
			out.loss = 1 - (1-out.there)*(1-out.back)
		}
		out.rejects = out.rejects || r.rejects && there
		out.delay += r.delay
		out.tls, out.dns = out.tls || r.tls && there, out.dns || r.dns && there
	}
	return out
}

// oneWay is what packets meet that need no answer to arrive: what is sent on a
// connection that stands.
func (n way) oneWay(loss float64) way { return way{loss: loss, delay: n.delay} }

// skew is how far a host's clock is off.
func (h *host) skew(t time.Duration) time.Duration {
	return time.Duration(strength(h.clock, clockOff, t) * float64(time.Second))
}

// epoch is the wall-clock time at which episodes begin.
const epoch clock.Time = 1_780_000_000_000_000_000

func wall(t time.Duration) clock.Time { return epoch.Add(t) }
