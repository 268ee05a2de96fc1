// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// runQueue tells how long the threads of a process wait for a processor: a noisy
// neighbour or a quota somewhere above shows in no limit of the process's own.
type runQueue struct {
	pid     int
	at      time.Time
	threads map[string]int64 // ns that each has waited since it began
}

// maxScheduled threads are looked at; the others of a large process fare alike.
const maxScheduled = 256

// wait is the share (0-1) of the time since the last call in which a thread waited
// for a processor: the sum over threads, at most 1, and so never less than the PSI
// of a cgroup of this process alone. It is nil for the first call of a process, and
// where the kernel does not count it (CONFIG_SCHED_INFO).
func (q *runQueue) wait(proc procfs, pid int, now time.Time) *float64 {
	before, since := q.threads, now.Sub(q.at)
	known := q.pid == pid && len(before) > 0 && since > 0
	q.pid, q.at, q.threads = pid, now, proc.waits(pid)
	if !known || len(q.threads) == 0 {
		return nil
	}
	var waited int64
	for thread, is := range q.threads {
		if was, ok := before[thread]; ok {
			waited += max(is-was, 0)
		}
	}
	return ptr(min(float64(waited)/float64(since), 1))
}

// waits is how long each thread of a process has waited for a processor, in ns.
func (p procfs) waits(pid int) map[string]int64 {
	tasks := p.path(pid, "task")
	d, err := os.Open(tasks)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(maxScheduled)
	all := make(map[string]int64, len(names))
	for _, thread := range names {
		b, err := readSmall(filepath.Join(tasks, thread, "schedstat"))
		if err != nil {
			continue // it ended meanwhile, or nothing is counted
		}
		if waited, ok := parseSchedule(b); ok {
			all[thread] = waited
		}
	}
	return all
}

// parseSchedule reads /proc/<pid>/task/<tid>/schedstat: time on a processor, time
// waiting for one, both in ns, and the number of turns (the kernel's
// Documentation/scheduler/sched-stats).
func parseSchedule(b []byte) (waited int64, ok bool) {
	f := bytes.Fields(b)
	if len(f) != 3 {
		return 0, false
	}
	waited, err := strconv.ParseInt(string(f[1]), 10, 64)
	return waited, err == nil && waited >= 0
}
