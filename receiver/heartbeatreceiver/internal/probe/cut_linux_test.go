// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/internal/contract"
)

// drain takes connections at address and reads what comes, until it is ended.
func drain(address string) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		os.Exit(99)
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			os.Exit(99)
		}
		go func() { _, _ = io.Copy(io.Discard, conn) }()
	}
}

// way is two network namespaces and a cable between them.
type way struct {
	t             *testing.T
	near, far     string
	nearIP, farIP string
	farMAC        string
}

func newWay(t *testing.T) *way {
	t.Helper()
	if os.Geteuid() != 0 {
		needs(t, false, "root, to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		needs(t, true, "ip of iproute2")
	}
	prefix := fmt.Sprintf("ways-%d", os.Getpid())
	w := &way{t: t, near: prefix + "-near", far: prefix + "-far", nearIP: "192.0.2.1", farIP: "192.0.2.2"}
	for _, ns := range []string{w.near, w.far} {
		if out, err := exec.Command("ip", "netns", "add", ns).CombinedOutput(); err != nil {
			needs(t, true, "a network namespace of our own: "+string(out))
		}
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", ns).Run() })
	}
	w.ip("-n", w.near, "link", "add", "way0", "type", "veth", "peer", "name", "way0", "netns", w.far)
	for ns, ip := range map[string]string{w.near: w.nearIP, w.far: w.farIP} {
		w.ip("-n", ns, "addr", "add", ip+"/24", "dev", "way0")
		w.ip("-n", ns, "link", "set", "lo", "up")
		w.ip("-n", ns, "link", "set", "way0", "up")
	}
	link := strings.Fields(w.ip("-n", w.far, "-o", "link", "show", "way0"))
	for i, word := range link {
		if word == "link/ether" {
			w.farMAC = link[i+1]
		}
	}
	w.heal()
	return w
}

func (w *way) ip(args ...string) string {
	w.t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(w.t, err, "ip %s: %s", strings.Join(args, " "), out)
	return string(out)
}

// cut sends all packets to a card that is not there: they are lost without a word.
func (w *way) cut()  { w.neighbour("02:00:00:00:00:99") }
func (w *way) heal() { w.neighbour(w.farMAC) }

func (w *way) neighbour(mac string) {
	w.t.Helper()
	w.ip("-n", w.near, "neigh", "replace", w.farIP, "lladdr", mac, "dev", "way0", "nud", "permanent")
}

// in runs do in a network namespace.
func (w *way) in(ns string, do func()) {
	w.t.Helper()
	done := make(chan error)
	go func() {
		// The thread keeps the namespace, so it is never unlocked and ends here.
		runtime.LockOSThread()
		f, err := os.Open(filepath.Join("/run/netns", ns))
		if err == nil {
			defer f.Close()
			if err = unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err == nil {
				do()
			}
		}
		done <- err
	}()
	require.NoError(w.t, <-done)
}

// server starts a process in the far namespace that takes connections.
func (w *way) server(port int) *proc {
	w.t.Helper()
	ip, err := exec.LookPath("ip")
	require.NoError(w.t, err)
	p := start(w.t, "drain", func(cmd *exec.Cmd) {
		cmd.Args = []string{"ip", "netns", "exec", w.far, cmd.Path}
		cmd.Path = ip
	})
	p.send(fmt.Sprintf("%s:%d", w.farIP, port))
	return p
}

// talk connects from the near namespace and sends that many bytes each 50 ms, as
// far as there is room, until the test ends.
func (w *way) talk(port, bytes int) {
	w.t.Helper()
	var conn net.Conn
	require.Eventually(w.t, func() bool {
		w.in(w.near, func() { conn, _ = net.DialTimeout("tcp", fmt.Sprintf("%s:%d", w.farIP, port), time.Second) })
		return conn != nil
	}, 5*time.Second, 10*time.Millisecond)
	var stop atomic.Bool
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for !stop.Load() {
			_ = conn.SetWriteDeadline(time.Now().Add(50 * time.Millisecond))
			_, _ = conn.Write(make([]byte, bytes))
			time.Sleep(50 * time.Millisecond)
		}
	}()
	w.t.Cleanup(func() {
		stop.Store(true)
		<-ended
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
	})
}

// looker looks at the near side's connections, each time from there.
type looker struct {
	*way
	*Connections
	latest map[string]Peer
}

