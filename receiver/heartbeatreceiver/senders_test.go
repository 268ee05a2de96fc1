// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
)

var t0 = time.Unix(1_800_000_000, 0)

// beatOf makes a beat of a service, edited by change.
func beatOf(service string, change func(*beat)) *beat {
	var b beat
	b.text[fService] = service
	if change != nil {
		change(&b)
	}
	return &b
}

func one(t *testing.T, s *senders, now time.Time) sender {
	t.Helper()
	all := s.snapshot(now, nil)
	require.Len(t, all, 1)
	return all[0]
}

func TestUpAndMissed(t *testing.T) {
	declared := func(b *beat) { b.interval = 10 * time.Second }
	status := func(v string) func(*beat) {
		return func(b *beat) { b.interval = 10 * time.Second; b.markStatus(v) }
	}
	type at struct {
		after  time.Duration
		change func(*beat)
	}
	for _, tt := range []struct {
		name   string
		beats  []at
		ask    time.Duration
		up     bool
		missed int64
	}{
		{"fresh_beat", []at{{0, declared}}, time.Second, true, 0},
		{"a_little_late_is_not_missed", []at{{0, declared}}, 17 * time.Second, true, 0},
		{"one_missed", []at{{0, declared}}, 21 * time.Second, true, 1},
		{"silent_for_three_intervals", []at{{0, declared}}, 31 * time.Second, false, 2},
		{"missed_ones_stay_counted", []at{{0, declared}, {40 * time.Second, declared}}, 41 * time.Second, true, 3},
		{"interval_is_learned", []at{{0, nil}, {10 * time.Second, nil}, {20 * time.Second, nil}}, 60 * time.Second, false, 3},
		{"no_rhythm_known", []at{{0, nil}}, 50 * time.Minute, true, 0},
		{"who_stops_misses_nothing", []at{{0, status("stopping")}}, 10 * time.Minute, false, 0},
		{"last_gasp", []at{{0, status("last_gasp")}}, time.Second, false, 0},
		{"failed", []at{{0, status("failed")}}, time.Second, false, 0},
		{"draining_is_up", []at{{0, status("draining")}}, time.Second, true, 0},
		{"scheduled_within_grace", []at{{0, func(b *beat) { b.interval, b.due, b.grace = time.Hour, t0.Add(time.Hour), time.Minute }}}, time.Hour + 59*time.Second, true, 0},
		{"scheduled_after_grace", []at{{0, func(b *beat) { b.interval, b.due, b.grace = time.Hour, t0.Add(time.Hour), time.Minute }}}, time.Hour + 61*time.Second, false, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSenders(10, func() { t.Error("nobody is to be evicted") })
			for _, b := range tt.beats {
				s.touch(beatOf("a", b.change), t0.Add(b.after), "")
			}
			now := t0.Add(tt.ask)
			got := one(t, s, now)
			assert.Equal(t, tt.up, got.up(now), "up")
			assert.Equal(t, tt.missed, got.missed+got.overdue(now), "missed")
		})
	}
}

func TestMissedNeverFalls(t *testing.T) {
	s := newSenders(10, func() {})
	var before int64
	for ms := 0; ms < 120_000; ms += 100 {
		now := t0.Add(time.Duration(ms) * time.Millisecond)
		if ms == 0 || ms == 34_700 || ms == 61_200 || ms == 99_900 {
			s.touch(beatOf("a", func(b *beat) { b.interval = 10 * time.Second }), now, "")
		}
		got := one(t, s, now)
		missed := got.missed + got.overdue(now)
		require.GreaterOrEqual(t, missed, before, "at %d ms", ms)
		before = missed
	}
	assert.Positive(t, before)
}

func TestCheckThatNeverPingedIsSeen(t *testing.T) {
	s := newSenders(1, func() {})
	s.expect(beatOf("job", func(b *beat) { b.due, b.grace = t0.Add(time.Hour), time.Minute }), t0, "id")
	got := one(t, s, t0)
	assert.True(t, got.up(t0.Add(time.Minute)), "not yet due")
	assert.False(t, got.up(t0.Add(2*time.Hour)), "it should have come")
}

func TestClockSkew(t *testing.T) {
	s := newSenders(10, func() {})
	s.touch(beatOf("a", func(b *beat) { b.has |= 1 << fSentAt; b.sentAt = t0.Add(-3 * time.Second).UnixNano() }), t0, "")
	got := one(t, s, t0)
	assert.True(t, got.hasSkew)
	assert.Equal(t, -3*time.Second, got.skew)
	s.touch(beatOf("a", nil), t0, "")
	got = one(t, s, t0)
	assert.False(t, got.hasSkew, "an old skew is not repeated")
}

