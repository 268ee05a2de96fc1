// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// claims holds a file for each fleet of the machine, named by its prefix, with
// the start time of the process that made it: process ids are used again.
const claims = "/run/faultline-lab"

const prefixStart = "fl"

func available() error {
	if _, err := exec.LookPath("ip"); err != nil {
		return fmt.Errorf("the fleet needs the command ip: %w: install iproute2", err)
	}
	for _, c := range controllers {
		if _, err := os.Stat(filepath.Join(cgroupRoot, c, "cgroup.procs")); err != nil {
			return fmt.Errorf("the fleet needs the control group controller %q of version 1: %w", c, err)
		}
	}
	return nil
}

// claim takes a prefix for a fleet of this process.
func claim() (string, error) {
	if err := os.MkdirAll(claims, 0o750); err != nil {
		return "", err
	}
	for i := range 10 {
		prefix := fmt.Sprintf("%s%d", prefixStart, os.Getpid())
		if i > 0 {
			prefix += string(rune('a' + i))
		}
		file, err := os.OpenFile(filepath.Join(claims, prefix), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		_, err = fmt.Fprintf(file, "%d %s\n", os.Getpid(), startTime(os.Getpid()))
		return prefix, errors.Join(err, file.Close())
	}
	return "", errors.New("fleet: this process runs ten fleets already")
}

// sweep removes what fleets left whose process is gone.
func sweep() error {
	entries, err := os.ReadDir(claims)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(claims, e.Name()))
		if err != nil || !strings.HasPrefix(e.Name(), prefixStart) {
			continue
		}
		owner, started, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
		pid, err := strconv.Atoi(owner)
		if err == nil && startTime(pid) == started {
			continue // alive
		}
		errs = append(errs, cleanUp(e.Name()))
	}
	return errors.Join(errs...)
}

// startTime is a process's start in clock ticks since boot; "" if it is gone.
func startTime(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The command's name in parentheses may hold anything.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	if len(fields) < 20 {
		return ""
	}
	return fields[19]
}

// cleanUp removes all that carries the prefix: processes, control groups,
// mounts, namespaces (cables and the bridge go with them).
func cleanUp(prefix string) error {
	errs := []error{(&groups{prefix}).remove()}
	mounts, err := os.ReadFile("/proc/self/mounts")
	errs = append(errs, err)
	for line := range strings.Lines(string(mounts)) {
		fields := strings.Fields(line)
		if len(fields) > 1 && strings.HasPrefix(fields[0], prefix+"-") {
			errs = append(errs, unix.Unmount(fields[1], unix.MNT_DETACH))
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	spaces, _ := filepath.Glob(filepath.Join("/run/netns", prefix+"-*"))
	for _, path := range spaces {
		_, err := ip(ctx, "netns", "del", filepath.Base(path))
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clean up %s: %w", prefix, err)
	}
	return os.Remove(filepath.Join(claims, prefix))
}

// mountData mounts the small file system of a service.
func mountData(source, dir string) error {
	if err := unix.Mount(source, dir, "tmpfs", 0, fmt.Sprintf("size=%d", DataSize)); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return nil
}

// SetLimit limits a resource of the running process, such as
// unix.RLIMIT_NOFILE, to at most its hard limit; it holds until the process ends
// or is given another.
func (in *Instance) SetLimit(resource int, value uint64) error {
	pid := in.PID()
	if pid == 0 {
		return fmt.Errorf("%s: no process to limit", in.Name)
	}
	var was unix.Rlimit
	if err := unix.Prlimit(pid, resource, nil, &was); err != nil {
		return err
	}
	// The hard limit stays: to raise it again takes more than root.
	return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: min(value, was.Max), Max: was.Max}, nil)
}

// Pin lets the threads of the running process use the first processor only, or all
// again; it holds until the process ends.
func (in *Instance) Pin(toFirst bool) error {
	pid := in.PID()
	if pid == 0 {
		return fmt.Errorf("%s: no process to pin", in.Name)
	}
	var cpus unix.CPUSet
	cpus.Set(0)
	for i := 1; i < runtime.NumCPU() && !toFirst; i++ {
		cpus.Set(i)
	}
	tasks, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "task"))
	if err != nil {
		return err
	}
	for _, task := range tasks {
		thread, err := strconv.Atoi(task.Name())
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(thread, &cpus); err != nil && !errors.Is(err, unix.ESRCH) {
			return err
		}
	}
	return nil
}
