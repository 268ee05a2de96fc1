// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"context"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
)

const inOwnNetwork = "FAULTLINE_HEARTBEAT_TEST_NETWORK"

// TestLocalConnectionsBecomeRecords runs again in a network namespace of its own,
// whose only way out swallows everything.
func TestLocalConnectionsBecomeRecords(t *testing.T) {
	if os.Getenv(inOwnNetwork) == "" {
		runInOwnNetwork(t)
		return
	}
	for _, step := range []string{
		"link add out0 type veth peer name out1", "addr add 192.0.2.1/24 dev out0", "link set out0 up", "link set out1 up",
		"neigh add 192.0.2.9 lladdr 02:00:00:00:00:99 dev out0 nud permanent",
	} {
		out, err := exec.Command("ip", strings.Fields(step)...).CombinedOutput()
		require.NoError(t, err, "ip %s: %s", step, out)
	}
	ctx, giveUp := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = new(net.Dialer).DialContext(ctx, "tcp", "192.0.2.9:5432")
	}()
	g := newRig(t, func(c *Config) {
		c.HTTP.NetAddr.Endpoint = ""
		c.LocalConnections = LocalConnectionsConfig{Enabled: true, CollectionInterval: 100 * time.Millisecond, MaxPeers: 10}
	})
	var s seen
	require.Eventually(t, func() bool {
		for _, s = range flatten(g.logs.AllLogs()) {
			if s.attrs[contract.HeartbeatTarget] == "connections:192.0.2.9:5432" {
				return true
			}
		}
		return false
	}, 20*time.Second, 10*time.Millisecond)
	giveUp()
	<-ended
	assert.Equal(t, map[string]any{"host.name": g.host}, s.res, "the host and nothing else")
	assert.Equal(t, contract.EventHeartbeat, s.EventName())
	assert.Equal(t, "rig", s.attrs[contract.HeartbeatObserver])
	assert.NotZero(t, s.attrs[contract.HeartbeatObserverSeq])
	assert.Equal(t, contract.OutcomeTimeout, s.attrs[contract.HeartbeatOutcome])
	assert.Equal(t, 0.1, s.attrs[contract.HeartbeatInterval])
	assert.Regexp(t, `^1 connection to it gets no answer for \d\.\d s$`, s.attrs[contract.HeartbeatMessage])
	assert.NotContains(t, s.attrs, contract.HeartbeatRTT)
	assert.NotContains(t, s.attrs, contract.HeartbeatAddresses)
	assert.Positive(t, g.count("otelcol_receiver_heartbeat_accepted", "source", string(sourceProbe)))
}

func runInOwnNetwork(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a network namespace")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inOwnNetwork+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if len(out) == 0 && err != nil && os.Getenv("CI") != "true" {
		t.Skip("needs a network namespace of our own: " + err.Error())
	}
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "--- PASS: "+t.Name())
}

func TestLocalConnectionsAreOffUnlessAskedFor(t *testing.T) {
	g := newRig(t, nil)
	assert.Nil(t, g.connections)
}
