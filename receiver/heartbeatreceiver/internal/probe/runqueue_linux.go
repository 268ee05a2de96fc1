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
	threads map[string]schedule
}

// schedule is what the kernel counts of a thread, in ns since it began.
type schedule struct{ ran, waited int64 }

const (
	// maxScheduled threads are looked at; the others of a large process fare alike.
	maxScheduled = 256
	// wantedFrom is the least share of one processor that a process must have
	// wanted for its waits to say anything.
	wantedFrom = 0.02
)

// wait is the share (0-1) of the time in which the threads wanted a processor that
// they waited for one, since the last call; nil for the first call of a process,
// and where the kernel does not count it (CONFIG_SCHED_INFO).
func (q *runQueue) wait(proc procfs, pid int, now time.Time) *float64 {
	before, since := q.threads, now.Sub(q.at)
	known := q.pid == pid && len(before) > 0 && since > 0
	q.pid, q.at, q.threads = pid, now, proc.schedules(pid)
	if !known || len(q.threads) == 0 {
		return nil
	}
	var ran, waited int64
	for thread, is := range q.threads {
		was, ok := before[thread]
		if !ok {
			continue
		}
		ran += max(is.ran-was.ran, 0)
		waited += max(is.waited-was.waited, 0)
	}
	if float64(ran+waited) < wantedFrom*float64(since) {
		return ptr(0.0)
	}
	return ptr(float64(waited) / float64(ran+waited))
}

func (p procfs) schedules(pid int) map[string]schedule {
	tasks := p.path(pid, "task")
	d, err := os.Open(tasks)
	if err != nil {
		return nil
	}
	defer d.Close()
	names, _ := d.Readdirnames(maxScheduled)
	all := make(map[string]schedule, len(names))
	for _, thread := range names {
		b, err := readSmall(filepath.Join(tasks, thread, "schedstat"))
		if err != nil {
			continue // it ended meanwhile, or nothing is counted
		}
		if s, ok := parseSchedule(b); ok {
			all[thread] = s
		}
	}
	return all
}

// parseSchedule reads /proc/<pid>/task/<tid>/schedstat: time on a processor, time
// waiting for one, number of turns (the kernel's Documentation/scheduler/sched-stats).
func parseSchedule(b []byte) (s schedule, ok bool) {
	f := bytes.Fields(b)
	if len(f) != 3 {
		return s, false
	}
	var err error
	if s.ran, err = strconv.ParseInt(string(f[0]), 10, 64); err != nil || s.ran < 0 {
		return s, false
	}
	if s.waited, err = strconv.ParseInt(string(f[1]), 10, 64); err != nil || s.waited < 0 {
		return s, false
	}
	return s, true
}
