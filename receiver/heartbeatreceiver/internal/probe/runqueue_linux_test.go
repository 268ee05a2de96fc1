// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build linux

package probe

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/internal/contract"
)

func TestNeighboursOnOneProcessorMakeEachOtherWait(t *testing.T) {
	one := unix.CPUSet{}
	var may unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &may))
	for i := range 1024 {
		if may.IsSet(i) {
			one.Set(i)
			break
		}
	}
	spin := func(name string) (*proc, Prober) {
		c := start(t, "spin")
		tasks, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(c.pid()), "task"))
		require.NoError(t, err)
		for _, task := range tasks { // threads to come take it over from these
			id, err := strconv.Atoi(task.Name())
			require.NoError(t, err)
			require.NoError(t, unix.SchedSetaffinity(id, &one))
		}
		file := filepath.Join(t.TempDir(), name)
		writePID(t, file, c.pid())
		return c, newProber(t, Config{Process: ProcessConfig{PIDFile: file}})
	}
	first, p := spin("first")
	assert.Nil(t, until(t, p, contract.ProcessRunning).Process.CPUWait, "there is no probe before the first")
	time.Sleep(100 * time.Millisecond)
	require.NotNil(t, p.Probe(t.Context()).Process.CPUWait, "this kernel does not count it")

	first.send("go")
	for range 5 {
		other, _ := spin("other")
		other.send("go")
	}
	require.Eventually(t, func() bool {
		time.Sleep(200 * time.Millisecond)
		r := p.Probe(t.Context())
		return *r.Process.CPUWait > 0.5
	}, 20*time.Second, time.Millisecond, "with five neighbours it gets a sixth of the processor")
}

func TestParseSchedule(t *testing.T) {
	for text, want := range map[string]int64{"979726400 1023791025 1008\n": 1023791025, "0 0 0": 0} {
		got, ok := parseSchedule([]byte(text))
		assert.True(t, ok, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "1 2", "1 a 3", "1 -2 3", "1 99999999999999999999 3"} {
		_, ok := parseSchedule([]byte(text))
		assert.False(t, ok, text)
	}
}
