// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// cpuTime is the time that steps are measured with.
var cpuTime = func() time.Duration { return time.Duration(time.Now().UnixNano()) }

// badTimes drives an engine through an outage of many at once. What it costs is told
// by the dearest step.
type badTimes struct {
	e       *Engine
	now     clock.Time
	seq     uint64
	procs   []*report.Source
	callers []*report.Source
	calls   func(f *badTimes, b *report.Batch)
	down    func(i int) bool // whom the outage takes; nil before
	dearest struct{ observe, tick time.Duration }
}

func newBadTimes(n int, of func(i int) report.Source) *badTimes {
	f := &badTimes{e: New(DefaultParams()), now: clock.Time(1_700_000_000_000_000_000)}
	for i := range n {
		f.procs = append(f.procs, report.NewSource(of(i)))
	}
	return f
}

func (f *badTimes) stamp() report.Stamp {
	f.seq++
	return report.Stamp{Observer: "o", At: f.now, Uptime: time.Duration(f.now) - 1_600_000_000_000_000_000, Seq: f.seq}
}

// run lets time pass in steps of 250 ms: each process beats once a second.
func (f *badTimes) run(d time.Duration) {
	for end := f.now.Add(d); f.now < end; {
		f.now = f.now.Add(250 * time.Millisecond)
		quarter := int(f.now/250_000_000) % 4
		b := &report.Batch{Arrived: f.now}
		b.Observers = append(b.Observers, report.ObserverBeat{Stamp: f.stamp(), Interval: time.Second, Host: "watch"})
		for i, p := range f.procs {
			if i%4 == quarter && (f.down == nil || !f.down(i)) {
				b.Beats = append(b.Beats, report.Beat{Stamp: f.stamp(), Source: p, Interval: time.Second, Incarnation: uint64(i + 1), Seq: uint64(f.now / 1e9)})
			}
		}
		if f.calls != nil {
			f.calls(f, b)
		}
		began := cpuTime()
		f.e.Observe(b)
		observed := cpuTime()
		f.e.Tick(f.now)
		f.dearest.observe = max(f.dearest.observe, observed-began)
		f.dearest.tick = max(f.dearest.tick, cpuTime()-observed)
		f.e.Events()
	}
}

// manyFallSilent: one in ten of n.
func manyFallSilent(n int) *badTimes {
	f := newBadTimes(n, func(i int) report.Source {
		return report.Source{Service: report.ServiceID{Name: fmt.Sprint("service-", i/4)}, Instance: fmt.Sprint("i-", i), Host: fmt.Sprint("h-", i/8), Zone: fmt.Sprint("z-", i%3)}
	})
	f.run(30 * time.Second)
	f.down = func(i int) bool { return i%10 == 0 }
	return f
}

// oneNameFails: one service of n instances, whose callers go by its name. hang says
// that the heartbeats go on.
func oneNameFails(n int, hang bool) *badTimes {
	f := newBadTimes(n, func(i int) report.Source {
		return report.Source{Service: report.ServiceID{Name: "shop"}, Instance: fmt.Sprint("i-", i), Host: fmt.Sprint("h-", i), Zone: fmt.Sprint("z-", i%3)}
	})
	for i := range 50 {
		f.callers = append(f.callers, report.NewSource(report.Source{Service: report.ServiceID{Name: fmt.Sprint("caller-", i/2)}, Instance: fmt.Sprint("c-", i), Host: fmt.Sprint("ch-", i), Zone: fmt.Sprint("z-", i%3)}))
	}
	failing := false
	hop := uint64(0)
	f.calls = func(f *badTimes, b *report.Batch) {
		callee := report.Callee{Address: "shop:80", Service: "shop"}
		at := f.now.Add(-100 * time.Millisecond)
		for i, c := range f.callers {
			out := report.OutcomeOK
			if failing {
				out = report.OutcomeTimeout
			}
			b.Calls = append(b.Calls, report.Calls{Caller: c, Callee: callee, Outcome: out, Count: 20, First: at.Add(-100 * time.Millisecond), Last: at})
			if !failing {
				for k := range 4 {
					hop++
					p := f.procs[(int(hop)*7+k+i)%n]
					b.Hops = append(b.Hops, report.Hop{Span: hop, Source: c, Callee: callee, Duration: 10 * time.Millisecond, At: at}, report.Hop{Span: hop, Server: true, Source: p, Duration: 5 * time.Millisecond, At: at})
				}
			}
		}
		if !failing {
			for _, p := range f.procs {
				b.Served = append(b.Served, report.Served{Source: p, OK: 1, Last: at})
			}
		}
	}
	f.run(40 * time.Second)
	failing = true
	if !hang {
		f.down = func(int) bool { return true }
	}
	return f
}

