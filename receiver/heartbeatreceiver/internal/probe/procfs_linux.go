// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// procfs reads a proc file system.
type procfs struct {
	root string
	boot int64 // Unix seconds; read once, so that a stepping clock moves no start time
}

// ticksPerSecond is USER_HZ, 100 on every architecture that Go has Linux on.
const ticksPerSecond = 100

func newProcfs(root string) (procfs, error) {
	p := procfs{root: root}
	b, err := readSmall(filepath.Join(root, "stat"))
	if err != nil {
		return p, fmt.Errorf("process: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "btime "); ok {
			if p.boot, err = strconv.ParseInt(strings.TrimSpace(v), 10, 64); err == nil {
				return p, nil
			}
		}
	}
	return p, fmt.Errorf("process: %s/stat does not tell when the system booted", root)
}

// startTime is in Unix ns.
func (p procfs) startTime(ticks uint64) int64 {
	return p.boot*1e9 + int64(ticks)*(1e9/ticksPerSecond)
}

func (p procfs) path(pid int, name string) string {
	return filepath.Join(p.root, strconv.Itoa(pid), name)
}

func (p procfs) stat(pid int) (procStat, error) {
	b, err := readSmall(p.path(pid, "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(b)
}

// pids calls visit for each process until it says stop.
func (p procfs) pids(visit func(pid int) (more bool)) error {
	d, err := os.Open(p.root)
	if err != nil {
		return err
	}
	defer d.Close()
	for {
		names, err := d.Readdirnames(256)
		for _, n := range names {
			if pid, err := strconv.Atoi(n); err == nil && pid > 0 && !visit(pid) {
				return nil
			}
		}
		if err != nil {
			return nil // io.EOF, or the file system went away
		}
	}
}

// isExecutable says whether a process runs the program that is meant: by its
// path, or by its file's name. A zombie has no file left, and another user's
// file may be hidden: then the name that the kernel keeps must do.
func (p procfs) isExecutable(s procStat, want string) bool {
	exe, err := os.Readlink(p.path(s.pid, "exe"))
	if err == nil {
		exe = strings.TrimSuffix(exe, " (deleted)") // replaced by an update, and runs on
		if filepath.IsAbs(want) {
			return exe == want
		}
		if filepath.Base(exe) == want {
			return true
		}
	}
	const commLen = 15
	base := filepath.Base(want)
	known := err != nil || !filepath.IsAbs(want)
	return known && s.comm == base[:min(len(base), commLen)]
}

// fds counts open descriptors against their soft limit; nil where it may not be seen.
func (p procfs) fds(pid int) (used, limit *int64) {
	dir := p.path(pid, "fd")
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 && p.root == "/proc" {
		used = ptr(info.Size()) // since Linux 6.2 the folder's size is the count
	} else {
		used = countEntries(dir)
	}
	b, err := readSmall(p.path(pid, "limits"))
	if err != nil {
		return used, nil
	}
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				if n, err := strconv.ParseInt(f[0], 10, 64); err == nil {
					limit = ptr(n)
				}
			}
		}
	}
	return used, limit
}

func countEntries(dir string) *int64 {
	d, err := os.Open(dir)
	if err != nil {
		return nil
	}
	defer d.Close()
	var n int64
	for {
		names, err := d.Readdirnames(1024)
		n += int64(len(names))
		if err != nil {
			return &n
		}
	}
}

// cgroupPath is a line of /proc/<pid>/cgroup. No controllers means version 2.
type cgroupPath struct {
	controllers string
	path        string
}

func (p procfs) cgroups(pid int) []cgroupPath {
	b, err := readSmall(p.path(pid, "cgroup"))
	if err != nil {
		return nil
	}
	return parseCgroups(b)
}

func parseCgroups(b []byte) []cgroupPath {
	var list []cgroupPath
	for line := range strings.Lines(string(b)) {
		parts := strings.SplitN(strings.TrimRight(line, "\n"), ":", 3)
		// A path that leads up is above the root of our cgroup namespace.
		if len(parts) == 3 && strings.HasPrefix(parts[2], "/") && !hasDotDot(parts[2]) {
			list = append(list, cgroupPath{parts[1], strings.TrimSuffix(parts[2], " (deleted)")})
		}
	}
	return list
}

// mayReadExit says whether a 0 in the stat file's exit code is an exit status
// and not a refusal: the kernel asks for ptrace's right to read.
func (p procfs) mayReadExit(pid int) bool {
	info, err := os.Stat(filepath.Join(p.root, strconv.Itoa(pid)))
	if err != nil {
		return false
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(owner.Uid) == os.Geteuid() || hasPtrace()
}

// hasPtrace says whether we hold CAP_SYS_PTRACE.
func hasPtrace() bool {
	const capSysPtrace = 19
	b, err := readSmall("/proc/self/status")
	if err != nil {
		return false
	}
	_, rest, _ := bytes.Cut(b, []byte("\nCapEff:\t"))
	hex, _, _ := bytes.Cut(rest, []byte("\n"))
	caps, err := strconv.ParseUint(string(hex), 16, 64)
	return err == nil && caps>>capSysPtrace&1 == 1
}

// readSmall reads a file of at most 64 KiB, as all of the kernel's are here.
func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, 64<<10))
}

// isGone says whether an error means that there is no such file or process any
// more; anything else means that we could not look.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

func ptr[T any](v T) *T { return &v }
