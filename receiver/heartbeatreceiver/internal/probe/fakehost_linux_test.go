// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// watcher looks at the servers of a host, 2 s apart.
type watcher struct {
	*Servers
	t   *testing.T
	now time.Time
	log *observer.ObservedLogs
}

func newWatcher(t *testing.T, limit int, at roots) *watcher {
	t.Helper()
	core, log := observer.New(zap.DebugLevel)
	s, err := newServersAt(limit, zap.New(core), at)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Close()
		s.Close() // twice
	})
	return &watcher{s, t, time.Unix(1_700_000_000, 0), log}
}

func (w *watcher) look() []Server { return w.lookAfter(2 * time.Second) }

func (w *watcher) lookAfter(d time.Duration) []Server {
	w.now = w.now.Add(d)
	w.holders.after, w.clients.holders.after = time.Time{}, time.Time{} // time does not pass here as fast as it is said to
	return w.Look(w.t.Context(), w.now)
}

// at is what is told of an address; nil for nothing.
func (w *watcher) at(address string) *Server { return find(w.look(), address) }

func find(all []Server, address string) *Server {
	for i := range all {
		for _, a := range all[i].Addresses {
			if a == address {
				return &all[i]
			}
		}
	}
	return nil
}

func (w *watcher) names() []string {
	var names []string
	for _, s := range w.look() {
		names = append(names, fmt.Sprintf("%s pid %d", s.Target, *s.Result.Process.PID))
	}
	return names
}

// fakeHost is a proc file system of our own.
type fakeHost struct {
	t    *testing.T
	root string
	rows map[uint64]string // of sockets that listen

	opened map[uint64]string // and of those that were opened from here
}

func newFakeHost(t *testing.T) *fakeHost {
	h := &fakeHost{t, t.TempDir(), map[uint64]string{}, map[uint64]string{}}
	require.NoError(t, os.MkdirAll(filepath.Join(h.root, "thread-self", "net"), 0o700))
	put(t, "btime 1700000000\n", h.root, "stat")
	h.listens("127.0.0.1:1", 0)
	return h
}

func (h *fakeHost) watch(limit int) *watcher {
	return newWatcher(h.t, limit, roots{proc: h.root, cgroup: h.root, kernelLog: filepath.Join(h.root, "none")})
}

// listens lists a socket.
func (h *fakeHost) listens(address string, inode uint64) {
	at := netip.MustParseAddrPort(address)
	raw := at.Addr().As4()
	binary.NativeEndian.PutUint32(raw[:], binary.BigEndian.Uint32(raw[:]))
	h.rows[inode] = fmt.Sprintf("   0: %s:%04X 00000000:0000 0A 0:0 0:0 0 0 0 %d 1\n", strings.ToUpper(hex.EncodeToString(raw[:])), at.Port(), inode)
	h.write()
}

// keeps lists a connection that was opened from here.
func (h *fakeHost) keeps(from, to string, inode uint64) {
	row := func(address string) string {
		at := netip.MustParseAddrPort(address)
		raw := at.Addr().As4()
		binary.NativeEndian.PutUint32(raw[:], binary.BigEndian.Uint32(raw[:]))
		return fmt.Sprintf("%s:%04X", strings.ToUpper(hex.EncodeToString(raw[:])), at.Port())
	}
	h.opened[inode] = fmt.Sprintf("   0: %s %s 01 0:0 0:0 0 0 0 %d 1\n", row(from), row(to), inode)
	h.write()
}

// startedBy adds a process that another started, at a terminal or none, with an
// environment.
func (h *fakeHost) startedBy(parent, pid, start, tty int, comm, environ string, sockets ...uint64) {
	h.process(pid, start, comm, sockets...)
	put(h.t, fmt.Sprintf("%d (%s) S %d 1 1 %d%s 1 0 %d\n", pid, comm, parent, tty, strings.Repeat(" 0", 12), start), h.root, strconv.Itoa(pid), "stat")
	put(h.t, environ, h.root, strconv.Itoa(pid), "environ")
}

func (h *fakeHost) closes(inode uint64) {
	delete(h.opened, inode)
	delete(h.rows, inode)
	h.write()
}

func (h *fakeHost) write() {
	table := tableHead
	for _, row := range h.rows {
		table += row
	}
	table += connection
	for _, row := range h.opened {
		table += row
	}
	put(h.t, table, h.root, "thread-self", "net", "tcp")
}

// process adds one that holds sockets.
func (h *fakeHost) process(pid, start int, comm string, sockets ...uint64) {
	h.t.Helper()
	fds := filepath.Join(h.root, strconv.Itoa(pid), "fd")
	require.NoError(h.t, os.MkdirAll(fds, 0o700))
	put(h.t, fmt.Sprintf("%d (%s) S 1%s 1 0 %d\n", pid, comm, strings.Repeat(" 0", 15), start), h.root, strconv.Itoa(pid), "stat")
	require.NoError(h.t, os.Symlink("/dev/null", filepath.Join(fds, "0")))
	for i, inode := range sockets {
		require.NoError(h.t, os.Symlink(fmt.Sprintf("socket:[%d]", inode), filepath.Join(fds, strconv.Itoa(3+i))))
	}
}

// ends takes a process away, and its sockets if nobody else holds them.
func (h *fakeHost) ends(pid int, alone ...uint64) {
	require.NoError(h.t, os.RemoveAll(filepath.Join(h.root, strconv.Itoa(pid))))
	for _, inode := range alone {
		h.closes(inode)
	}
}

// inCgroup moves a process there; kills is what that cgroup counts.
func (h *fakeHost) inCgroup(pid int, name string) {
	put(h.t, "0::/"+name+"\n", h.root, strconv.Itoa(pid), "cgroup")
	require.NoError(h.t, os.MkdirAll(filepath.Join(h.root, name), 0o700))
	put(h.t, "memory", h.root, "cgroup.controllers")
	h.kills(name, 0)
}

func (h *fakeHost) kills(name string, n int) {
	put(h.t, fmt.Sprintf("oom 9\noom_kill %d\n", n), h.root, name, "memory.events")
}
