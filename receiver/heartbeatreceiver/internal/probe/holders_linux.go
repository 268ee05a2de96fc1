// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// inFront are programs that take connections for somebody else: whether they
// live says nothing of who stands behind the port. They are told by the name
// that the kernel keeps, which is cut to 15 bytes.
var inFront = map[string]string{
	"conmon":          "keeps the ports of a container of Podman or CRI-O",
	"containerd-shim": "keeps the pipes and ports of a container",
	"docker-proxy":    "passes connections on into a container",
	"dockerd":         "keeps the ports of containers where there is no docker-proxy",
	"inetd":           "starts the program behind the port when it is called",
	"kubectl":         "forwards ports to a cluster",
	"pasta":           "is the network of a rootless container",
	"pasta.avx2":      "is the network of a rootless container",
	"passt":           "is the network of a virtual machine",
	"passt.avx2":      "is the network of a virtual machine",
	"rootlessport":    "passes connections on into a rootless container",
	"slirp4netns":     "is the network of a rootless container",
	"socat":           "passes connections on",
	"ssh":             "forwards ports to another host",
	"sshd":            "lets people in, and forwards ports from other hosts",
	"sshd-session":    "forwards ports from other hosts",
	"systemd":         "keeps the sockets of units, and starts them when they are called",
	"xinetd":          "starts the program behind the port when it is called",
}

// holder is the process that a socket belongs to.
type holder struct {
	procID
	fd    string // the descriptor's name in its folder
	leave bool   // it is not to be followed
}

// holders knows who holds which socket. To look through the
// descriptors of all processes is dear, so that it is done only for a socket
// that nobody has been looked for yet, or whose holder let go of it.
type holders struct {
	proc   procfs
	self   int               // our own pid
	of     map[uint64]holder // by inode; pid 0: looked for, and nobody found
	after  time.Time         // until then there is no other look through all
	denied bool              // the descriptors of some process may not be seen
}

func newHolders(proc procfs) holders {
	return holders{proc: proc, self: os.Getpid(), of: map[uint64]holder{}}
}

const (
	maxScanPIDs   = 1 << 15 // processes that are looked through at a time
	maxScanFDs    = 1 << 20 // descriptors of all of them
	maxScanFDsOne = 1 << 16 // descriptors of one
	// scanRest is how many times as long as it took the next look through all
	// must wait: at most 2 % of one processor go into them.
	scanRest = 50
)

// refresh finds holders for the sockets that are listed, if a holder of one of
// the wanted ones is not known.
func (h *holders) refresh(listed map[uint64]bool, now time.Time) {
	for inode, who := range h.of {
		if _, still := listed[inode]; !still || who.pid != 0 && !h.holds(who, inode) {
			delete(h.of, inode)
		}
	}
	due := false
	for inode, wanted := range listed {
		_, known := h.of[inode]
		due = due || wanted && !known
	}
	if !due || now.Before(h.after) {
		return
	}
	began := time.Now()
	found := h.scan(listed)
	h.after = now.Add(scanRest * time.Since(began))
	for inode, wanted := range listed {
		if who, ok := found[inode]; ok || wanted && h.of[inode].pid == 0 {
			h.of[inode] = who
		}
	}
}

// unseen is how many sockets were looked for in vain.
func (h *holders) unseen() int {
	n := 0
	for _, who := range h.of {
		if who.pid == 0 {
			n++
		}
	}
	return n
}

func (h *holders) holds(who holder, inode uint64) bool {
	link, err := os.Readlink(filepath.Join(h.proc.path(who.pid, "fd"), who.fd))
	n, ok := socketInode([]byte(link))
	return err == nil && ok && n == inode
}

// scan looks through the descriptors of all processes for those listed that have
// no holder. Of several that share one the oldest counts: it is the parent of a
// pool, or who started the others.
func (h *holders) scan(listed map[uint64]bool) map[uint64]holder {
	found := map[uint64]holder{}
	pids, fds := maxScanPIDs, maxScanFDs
	h.denied = false
	_ = h.proc.pids(func(pid int) bool {
		var s procStat
		fds -= h.sockets(pid, min(fds, maxScanFDsOne), func(fd string, inode uint64) {
			if _, wanted := listed[inode]; !wanted || h.of[inode].pid != 0 {
				return
			}
			if s.pid == 0 {
				var err error
				if s, err = h.proc.stat(pid); err != nil || !alive(s) {
					s = procStat{}
					return
				}
			}
			if other, ok := found[inode]; !ok || s.id().olderThan(other.procID) {
				found[inode] = holder{procID: s.id(), fd: fd, leave: pid == 1 || pid == h.self || inFront[s.comm] != ""}
			}
		})
		pids--
		return pids > 0 && fds > 0
	})
	return found
}

func (a procID) olderThan(b procID) bool {
	return a.start < b.start || a.start == b.start && a.pid < b.pid
}

// sockets calls visit for each socket among the first limit descriptors of a
// process, and says how many descriptors it read.
func (h *holders) sockets(pid, limit int, visit func(fd string, inode uint64)) (read int) {
	d, err := os.Open(h.proc.path(pid, "fd"))
	if err != nil {
		h.denied = h.denied || errors.Is(err, fs.ErrPermission)
		return 0
	}
	defer d.Close()
	link := make([]byte, 64)
	for read < limit {
		names, err := d.Readdirnames(min(256, limit-read))
		for _, fd := range names {
			n, denied := unix.Readlinkat(int(d.Fd()), fd, link)
			if denied != nil {
				h.denied = h.denied || errors.Is(denied, fs.ErrPermission)
				continue
			}
			if inode, ok := socketInode(link[:n]); ok {
				visit(fd, inode)
			}
		}
		read += len(names)
		if err != nil {
			break // io.EOF, or it ended
		}
	}
	return read
}

// socketInode reads "socket:[12345]".
func socketInode(link []byte) (uint64, bool) {
	rest, ok := bytes.CutPrefix(link, []byte("socket:["))
	digits, closed := bytes.CutSuffix(rest, []byte("]"))
	n, err := strconv.ParseUint(string(digits), 10, 64)
	return n, ok && closed && err == nil
}
