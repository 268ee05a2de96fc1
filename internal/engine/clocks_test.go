// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package engine

import (
	"testing"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestClockThatStepsIsToldAndAccusesNobody(t *testing.T) {
	for name, c := range map[string]struct {
		ahead func(at time.Duration) time.Duration
		steps int
	}{
		"forward": {func(at time.Duration) time.Duration {
			return max(at-70*time.Second, 0) / (20 * time.Second) * time.Hour
		}, 1},
		"a clock in 1970": {func(time.Duration) time.Duration { return -56 * 365 * 24 * time.Hour }, 0},
		"drift":           {func(at time.Duration) time.Duration { return at / 1000 }, 0},
		"a few that lay in a queue": {func(at time.Duration) time.Duration {
			if at > 70*time.Second && at < 78*time.Second {
				return at - 78*time.Second
			}
			return 0
		}, 0},
		"back by ten minutes": {func(at time.Duration) time.Duration {
			return -min(max(at-70*time.Second, 0)/(20*time.Second), 1) * 10 * time.Minute
		}, 1},
		"jitter of two seconds": {func(at time.Duration) time.Duration { return at % (2 * time.Second) }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			z := newZones()
			began := z.now
			z.beating = func(n *zoned, b *report.Beat) {
				if n.src.Instance == "svc1-b0" {
					b.SentAt = z.now.Add(c.ahead(z.now.Sub(began)))
				}
			}
			z.run(100 * time.Second)
			if got := z.told(contract.EventClockStepped); got != c.steps {
				t.Errorf("told %d times, want %d", got, c.steps)
			}
			z.expect(t, verdict.ClassNone)
		})
	}
}
