// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// up goes from a folder to its root, and leaves out the root of the whole
// system: what it counts is the node's and must not be laid at one process's door.
func (c cgroupDir) up() iter.Seq[string] {
	return func(yield func(string) bool) {
		for d := c.dir; len(d) >= len(c.root) && strings.HasPrefix(d, c.root); d = filepath.Dir(d) {
			if !isSystemRoot(d) && !yield(d) {
				return
			}
		}
	}
}

// isSystemRoot tells the root of a hierarchy from a folder that a namespace
// shows as one: only the former has no cgroup.events (version 2), or a release
// agent (version 1).
func isSystemRoot(dir string) bool {
	if exists(filepath.Join(dir, "cgroup.controllers")) {
		return !exists(filepath.Join(dir, "cgroup.events"))
	}
	return exists(filepath.Join(dir, "release_agent"))
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// number reads a file that holds one number; nil where it says "max" or nothing.
func number(dir, name string) *int64 {
	b, err := readSmall(filepath.Join(dir, name))
	if err != nil {
		return nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || n < 0 {
		return nil
	}
	return &n
}

// field reads one number of a file of "key value" lines.
func field(dir, name, key string) *int64 {
	b, err := readSmall(filepath.Join(dir, name))
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(b)) {
		k, v, _ := strings.Cut(strings.TrimSpace(line), " ")
		if k != key {
			continue
		}
		if n, err := strconv.ParseInt(v, 10, 64); err == nil && n >= 0 {
			return &n
		}
	}
	return nil
}

// memory is the usage that is closest to its limit on the way up, in bytes.
func (d dirsOf) memory() (usage, limit *int64) {
	if v2, ok := d[""]; ok {
		usage, limit = v2.tightest(func(dir string) (*int64, *int64) {
			return without(number(dir, "memory.current"), field(dir, "memory.stat", "inactive_file")), number(dir, "memory.max")
		})
	}
	if v1, ok := d["memory"]; ok && usage == nil {
		usage, limit = v1.tightest(func(dir string) (*int64, *int64) {
			used := without(number(dir, "memory.usage_in_bytes"), field(dir, "memory.stat", "total_inactive_file"))
			limit := number(dir, "memory.limit_in_bytes")
			// Version 1 says "none" by the greatest number of whole pages.
			if limit != nil && *limit >= 1<<62 {
				limit = nil
			}
			return used, limit
		})
	}
	return usage, limit
}

// without takes off the pages that the kernel drops first when memory is short.
func without(usage, inactive *int64) *int64 {
	if usage != nil && inactive != nil {
		return ptr(max(*usage-*inactive, 0))
	}
	return usage
}

// tasks are the threads that a pids limit counts, against that limit.
func (d dirsOf) tasks() (usage, limit *int64) {
	for _, controller := range []string{"", "pids"} {
		if c, ok := d[controller]; ok && limit == nil {
			usage, limit = c.tightest(func(dir string) (*int64, *int64) {
				return number(dir, "pids.current"), number(dir, "pids.max")
			})
		}
	}
	return usage, limit
}

// tightest picks the folder whose usage is closest to its limit; without any
// limit the first that has a usage.
func (c cgroupDir) tightest(read func(dir string) (usage, limit *int64)) (usage, limit *int64) {
	best := -1.0
	for dir := range c.up() {
		u, l := read(dir)
		if u == nil {
			continue
		}
		if usage == nil {
			usage = u
		}
		if l != nil && *l > 0 && float64(*u)/float64(*l) > best {
			best, usage, limit = float64(*u)/float64(*l), u, l
		}
	}
	return usage, limit
}

// frozen says whether the cgroup is held still, as `docker pause` does: the
// process then looks as if it slept (version 2) or waited for a disk (version 1).
func (d dirsOf) frozen() bool {
	if c, ok := d[""]; ok {
		if n := field(c.dir, "cgroup.events", "frozen"); n != nil && *n == 1 {
			return true
		}
	}
	if c, ok := d["freezer"]; ok {
		b, err := readSmall(filepath.Join(c.dir, "freezer.state"))
		return err == nil && strings.TrimSpace(string(b)) == "FROZEN"
	}
	return false
}

// cpuSeen are counts of CPU periods at the last probe.
type cpuSeen struct{ periods, throttled int64 }

// throttled is the largest share of periods since the last call in which a
// folder on the way up was held back; nil where no quota was in force.
func (d dirsOf) throttled(seen map[string]cpuSeen) *float64 {
	c, ok := d[""]
	if v1, has := d["cpu"]; has {
		c, ok = v1, true
	}
	if !ok {
		return nil
	}
	var worst *float64
	now := map[string]cpuSeen{}
	for dir := range c.up() {
		periods, held := field(dir, "cpu.stat", "nr_periods"), field(dir, "cpu.stat", "nr_throttled")
		if periods == nil || held == nil || *periods == 0 {
			continue
		}
		now[dir] = cpuSeen{*periods, *held}
		before, known := seen[dir]
		if !known || *periods < before.periods || *held < before.throttled {
			continue // first seen, or made anew
		}
		share := 0.0
		if *periods > before.periods {
			share = min(float64(*held-before.throttled)/float64(*periods-before.periods), 1)
		}
		if worst == nil || share > *worst {
			worst = &share
		}
	}
	clear(seen)
	for dir, s := range now {
		seen[dir] = s
	}
	return worst
}

// pressure is a PSI avg10 of the process's own folder as a share (0-1). There
// is none in version 1, and that of the node says nothing about one process.
func (d dirsOf) pressure(file, kind string) *float64 {
	c, ok := d[""]
	if !ok || isSystemRoot(c.dir) {
		return nil
	}
	b, err := readSmall(filepath.Join(c.dir, file))
	if err != nil {
		return nil
	}
	return parsePressure(string(b), kind)
}

func parsePressure(s, kind string) *float64 {
	for line := range strings.Lines(s) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != kind {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimPrefix(f[1], "avg10="), 64)
		if err == nil && v >= 0 && v <= 100 {
			return ptr(v / 100)
		}
	}
	return nil
}

