// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// FuzzObserve feeds batches of arbitrary values: nothing may panic, nothing may
// grow beyond its cap, and what is published must be well formed. The engine's
// own clock goes on as clocks do; all other times are anything.
func FuzzObserve(f *testing.F) {
	f.Add(uint64(1), uint16(50))
	f.Add(uint64(99), uint16(500))
	f.Add(uint64(8), uint16(800))
	f.Fuzz(func(t *testing.T, seed uint64, n uint16) {
		params := DefaultParams()
		params.MaxInstances, params.MaxAddresses, params.MaxObservers, params.MaxHops, params.MaxSpanKinds, params.MaxIncidents = 30, 20, 5, 8, 10, 4
		e := New(params)
		g := &garbage{rand: rand.New(rand.NewPCG(seed, 3)), now: 1_700_000_000_000_000_000, wild: seed%4 == 0}
		for range n % 1000 {
			e.Observe(g.batch())
			e.Tick(g.now)
			switch g.rand.IntN(100) {
			case 0:
				state, err := e.Save()
				if err != nil {
					t.Fatal(err)
				}
				e = New(params)
				if err := e.Restore(state, g.now); err != nil {
					t.Fatal(err)
				}
			case 1:
				e.Freeze()
			case 2, 3:
				e.Thaw(g.now)
			}
			for _, ev := range e.Events() {
				if ev.Body == "" || ev.Kind == "" {
					t.Fatalf("empty event %+v", ev)
				}
				if v := ev.Verdict; v != nil && !(v.Confidence >= 0 && v.Confidence <= 1 && v.Reason != "" && v.Culprit.Type != "") {
					t.Fatalf("malformed verdict %+v", v)
				}
			}
			if over := e.overCaps() + e.torn(); over != "" {
				t.Fatal(over)
			}
		}
		if _, err := json.Marshal(e.Snapshot()); err != nil {
			t.Fatal(err)
		}
	})
}

// torn says what of the engine's state does not fit together, "" if all does.
func (e *Engine) torn() string {
	for i, s := range e.watched {
		if s.index != i || e.reg.byKey[s.entity.key] != s.entity || e.observers[s.observer.id] != s.observer {
			return fmt.Sprintf("stream %d of %s is not where it should be; ", i, s.entity.name())
		}
	}
	for i, n := range e.suspects {
		if n.episode == nil || n.episode.index != i || e.reg.byKey[n.key] != n {
			return fmt.Sprintf("suspect %d, %s, is none; ", i, n.name())
		}
	}
	if n := e.reg.passersBy.n + e.reg.settled.n; n != len(e.reg.byKey) {
		return fmt.Sprintf("%d entities are queued, %d known; ", n, len(e.reg.byKey))
	}
	for _, n := range e.reg.byKey {
		if n.verdict != nil && n.episode == nil {
			return n.name() + " has a verdict without an episode; "
		}
		if s := n.service; s != nil && e.reg.services[s.key] != s {
			return n.name() + " is of a service that is forgotten; "
		}
		for _, ed := range n.callees {
			if ed.caller != n || e.reg.byKey[ed.callee.key] != ed.callee {
				return n.name() + " calls one who is forgotten; "
			}
		}
		for _, ed := range n.calledBy {
			if ed.callee != n || e.reg.byKey[ed.caller.key] != ed.caller {
				return n.name() + " is called by one who is forgotten; "
			}
		}
	}
	for _, s := range e.reg.services {
		untold, drawn := 0, 0
		for i, n := range s.instances {
			if i > 0 && n.born < s.instances[i-1].born {
				return "the instances of " + s.id.Name + " are not in the order of their births; "
			}
			if n.src.Untold() {
				untold++
			}
			if n.src.Volatile {
				drawn++
			}
		}
		if untold != s.untold || drawn != s.drawn {
			return fmt.Sprintf("%s has %d and %d instances without an id of their own, and counts %d and %d; ", s.id.Name, untold, drawn, s.untold, s.drawn)
		}
	}
	for _, n := range e.reg.byKey {
		for i, w := range n.views {
			if n.viewers[i] != w.caller || len(n.viewers) != len(n.views) {
				return n.name() + " is seen by others than it knows; "
			}
		}
	}
	for _, inc := range e.incidents {
		for n, v := range inc.open {
			if n.verdict == nil || v == nil || v.Incident != inc.ID {
				return "an incident holds the verdict on " + n.name() + ", which is over; "
			}
		}
	}
	return ""
}

