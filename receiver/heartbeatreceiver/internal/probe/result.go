// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"strings"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/faultline-otel/faultline/internal/contract"
)

// Result is what one probe saw.
type Result struct {
	// Outcome is one of contract.Outcome*. It is empty if the probe was
	// cancelled before it could tell: such a result is to be dropped.
	Outcome string
	// RTT is the time until the whole answer was there; 0 if there was none.
	RTT time.Duration
	// Message is one line for a person, at most maxMessage bytes; empty if all is well.
	Message string
	// Digest is the SHA-256 of the answer in hex, where one is expected.
	Digest string
	// Process is set for process targets only.
	Process *Process
	// Service is what the process was told to call itself in its telemetry; empty if
	// it was not, or was not looked for.
	Service string
	// From is the address of those whose connections to a server here these are; empty
	// of connections that were opened here.
	From string
	// Loss is the share, 0-1, of what is sent there that gets lost; 0 if that is little.
	Loss float64
	// Client: the process takes no connections, and keeps one that it opened.
	Client bool
}

// Process is what the kernel tells about a process; nil is unknown.
type Process struct {
	State string // contract.Process*
	PID   *int64
	// StartTime is in ns since 1970, of the clock that stood at the Collector's
	// start: two start times of one process are always equal.
	StartTime *int64
	// ExitCode is 128+n for signal n. With state running it is that of the
	// process whose place was taken since the probe before.
	ExitCode *int64
	// OOMKills counts those in the cgroup, and never falls.
	OOMKills *int64
	// Throttled is the share (0-1) of CPU periods since the last probe in which
	// the cgroup was held back.
	Throttled *float64
	// CPUWait is the share (0-1) of the time since the last probe in which a
	// thread of it waited for a processor.
	CPUWait *float64
	// MemoryUsage is what cannot be reclaimed at once (without inactive file
	// pages), in bytes, of the cgroup on the way up that is closest to its limit.
	MemoryUsage, MemoryLimit *int64
	FDs, FDLimit             *int64
	// Threads are those of the cgroup that ThreadLimit limits; without a limit
	// those of the process.
	Threads, ThreadLimit *int64
	// Pressures are PSI avg10 (0-1) of the cgroup, never of the node: CPU some,
	// memory and I/O full.
	PressureCPU, PressureMemory, PressureIO *float64
}

const maxMessage = 256

// PutTo writes the result by the names of the contract; what is unknown is left out.
func (r Result) PutTo(attrs pcommon.Map) {
	if r.Outcome != "" {
		attrs.PutStr(contract.HeartbeatOutcome, r.Outcome)
	}
	if r.RTT > 0 {
		attrs.PutDouble(contract.HeartbeatRTT, r.RTT.Seconds())
	}
	if r.Message != "" {
		attrs.PutStr(contract.HeartbeatMessage, r.Message)
	}
	if r.Digest != "" {
		attrs.PutStr(contract.HeartbeatDigest, r.Digest)
	}
	if r.Loss > 0 {
		attrs.PutDouble(contract.HeartbeatLoss, r.Loss)
	}
	if r.From != "" {
		attrs.PutStr(contract.HeartbeatRemoteAddress, r.From)
	}
	if r.Client {
		attrs.PutBool(contract.HeartbeatClient, true)
	}
	if r.Service != "" {
		attrs.PutStr(contract.HeartbeatService, r.Service)
	}
	p := r.Process
	if p == nil {
		return
	}
	attrs.PutStr(contract.ProcessState, p.State)
	for _, f := range []struct {
		name  string
		value *int64
	}{
		{contract.ProcessPID, p.PID},
		{contract.ProcessStartTime, p.StartTime},
		{contract.ProcessExitCode, p.ExitCode},
		{contract.ProcessOOMKills, p.OOMKills},
		{contract.ProcessMemoryUsed, p.MemoryUsage},
		{contract.ProcessMemoryLimit, p.MemoryLimit},
		{contract.ProcessFDs, p.FDs},
		{contract.ProcessFDLimit, p.FDLimit},
		{contract.ProcessThreads, p.Threads},
		{contract.ProcessThreadLimit, p.ThreadLimit},
	} {
		if f.value != nil {
			attrs.PutInt(f.name, *f.value)
		}
	}
	for _, f := range []struct {
		name  string
		value *float64
	}{
		{contract.ProcessThrottled, p.Throttled},
		{contract.ProcessCPUWait, p.CPUWait},
		{contract.ProcessPressureCPU, p.PressureCPU},
		{contract.ProcessPressureMem, p.PressureMemory},
		{contract.ProcessPressureIO, p.PressureIO},
	} {
		if f.value != nil {
			attrs.PutDouble(f.name, *f.value)
		}
	}
}

// oneLine makes text from elsewhere fit for a message: valid UTF-8, without
// control characters, at most maxMessage bytes.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s[:min(len(s), 4*maxMessage)], "\uFFFD"))
	s = strings.TrimSpace(s)
	if len(s) <= maxMessage {
		return s
	}
	const ellipsis = "…"
	cut := maxMessage - len(ellipsis)
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + ellipsis
}
