// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// Kind says what a process of the fleet is.
type Kind string

// Values of Kind.
const (
	Service   Kind = "service"   // sends spans, metrics, logs and heartbeats
	Stock     Kind = "stock"     // another language with stock auto-instrumentation, no heartbeats
	Bare      Kind = "bare"      // without any instrumentation
	Collector Kind = "collector" // an agent, or the gateway
	Load      Kind = "load"
)

// Instance is a slot for one process of the fleet: it keeps its name, place,
// address and control group when the process in it is replaced.
type Instance struct {
	Name    string // service.instance.id, unless SetID says otherwise
	Service string // service.name
	Version string // service.version
	Kind    Kind
	Node    *Node
	Addr    netip.AddrPort // where it serves; agents and the gateway: OTLP over gRPC
	Calls   []string       // services that it calls

	fleet *Fleet
	spec  spec

	mu      sync.Mutex
	process *process // nil: none
	starts  int
	id      string // service.instance.id, if not Name
}

// Zone returns the name of the instance's zone.
func (in *Instance) Zone() string { return in.Node.Zone }

// DataDir is a small file system of its own (a tmpfs of DataSize) in which the
// service writes, as it is seen from outside. It is emptied when the instance
// is started.
func (in *Instance) DataDir() string { return filepath.Join(in.fleet.Dir, "data", in.Name) }

// DataSize is the size of a service's DataDir in bytes.
const DataSize = 8 << 20

// LogFile holds what the process wrote to standard output and standard error.
func (in *Instance) LogFile() string { return filepath.Join(in.fleet.Dir, "logs", in.Name+".log") }

// PID returns the id of the process, or 0 if none runs.
func (in *Instance) PID() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.process == nil || in.process.ended() {
		return 0
	}
	return in.process.cmd.Process.Pid
}

// Signal sends a signal to the process.
func (in *Instance) Signal(sig syscall.Signal) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.process == nil || in.process.ended() {
		return fmt.Errorf("%s: no process to send %v to", in.Name, sig)
	}
	return in.process.cmd.Process.Signal(sig)
}

// Kill sends SIGKILL and waits for the end.
func (in *Instance) Kill(ctx context.Context) error { return in.end(ctx, syscall.SIGKILL) }

// Stop sends SIGTERM, on which a service says that it stops, drains and ends,
// and waits for the end. If ctx ends first, the process is killed.
func (in *Instance) Stop(ctx context.Context) error {
	err := in.end(ctx, syscall.SIGTERM)
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return errors.Join(err, in.end(context.WithoutCancel(ctx), syscall.SIGKILL))
	}
	return err
}

func (in *Instance) end(ctx context.Context, sig syscall.Signal) error {
	if err := in.Signal(sig); err != nil {
		return err
	}
	return in.Wait(ctx)
}

// Pause stops the process by SIGSTOP; Resume lets it go on.
func (in *Instance) Pause() error { return in.Signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (in *Instance) Resume() error { return in.Signal(syscall.SIGCONT) }

// Wait waits until the process has ended.
func (in *Instance) Wait(ctx context.Context) error {
	in.mu.Lock()
	p := in.process
	in.mu.Unlock()
	if p == nil {
		return nil
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: waiting for its end: %w", in.Name, ctx.Err())
	}
}

// Exit tells how the last process ended, once one has.
func (in *Instance) Exit() (state *os.ProcessState, at time.Time, ok bool) {
	in.mu.Lock()
	p := in.process
	in.mu.Unlock()
	if p == nil || !p.ended() {
		return nil, time.Time{}, false
	}
	return p.cmd.ProcessState, p.at, true
}

// Starts is how often a process was started in this slot.
func (in *Instance) Starts() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.starts
}

// Start starts a process in the slot and waits until it is ready, for at most
// a minute; it fails if one runs. SetVersion and SetID hold from the next start on.
func (in *Instance) Start(ctx context.Context) error {
	if err := in.launch(); err != nil {
		return err
	}
	return in.WaitReady(ctx)
}

// Restart stops the process as Stop does, if one runs, and starts another.
func (in *Instance) Restart(ctx context.Context) error {
	if in.PID() != 0 {
		if err := in.Stop(ctx); err != nil {
			return err
		}
	}
	return in.Start(ctx)
}

// SetVersion sets the service.version of the next process.
func (in *Instance) SetVersion(v string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.Version, in.spec.Version = v, v
}

// SetID sets the service.instance.id of the next process, where it should not
// be the slot's name: "" is the name.
func (in *Instance) SetID(id string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.id = id
}

// Command gives a command to the service over its control socket, which is no
// part of its telemetry. Package control lists them. The other languages and
// the bare ones know some of them: an unknown one is an error that says so.
func (in *Instance) Command(ctx context.Context, name string, args ...string) error {
	_, err := in.Ask(ctx, name, args...)
	return err
}

// Ask is Command for commands that answer something.
func (in *Instance) Ask(ctx context.Context, name string, args ...string) (string, error) {
	answer, err := control.Send(ctx, in.socket(), name, args...)
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w", in.Name, name, err)
	}
	return answer, nil
}

func (in *Instance) socket() string { return filepath.Join(in.fleet.Dir, "run", in.Name+".sock") }

// SetCgroup writes a value into a file of the control group, such as
// "memory.limit_in_bytes", "cpu.cfs_quota_us", "pids.max", "freezer.state".
// ResetCgroup takes back all of them.
func (in *Instance) SetCgroup(file, value string) error {
	return in.fleet.groups.set(in.Name, file, value)
}

// ResetCgroup gives the control group its usual values.
func (in *Instance) ResetCgroup() error { return in.fleet.groups.reset(in.Name) }

// process is what runs in a slot.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed after the process was waited for
	at   time.Time     // of the end; read after done
}

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
