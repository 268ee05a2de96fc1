// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/internal/contract"
)

// listen takes connections at address, which a child is told in its first line,
// until it is told to close; a number ends it.
func listen(address string, in *bufio.Reader) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		os.Exit(99)
	}
	for {
		line, err := in.ReadString('\n')
		if code, bad := strconv.Atoi(strings.TrimSpace(line)); bad == nil {
			os.Exit(code)
		}
		if err != nil {
			return
		}
		_ = ln.Close()
	}
}

// freeAddress is one that nobody listens at.
func freeAddress(t *testing.T) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	return ln.Addr().String()
}

// listenAt starts a process that listens there, and waits until it does.
func listenAt(t *testing.T, address string) *proc {
	t.Helper()
	c := start(t, "listen")
	c.send(address)
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	}, 5*time.Second, 5*time.Millisecond)
	return c
}

func TestRealServerFromItsStartToItsSuccessor(t *testing.T) {
	w := newWatcher(t, 1000, realRoots())
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	c := listenAt(t, address)
	assert.Nil(t, w.at(address), "what is there for one look only is not followed")
	s := w.at(address)
	require.NotNil(t, s)
	self, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", c.pid()))
	require.NoError(t, err)
	assert.Equal(t, "process:"+strings.TrimSpace(string(self))+":"+port, s.Target)
	assert.Equal(t, []string{address}, s.Addresses)
	assert.Equal(t, contract.OutcomeOK, s.Result.Outcome)
	assert.EqualValues(t, c.pid(), *s.Result.Process.PID)
	assert.NotNil(t, s.Result.Process.FDs, "all is told as of a configured process")
	name, before := s.Target, *s.Result.Process.StartTime

	require.NoError(t, c.Process.Signal(syscall.SIGSTOP))
	require.Eventually(t, func() bool { return w.at(address).Result.Process.State == contract.ProcessStopped }, 5*time.Second, 5*time.Millisecond)
	require.NoError(t, c.Process.Signal(syscall.SIGCONT))
	require.NoError(t, c.Process.Kill())
	c.reap()
	s = w.at(address)
	require.NotNil(t, s, "it is told that it is gone")
	assert.Equal(t, contract.ProcessGone, s.Result.Process.State)
	assert.Equal(t, contract.OutcomeError, s.Result.Outcome)
	readable := s.Result.Process.ExitCode != nil
	if readable {
		assert.EqualValues(t, 137, *s.Result.Process.ExitCode)
	}

	time.Sleep(20 * time.Millisecond) // start times count in 10 ms
	next := listenAt(t, address)
	s = w.at(address)
	require.NotNil(t, s, "at the first look")
	assert.Equal(t, name, s.Target)
	assert.Equal(t, contract.ProcessRunning, s.Result.Process.State)
	assert.EqualValues(t, next.pid(), *s.Result.Process.PID)
	assert.Greater(t, *s.Result.Process.StartTime, before)
	assert.Contains(t, s.Result.Message, fmt.Sprintf("pid %d took the place of pid %d", next.pid(), c.pid()))
	if readable {
		assert.EqualValues(t, 137, *s.Result.Process.ExitCode, "how the one before ended")
	}

	next.send("close")
	require.Eventually(t, func() bool {
		s = w.at(address)
		return s != nil && !w.followed[0].listens || len(w.followed) > 1
	}, 5*time.Second, 5*time.Millisecond)
	s = w.at(address)
	require.NotNil(t, s)
	assert.Equal(t, contract.ProcessRunning, s.Result.Process.State, "who takes no connections any more may live")
	assert.EqualValues(t, next.pid(), *s.Result.Process.PID)
	if !readable {
		needs(t, false, "Linux 6.15, which tells the exit status to holders of a pidfd")
	}
}

func TestOwnProcessIsNotFollowed(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer ln.Close()
	w := newWatcher(t, 1000, realRoots())
	for range 3 {
		assert.Nil(t, w.at(ln.Addr().String()))
	}
}

func TestMissingRightsAreToldOnce(t *testing.T) {
	address := freeAddress(t)
	listenAt(t, address)
	w := newWatcher(t, 1000, realRoots())
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if os.Geteuid() == 0 {
		const nobody = 65534
		require.NoError(t, unix.Setfsuid(nobody)) // of this thread: it takes the right to read others' files
		defer func() { require.NoError(t, unix.Setfsuid(0)) }()
	} else {
		needs(t, false, "root")
	}
	for range 3 {
		assert.Nil(t, w.at(address))
	}
	told := w.log.FilterMessage("Local servers whose process cannot be seen are not looked at").All()
	require.Len(t, told, 1)
	assert.Equal(t, zap.InfoLevel, told[0].Level)
	assert.Contains(t, told[0].ContextMap()["why"], "CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH")
}

