// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroupfs reads control groups of version 1, 2 or both (hybrid).
type cgroupfs struct{ root string }

// cgroupMount is where control groups are to be found.
const cgroupMount = "/sys/fs/cgroup"

// cgroupRoot is where control groups are seen, from one of several roots. Who is
// started in a network namespace by `ip netns exec` has an empty sysfs over them;
// the system's first process, or who started us, may have them in view.
func cgroupRoot(from ...string) string {
	for _, root := range from {
		dir := filepath.Join(root, cgroupMount)
		if names, err := os.ReadDir(dir); err == nil && len(names) > 0 {
			return dir
		}
	}
	return cgroupMount
}

// cgroupDir is a folder, and the root of the hierarchy that it is in.
type cgroupDir struct{ root, dir string }

// dirsOf maps a controller to the folder that governs a process; "" is the
// folder of version 2.
type dirsOf map[string]cgroupDir

// unified is the root of version 2, or empty.
func (c cgroupfs) unified() string {
	for _, dir := range []string{c.root, filepath.Join(c.root, "unified")} {
		if _, err := os.Stat(filepath.Join(dir, "cgroup.controllers")); err == nil {
			return dir
		}
	}
	return ""
}

// v1Root is the root of a version 1 controller, or empty.
func (c cgroupfs) v1Root(controllers, controller string) string {
	for _, name := range []string{controller, controllers, strings.TrimPrefix(controllers, "name=")} {
		dir := filepath.Join(c.root, name)
		if name == "" || name == "unified" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil {
			return dir
		}
	}
	return ""
}

// readControllers are those of version 1 that are read here.
var readControllers = []string{"memory", "cpu", "pids", "freezer"}

// dirs finds the folders of a process.
func (c cgroupfs) dirs(paths []cgroupPath) dirsOf {
	found := dirsOf{}
	for _, p := range paths {
		if p.controllers == "" {
			found.add("", c.unified(), p.path)
			continue
		}
		for _, controller := range readControllers {
			if strings.Contains(","+p.controllers+",", ","+controller+",") {
				found.add(controller, c.v1Root(p.controllers, controller), p.path)
			}
		}
	}
	return found
}

// dirsAt finds the folders of one path.
func (c cgroupfs) dirsAt(path string) dirsOf {
	found := dirsOf{}
	found.add("", c.unified(), path)
	for _, controller := range readControllers {
		found.add(controller, c.v1Root(controller, controller), path)
	}
	return found
}

func (d dirsOf) add(controller, root, path string) {
	if dir := filepath.Join(root, path); root != "" && isDir(dir) {
		d[controller] = cgroupDir{root, dir}
	}
}

// find returns the folder of that path in each hierarchy that has it.
func (c cgroupfs) find(path string) []string {
	var dirs []string
	if root := c.unified(); root != "" {
		dirs = append(dirs, filepath.Join(root, path))
	}
	for _, name := range append([]string{"systemd"}, readControllers...) {
		if root := c.v1Root(name, name); root != "" {
			dirs = append(dirs, filepath.Join(root, path))
		}
	}
	existing := dirs[:0]
	for _, d := range dirs {
		if isDir(d) {
			existing = append(existing, d)
		}
	}
	return existing
}

const (
	maxCgroupDirs = 512  // of one target
	maxCgroupPIDs = 8192 // of one target
	maxUnitDirs   = 4096 // looked through for a unit in an unusual slice
)

// walk calls visit for a folder and those below it, at most limit.
func walk(dir string, limit int, visit func(dir string) (more bool)) {
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // a folder that went away meanwhile is not walked
		}
		if limit--; limit < 0 || !visit(p) {
			return fs.SkipAll
		}
		return nil
	})
}

// pidsIn lists the processes in a folder and below.
func pidsIn(dir string) []int {
	var pids []int
	walk(dir, maxCgroupDirs, func(d string) bool {
		b, _ := readSmall(filepath.Join(d, "cgroup.procs"))
		for line := range strings.Lines(string(b)) {
			// 0 stands for a process of another pid namespace.
			if pid, err := strconv.Atoi(strings.TrimSpace(line)); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return len(pids) < maxCgroupPIDs
	})
	return pids
}

// unitPath finds a systemd unit's cgroup: where systemd puts it by default,
// else wherever a folder has its name (Slice= in the unit, user managers).
func (c cgroupfs) unitPath(unit string) string {
	if !strings.Contains(unit, ".") {
		unit += ".service"
	}
	candidates := []string{filepath.Join("system.slice", unit)}
	if prefix, _, ok := strings.Cut(unit, "@"); ok {
		// Instances of a template share a slice, in whose name systemd escapes hyphens.
		slice := "system-" + strings.ReplaceAll(prefix, "-", `\x2d`) + ".slice"
		candidates = append(candidates, filepath.Join("system.slice", slice, unit))
	}
	for _, p := range candidates {
		if len(c.find(p)) > 0 {
			return p
		}
	}
	root := c.unified()
	if systemd := c.v1Root("systemd", "systemd"); systemd != "" {
		root = systemd
	}
	found := candidates[0]
	if root != "" {
		walk(root, maxUnitDirs, func(d string) bool {
			if filepath.Base(d) != unit {
				return true
			}
			found, _ = filepath.Rel(root, d)
			return false
		})
	}
	return found
}

func isDir(p string) bool {
	info, err := os.Stat(p)
	return err == nil && info.IsDir()
}
