// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"bytes"
	"errors"
	"strconv"
)

// procStat is what is used of /proc/<pid>/stat (proc_pid_stat(5)).
type procStat struct {
	pid      int
	comm     string // the program's name, cut to 15 bytes
	state    byte
	ppid     int   // 0 if not told
	tty      int64 // of the terminal that controls it, 0 for none
	threads  int64
	start    uint64 // clock ticks since boot
	exitCode int64  // wait status; 0 also where we may not read it
}

var errStat = errors.New("the kernel's stat file cannot be read")

// Places of fields after the name, counted from 0; the manual counts from 3.
const (
	statState    = 0
	statParent   = 4 - 3
	statTerminal = 7 - 3
	statThreads  = 20 - 3
	statStart    = 22 - 3
	statExitCode = 52 - 3
)

// parseStat reads a stat file. The name may hold spaces and brackets, so that
// only the last bracket ends it.
func parseStat(b []byte) (procStat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return procStat{}, errStat
	}
	var s procStat
	var err error
	if s.pid, err = strconv.Atoi(string(bytes.TrimSpace(b[:open]))); err != nil || s.pid < 1 {
		return procStat{}, errStat
	}
	s.comm = string(b[open+1 : end])
	fields := bytes.Fields(b[end+1:])
	if len(fields) <= statStart || len(fields[statState]) != 1 {
		return procStat{}, errStat
	}
	s.state = fields[statState][0]
	s.ppid, _ = strconv.Atoi(string(fields[statParent]))
	s.tty, _ = strconv.ParseInt(string(fields[statTerminal]), 10, 64)
	if s.threads, err = strconv.ParseInt(string(fields[statThreads]), 10, 64); err != nil || s.threads < 0 {
		return procStat{}, errStat
	}
	if s.start, err = strconv.ParseUint(string(fields[statStart]), 10, 64); err != nil {
		return procStat{}, errStat
	}
	// Kernels before 3.5 have no such field.
	if len(fields) > statExitCode {
		if s.exitCode, err = strconv.ParseInt(string(fields[statExitCode]), 10, 64); err != nil {
			return procStat{}, errStat
		}
	}
	return s, nil
}

// exitStatus turns a wait status into what a shell would say: 128+n for signal n.
func exitStatus(wait int64) int64 {
	if signal := wait & 0x7f; signal != 0 {
		return 128 + signal
	}
	return wait >> 8 & 0xff
}
