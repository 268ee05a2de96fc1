// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package enginehost

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/faultline-otel/faultline/internal/engine"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func TestTicksFollowTheRecordingAndStayBounded(t *testing.T) {
	const began = clock.Time(1_700_000_000_000_000_000)
	for name, c := range map[string]struct {
		gap   time.Duration
		ticks int
	}{
		"back_in_time":   {-time.Hour, 0},
		"within_a_tick":  {200 * time.Millisecond, 0},
		"while_it_lasts": {10 * time.Second, 40},
		"over_an_hour":   {time.Hour, 3600},
		"over_two_years": {2 * 365 * 24 * time.Hour, syncGapTicks},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewSync(engine.DefaultParams(), func(verdict.Event) {})
			s.Advance(began)
			ticks := 0
			defer s.Subscribe(func(u Update) {
				ticks++
				assert.LessOrEqual(t, u.Now, began.Add(c.gap))
			})()
			s.Advance(began.Add(c.gap))
			assert.Equal(t, c.ticks, ticks)
			assert.LessOrEqual(t, began, s.Now(), "time never goes back")
		})
	}
}
