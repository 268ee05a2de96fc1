// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"go.opentelemetry.io/collector/pdata/pcommon"
)

func TestResultIsWrittenByTheNamesOfTheContract(t *testing.T) {
	i := func(v int64) *int64 { return &v }
	f := func(v float64) *float64 { return &v }
	for _, tt := range []struct {
		name string
		r    Result
		want map[string]any
	}{
		{"nothing_known", Result{}, map[string]any{}},
		{"answered", Result{Outcome: "wrong_answer", RTT: 1500 * time.Microsecond, Message: "m", Digest: "d"}, map[string]any{
			"heartbeat.outcome": "wrong_answer", "heartbeat.rtt": 0.0015, "heartbeat.message": "m", "heartbeat.digest": "d",
		}},
		{"process_of_which_little_is_known", Result{Outcome: "error", Process: &Process{State: "gone"}}, map[string]any{
			"heartbeat.outcome": "error", "heartbeat.process.state": "gone",
		}},
		{"zero_is_a_value", Result{Process: &Process{State: "zombie", ExitCode: i(0), Throttled: f(0)}}, map[string]any{
			"heartbeat.process.state": "zombie", "heartbeat.exit_code": int64(0), "heartbeat.process.throttled_ratio": 0.0,
		}},
		{"process_of_which_all_is_known", Result{Outcome: "ok", Process: &Process{
			State: "running", PID: i(1), StartTime: i(2), ExitCode: i(3), OOMKills: i(4), Throttled: f(0.5), CPUWait: f(0.75),
			MemoryUsage: i(6), MemoryLimit: i(7), FDs: i(8), FDLimit: i(9), Threads: i(10), ThreadLimit: i(11),
			PressureCPU: f(0.1), PressureMemory: f(0.2), PressureIO: f(0.3),
		}}, map[string]any{
			"heartbeat.outcome": "ok", "heartbeat.process.state": "running",
			"process.pid": int64(1), "heartbeat.process.start_time": int64(2), "heartbeat.exit_code": int64(3),
			"heartbeat.process.oom_kills": int64(4), "heartbeat.process.throttled_ratio": 0.5, "heartbeat.process.cpu.wait_ratio": 0.75,
			"heartbeat.process.memory.usage": int64(6), "heartbeat.process.memory.limit": int64(7),
			"heartbeat.process.fd.usage": int64(8), "heartbeat.process.fd.limit": int64(9),
			"heartbeat.process.threads.usage": int64(10), "heartbeat.process.threads.limit": int64(11),
			"heartbeat.process.pressure.cpu": 0.1, "heartbeat.process.pressure.memory": 0.2, "heartbeat.process.pressure.io": 0.3,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			attrs := pcommon.NewMap()
			tt.r.PutTo(attrs)
			assert.Equal(t, tt.want, attrs.AsRaw())
		})
	}
}

func TestMessageIsOneShortLine(t *testing.T) {
	for in, want := range map[string]string{
		"":              "",
		" a\r\nb\x00 ":  "a  b",
		"bad \xff utf8": "bad \uFFFD utf8",
	} {
		assert.Equal(t, want, oneLine(in))
	}
	long := oneLine(strings.Repeat("ä", 10_000))
	assert.LessOrEqual(t, len(long), maxMessage)
	assert.True(t, utf8.ValidString(long))
	assert.True(t, strings.HasSuffix(long, "ä…"))
}
