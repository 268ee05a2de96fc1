// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
)

const serverChild = "FAULTLINE_HEARTBEAT_TEST_SERVER"

// A test starts this binary again as a server of this host. The generated
// TestMain has no place for it.
func init() {
	if os.Getenv(serverChild) == "" {
		return
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		os.Exit(1)
	}
	fmt.Println(ln.Addr())
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the test ends
	os.Exit(0)
}

// serve starts a process that takes connections, and returns where.
func serve(t *testing.T, env ...string) (*exec.Cmd, string) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), serverChild+"=1")
	cmd.Env = append(cmd.Env, env...)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return cmd, strings.TrimSpace(address)
}

// recordOf waits for a record of a server that is in that state.
func (g *rig) recordOf(address, state string) seen {
	g.t.Helper()
	var found seen
	require.Eventually(g.t, func() bool {
		for _, s := range flatten(g.logs.AllLogs()) {
			at, _ := s.attrs[contract.HeartbeatAddresses].([]any)
			if len(at) == 1 && at[0] == address && s.attrs[contract.ProcessState] == state {
				found = s
				return true
			}
		}
		return false
	}, 20*time.Second, 10*time.Millisecond, "%s is never %s", address, state)
	return found
}

func TestLocalServersBecomeRecords(t *testing.T) {
	cmd, address := serve(t, "OTEL_SERVICE_NAME=csms")
	g := newRig(t, func(c *Config) {
		c.HTTP.NetAddr.Endpoint = ""
		c.LocalServers = LocalServersConfig{Enabled: true, CollectionInterval: 100 * time.Millisecond, MaxProcesses: 1000}
	})
	_, port, _ := strings.Cut(address, ":")

	s := g.recordOf(address, contract.ProcessRunning)
	assert.Equal(t, map[string]any{"host.name": g.host}, s.res, "the host and nothing else")
	assert.Equal(t, contract.EventHeartbeat, s.EventName())
	assert.Equal(t, "rig", s.attrs[contract.HeartbeatObserver])
	assert.NotZero(t, s.attrs[contract.HeartbeatObserverSeq])
	assert.Regexp(t, "^process:.+:"+port+"$", s.attrs[contract.HeartbeatTarget])
	assert.Equal(t, contract.OutcomeOK, s.attrs[contract.HeartbeatOutcome])
	assert.Equal(t, 0.1, s.attrs[contract.HeartbeatInterval])
	assert.EqualValues(t, cmd.Process.Pid, s.attrs[contract.ProcessPID])
	assert.NotZero(t, s.attrs[contract.ProcessStartTime])
	assert.Equal(t, "csms", s.attrs[contract.HeartbeatService])
	assert.NotContains(t, s.attrs, contract.HeartbeatClient)
	assert.Positive(t, g.count("otelcol_receiver_heartbeat_accepted", "source", string(sourceProbe)))

	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	s = g.recordOf(address, contract.ProcessGone)
	assert.Equal(t, contract.OutcomeError, s.attrs[contract.HeartbeatOutcome])
	assert.Regexp(t, "^process:.+:"+port+"$", s.attrs[contract.HeartbeatTarget])
	assert.Equal(t, "csms", s.attrs[contract.HeartbeatService])
}

func TestLocalServersAreOffUnlessAskedFor(t *testing.T) {
	g := newRig(t, nil)
	assert.Nil(t, g.servers)
}