func TestWhoIsNotFollowed(t *testing.T) {
	who := map[string]int{"init": 1, "otelcol": os.Getpid()}
	pid := 4_000_000
	for comm := range inFront {
		assert.LessOrEqual(t, len(comm), 15, "the kernel cuts the name")
		pid++
		who[comm] = pid
	}
	for comm, pid := range who {
		t.Run(comm, func(t *testing.T) {
			h := newFakeHost(t)
			h.listens("10.0.0.7:80", 11)
			h.listens("10.0.0.7:5432", 12)
			h.process(pid, 5, comm, 11)
			// Of those that such a one starts and hands its socket to nothing is told either.
			h.process(5_000_000, 90, "app", 11)
			h.process(5_000_001, 90, "postgres", 12)
			w := h.watch(64)
			w.look()
			assert.Equal(t, []string{"process:postgres:5432 pid 5000001"}, w.names())
		})
	}
}

func TestServerIsFollowedFromTheSecondLookOn(t *testing.T) {
	h := newFakeHost(t)
	w := h.watch(64)
	w.look()
	for inode := range uint64(5) { // a test that opens one server after the other
		h.listens("127.0.0.1:4000", 20+inode)
		h.process(200+int(inode), 5, "test", 20+inode)
		assert.Empty(t, w.look())
		h.ends(200+int(inode), 20+inode)
	}
	assert.Empty(t, w.look())

	h.listens("127.0.0.1:80", 11)
	h.process(300, 70, "app", 11)
	w.look()
	h.listens("127.0.0.1:4001", 12) // seen beside one that is looked for
	h.process(301, 71, "test", 12)
	assert.Equal(t, []string{"process:app:80 pid 300"}, w.names())
}

func TestOldestOfAPoolCountsAndItsWorkerTakesItsPlace(t *testing.T) {
	h := newFakeHost(t)
	h.listens("10.0.0.7:80", 11)
	h.process(300, 70, "nginx", 11)
	h.process(310, 60, "nginx", 11)
	h.process(320, 80, "nginx", 11)
	w := h.watch(64)
	w.look()
	assert.Equal(t, []string{"process:nginx:80 pid 310"}, w.names())
	h.ends(310)
	all := w.look()
	require.Len(t, all, 1)
	assert.Equal(t, contract.ProcessRunning, all[0].Result.Process.State)
	assert.Contains(t, all[0].Result.Message, "pid 300 took the place of pid 310")
}

func TestProcessesThatShareAnAddressAreOneServer(t *testing.T) {
	h := newFakeHost(t)
	h.listens("10.0.0.7:80", 11)
	h.listens("10.0.0.7:80", 12)
	h.listens("10.0.0.8:80", 13)
	h.process(300, 70, "app", 11)
	h.process(301, 71, "app", 12)
	h.process(302, 72, "app", 13)
	w := h.watch(64)
	w.look()
	assert.Equal(t, []string{"process:app:80 pid 300", "process:app:10.0.0.8:80 pid 302"}, w.names(),
		"another address of the same port is another server")
	h.ends(300, 11)
	assert.Equal(t, []string{"process:app:80 pid 301", "process:app:10.0.0.8:80 pid 302"}, w.names())
}

// oneApp is a host with one server that has been seen to listen once.
func oneApp(t *testing.T) (*fakeHost, *watcher) {
	h := newFakeHost(t)
	h.listens("10.0.0.7:80", 11)
	h.process(300, 70, "app", 11)
	w := h.watch(64)
	w.look()
	return h, w
}

func TestHandoverIsNoEnd(t *testing.T) {
	h := newFakeHost(t)
	h.listens("10.0.0.7:80", 11)
	h.process(300, 70, "haproxy", 11)
	w := h.watch(64)
	w.look()
	w.look()
	// The new one listens, the old one finishes what it has.
	h.closes(11)
	h.listens("10.0.0.7:80", 12)
	h.process(400, 90, "haproxy", 12)
	all := w.look()
	require.Len(t, all, 1)
	assert.EqualValues(t, 400, *all[0].Result.Process.PID)
	assert.Equal(t, contract.OutcomeOK, all[0].Result.Outcome)
	assert.Nil(t, all[0].Result.Process.ExitCode)
	h.ends(300)
	assert.Equal(t, []string{"process:haproxy:80 pid 400"}, w.names(), "nobody misses the old one")
}

func TestServersBeyondTheLimitAreLeftOutAndThatIsToldOnce(t *testing.T) {
	h := newFakeHost(t)
	for i := range 5 {
		h.listens(fmt.Sprintf("10.0.0.7:%d", 8000+i), uint64(11+i))
		h.process(300+i, 90-i, fmt.Sprintf("app%d", i), uint64(11+i))
	}
	w := h.watch(2)
	for range 4 {
		w.look()
	}
	assert.Equal(t, []string{"process:app4:8004 pid 304", "process:app3:8003 pid 303"}, w.names(), "the oldest are in")
	told := w.log.FilterLevelExact(zap.WarnLevel).All()
	require.Len(t, told, 1)
	assert.Contains(t, told[0].Message, "local_servers::max_processes")
	assert.Equal(t, "app2", told[0].ContextMap()["first_left_out"])
}

