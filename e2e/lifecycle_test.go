// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// settle is longer than any silence takes to be noticed.
const settle = 8 * time.Second

// pause is how long the Collector is frozen.
func pause() time.Duration {
	if os.Getenv("CI") == "true" {
		return 30 * time.Second
	}
	return 12 * time.Second
}

// A Collector that stops, reloads or sleeps has heard nothing meanwhile. It may
// hold that against nobody, and owes its senders what it has acknowledged. The
// shipped sidecar configuration runs here, with its state on disk.
func TestTheCollectorsOwnAbsenceIsNobodysFailure(t *testing.T) {
	bin := builtBinary(t, "otelcol-faultline")
	a := newAddresses(t)
	f := newFleet(t, a)
	out := newSink(t)
	environment := append(a.environment(), "FAULTLINE_STATE="+t.TempDir(), "FAULTLINE_OTLP_OUT="+out.address)
	config := shippedConfig(t, "sidecar.yaml")
	start := func() *child {
		c := spawn(t, "collector", collector(bin, environment, "", config))
		c.awaitHTTP(t, "http://"+a.health+"/")
		return c
	}
	c := start()
	f.start(t, 15)
	owner := t // of what outlives a step
	load := startSender(owner, a.http, 40*time.Millisecond)
	awaitLoad(t, load, 1000)

	step := func(name string, do func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			do(t)
			before := load.acknowledged()
			nobodyAccused(t, out, settle)
			assert.Greater(t, load.acknowledged(), before+1000, "the load went on")
			assert.Empty(t, c.errorLines())
		})
	}
	step("a_restart_under_load", func(t *testing.T) {
		c.terminate(t)
		assert.Empty(t, c.errorLines())
		// Away for longer than anybody is silent: its first act is to believe
		// nothing of what it has missed.
		time.Sleep(6 * time.Second)
		c = start()
	})
	step("a_restart_after_kill", func(t *testing.T) {
		load.stop() // what waited in it is lost with it; this is about accusations
		load.requireNothingLost(t, out)
		c.signal(t, syscall.SIGKILL)
		c.awaitEnd(t, 5*time.Second)
		c = start()
		load = startSender(owner, a.http, 40*time.Millisecond)
	})
	step("a_reload_under_load", func(t *testing.T) {
		const ready = "Everything is ready."
		times := strings.Count(c.output(), ready)
		c.signal(t, syscall.SIGHUP)
		c.await(t, "it is ready again", func() bool { return strings.Count(c.output(), ready) > times })
	})
	step("a_pause", func(t *testing.T) {
		c.signal(t, syscall.SIGSTOP)
		time.Sleep(pause())
		c.signal(t, syscall.SIGCONT)
	})

	// It is no deaf Collector that accused nobody.
	t.Run("it_still_notices_a_killed_instance", func(t *testing.T) {
		f.kill(t, "payment-1")
		eventually(t, 20*time.Second, func() string {
			for _, r := range out.events() {
				if r.class == "crash" && r.instance == "payment-1" {
					return ""
				}
			}
			return "no event says that payment-1 crashed"
		})
	})
	t.Run("no_acknowledged_span_is_lost_at_the_end", func(t *testing.T) {
		load.stop()
		c.terminate(t) // with failed spans that wait for their verdict
		assert.Empty(t, c.errorLines())
		load.requireNothingLost(t, out)
	})
}

func awaitLoad(t *testing.T, load *sender, spans int) {
	t.Helper()
	eventually(t, 30*time.Second, func() string {
		if load.acknowledged() < spans {
			return "the Collector takes no load"
		}
		return ""
	})
}

// nobodyAccused watches for a while.
func nobodyAccused(t *testing.T, out *sink, during time.Duration) {
	t.Helper()
	for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		require.Empty(t, out.accusations())
	}
}
