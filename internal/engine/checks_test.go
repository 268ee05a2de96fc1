// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"strings"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// pings lets p ping a check that is due each hour, and skips one or comes late.
func (f *fleet) pings(p *proc, hours int, says func(hour int) (after time.Duration, status report.Status)) {
	const hour, grace = time.Hour, 10 * time.Minute
	for h := range hours {
		after, status := says(h)
		if after > 0 {
			f.run(after)
			f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: f.stamp(), Source: p.src, Interval: hour, Status: status,
				Due: f.began.Add((f.now.Sub(f.began)/hour + 1) * hour), Grace: grace}}})
		}
		f.run(hour - after)
	}
}

func TestCheckThatIsNotPingedIsMissedWhenItsGraceIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		skipped bool
		late    time.Duration
		missed  bool
	}{
		"in time":            {false, 30 * time.Second, false},
		"late, within grace": {false, 9 * time.Minute, false},
		"not at all":         {true, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			p := f.add("backup", "backup")
			p.beats, p.interval = false, time.Hour
			f.pings(p, 5, func(hour int) (time.Duration, report.Status) {
				switch {
				case hour != 3:
					return 30 * time.Second, report.StatusReady
				case c.skipped:
					return 0, report.StatusUnset
				}
				return c.late, report.StatusReady
			})
			ev := f.first(contract.EventFailureDetected)
			if (ev != nil) != c.missed {
				t.Fatalf("said %v", f.verdicts())
			}
			if ev == nil {
				return
			}
			if due := f.began.Add(3*time.Hour + 10*time.Minute); ev.At < due || ev.At > due.Add(time.Minute) {
				t.Errorf("missed at %v", ev.At.Sub(f.began))
			}
			if v := ev.Verdict; v.Confidence < 0.7 || !strings.Contains(v.Reason, "after it was due") {
				t.Errorf("%.2f: %s", v.Confidence, v.Reason)
			}
			if next, ev := f.began.Add(4*time.Hour), f.first(contract.EventFailureCleared); ev == nil || ev.At < next || ev.At > next.Add(5*time.Minute) {
				t.Errorf("not well at the next ping: %v", f.verdicts())
			}
			f.nobodyAccused(true)
		})
	}
}

func TestCheckThatFailedIsWellWhenItGoesWell(t *testing.T) {
	f := newFleet(t)
	p := f.add("backup", "backup")
	p.beats, p.interval = false, time.Hour
	f.pings(p, 6, func(hour int) (time.Duration, report.Status) {
		if hour == 3 {
			return 30 * time.Second, report.StatusFailed
		}
		return 30 * time.Second, report.StatusReady
	})
	f.accused(f.began.Add(3*time.Hour), time.Minute, verdict.ClassCrash, "process_exit", "backup")
	if next, ev := f.began.Add(4*time.Hour), f.first(contract.EventFailureCleared); ev == nil || ev.At < next || ev.At > next.Add(5*time.Minute) {
		t.Errorf("not well at the next ping: %v", f.verdicts())
	}
}

// A ping that comes while its observer sleeps, or is cut off, is lost.
func TestCheckWhoseObserverDidNotSeeItIsNotMissed(t *testing.T) {
	f := newFleet(t)
	p := f.add("backup", "backup")
	p.beats, p.interval = false, time.Hour
	intime := func(int) (time.Duration, report.Status) { return 30 * time.Second, report.StatusReady }
	f.pings(p, 3, intime)
	f.asleep = true
	f.run(20 * time.Minute)
	f.asleep = false
	f.run(40 * time.Minute)
	f.pings(p, 2, intime)
	f.nobodyAccused(false)
}

// Who declares no interval is judged by how regular it has been, from the first.
func TestSenderWithoutARhythmIsNotMissed(t *testing.T) {
	f := newFleet(t)
	var procs []*proc
	for range 40 {
		p := f.add("meter", "m-"+string(rune('a'+len(procs)/26))+string(rune('a'+len(procs)%26)))
		p.beats, p.interval = false, time.Hour
		procs = append(procs, p)
	}
	next := make([]time.Duration, len(procs))
	for f.now.Sub(f.began) < time.Hour {
		f.run(time.Second)
		b := &report.Batch{Arrived: f.now}
		for i, p := range procs {
			if at := f.now.Sub(f.began); at >= next[i] {
				next[i] = at + time.Duration(f.rand.ExpFloat64()*float64(20*time.Second))
				b.Beats = append(b.Beats, report.Beat{Stamp: f.stamp(), Source: p.src})
			}
		}
		f.e.Observe(b)
	}
	f.nobodyAccused(false)
}

func TestRegularSenderThatDeclaresNothingIsMissedSoon(t *testing.T) {
	f := newFleet(t)
	p, other := f.add("meter", "m-1"), f.add("meter", "m-2")
	p.beats, other.beats, p.interval, other.interval = false, false, time.Hour, time.Hour
	for i := range 120 {
		f.run(10 * time.Second)
		for _, q := range []*proc{p, other} {
			if q == other || i < 12 {
				f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: f.stamp(), Source: q.src}}})
			}
		}
	}
	if ev := f.first(contract.EventFailureDetected); ev == nil || ev.At.Sub(f.began) > 5*time.Minute {
		t.Errorf("said %v", f.verdicts())
	}
}

// What was kept and is sent at once is no rhythm.
func TestSenderWhoseBeatsComeInBunchesIsNotMissed(t *testing.T) {
	f := newFleet(t)
	p := f.add("meter", "m-1")
	p.beats, p.interval = false, time.Hour
	for range 20 {
		for range 8 {
			f.run(step)
			f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: f.stamp(), Source: p.src}}})
		}
		f.run(2 * time.Minute)
	}
	f.nobodyAccused(false)
}

// When a check is due is told by the clock of the observer that awaits it.
func TestCheckWhoseObserversClockIsSetIsNotMissed(t *testing.T) {
	const every, grace = 10 * time.Minute, 2 * time.Minute
	for name, by := range map[string]time.Duration{
		"back by an hour": -time.Hour, "forward by a quarter": 15 * time.Minute, "forward by ten hours": 10 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			f := newFleet(t)
			p := f.add("backup", "backup")
			p.beats, p.interval = false, every
			for ping := range 5 {
				st := f.stamp()
				f.e.Observe(&report.Batch{Arrived: f.now, Beats: []report.Beat{{Stamp: st, Source: p.src, Interval: every,
					Status: report.StatusReady, Due: st.At.Add(every), Grace: grace}}})
				f.run(every / 2)
				if ping == 1 {
					f.ahead = by
				}
				f.run(every / 2)
			}
			f.nobodyAccused(false)
			f.run(grace + 2*time.Second)
			if ev := f.first(contract.EventFailureDetected); ev == nil || !strings.Contains(ev.Body, "2 min after it was due") {
				t.Errorf("it did not come, and that is told as %v", ev)
			}
		})
	}
}
