// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// controllers of version 1 in which each instance has a group.
var controllers = []string{"memory", "cpu", "pids", "freezer"}

// cgroupRoot is where the controllers are mounted.
const cgroupRoot = "/sys/fs/cgroup"

// cgroupParent holds the groups of all fleets on the machine.
const cgroupParent = "faultline-lab"

// usual are the values that reset writes back. Order matters: memory.memsw
// comes after memory, but neither limits anything here.
var usual = []struct{ file, value string }{
	{"freezer.state", "THAWED"},
	{"cpu.cfs_quota_us", "-1"},
	{"cpu.shares", "1024"},
	{"pids.max", "max"},
	{"memory.oom_control", "0"},
	{"memory.limit_in_bytes", "-1"},
}

// groups are the control groups of a fleet.
type groups struct{ prefix string }

func (g *groups) folder(controller, name string) string {
	return filepath.Join(cgroupRoot, controller, cgroupParent, g.prefix, name)
}

// relative is the group's path as every controller has it.
func (g *groups) relative(name string) string { return filepath.Join(cgroupParent, g.prefix, name) }

func (g *groups) create(name string) error {
	for _, c := range controllers {
		if err := os.MkdirAll(g.folder(c, name), 0o750); err != nil {
			return fmt.Errorf("control group: %w: is version 1 of %q mounted on %s?", err, c, filepath.Join(cgroupRoot, c))
		}
	}
	return nil
}

func (g *groups) set(name, file, value string) error {
	controller, _, ok := strings.Cut(file, ".")
	if !ok {
		return fmt.Errorf("control group file %q: write it with its controller, such as memory.limit_in_bytes", file)
	}
	return os.WriteFile(filepath.Join(g.folder(controller, name), file), []byte(value), 0o600)
}

func (g *groups) reset(name string) error {
	var errs []error
	for _, u := range usual {
		if err := g.set(name, u.file, u.value); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// procs are the processes in the groups of a fleet.
func (g *groups) procs() []int {
	var pids []int
	_ = filepath.WalkDir(g.folder("pids", ""), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return fs.SkipDir // it went meanwhile
		}
		if d.Name() != "cgroup.procs" {
			return nil
		}
		text, _ := os.ReadFile(path)
		for _, f := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(f); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// remove kills what is left in the groups and removes them.
func (g *groups) remove() error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		thaw, _ := filepath.Glob(filepath.Join(g.folder("freezer", "*"), "freezer.state"))
		for _, file := range thaw {
			_ = os.WriteFile(file, []byte("THAWED"), 0o600)
		}
		for _, pid := range g.procs() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		err := g.rmdir()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func (g *groups) rmdir() error {
	var errs []error
	for _, c := range controllers {
		root := g.folder(c, "")
		entries, err := os.ReadDir(root)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		for _, e := range entries {
			if e.IsDir() {
				errs = append(errs, os.Remove(filepath.Join(root, e.Name())))
			}
		}
		errs = append(errs, os.Remove(root))
		_ = os.Remove(filepath.Dir(root)) // the last fleet takes the parent along
	}
	return errors.Join(errs...)
}
