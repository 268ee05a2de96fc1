// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/internal/contract"
)

// processTarget follows one process through its incarnations.
type processTarget struct {
	cfg  ProcessConfig
	only procID // set: this one is meant, whatever cfg says
	proc procfs
	cg   cgroupfs
	log  kernelLog

	cur    *incarnation // the latest seen; stays when it is gone
	shared bool         // its cgroup is that of others, too, who are looked at
	oom    oomCount
	cpu    map[string]cpuSeen
	queued runQueue
}

// incarnation is one process from its start to its end; a pid alone may be
// given to another.
type incarnation struct {
	procStat
	pidfd   int // -1 if there is none
	pidFile fileID
	note    string // how it was found, where that is worth a word
	dirs    dirsOf
	exit    *int64 // exit status, once known
	ended   bool
}

// roots are where the kernel's file systems are; tests put their own there.
type roots struct{ proc, cgroup, kernelLog string }

// realRoots are those of the running system.
func realRoots() roots {
	return roots{proc: "/proc", cgroup: cgroupRoot("/", "/proc/1/root", fmt.Sprintf("/proc/%d/root", os.Getppid())), kernelLog: "/dev/kmsg"}
}

func newProcess(cfg ProcessConfig) (target, error) { return newProcessAt(cfg, realRoots()) }

func newProcessAt(cfg ProcessConfig, at roots) (*processTarget, error) {
	proc, err := newProcfs(at.proc)
	if err != nil {
		return nil, err
	}
	t := newFollower(proc, at)
	t.cfg = cfg
	return t, nil
}

// newFollower makes a target that does not know yet which process is meant.
func newFollower(proc procfs, at roots) *processTarget {
	t := &processTarget{proc: proc, cg: cgroupfs{at.cgroup}, log: kernelLog{at.kernelLog}, cpu: map[string]cpuSeen{}}
	// Where the log would tell of a kill, silence means that there was none.
	t.oom.known = t.log.readable()
	return t
}

func (t *processTarget) close() {
	if t.cur != nil {
		t.cur.close()
		t.cur = nil
	}
}

func (i *incarnation) close() {
	if i.pidfd >= 0 {
		_ = unix.Close(i.pidfd)
		i.pidfd = -1
	}
}

// is says whether a stat file is of this incarnation.
func (i *incarnation) is(s procStat) bool {
	return i != nil && i.pid == s.pid && i.start == s.start
}

func (t *processTarget) probe(context.Context) Result {
	f := t.locate()
	if f.err != nil {
		return Result{Outcome: contract.OutcomeError, Message: "the observer cannot look: " + f.err.Error()}
	}
	var before *incarnation
	if f.found && !t.cur.is(f.stat) {
		before = t.cur
		if before != nil {
			t.end(before)
			before.close()
		}
		t.cur = t.begin(f)
	}
	state, frozen := contract.ProcessGone, false
	var dirs dirsOf
	if f.found {
		t.cur.procStat, t.cur.pidFile = f.stat, f.pidFile
		state = stateOf(f.stat)
		dirs = t.folders(t.cur)
		if frozen = alive(f.stat) && dirs.frozen(); frozen {
			state = contract.ProcessStopped
		}
	}
	// What is no longer meant may run on: under another program's name, in
	// another cgroup, beside a newer pid file.
	if s, there := t.same(); t.cur != nil && (!there || !alive(s)) {
		t.end(t.cur)
	}
	r := Result{Outcome: contract.OutcomeError, Process: t.describe(state, dirs)}
	switch state {
	case contract.ProcessRunning, contract.ProcessDiskWait:
		r.Outcome, r.Message = contract.OutcomeOK, f.note
		if state == contract.ProcessDiskWait {
			r.Message = "waits for a disk"
		}
		if before != nil {
			r.Process.ExitCode = before.exit
			r.Message = fmt.Sprintf("pid %d took the place of pid %d, %s", t.cur.pid, before.pid, before.ending())
		}
	case contract.ProcessStopped:
		r.Message = fmt.Sprintf("pid %d is stopped by a signal or a debugger", t.cur.pid)
		if frozen {
			r.Message = fmt.Sprintf("pid %d is frozen with its cgroup", t.cur.pid)
		}
	case contract.ProcessZombie:
		r.Message = fmt.Sprintf("pid %d is a zombie, %s", t.cur.pid, t.cur.ending())
	default:
		r.Message = f.why
		if t.cur != nil && t.cur.ended {
			r.Message = fmt.Sprintf("pid %d is gone, %s: %s", t.cur.pid, t.cur.ending(), f.why)
		}
	}
	return r
}