func TestWhoIsWho(t *testing.T) {
	set := func(f field, v string) func(*beat) { return func(b *beat) { b.text[f] = v } }
	for name, tt := range map[string]struct {
		a, b func(*beat)
		n    int
	}{
		"two_instances":               {set(fInstance, "1"), set(fInstance, "2"), 2},
		"two_namespaces":              {set(fNamespace, "x"), set(fNamespace, "y"), 2},
		"staging_is_not_production":   {set(fEnvironment, "staging"), set(fEnvironment, "production"), 2},
		"two_hosts_without_instance":  {set(fHost, "h1"), set(fHost, "h2"), 2},
		"an_instance_that_moved":      {func(b *beat) { b.text[fInstance], b.text[fHost] = "1", "h1" }, func(b *beat) { b.text[fInstance], b.text[fHost] = "1", "h2" }, 1},
		"a_new_version_of_the_same":   {set(fVersion, "1"), set(fVersion, "2"), 1},
		"names_that_read_alike_glued": {set(fInstance, "a"), func(b *beat) { b.text[fService] = "sa" }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSenders(10, func() {})
			s.touch(beatOf("s", tt.a), t0, "")
			id := s.touch(beatOf("s", tt.b), t0, "")
			assert.Equal(t, tt.n, s.len())
			want := beatOf("s", tt.b)
			assert.True(t, id.fits(want), "the latest facts are told")
		})
	}
}

func TestSilentForLongestGoesFirst(t *testing.T) {
	evicted := 0
	s := newSenders(3, func() { evicted++ })
	s.expect(beatOf("configured", nil), t0, "id")
	for i := range 10 {
		s.touch(beatOf(fmt.Sprint("made-up-", i), nil), t0, "")
		s.touch(beatOf("real", nil), t0, "")
	}
	assert.Equal(t, 8, evicted)
	names := map[string]bool{}
	for _, x := range s.snapshot(t0, nil) {
		names[x.id.service] = true
	}
	assert.Equal(t, map[string]bool{"configured": true, "real": true, "made-up-8": true, "made-up-9": true}, names)
}

func TestLongGoneSendersAreForgotten(t *testing.T) {
	s := newSenders(10, func() {})
	s.touch(beatOf("gone", func(b *beat) { b.interval = time.Second }), t0, "")
	s.touch(beatOf("daily", func(b *beat) { b.interval = 24 * time.Hour }), t0, "")
	assert.Len(t, s.snapshot(t0.Add(59*time.Minute), nil), 2)
	left := s.snapshot(t0.Add(2*time.Hour), nil)
	require.Len(t, left, 1)
	assert.Equal(t, "daily", left[0].id.service, "its silence is not long yet")
	assert.Equal(t, 1, s.len())
}

func TestSentences(t *testing.T) {
	for want, b := range map[string]*beat{
		"a is alive":       beatOf("a", nil),
		"a i1 is stopping": beatOf("a", func(b *beat) { b.text[fInstance] = "i1"; b.markStatus(contract.StatusStopping) }),
		"a has failed":     beatOf("a", func(b *beat) { b.markStatus(contract.StatusFailed) }),
		"a h1 is ready":    beatOf("a", func(b *beat) { b.text[fHost] = "h1"; b.markStatus(contract.StatusReady) }),
	} {
		assert.Equal(t, want, newIdentity(b).sentence)
	}
}

func TestChecksOfOneServiceHaveSeriesOfTheirOwn(t *testing.T) {
	for id, want := range map[string]string{
		nightly:                     "check:5bf66975",
		slugID("secret", "reindex"): "check:reindex",
		slugID("", "reindex"):       "check:reindex",
	} {
		assert.Equal(t, want, checkLabel(id))
	}
	s := newSenders(10, func() {})
	for _, id := range []string{nightly, slugID("secret", "reindex"), ""} {
		s.touch(beatOf("db", nil), t0, id)
	}
	labels := map[string]bool{}
	for _, x := range s.snapshot(t0, nil) {
		labels[x.label] = true
	}
	assert.Equal(t, map[string]bool{"check:5bf66975": true, "check:reindex": true, "": true}, labels)
}
