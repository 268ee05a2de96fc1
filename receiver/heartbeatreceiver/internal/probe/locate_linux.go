// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/faultline-otel/faultline/internal/contract"
)

// finding is what looking for the process came to.
type finding struct {
	found   bool
	stat    procStat
	pidFile fileID
	note    string // found, and worth a word
	why     string // not found
	err     error  // could not look; says nothing about the process
}

// fileID tells whether a file was written again.
type fileID struct {
	inode uint64
	mtime int64
	pid   int
}

func (t *processTarget) locate() finding {
	switch {
	case t.only != (procID{}):
		return t.byID()
	case t.cfg.PIDFile != "":
		return t.byPIDFile()
	case t.cfg.Executable != "":
		return t.byExecutable()
	}
	return t.byCgroup()
}

// same returns the current incarnation's stat file, if it is still there.
func (t *processTarget) same() (procStat, bool) {
	if t.cur == nil {
		return procStat{}, false
	}
	s, err := t.proc.stat(t.cur.pid)
	return s, err == nil && t.cur.is(s)
}

func alive(s procStat) bool {
	state := stateOf(s)
	return state != contract.ProcessZombie && state != contract.ProcessGone
}

// procID names one process for good: a pid alone may be given to another.
type procID struct {
	pid   int
	start uint64 // clock ticks since boot
}

func (s procStat) id() procID { return procID{s.pid, s.start} }

// byID takes the one process that is meant, or none.
func (t *processTarget) byID() finding {
	s, err := t.proc.stat(t.only.pid)
	switch {
	case err != nil && !isGone(err):
		return finding{err: err}
	case err != nil || s.id() != t.only:
		return finding{why: "no other took its place"}
	}
	return finding{found: true, stat: s}
}

// byPIDFile reads the file each time. While it is missing or half written, a
// process that still runs is still the one that is meant.
func (t *processTarget) byPIDFile() finding {
	id, err := readPIDFile(t.cfg.PIDFile)
	if err != nil {
		if s, ok := t.same(); ok {
			return finding{found: true, stat: s, pidFile: t.cur.pidFile, note: err.Error()}
		}
		if os.IsPermission(err) {
			return finding{err: err}
		}
		return finding{why: err.Error()}
	}
	s, err := t.proc.stat(id.pid)
	switch {
	case err != nil && !isGone(err):
		return finding{err: err}
	case err != nil:
		return finding{why: fmt.Sprintf("%s names pid %d, which does not run", t.cfg.PIDFile, id.pid)}
	case t.cur != nil && t.cur.pid == s.pid && t.cur.start != s.start && t.cur.pidFile == id:
		// Nobody wrote the file since, so it cannot mean the newcomer.
		return finding{why: fmt.Sprintf("%s names pid %d, which is another process now", t.cfg.PIDFile, id.pid)}
	}
	return finding{found: true, stat: s, pidFile: id}
}

func readPIDFile(name string) (fileID, error) {
	b, err := readSmall(name)
	if err != nil {
		return fileID{}, err
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(b), []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(line)))
	if err != nil || pid < 1 {
		return fileID{}, fmt.Errorf("%s holds no process id", name)
	}
	id := fileID{pid: pid}
	if info, err := os.Stat(name); err == nil {
		id.mtime = info.ModTime().UnixNano()
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			id.inode = st.Ino
		}
	}
	return id, nil
}

// byExecutable follows the process that it knows, and looks through all only
// when that one is gone: then the oldest counts, which is the parent of a pool.
func (t *processTarget) byExecutable() finding {
	if s, ok := t.same(); ok && alive(s) && t.proc.isExecutable(s, t.cfg.Executable) {
		return finding{found: true, stat: s, note: t.cur.note}
	}
	var candidates []procStat
	err := t.proc.pids(func(pid int) bool {
		if s, err := t.proc.stat(pid); err == nil && t.proc.isExecutable(s, t.cfg.Executable) {
			candidates = append(candidates, s)
		}
		return len(candidates) < maxCgroupPIDs
	})
	if err != nil {
		return finding{err: err}
	}
	return t.oldest(candidates, fmt.Sprintf("no process runs %s", t.cfg.Executable))
}

// oldest picks the oldest live process, else a zombie: the current one if it is
// that.
func (t *processTarget) oldest(list []procStat, why string) finding {
	live := slices.DeleteFunc(slices.Clone(list), func(s procStat) bool { return !alive(s) })
	older := func(a, b procStat) int {
		if a.start != b.start {
			return int(min(max(int64(a.start)-int64(b.start), -1), 1))
		}
		return a.pid - b.pid
	}
	if len(live) == 0 {
		if s, ok := t.same(); ok && !alive(s) {
			return finding{found: true, stat: s}
		}
		// A zombie that we never saw alive is no successor of one that we did.
		if len(list) == 0 || t.cur != nil {
			return finding{why: why}
		}
		return finding{found: true, stat: slices.MinFunc(list, older)}
	}
	f := finding{found: true, stat: slices.MinFunc(live, older)}
	if len(live) > 1 {
		f.note = fmt.Sprintf("pid %d is the oldest of %d processes", f.stat.pid, len(live))
	}
	return f
}

// byCgroup takes the process that it knows if it is still in there, else the
// oldest.
func (t *processTarget) byCgroup() finding {
	path := t.cgroupPath()
	dirs := t.cg.find(path)
	if len(dirs) == 0 {
		if s, ok := t.same(); ok && !alive(s) {
			return finding{found: true, stat: s} // a zombie outlives its cgroup
		}
		return finding{why: fmt.Sprintf("the cgroup %s does not exist", path)}
	}
	var list []procStat
	for _, dir := range dirs {
		for _, pid := range pidsIn(dir) {
			s, err := t.proc.stat(pid)
			if err != nil {
				continue
			}
			if t.cur.is(s) && alive(s) {
				return finding{found: true, stat: s, note: t.cur.note}
			}
			list = append(list, s)
		}
		if len(list) > 0 {
			break
		}
	}
	return t.oldest(list, fmt.Sprintf("no process is in the cgroup %s", path))
}

// cgroupPath is relative to the root of the hierarchy.
func (t *processTarget) cgroupPath() string {
	if t.cfg.Cgroup != "" {
		return strings.TrimPrefix(filepath.Clean("/"+t.cfg.Cgroup), "/")
	}
	return t.cg.unitPath(t.cfg.SystemdUnit)
}