// garbage makes observations of anything, from a few names so that they meet.
type garbage struct {
	rand *rand.Rand
	now  clock.Time
	wild bool // the engine's own clock jumps, too
}

func (g *garbage) int() int64 {
	switch g.rand.IntN(10) {
	case 0:
		return -g.rand.Int64()
	case 1:
		return 0
	case 2:
		return math.MaxInt64
	case 3:
		return int64(g.now) - g.rand.Int64N(int64(time.Hour))
	case 4:
		return int64(g.rand.IntN(1e9))
	}
	return int64(g.now) - g.rand.Int64N(int64(2*time.Second))
}

func (g *garbage) duration() time.Duration {
	if g.rand.IntN(3) == 0 {
		return time.Duration(g.int())
	}
	return time.Duration(1+g.rand.IntN(3)) * time.Second
}

func (g *garbage) float() float64 {
	return [...]float64{0, 0.5, 0.99, 1, 1e300, -1, math.NaN(), math.Inf(1), math.Inf(-1), g.rand.Float64()}[g.rand.IntN(10)]
}

func (g *garbage) source() *report.Source {
	switch g.rand.IntN(12) {
	case 0:
		return nil
	case 1:
		return &report.Source{Host: fmt.Sprint("h", g.rand.IntN(100))}
	}
	n := g.rand.IntN(60)
	return report.NewSource(report.Source{
		Service:  report.ServiceID{Name: fmt.Sprint("s", n%7), Namespace: []string{"", "x"}[n%2], Environment: []string{"", "", "p"}[n%3]},
		Instance: fmt.Sprint("i", n), Host: fmt.Sprint("h", n%5), Zone: []string{"", "za", "zb"}[n%3], Volatile: n%4 == 0,
		Incarnation: uint64(g.rand.IntN(4)), Version: []string{"", "1", "2"}[g.rand.IntN(3)],
	})
}

func (g *garbage) stamp() report.Stamp {
	return report.Stamp{Observer: []string{"", "o1", "o2", "o3", "o4", "o5", "o6", "o7"}[g.rand.IntN(8)], At: clock.Time(g.int()), Uptime: time.Duration(g.int()), Seq: uint64(g.int())}
}