func (w *way) looker(interval time.Duration) *looker {
	c, err := NewConnections(interval, 64, zap.NewNop())
	require.NoError(w.t, err)
	return &looker{w, c, map[string]Peer{}}
}

func (l *looker) look() map[string]Peer {
	var seen []Peer
	l.in(l.near, func() { seen = l.Look() })
	latest := map[string]Peer{}
	for _, p := range seen {
		latest[p.Target] = p
	}
	return latest
}

// within looks until it is told that target fares so, and returns after how long.
func (l *looker) within(d time.Duration, target, outcome string) time.Duration {
	l.t.Helper()
	began := time.Now()
	for time.Since(began) < d {
		if p, told := l.look()[target]; told && p.Result.Outcome == outcome {
			l.t.Logf("%s after %v: %s", outcome, time.Since(began).Round(time.Millisecond), p.Result.Message)
			return time.Since(began)
		}
		time.Sleep(100 * time.Millisecond)
	}
	assert.Fail(l.t, "not told in time", "%s: %s", target, outcome)
	return d
}

func TestCutIsToldFromHang(t *testing.T) {
	w := newWay(t)
	server := w.server(9001)
	w.talk(9001, 1)
	l := w.looker(100 * time.Millisecond)
	target := "connections:" + w.farIP + ":9001"
	l.within(5*time.Second, target, contract.OutcomeOK)

	t.Run("cut", func(t *testing.T) {
		w.cut()
		after := l.within(5*time.Second, target, contract.OutcomeUnacknowledged)
		assert.Greater(t, after, time.Second)
		p := l.look()[target]
		assert.Regexp(t, `^1 connection to it gets no acknowledgement for \d\.\d s$`, p.Result.Message)
		assert.Equal(t, 100*time.Millisecond, p.Interval)
		w.heal()
		l.within(10*time.Second, target, contract.OutcomeOK)
	})
	t.Run("cut_before_it_connects", func(t *testing.T) {
		w.cut()
		target := "connections:" + w.farIP + ":9002"
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.in(w.near, func() { _, _ = net.DialTimeout("tcp", w.farIP+":9002", 3*time.Second) })
		}()
		after := l.within(3*time.Second, target, contract.OutcomeTimeout)
		assert.Greater(t, after, time.Second, "one that is lost is none")
		assert.Contains(t, l.look()[target].Result.Message, "1 connection to it gets no answer")
		w.heal()
		<-ended
		l.within(10*time.Second, "connections:"+w.farIP+":9001", contract.OutcomeOK)
	})
	t.Run("stopped_server", func(t *testing.T) {
		w.talk(9001, 1<<20) // more than it has room for
		require.NoError(t, server.Process.Signal(syscall.SIGSTOP))
		looks, oks := 0, 0
		for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(100 * time.Millisecond) {
			looks++
			if p, told := l.look()[target]; told {
				require.Equal(t, contract.OutcomeOK, p.Result.Outcome, p.Result.Message)
				oks++
			}
		}
		assert.GreaterOrEqual(t, oks, looks/10, "of %d looks; it is told at every fifth", looks)
		require.NoError(t, server.Process.Signal(syscall.SIGCONT))
	})
}

// drops lets the far side's firewall drop those of the packets it gets that match.
func (w *way) drops(match ...string) {
	w.t.Helper()
	w.firewall(append([]string{"-A", "INPUT", "-p", "tcp", "-m"}, append(match, "-j", "DROP")...)...)
}

func (w *way) firewall(args ...string) {
	w.t.Helper()
	if _, err := exec.LookPath("iptables"); err != nil {
		needs(w.t, true, "iptables")
	}
	w.ip(append([]string{"netns", "exec", w.far, "iptables"}, args...)...)
}

func TestLossOfWhatIsLargeIsTold(t *testing.T) {
	w := newWay(t)
	w.server(9001)
	w.talk(9001, 1)
	l := w.looker(100 * time.Millisecond)
	target := "connections:" + w.farIP + ":9001"
	l.within(5*time.Second, target, contract.OutcomeOK)
	w.talk(9001, 1400)
	w.talk(9001, 1400)
	l.within(5*time.Second, target, contract.OutcomeOK)
	w.drops("length", "--length", "1101:")
	l.within(8*time.Second, target, contract.OutcomeUnacknowledged)
	assert.Contains(t, l.look()[target].Result.Message, "2 connections to it get no acknowledgement of large packets")
	w.firewall("-F")
	l.within(15*time.Second, target, contract.OutcomeOK)
}