// oomCount adds up out-of-memory kills over the folders of a target. It never
// falls, although a folder's own count ends with the folder.
type oomCount struct {
	total int64
	known bool
	told  bool // somebody was told the total, so that a jump would be news
	dir   string
	inode uint64
	last  int64
}

// see reads the folder's count and says whether it goes on from the last one
// read: else there may have been kills that it does not tell of. Below adds up
// the folders below, which version 1 counts apart. What came since the last one
// read is not added if it is not theirs.
func (o *oomCount) see(d dirsOf, below, theirs bool) bool {
	dir, n := d.oomKills(below)
	if n == nil {
		return false
	}
	var inode uint64
	if info, err := os.Stat(dir); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			inode = st.Ino
		}
	}
	same := dir == o.dir && inode == o.inode
	switch {
	case !o.told:
		o.total = *n
	case dir != o.dir || !theirs:
		// What another folder counted before we came is no news.
	case !same:
		o.total += *n // made anew at the same place: it began at 0
	default:
		o.total += max(*n-o.last, 0)
	}
	o.known, o.dir, o.inode, o.last = true, dir, inode, *n
	return same
}

func (d dirsOf) oomKills(below bool) (dir string, kills *int64) {
	if c, ok := d[""]; ok && !isSystemRoot(c.dir) {
		if n := field(c.dir, "memory.events", "oom_kill"); n != nil {
			return c.dir, n
		}
	}
	c, ok := d["memory"]
	if !ok || isSystemRoot(c.dir) {
		return "", nil
	}
	kills = field(c.dir, "memory.oom_control", "oom_kill")
	if kills != nil && below {
		walk(c.dir, maxCgroupDirs, func(sub string) bool {
			if n := field(sub, "memory.oom_control", "oom_kill"); n != nil && sub != c.dir {
				*kills += *n
			}
			return true
		})
	}
	return c.dir, kills
}