func (g *garbage) batch() *report.Batch {
	g.now += clock.Time(g.rand.Int64N(int64(time.Second)))
	if g.wild && g.rand.IntN(50) == 0 {
		g.now += clock.Time(g.rand.Int64N(int64(240 * time.Hour)))
	}
	b := &report.Batch{Arrived: g.now}
	if g.wild && g.rand.IntN(200) == 0 {
		b.Arrived = clock.Time(g.int())
		g.now = max(g.now, min(b.Arrived, math.MaxInt64/2))
	}
	b.Observers = append(b.Observers, report.ObserverBeat{Stamp: g.stamp(), Host: fmt.Sprint("h", g.rand.IntN(5)), Interval: g.duration(), Late: g.duration()})
	for range 3 {
		callee := report.Callee{Address: fmt.Sprint("a", g.rand.IntN(40)), Named: []string{"", "n:1"}[g.rand.IntN(2)], Service: fmt.Sprint("s", g.rand.IntN(9)), Direct: g.rand.IntN(2) == 0}
		b.Beats = append(b.Beats, report.Beat{Stamp: g.stamp(), Source: g.source(), Interval: g.duration(), Incarnation: uint64(g.rand.IntN(3)), Seq: uint64(g.int()), SentAt: clock.Time(g.int()),
			Status: report.Status(g.rand.IntN(9)), HasExitCode: g.rand.IntN(9) == 0, ExitCode: int(g.int()), Due: clock.Time(g.int() * int64(g.rand.IntN(2))), Grace: g.duration(),
			Digest: []string{"", "d", "e"}[g.rand.IntN(3)], Authenticated: g.rand.IntN(3) == 0, Remote: []string{"", "r1", "r2"}[g.rand.IntN(3)], BootID: "b"})
		b.Probes = append(b.Probes, report.Probe{Stamp: g.stamp(), Source: g.source(), Target: "process:x"[g.rand.IntN(8):], Outcome: report.Outcome(g.rand.IntN(int(report.NumOutcomes) + 2)), Interval: g.duration(), Direct: true,
			Process: g.process(), Client: g.rand.IntN(4) == 0, Host: []string{"", "h1", "h2"}[g.rand.IntN(3)], Addresses: []string{callee.Address, "10.0.0.1:80"}[g.rand.IntN(3)%2:]})
		b.Signs = append(b.Signs, report.Sign{Source: g.source(), At: clock.Time(g.int())})
		b.Calls = append(b.Calls, report.Calls{Caller: g.source(), Callee: callee, Outcome: report.Outcome(g.rand.IntN(int(report.NumOutcomes))), Count: g.rand.IntN(50) - 1, Slow: g.rand.IntN(9),
			First: clock.Time(g.int()), Started: clock.Time(g.int()), Last: clock.Time(g.int()), Done: clock.Time(g.int()), Took: time.Duration(g.int())})
		b.Served = append(b.Served, g.served())
		b.Facts = append(b.Facts, report.Fact{Source: g.source(), Kind: report.FactKind(g.rand.IntN(int(report.NumFacts) + 1)), Value: g.int(), At: clock.Time(g.int()), Text: "x", Said: g.rand.IntN(2) == 0})
		b.Levels = append(b.Levels, report.Level{Source: g.source(), Kind: report.LevelKind(g.rand.IntN(int(report.NumLevels) + 1)), Share: g.float(), Waiting: g.float(), At: clock.Time(g.int())})
		b.Queues = append(b.Queues, report.Queue{Source: g.source(), Name: fmt.Sprint("q", g.rand.IntN(5)), Group: fmt.Sprint("s", g.rand.IntN(4)), Waiting: g.float() * 1000, Read: g.float()})
		b.Consumed = append(b.Consumed, report.Consumed{Source: g.source(), Queue: fmt.Sprint("q", g.rand.IntN(20)), Count: g.rand.IntN(9), Last: clock.Time(g.int())})
		b.Hops = append(b.Hops, report.Hop{Span: uint64(g.rand.IntN(20)), Server: g.rand.IntN(2) == 0, Source: g.source(), Callee: callee,
			Lost: g.rand.IntN(3) == 0, Duration: g.duration(), At: clock.Time(g.int()), Began: clock.Time(g.int())})
		b.Spans = append(b.Spans, report.SpanSample{Key: uint64(g.rand.IntN(20)), Duration: time.Duration(g.int())})
	}
	return b
}

func (g *garbage) served() report.Served {
	ok := g.rand.IntN(30)
	v := report.Served{Source: g.source(), OK: ok, Rejected: g.rand.IntN(ok + 1), Failed: g.rand.IntN(30), Faults: g.rand.IntN(30), Slow: g.rand.IntN(9), Last: clock.Time(g.int()), Took: time.Duration(g.int())}
	for range ok - v.Rejected {
		size := 31 * g.rand.Float64()
		v.Sized, v.Size, v.SizeSquare = v.Sized+1, v.Size+size, v.SizeSquare+size*size
		v.Asked[g.rand.IntN(report.Mixes)]++
	}
	return v
}

func (g *garbage) process() *report.Process {
	if g.rand.IntN(2) == 0 {
		return nil
	}
	return &report.Process{State: report.ProcessState(g.rand.IntN(7)), PID: g.int(), OOMKills: g.int(), StartTime: clock.Time(g.int()), HasExitCode: true, ExitCode: int(g.int()),
		Throttled: g.float(), CPUWait: g.float(), PressureCPU: g.float(), PressureMem: g.float(), PressureIO: g.float(), MemoryUsed: g.int(), MemoryLimit: g.int(), FDs: g.int(), FDLimit: g.int(), Threads: g.int(), ThreadLimit: g.int()}
}
