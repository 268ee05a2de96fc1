// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestKernelLogNamesTheProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kmsg")
	put(t, "3,900,1000000000,-;Memory cgroup out of memory: Killed process 42 (web) total-vm:1kB, anon-rss:1kB\n"+
		" SUBSYSTEM=memory\n"+
		"3,901,2000000000,-;Out of memory: Killed process 43 (db) total-vm:1kB\n"+
		"6,902,2000000001,-;something about process 44 (web)\n"+
		"broken;Out of memory: Killed process 45 (web)\n", file)
	k := kernelLog{file}
	const now = 3000 // s
	for _, tt := range []struct {
		name string
		s    procStat
		age  float64
		want bool
	}{
		{"of_its_cgroup", procStat{pid: 42, comm: "web"}, 2500, true},
		{"of_the_whole_system", procStat{pid: 43, comm: "db"}, 1001, true},
		{"before_it_was_born", procStat{pid: 42, comm: "web"}, 1500, false},
		{"of_another_program", procStat{pid: 42, comm: "db"}, 2500, false},
		{"other_talk", procStat{pid: 44, comm: "web"}, 2500, false},
		{"broken_line", procStat{pid: 45, comm: "web"}, 2500, false},
	} {
		assert.Equal(t, tt.want, k.killed(tt.s, tt.age, now), tt.name)
	}
	assert.False(t, kernelLog{file + ".none"}.killed(procStat{pid: 42, comm: "web"}, 2500, now))
}

func TestParseStat(t *testing.T) {
	s, err := parseStat([]byte(statLine(42, "a) S (b", "Z", 77)))
	require.NoError(t, err)
	assert.Equal(t, procStat{pid: 42, comm: "a) S (b", state: 'Z', ppid: 1, threads: 5, start: 77}, s)
	for _, bad := range []string{"", "42", "42 (x", "x (y) S", "42 (x) S 1 2", "0" + statLine(0, "x", "S", 1), "42 )x( S"} {
		_, err := parseStat([]byte(bad))
		assert.ErrorIs(t, err, errStat, bad)
	}
	own, err := parseStat(mustRead(t, "/proc/self/stat"))
	require.NoError(t, err)
	assert.Equal(t, os.Getpid(), own.pid)
	for wait, want := range map[int64]int64{0: 0, 3 << 8: 3, 9: 137, 11 | 0x80: 139, 255 << 8: 255} {
		assert.Equal(t, want, exitStatus(wait), strconv.FormatInt(wait, 2))
	}
}

func mustRead(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return b
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte(statLine(42, "x", "S", 1)))
	f.Add([]byte("1 (a) (b) R 1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := parseStat(b)
		if err == nil && (s.pid < 1 || s.threads < 0) {
			t.Fatalf("%+v", s)
		}
		if err == nil && stateOf(s) == "" {
			t.Fatal("no state")
		}
	})
}

func FuzzKernelFiles(f *testing.F) {
	f.Add("0::/a\n1:cpu,cpuacct:/b\n", "some avg10=1.00 avg60=0.00 avg300=0.00 total=0", "3,1,2,-;Out of memory: Killed process 1 (a)")
	f.Fuzz(func(t *testing.T, cgroups, pressure, log string) {
		for _, p := range parseCgroups([]byte(cgroups)) {
			if hasDotDot(p.path) || p.path[0] != '/' {
				t.Fatalf("%q leads out of the tree", p.path)
			}
		}
		if v := parsePressure(pressure, "some"); v != nil && (*v < 0 || *v > 1) {
			t.Fatal(*v)
		}
		oomOf(log, procStat{pid: 1, comm: "a"}, 1, 1)
	})
}
