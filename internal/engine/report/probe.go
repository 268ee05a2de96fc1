// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package report

import (
	"time"

	"github.com/faultline-otel/faultline/internal/engine/clock"
)

// Probe is the result of a look at a target.
type Probe struct {
	Stamp
	Source   *Source // whom the target stands for
	Target   string  // endpoint, or "process:…"
	Outcome  Outcome
	RTT      time.Duration
	Interval time.Duration // between probes; 0 if not told
	Message  string
	Digest   string
	Process  *Process // only of a process target
	Direct   bool     // the target is the instance's own address, not a virtual one
	// Passive: the kernel tells how connections fare that others on the observer's
	// host have opened to an address. Nobody asked for it.
	Passive bool
	// Host and Addresses are told by an agent that looks by itself: the host of a
	// process, and where it takes connections, or whom those of Passive go to;
	// host:port.
	Host      string
	Addresses []string
	// From is the IP of the machine whose connections to a server on Host those of Passive
	// are; empty of those that were opened on Host.
	From string
	// Loss is the share, 0-1, of what is sent on those connections that gets lost; 0 if it
	// is little.
	Loss float64
	// Client: the agent looks by itself at a process that takes no connections, and
	// keeps one that it opened.
	Client bool
	// Named goes by the name that a process on its host was told to call itself. It
	// is that process or another of the service; nil where the pid tells.
	Named *Source
}

// Process is what the kernel tells about a process. A negative number is
// unknown.
type Process struct {
	State       ProcessState
	PID         int64
	StartTime   clock.Time
	HasExitCode bool
	ExitCode    int
	OOMKills    int64   // cumulative, of its cgroup
	Throttled   float64 // 0-1, share of CPU periods since the last probe
	CPUWait     float64 // 0-1, of the time since the last probe, in which a thread waited for a processor
	MemoryUsed  int64   // bytes
	MemoryLimit int64   // bytes
	FDs         int64
	FDLimit     int64
	Threads     int64
	ThreadLimit int64
	PressureCPU float64 // 0-1, PSI some avg10
	PressureMem float64 // 0-1, PSI full avg10
	PressureIO  float64 // 0-1, PSI full avg10
}

// ProcessState is what the kernel says of a process.
type ProcessState uint8

// Values of ProcessState.
const (
	ProcessUnknown ProcessState = iota
	ProcessRunning
	ProcessStopped
	ProcessZombie
	ProcessDiskWait
	ProcessGone
)

// Lives says whether the process is there and works, or could.
func (q *Process) Lives() bool { return q.State == ProcessRunning || q.State == ProcessDiskWait }
