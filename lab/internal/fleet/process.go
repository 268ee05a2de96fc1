// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// childEnv names the file with the spec of a child.
const childEnv = "FAULTLINE_LAB_CHILD"

// spec is what a child needs to become a process of the fleet.
type spec struct {
	Netns    string   `json:"netns"`
	Hostname string   `json:"hostname"`
	Cgroups  []string `json:"cgroups"`
	Hosts    string   `json:"hosts"`
	Resolv   string   `json:"resolv"`
	Argv     []string `json:"argv"`
	Env      []string `json:"env"`
	Version  string   `json:"version"`
}

// readyWithin is how long a process may take until it serves: Python and Node
// take some seconds while all start at once.
const readyWithin = 60 * time.Second

// launch starts a process in the slot.
func (in *Instance) launch() error {
	f := in.fleet
	f.mu.Lock()
	closed := f.closed
	f.mu.Unlock()
	if closed {
		return fmt.Errorf("%s: the fleet is closed", in.Name)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.process != nil && !in.process.ended() {
		return fmt.Errorf("%s: a process runs already", in.Name)
	}
	if err := in.emptyData(); err != nil {
		return err
	}
	s := in.spec
	s.Env = os.Environ()
	for key, value := range in.environment() {
		s.Env = append(s.Env, key+"="+value)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(f.Dir, "run", in.Name+".child.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	log, err := os.OpenFile(in.LogFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.CommandContext(context.Background(), f.opt.Program) //nolint:gosec // this very program, or the one that the caller names
	cmd.Env = append(os.Environ(), childEnv+"="+path)
	cmd.Dir = f.Dir
	cmd.Stdout, cmd.Stderr = log, log
	// A group of its own: Ctrl-C is for the lab, which then stops the fleet.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	in.process = p
	in.starts++
	pid := []byte(strconv.Itoa(cmd.Process.Pid) + "\n")
	err = os.WriteFile(in.pidFile(), pid, 0o600)
	go func() {
		_ = cmd.Wait()
		p.at = time.Now()
		close(p.done)
	}()
	return err
}

func (in *Instance) pidFile() string { return filepath.Join(in.fleet.Dir, "run", in.Name+".pid") }

// WaitReady waits until the process serves; it fails at once if the process ends.
func (in *Instance) WaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	var last error
	for {
		if in.PID() == 0 {
			return fmt.Errorf("%s: ended before it was ready: see %s", in.Name, in.LogFile())
		}
		if last = in.ready(ctx); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready: %w: see %s", in.Name, last, in.LogFile())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (in *Instance) ready(ctx context.Context) error {
	if in.Kind == Collector {
		return in.collectorReady(ctx)
	}
	return in.Command(ctx, control.Ready)
}

// emptyData empties the data folder, which is a file system of its own.
func (in *Instance) emptyData() error {
	entries, err := os.ReadDir(in.DataDir())
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := os.RemoveAll(filepath.Join(in.DataDir(), e.Name())); err != nil {
			return err
		}
	}
	return nil
}