func TestServerThatIsGoneIsToldForTwoMinutes(t *testing.T) {
	h, w := oneApp(t)
	w.lookAfter(time.Hour)
	h.ends(300, 11)
	s := w.at("10.0.0.7:80")
	require.NotNil(t, s)
	assert.Equal(t, contract.ProcessGone, s.Result.Process.State)
	assert.Equal(t, "pid 300 is gone, exit status unknown: no other took its place", s.Result.Message)
	assert.Len(t, w.lookAfter(2*time.Minute), 1)
	assert.Empty(t, w.look())
	assert.Empty(t, w.followed)
}

func TestServerThatListensNoMoreIsToldForTwoMinutes(t *testing.T) {
	h, w := oneApp(t)
	w.look()
	h.closes(11)
	s := find(w.lookAfter(2*time.Minute), "10.0.0.7:80")
	require.NotNil(t, s)
	assert.Equal(t, contract.ProcessRunning, s.Result.Process.State)
	h.ends(300)
	assert.Len(t, w.look(), 1, "that it ended is told as long as of others")
	assert.Len(t, w.lookAfter(2*time.Minute), 1)
	assert.Empty(t, w.look())
}

func TestOutOfMemoryKillIsOfTheOneThatEnded(t *testing.T) {
	h := newFakeHost(t)
	for i, comm := range []string{"alone", "ends", "lives"} {
		h.listens(fmt.Sprintf("10.0.0.7:%d", 80+i), uint64(11+i))
		h.process(300+i, 70+i, comm, uint64(11+i))
		h.inCgroup(300+i, []string{"unit", "login", "login"}[i])
	}
	w := h.watch(64)
	for range 3 {
		w.look()
	}
	counted := func() map[string]int64 {
		all := map[string]int64{}
		for _, s := range w.look() {
			all[s.Target] = *s.Result.Process.OOMKills
		}
		return all
	}
	assert.Equal(t, map[string]int64{"process:alone:80": 0, "process:ends:81": 0, "process:lives:82": 0}, counted())
	h.kills("unit", 1) // a child of its own
	h.kills("login", 1)
	h.ends(301, 12)
	assert.Equal(t, map[string]int64{"process:alone:80": 1, "process:ends:81": 1, "process:lives:82": 0}, counted())
	assert.Equal(t, map[string]int64{"process:alone:80": 1, "process:ends:81": 1, "process:lives:82": 0}, counted())
}

func TestSocketThatNobodyHoldsIsNotLookedForAgain(t *testing.T) {
	h := newFakeHost(t)
	h.listens("10.0.0.7:2049", 11) // of the kernel
	w := h.watch(64)
	w.look()
	w.look()
	h.process(300, 70, "late", 11)
	assert.Empty(t, w.look(), "not for it alone")
	h.listens("10.0.0.7:80", 12)
	h.process(301, 71, "app", 12)
	assert.Empty(t, w.look())
	assert.Equal(t, []string{"process:late:2049 pid 300", "process:app:80 pid 301"}, w.names())
	require.Len(t, w.log.All(), 1)
	assert.Contains(t, w.log.All()[0].ContextMap()["why"], "pid namespace")
}

func TestLookThroughAllProcessesWaitsForItsTurn(t *testing.T) {
	h, w := oneApp(t)
	w.look()
	assert.True(t, w.holders.after.After(w.now), "a dear look is followed by a rest")
	h.listens("10.0.0.7:81", 12)
	h.process(301, 71, "app", 12)
	w.look()
	w.holders.after = w.now.Add(time.Minute)
	assert.Len(t, w.Look(t.Context(), w.now.Add(time.Second)), 1)
	assert.Len(t, w.look(), 2)
}

func TestTableThatCannotBeReadEndsNobody(t *testing.T) {
	h, w := oneApp(t)
	w.look()
	require.NoError(t, os.Remove(filepath.Join(h.root, "thread-self", "net", "tcp")))
	for range 100 {
		require.Len(t, w.look(), 1)
	}
	assert.Equal(t, 1, w.log.FilterLevelExact(zap.WarnLevel).Len())
}

func TestCancelledLookTellsNothingAndForgetsNobody(t *testing.T) {
	_, w := oneApp(t)
	w.look()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Empty(t, w.Look(ctx, w.now))
	assert.Len(t, w.look(), 1)
}

func TestPidfdsOfServersAreClosed(t *testing.T) {
	address := freeAddress(t)
	listenAt(t, address)
	w := newWatcher(t, 1000, realRoots())
	before := *countEntries("/proc/self/fd")
	w.look()
	require.NotNil(t, w.at(address))
	w.Close()
	assert.Equal(t, before, *countEntries("/proc/self/fd"))
}

func BenchmarkLook(b *testing.B) {
	s, err := NewServers(1000, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	b.ReportAllocs()
	for b.Loop() {
		s.Look(b.Context(), time.Now())
	}
	b.ReportMetric(float64(len(s.followed)), "servers")
}
