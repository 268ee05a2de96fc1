// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/lab/internal/service"
)

// Main turns this process into a process of the fleet if it was started as one,
// and then does not return. Call it first in main.
func Main() {
	if path := os.Getenv(childEnv); path != "" {
		fmt.Fprintln(os.Stderr, "lab:", becomeChild(path))
		os.Exit(125)
	}
	service.Main()
}

// becomeChild enters the place that the file at path describes and replaces
// this process by the program that belongs there, so that the process id stays.
func becomeChild(path string) error {
	runtime.LockOSThread() // namespaces belong to threads; exec keeps this one's
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var s spec
	if err := json.Unmarshal(text, &s); err != nil {
		return err
	}
	for _, folder := range s.Cgroups {
		if err := os.WriteFile(filepath.Join(folder, "cgroup.procs"), []byte("0"), 0o600); err != nil {
			return err
		}
	}
	ns, err := os.Open(filepath.Join("/run/netns", s.Netns))
	if err != nil {
		return err
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", s.Netns, err)
	}
	_ = ns.Close()
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_NEWUTS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("sethostname: %w", err)
	}
	// Slave: what the fleet mounts is seen here, what is mounted here is not seen there.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	for to, from := range map[string]string{"/etc/hosts": s.Hosts, "/etc/resolv.conf": s.Resolv} {
		if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", to, err)
		}
	}
	program, err := exec.LookPath(s.Argv[0])
	if err != nil {
		return err
	}
	return unix.Exec(program, s.Argv, s.Env)
}
