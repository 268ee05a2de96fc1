// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package stat

import (
	"maps"
	"math"
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// regular has learned n gaps of one interval, but for every so manieth, that takes
// three of them.
func regular(n, every int) *Accrual {
	a := &Accrual{Interval: time.Second}
	for i := range n {
		gap := time.Second
		if every > 0 && i%every == 0 {
			gap = 3 * time.Second
		}
		a.Add(gap)
	}
	return a
}

func TestSilenceIsSuspectByWhatIsUsual(t *testing.T) {
	steady, pauses := regular(1000, 0), regular(1000, 50)
	for name, c := range map[string]struct {
		a           *Accrual
		silence     time.Duration
		least, most float64
	}{
		"less than an interval is none":           {steady, 900 * time.Millisecond, 0, 0.1},
		"three intervals of who never pauses":     {steady, 3 * time.Second, 3, maxSuspicion},
		"three intervals of who does so at times": {pauses, 3 * time.Second, 1, 2.5},
		"a day of anybody":                        {pauses, 24 * time.Hour, 5, maxSuspicion},
		"who has told nothing yet":                {&Accrual{Interval: time.Second}, time.Hour, 0, 0},
		"whose interval nobody knows":             {&Accrual{}, time.Hour, 0, 0},
	} {
		if got := c.a.Suspicion(c.silence); got < c.least || got > c.most {
			t.Errorf("%s: suspicion %.2f, want %.1f to %.1f", name, got, c.least, c.most)
		}
	}
}

func TestDeadlineIsWhereSuspicionComesToIt(t *testing.T) {
	for name, a := range map[string]*Accrual{"never pauses": regular(1000, 0), "pauses at times": regular(1000, 50)} {
		for _, p := range []float64{1e-4, 1e-6, 1e-9} {
			if got, want := a.Suspicion(a.Deadline(p)), -math.Log10(p); math.Abs(got-want) > 0.01 {
				t.Errorf("%s: suspicion %.2f at the deadline for %.0e", name, got, p)
			}
		}
	}
	if often, never := regular(1000, 50).Deadline(1e-6), regular(1000, 0).Deadline(1e-6); often <= never {
		t.Errorf("who pauses at times is given %v, who never does %v", often, never)
	}
}

func TestWhatIsStoredIsRestored(t *testing.T) {
	a := regular(1000, 50)
	b := &Accrual{Interval: a.Interval}
	stored := a.Store()
	stored[-1], stored[gapBuckets], stored[3] = 1, 1, gapMemory+1 // of a file that somebody has edited
	b.Restore(stored)
	if *a != *b {
		t.Errorf("restored %v of %d, stored %v of %d", b.Store(), b.Learned(), a.Store(), a.Learned())
	}
	if a.Rescale(time.Minute); a.Learned() != 0 || a.Interval != time.Minute || !maps.Equal(a.Store(), map[int]uint32{}) {
		t.Errorf("at another interval it has learned %d gaps of %v", a.Learned(), a.Interval)
	}
}

func TestOldGapsAreForgotten(t *testing.T) {
	for memory, most := range map[uint32]uint32{0: gapMemory, 3 * gapMemory: 3 * gapMemory} {
		a := &Accrual{Interval: time.Second, Memory: memory}
		for range 4 * gapMemory {
			a.Add(time.Second)
		}
		if n := a.Learned(); n > most || n < most/2 {
			t.Errorf("a memory of %d: %d gaps are kept", memory, n)
		}
	}
}

func TestFading(t *testing.T) {
	const half = 10 * time.Second
	now := clock.Time(time.Hour)
	var f Fading
	f.Add(8, now, half)
	for after, want := range map[time.Duration]float64{-time.Second: 8, 0: 8, half: 4, 3 * half: 1} {
		if got := f.Value(now.Add(after), half); math.Abs(got-want) > 1e-9 {
			t.Errorf("%v later %.2f are left, want %.2f", after, got, want)
		}
	}
	if f.Add(1, now.Add(half), half); f.Latest() != 5 {
		t.Errorf("with one more %.2f, want 5", f.Latest())
	}
}

func TestCadence(t *testing.T) {
	now := clock.Time(time.Hour)
	var c Cadence
	for range 30 {
		now = now.Add(2 * time.Second)
		c.Saw(now)
		c.Saw(now.Add(OneBatch / 2)) // the rest of the same batch
	}
	if c.Last != now || c.Every < 1900*time.Millisecond || c.Every > 2*time.Second {
		t.Errorf("last %v before now, every %v", now.Sub(c.Last), c.Every)
	}
	var metric Cadence
	for at := clock.Time(time.Hour); at < clock.Time(2*time.Hour); at = at.Add(time.Minute) {
		metric.SawBy(at, true)
	}
	if metric.Slack() < time.Minute {
		t.Errorf("of a metric every minute it says that it is overdue after %v", metric.Slack())
	}
	before := c.Every
	if c.Saw(now.Add(time.Hour)); c.Every > before+longestCadence/cadenceMemory {
		t.Errorf("after one long break every %v", c.Every)
	}
}

// calling has a rate learn calls a second, each of which takes so long, for a time.
func calling(r *Rate, k *Knee, now clock.Time, calls float64, took, lasts time.Duration) clock.Time {
	for end := now.Add(lasts); now < end; {
		now = now.Add(time.Second)
		if r.Add(calls, time.Duration(calls*float64(took)), now, false) {
			k.Learn(r, 0, now)
		}
	}
	return now
}

func TestRateIsMoreThanUsualOnlyIfThatIsNoChance(t *testing.T) {
	for name, c := range map[string]struct {
		usual, calls float64
		more         bool
	}{
		"as ever":                  {20, 20, false},
		"a fifth more":             {20, 24, false},
		"twice as many":            {20, 40, true},
		"twice as many of a few":   {0.2, 0.4, false},
		"half as many":             {20, 10, false},
		"all at once, where a few": {0.2, 20, true},
	} {
		var r Rate
		now := calling(&r, &Knee{}, clock.Time(time.Hour), c.usual, 0, 2*RateKnown)
		began := now
		now = calling(&r, &Knee{}, now, c.calls, 0, 4*RateSpan)
		if r.More(now) != c.more || (r.Rose != 0) != c.more {
			t.Errorf("%s: %.1f/s of usually %.1f/s is more: %v", name, r.Now, r.Usual, r.More(now))
		}
		if c.more && r.Rose.Sub(began).Abs() > RateSpan {
			t.Errorf("%s: it rose %v after it did", name, r.Rose.Sub(began))
		}
		if r.More(now.Add(time.Minute)) {
			t.Errorf("%s: what nobody has told for a minute stands", name)
		}
	}
}

func always[T any](x T) func(int) T { return func(int) T { return x } }

func TestKneeIsWhereTheQueueGrows(t *testing.T) {
	longer := func(span int) time.Duration { return time.Duration(span+2) * 300 * time.Millisecond }
	for name, c := range map[string]struct {
		takes  func(span int) time.Duration // a call, in each span after the usual ones
		calls  func(span int) float64       // that end a second
		beyond bool
	}{
		"as ever":                   {always(100 * time.Millisecond), always(20.0), false},
		"calls take longer each":    {longer, always(20.0), true},
		"it merely got slower":      {always(time.Second), always(20.0), false},
		"it answers all the more":   {longer, func(i int) float64 { return 20 * float64(i+2) }, false},
		"it answers hardly anybody": {longer, always(1.0), false},
	} {
		var r Rate
		var k Knee
		now := calling(&r, &k, clock.Time(time.Hour), 20, 100*time.Millisecond, 2*RateKnown)
		for i := range 2 * kneeSpans {
			now = calling(&r, &k, now, c.calls(i), c.takes(i), RateSpan)
		}
		if got := k.Since != 0; got != c.beyond {
			t.Errorf("%s: beyond it: %v (%.3g under way, usually %.3g)", name, got, r.Held, r.UsualHeld)
		}
	}
}

func TestTailOfDurations(t *testing.T) {
	var k Durations
	var tail *Tail
	for i := range 2000 {
		d := 10 * time.Millisecond
		if i%40 == 0 {
			d = 100 * time.Millisecond
		}
		if described := k.Learn(d, nil, 0); described != nil {
			tail = described
		} else if i+1 == spanEnough {
			t.Fatalf("no tail after %d", spanEnough)
		}
	}
	if off := math.Log2(tail.Median.Seconds() / 0.010); math.Abs(off) > 1.0/8 {
		t.Errorf("median %v", tail.Median)
	}
	if off := math.Log2(tail.P99.Seconds() / 0.100); math.Abs(off) > 1.0/8 {
		t.Errorf("P99 %v", tail.P99)
	}
	if tail.Slow(tail.P99) || !tail.Slow(3*tail.P99) || (*Tail)(nil).Slow(time.Hour) {
		t.Errorf("slow from elsewhere than twice P99, %v", tail.P99)
	}
	last := 0.0
	for _, d := range []time.Duration{0, tail.Median, tail.P99 / 2, tail.P99, 2 * tail.P99, time.Minute} {
		s := tail.Surprise(d)
		if s < last || Score(s) < 0 || Score(s) > 1 {
			t.Errorf("surprise of %v is %.2f, of a shorter one %.2f", d, s, last)
		}
		last = s
	}
	if s := tail.Surprise(tail.P99); math.Abs(s-2) > 1e-6 || math.Abs(Score(s)-0.5) > 1e-6 {
		t.Errorf("surprise %.3f at P99, score %.3f", s, Score(s))
	}
}

func TestMedianLeavesItsNumbersAsTheyAre(t *testing.T) {
	for _, c := range []struct {
		xs   []float64
		want float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{9, 1, 5}, 5}, {[]float64{4, 1, 3, 2}, 2.5}} {
		first := append([]float64(nil), c.xs...)
		if got := Median(c.xs); got != c.want {
			t.Errorf("median of %v is %v", c.xs, got)
		}
		for i := range first {
			if c.xs[i] != first[i] {
				t.Errorf("%v was sorted", first)
			}
		}
	}
}
