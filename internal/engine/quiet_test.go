// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// quietFleet is a healthy fleet in virtual time: beats are lost, processes
// pause with a heavy tail, restart with and without a word, and are replaced.
type quietFleet struct {
	e         *Engine
	rand      *rand.Rand
	now       clock.Time
	instances []*quietInstance
	seq       uint64
}

type quietInstance struct {
	src      *report.Source
	inc      uint64
	seq      uint64
	next     clock.Time // next tick of its timer
	awayTill clock.Time
}

func newQuietFleet(n int, seed uint64) *quietFleet {
	f := &quietFleet{e: New(DefaultParams()), rand: rand.New(rand.NewPCG(seed, 7)), now: clock.Time(1_700_000_000_000_000_000)}
	for i := range n {
		f.instances = append(f.instances, &quietInstance{
			src: report.NewSource(report.Source{Service: report.ServiceID{Name: fmt.Sprintf("service-%d", i/4)}, Instance: fmt.Sprintf("i-%d", i), Host: fmt.Sprintf("h-%d", i/8)}),
			inc: uint64(i + 1), next: f.now.Add(time.Duration(f.rand.Int64N(int64(time.Second)))),
		})
	}
	return f
}

func (f *quietFleet) stamp(at clock.Time) report.Stamp {
	f.seq++
	return report.Stamp{Observer: "o", At: at, Uptime: time.Duration(at) - 1_600_000_000_000_000_000, Seq: f.seq}
}

// second lets one second pass.
func (f *quietFleet) second(b *report.Batch) {
	b.Reset()
	f.now = f.now.Add(time.Second)
	for _, p := range f.instances {
		f.live(p, b)
	}
	b.Arrived = f.now
	b.Observers = append(b.Observers, report.ObserverBeat{Stamp: f.stamp(f.now), Interval: time.Second})
	f.e.Observe(b)
	f.e.Tick(f.now)
}

func (f *quietFleet) live(p *quietInstance, b *report.Batch) {
	const hour = 3600.0
	for p.next <= f.now {
		at := p.next
		p.next = p.next.Add(time.Second)
		p.seq++
		if at < p.awayTill {
			continue
		}
		status := report.StatusUnset
		switch x := f.rand.Float64() * hour; {
		case x < 1.0/12: // a restart every twelve hours, announced: back within 20 s
			status = report.StatusStopping
			p.awayTill = at.Add(time.Duration(2+f.rand.IntN(18)) * time.Second)
			p.inc += 1_000_000
			p.seq = 0
		case x < 1.5/12: // half as often a quick one without a word
			p.awayTill = at.Add(time.Duration(1+f.rand.IntN(3)) * time.Second)
			p.inc += 1_000_000
			p.seq = 0
		case x < 6+1.5/12: // six pauses an hour, Pareto from 50 ms with α = 1.5, up to 10 s
			pause := time.Duration(float64(50*time.Millisecond) * math.Pow(1-f.rand.Float64(), -1/1.5))
			p.next = max(p.next, at.Add(min(pause, 10*time.Second)))
		}
		if f.rand.Float64() < 0.01 {
			continue // lost
		}
		seen := at.Add(time.Duration(f.rand.ExpFloat64() * float64(2*time.Millisecond)))
		b.Beats = append(b.Beats, report.Beat{Stamp: f.stamp(min(seen, f.now)), Source: p.src, Interval: time.Second, Incarnation: p.inc, Seq: p.seq, Status: status})
	}
}

// TestHealthyFleetIsLeftInPeace runs 100 instances for some virtual hours;
// FAULTLINE_QUIET_HOURS=500 is the long form (`make quiet`).
func TestHealthyFleetIsLeftInPeace(t *testing.T) {
	hours := 12
	if s := os.Getenv("FAULTLINE_QUIET_HOURS"); s != "" {
		var err error
		if hours, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		hours = 1
	}
	f := newQuietFleet(100, 1)
	b := &report.Batch{}
	unknown := 0
	for range hours * 3600 {
		f.second(b)
		for _, ev := range f.e.Events() {
			if ev.Kind != contract.EventFailureDetected && ev.Kind != contract.EventFailureRevised {
				continue
			}
			if ev.Verdict.Class != verdict.ClassUnknown {
				t.Errorf("after %v: %s", ev.At.Sub(clock.Time(1_700_000_000_000_000_000)), ev.Body)
			} else if ev.Kind == contract.EventFailureDetected {
				unknown++
			}
		}
	}
	perDay := float64(unknown) / float64(hours) * 24
	t.Logf("%d instances, %d h: %d × unknown, %.2f a day", len(f.instances), hours, unknown, perDay)
	if allowed := 1 + hours/24; unknown > allowed {
		t.Errorf("unknown %d times in %d h, want at most %d", unknown, hours, allowed)
	}
}

func BenchmarkBeat(b *testing.B) {
	f := newQuietFleet(10_000, 1)
	batch := &report.Batch{}
	for range 3 {
		f.second(batch)
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		f.e.Events()
		b.StartTimer()
		f.second(batch)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/beat")
}

func BenchmarkTickOverQuietInstances(b *testing.B) {
	f := newQuietFleet(10_000, 1)
	batch := &report.Batch{}
	for range 30 {
		f.second(batch)
	}
	b.ReportAllocs()
	for b.Loop() {
		f.now++
		f.e.Tick(f.now)
	}
}