// stateOf translates the kernel's letter (proc_pid_stat(5)).
func stateOf(s procStat) string {
	switch s.state {
	case 'T', 't':
		return contract.ProcessStopped
	case 'D':
		return contract.ProcessDiskWait
	case 'Z':
		if s.threads > 1 {
			return contract.ProcessRunning // only its first thread ended
		}
		return contract.ProcessZombie
	case 'X', 'x':
		return contract.ProcessGone
	}
	return contract.ProcessRunning
}

// begin makes the incarnation that was found the one that is followed.
func (t *processTarget) begin(f finding) *incarnation {
	i := &incarnation{procStat: f.stat, pidfd: -1, pidFile: f.pidFile, note: f.note}
	if t.proc.root == "/proc" {
		i.pidfd = openPidfd(i.pid)
		// In between the pid may have gone to another.
		if s, err := t.proc.stat(i.pid); err != nil || s.start != i.start {
			i.close()
		}
	}
	clear(t.cpu)
	return i
}

// end finds out, once each, how an incarnation ended.
func (t *processTarget) end(i *incarnation) {
	if i.exit == nil {
		if wait, ok := exitInfo(i.pidfd); i.pidfd >= 0 && ok {
			i.exit = ptr(exitStatus(wait))
		} else if s, err := t.proc.stat(i.pid); err == nil && i.is(s) && s.state == 'Z' && (s.exitCode != 0 || t.proc.mayReadExit(i.pid)) {
			i.exit = ptr(exitStatus(s.exitCode))
		}
	}
	if i.ended {
		return
	}
	i.ended = true
	// The cgroup tells of a kill if it is still there. A container's or a unit's
	// goes with its last process, and then the kernel's log must tell.
	const killed = 128 + int64(unix.SIGKILL)
	notKilled := i.exit != nil && *i.exit != killed
	if t.oom.see(t.folders(i), t.ofCgroup(), !t.shared || !notKilled) || notKilled {
		return
	}
	if t.log.killed(i.procStat, secondsSince(unix.CLOCK_BOOTTIME)-float64(i.start)/ticksPerSecond, secondsSince(unix.CLOCK_MONOTONIC)) {
		t.oom.total++
	}
}

// secondsSince reads a clock that began at boot.
func secondsSince(clock int32) float64 {
	var ts unix.Timespec
	_ = unix.ClockGettime(clock, &ts)
	return float64(ts.Nano()) / 1e9
}

// ending is how an incarnation ended, in words.
func (i *incarnation) ending() string {
	if i.exit == nil {
		return "exit status unknown"
	}
	return fmt.Sprintf("exit status %d", *i.exit)
}

// ofCgroup says whether the target is a cgroup and not one process in it.
func (t *processTarget) ofCgroup() bool { return t.cfg.Cgroup != "" || t.cfg.SystemdUnit != "" }

// folders are those of the cgroup that the target's usage is read from. A zombie is
// already moved to the root in version 1: then those from its life count.
func (t *processTarget) folders(i *incarnation) dirsOf {
	if t.ofCgroup() {
		return t.cg.dirsAt(t.cgroupPath())
	}
	if s, err := t.proc.stat(i.pid); err == nil && i.is(s) && s.state != 'Z' {
		i.dirs = t.cg.dirs(t.proc.cgroups(i.pid))
	}
	return i.dirs
}

// describe reads what the kernel tells of the current incarnation, and of its
// folders if it is there.
func (t *processTarget) describe(state string, dirs dirsOf) *Process {
	p := &Process{State: state}
	i := t.cur
	if i == nil {
		return p
	}
	p.PID, p.StartTime = ptr(int64(i.pid)), ptr(t.proc.startTime(i.start))
	// A kill in a cgroup of several may be another's: this one lives, or was counted as it ended.
	t.oom.see(dirs, t.ofCgroup(), !t.shared)
	if t.oom.known {
		p.OOMKills, t.oom.told = ptr(t.oom.total), true
	}
	if i.ended || state == contract.ProcessGone {
		p.ExitCode = i.exit
		return p
	}
	p.FDs, p.FDLimit = t.proc.fds(i.pid)
	p.MemoryUsage, p.MemoryLimit = dirs.memory()
	p.Throttled = dirs.throttled(t.cpu)
	p.CPUWait = t.queued.wait(t.proc, i.pid, time.Now())
	if p.Threads, p.ThreadLimit = dirs.tasks(); p.ThreadLimit == nil {
		p.Threads = ptr(i.threads)
	}
	p.PressureCPU = dirs.pressure("cpu.pressure", "some")
	p.PressureMemory = dirs.pressure("memory.pressure", "full")
	p.PressureIO = dirs.pressure("io.pressure", "full")
	return p
}
