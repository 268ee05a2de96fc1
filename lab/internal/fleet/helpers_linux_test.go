// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// start starts a fleet for a test, or skips it where none can be.
func start(t *testing.T, opt Options) *Fleet {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	opt.Dir, opt.Seed, opt.Out = t.TempDir(), 1, testWriter{t}
	f, err := Start(t.Context(), opt)
	if errors.Is(err, os.ErrNotExist) && os.Getenv("CI") == "" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.NoError(t, f.Close())
		left, _ := filepath.Glob("/run/netns/" + f.Prefix + "-*")
		groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + cgroupParent + "/" + f.Prefix)
		mounts, _ := os.ReadFile("/proc/self/mounts")
		assert.Empty(t, append(left, groups...), "nothing is left on the machine")
		assert.NotContains(t, string(mounts), f.Prefix+"-")
		for _, in := range f.Instances() {
			assert.Zero(t, in.PID(), "%s has ended", in.Name)
		}
	})
	return f
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// clean is how long a fleet must be left in peace; LAB_CLEAN makes it longer.
func clean(t *testing.T) time.Duration {
	if text := os.Getenv("LAB_CLEAN"); text != "" {
		d, err := time.ParseDuration(text)
		require.NoError(t, err)
		return d
	}
	return time.Minute
}

func (f *Fleet) stats(t *testing.T) service.Load {
	t.Helper()
	text, err := f.Instance("load").Ask(t.Context(), control.Stats)
	require.NoError(t, err)
	var l service.Load
	require.NoError(t, json.Unmarshal([]byte(text), &l))
	return l
}

func (f *Fleet) calls(t *testing.T) []ledger.Call {
	t.Helper()
	text, err := os.ReadFile(f.File(ledger.CallsFile))
	require.NoError(t, err)
	calls, err := ledger.Read[ledger.Call](bytes.NewReader(text))
	require.NoError(t, err)
	return calls
}

// told is what the gateway wrote of an instance.
type told struct {
	count int
	host  string
	ids   map[string]bool
}

func (f *Fleet) spans(t *testing.T) (by map[string]*told, tagged []string) {
	t.Helper()
	by = map[string]*told{}
	for _, in := range f.Instances() {
		by[in.Name] = &told{ids: map[string]bool{}}
	}
	for _, line := range f.lines(t, ledger.TracesFile) {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		require.NoError(t, err)
		for _, rs := range td.ResourceSpans().All() {
			id, _ := rs.Resource().Attributes().Get("service.instance.id")
			host, _ := rs.Resource().Attributes().Get("host.name")
			of := by[id.AsString()]
			if of == nil {
				continue
			}
			of.host = host.AsString()
			for _, ss := range rs.ScopeSpans().All() {
				for _, s := range ss.Spans().All() {
					of.count++
					of.ids[s.TraceID().String()+s.SpanID().String()] = true
					if class, ok := s.Attributes().Get("failure.class"); ok {
						tagged = append(tagged, id.AsString()+" "+s.Name()+" "+class.AsString())
					}
				}
			}
		}
	}
	return by, tagged
}

func (f *Fleet) events(t *testing.T) (names []string) {
	t.Helper()
	for _, line := range f.lines(t, ledger.EventsFile) {
		ld, err := (&plog.JSONUnmarshaler{}).UnmarshalLogs(line)
		require.NoError(t, err)
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					names = append(names, lr.EventName()+": "+lr.Body().AsString())
				}
			}
		}
	}
	return names
}

// lines are the complete lines of a file that is being written.
func (f *Fleet) lines(t *testing.T, name string) [][]byte {
	t.Helper()
	text, err := os.ReadFile(f.File(name))
	require.NoError(t, err)
	end := bytes.LastIndexByte(text, '\n')
	if end < 0 {
		return nil
	}
	return bytes.Split(text[:end], []byte("\n"))
}

// cpuSeconds is what the processes of these kinds, or of all, have used so far.
func cpuSeconds(f *Fleet, kinds ...Kind) float64 {
	var ticks int
	for _, in := range f.Instances() {
		if len(kinds) > 0 && !slices.Contains(kinds, in.Kind) {
			continue
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", in.PID()))
		if err != nil {
			continue
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		user, _ := strconv.Atoi(fields[11])
		system, _ := strconv.Atoi(fields[12])
		ticks += user + system
	}
	return float64(ticks) / 100
}

// metrics are what the gateway shows to Prometheus.
func (f *Fleet) metrics(t *testing.T) string {
	t.Helper()
	hub := f.Gateway().Node
	resp, err := hub.Client().Get("http://" + hub.Addr.String() + ":9464/metrics")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return string(text)
}