// partition: 50 hosts of which ten are cut off, each with some of n instances that
// call each other.
func partition(n int) *badTimes {
	f := newBadTimes(n, func(i int) report.Source {
		return report.Source{Service: report.ServiceID{Name: fmt.Sprint("service-", i/10)}, Instance: fmt.Sprint("i-", i), Host: fmt.Sprint("h-", i%50), Zone: fmt.Sprint("z-", i%50/10)}
	})
	cut := false
	far := func(i int) bool { return i%50 >= 40 }
	f.calls = func(f *badTimes, b *report.Batch) {
		at := f.now.Add(-100 * time.Millisecond)
		for i, c := range f.procs {
			if cut && far(i) {
				continue // nothing that it tells arrives
			}
			for k := range 5 {
				j := (i + 7*(k+1)) % n
				out := report.OutcomeOK
				if cut && far(j) {
					out = report.OutcomeConnectTimeout
				}
				b.Calls = append(b.Calls, report.Calls{Caller: c, Callee: report.Callee{Address: fmt.Sprintf("10.0.%d.%d:80", j/256, j%256), Direct: true}, Outcome: out, Count: 3, First: at.Add(-100 * time.Millisecond), Last: at})
			}
			b.Served = append(b.Served, report.Served{Source: c, OK: 15, Last: at})
		}
	}
	f.e.Observe(&report.Batch{Arrived: f.now})
	for j, p := range f.procs {
		f.e.learn(report.Callee{Address: fmt.Sprintf("10.0.%d.%d:80", j/256, j%256), Direct: true}, p)
	}
	f.run(20 * time.Second)
	cut = true
	f.down = far
	return f
}

// manyNames: made-up instances of one service, each new in a batch of a thousand.
func manyNames(known int, volatile bool) *badTimes {
	f := newBadTimes(known, func(i int) report.Source {
		return report.Source{Service: report.ServiceID{Name: "shop"}, Instance: fmt.Sprint("i-", i), Host: fmt.Sprint("h-", i)}
	})
	f.run(10 * time.Second)
	made := 0
	f.calls = func(f *badTimes, b *report.Batch) {
		for range 1000 {
			made++
			b.Signs = append(b.Signs, report.Sign{Source: report.NewSource(report.Source{Service: report.ServiceID{Name: "shop"}, Instance: fmt.Sprint("x-", made), Host: fmt.Sprint("hx-", made%100), Volatile: volatile}), At: f.now})
		}
	}
	return f
}

func BenchmarkBadTimes(b *testing.B) {
	for name, make := range map[string]func() *badTimes{
		"fall_silent_2500":  func() *badTimes { return manyFallSilent(2500) },
		"fall_silent_10000": func() *badTimes { return manyFallSilent(10_000) },
		"all_silent_10000":  func() *badTimes { f := manyFallSilent(10_000); f.down = func(i int) bool { return i >= 10 }; return f },
		"most_silent_10000": func() *badTimes { f := manyFallSilent(10_000); f.down = func(i int) bool { return i%2 == 0 }; return f },
		"ids":               func() *badTimes { return manyNames(2000, false) },
		"drawn_ids":         func() *badTimes { return manyNames(2000, true) },
		"name_dead_500":     func() *badTimes { return oneNameFails(500, false) },
		"name_dead_2000":    func() *badTimes { return oneNameFails(2000, false) },
		"name_dead_200":     func() *badTimes { return oneNameFails(200, false) },
		"name_hangs_500":    func() *badTimes { return oneNameFails(500, true) },
		"name_hangs_2000":   func() *badTimes { return oneNameFails(2000, true) },
		"partition_500":     func() *badTimes { return partition(500) },
		"partition_2000":    func() *badTimes { return partition(2000) },
	} {
		b.Run(name, func(b *testing.B) {
			runtime.LockOSThread()
			for range b.N {
				b.StopTimer()
				f := make()
				quiet := f.dearest
				f.dearest.tick, f.dearest.observe = 0, 0
				b.StartTimer()
				f.run(40 * time.Second)
				b.ReportMetric(float64(quiet.tick.Microseconds())/1000, "quiet-tick-ms")
				b.ReportMetric(float64(f.dearest.tick.Microseconds())/1000, "tick-ms")
				b.ReportMetric(float64(f.dearest.observe.Microseconds())/1000, "observe-ms")
				b.ReportMetric(float64(len(f.e.suspects)), "suspects")
				v := 0
				for _, n := range f.e.suspects {
					if n.verdict != nil {
						v++
					}
				}
				b.ReportMetric(float64(v), "verdicts")
			}
		})
	}
}
