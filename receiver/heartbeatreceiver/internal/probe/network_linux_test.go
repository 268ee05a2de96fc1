// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
)

// fullBacklog is the address of a listener that accepts nothing and has no room
// left: the kernel drops further SYNs, as for a process that is stopped.
func fullBacklog(t *testing.T) string {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	require.NoError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	require.NoError(t, syscall.Listen(fd, 0))
	sa, err := syscall.Getsockname(fd)
	require.NoError(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
	for range 16 {
		c, err := net.DialTimeout("tcp", addr, 200*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the backlog never filled up")
	return ""
}

// TestNoRouteIsUnreachable probes from a network namespace without routes.
func TestNoRouteIsUnreachable(t *testing.T) {
	p := newProber(t, Config{Endpoint: "tcp://192.0.2.1:80"})
	results := make(chan Result, 1)
	errs := make(chan error, 1)
	go func() {
		// The thread keeps the namespace, so it is never unlocked and ends here.
		runtime.LockOSThread()
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			errs <- err
			return
		}
		results <- p.Probe(t.Context())
	}()
	select {
	case err := <-errs:
		needs(t, os.Geteuid() == 0, "a network namespace of our own: "+err.Error())
	case r := <-results:
		assert.Equal(t, contract.OutcomeUnreachable, r.Outcome, "%+v", r)
	}
}

// needs skips a test that this machine cannot run. Under CI it fails if the
// machine should have been able to.
func needs(t *testing.T, expected bool, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" && expected {
		t.Fatal("not to be had, although it should be: " + what)
	}
	t.Skip("needs " + what)
}
