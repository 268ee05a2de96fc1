// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelextension

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component/componentstatus"

	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// A machine slept, or its clock was wrong until a time server was heard: verdicts must
// be dated as the spans are that they explain.
func TestTheWallClockIsFollowedForward(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, nil)
		var set atomic.Int64
		r.now.wall = func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
		r.start(t, testHost{})
		require.NoError(t, r.Ready())
		s := newShop()
		s.run(r, time.Minute)
		set.Store(int64(3 * time.Hour))
		s.run(r, time.Minute)
		assert.InDelta(t, r.now.wall().UnixNano(), int64(r.Now()), float64(time.Second))
		assert.Empty(t, r.accused(), "the jump is nobody's silence")

		s.dead = true
		s.run(r, 30*time.Second)
		failures := r.events("failure.detected")
		require.Len(t, failures, 1)
		assert.Equal(t, verdict.ClassCrash, failures[0].Verdict.Class)
		assert.WithinDuration(t, r.now.wall().Add(-30*time.Second), failures[0].Verdict.Since.UTC(), 10*time.Second)
		r.shutdown(t)
	})
}

// reporter is a host that hears how a component is.
type reporter struct {
	testHost
	mu   sync.Mutex // guards said
	said []componentstatus.Status
}

func (r *reporter) Report(ev *componentstatus.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said = append(r.said, ev.Status())
}

func (r *reporter) heard() []componentstatus.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.said)
}

func TestAClockThatIsSetBackIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, host := newRig(t, nil), &reporter{}
		var set atomic.Int64
		r.now.wall = func() time.Time { return time.Now().Add(time.Duration(set.Load())) }
		r.start(t, host)
		require.NoError(t, r.Ready())
		s := newShop()
		s.run(r, 10*time.Second)
		set.Store(int64(2 * time.Second)) // as time servers correct it daily
		before := r.Now()
		s.run(r, 10*time.Second)
		set.Store(int64(-2 * time.Hour))
		s.run(r, time.Minute)
		assert.Equal(t, 70*time.Second, r.Now().Sub(before), "it goes on as before")
		warnings := r.logs.FilterMessageSnippet("set back")
		require.Equal(t, 1, warnings.Len())
		assert.Contains(t, warnings.All()[0].Message, "restart the Collector")
		assert.Empty(t, r.accused())
		assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError}, host.heard())
		set.Store(0)
		s.run(r, time.Second)
		assert.Equal(t, []componentstatus.Status{componentstatus.StatusRecoverableError, componentstatus.StatusOK}, host.heard(), "it is there again")
		r.shutdown(t)
	})
}
