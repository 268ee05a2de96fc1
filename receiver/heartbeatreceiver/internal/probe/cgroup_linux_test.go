// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/internal/contract"
)

func setLimit(pid, resource int, limit *syscall.Rlimit) error {
	return unix.Prlimit(pid, resource, &unix.Rlimit{Cur: limit.Cur, Max: limit.Max}, nil)
}

// realCgroup makes a version 1 cgroup of our own and returns its path below
// each controller's root.
func realCgroup(t *testing.T, controllers ...string) string {
	t.Helper()
	path := fmt.Sprintf("faultline-probe-test-%d", os.Getpid())
	for _, c := range controllers {
		dir := filepath.Join("/sys/fs/cgroup", c, path)
		_, err := os.Stat(filepath.Join("/sys/fs/cgroup", c, "cgroup.procs"))
		present := err == nil && os.Geteuid() == 0
		if err == nil {
			err = os.Mkdir(dir, 0o755)
		}
		if err != nil {
			needs(t, present, "root and cgroup version 1: "+err.Error())
		}
		t.Cleanup(func() { removeCgroup(t, dir) })
	}
	return path
}

// removeCgroup waits for the last process to leave.
func removeCgroup(t *testing.T, dir string) {
	assert.Eventually(t, func() bool {
		err := os.Remove(dir)
		return err == nil || os.IsNotExist(err)
	}, 5*time.Second, 10*time.Millisecond, "cannot remove %s", dir)
}

func put(t *testing.T, value any, path ...string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(path...), []byte(fmt.Sprint(value)), 0o600))
}

func TestRealOutOfMemoryKill(t *testing.T) {
	path := realCgroup(t, "memory")
	dir := filepath.Join("/sys/fs/cgroup/memory", path)
	put(t, 32<<20, dir, "memory.limit_in_bytes")

	// Where the cgroup goes with the process only the kernel's log is left.
	for _, tt := range []struct {
		name   string
		remove bool
		anew   bool
	}{
		{"cgroup_counts_it", false, false},
		{"kernel_log_tells_when_the_cgroup_was_made_anew", true, true},
		{"kernel_log_tells_when_the_cgroup_is_gone", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, "eat")
			put(t, c.pid(), dir, "cgroup.procs")
			file := filepath.Join(t.TempDir(), "app.pid")
			writePID(t, file, c.pid())
			p := newProber(t, Config{Process: ProcessConfig{PIDFile: file}})
			r := until(t, p, contract.ProcessRunning)
			require.NotNil(t, r.Process.OOMKills)
			before := *r.Process.OOMKills
			assert.EqualValues(t, 32<<20, *r.Process.MemoryLimit)
			require.NotNil(t, r.Process.MemoryUsage)
			assert.Less(t, *r.Process.MemoryUsage, int64(32<<20))

			c.send("go")
			c.reap()
			require.Equal(t, syscall.SIGKILL, c.ProcessState.Sys().(syscall.WaitStatus).Signal())
			if tt.remove {
				removeCgroup(t, dir)
			}
			if tt.anew {
				require.NoError(t, os.Mkdir(dir, 0o755))
				put(t, 32<<20, dir, "memory.limit_in_bytes")
			}
			for range 2 {
				r = p.Probe(t.Context())
				assert.Equal(t, contract.ProcessGone, r.Process.State)
				assert.Equal(t, before+1, *r.Process.OOMKills, "counted once: %+v", r)
			}
		})
	}
}

func TestKillByHandIsNoOutOfMemoryKill(t *testing.T) {
	path := realCgroup(t, "memory")
	dir := filepath.Join("/sys/fs/cgroup/memory", path)
	c := start(t, "wait")
	put(t, c.pid(), dir, "cgroup.procs")
	p := newProber(t, Config{Process: ProcessConfig{Cgroup: path}})
	r := until(t, p, contract.ProcessRunning)
	before := *r.Process.OOMKills
	require.NoError(t, c.Process.Kill())
	c.reap()
	removeCgroup(t, dir)
	r = p.Probe(t.Context())
	assert.Equal(t, contract.ProcessGone, r.Process.State)
	assert.Equal(t, before, *r.Process.OOMKills)
}

func TestRealThrottlingAndThreadLimit(t *testing.T) {
	path := realCgroup(t, "cpu", "pids")
	put(t, 10_000, "/sys/fs/cgroup/cpu", path, "cpu.cfs_period_us")
	put(t, 1_000, "/sys/fs/cgroup/cpu", path, "cpu.cfs_quota_us")
	put(t, 100, "/sys/fs/cgroup/pids", path, "pids.max")
	c := start(t, "spin")
	put(t, c.pid(), "/sys/fs/cgroup/cpu", path, "cgroup.procs")
	put(t, c.pid(), "/sys/fs/cgroup/pids", path, "cgroup.procs")

	p := newProber(t, Config{Process: ProcessConfig{Cgroup: "/" + path + "/"}})
	r := until(t, p, contract.ProcessRunning)
	assert.EqualValues(t, c.pid(), *r.Process.PID)
	assert.Nil(t, r.Process.Throttled, "there is no probe before the first")
	assert.EqualValues(t, 100, *r.Process.ThreadLimit)
	assert.Positive(t, *r.Process.Threads)

	c.send("go")
	require.Eventually(t, func() bool {
		throttled := p.Probe(t.Context()).Process.Throttled
		return throttled != nil && *throttled > 0.5 && *throttled <= 1
	}, 10*time.Second, 100*time.Millisecond, "never throttled")
}

func TestFrozenCgroupIsStopped(t *testing.T) {
	path := realCgroup(t, "freezer")
	state := filepath.Join("/sys/fs/cgroup/freezer", path, "freezer.state")
	c := start(t, "wait")
	put(t, c.pid(), filepath.Dir(state), "cgroup.procs")
	p := newProber(t, Config{Process: ProcessConfig{Cgroup: path}})
	until(t, p, contract.ProcessRunning)
	// A frozen process cannot be killed: it must thaw whatever happens.
	t.Cleanup(func() { put(t, "THAWED", state) })
	put(t, "FROZEN", state)
	r := until(t, p, contract.ProcessStopped)
	assert.Equal(t, contract.OutcomeError, r.Outcome)
	assert.Contains(t, r.Message, "frozen")
	put(t, "THAWED", state)
	until(t, p, contract.ProcessRunning)
}

func TestCgroupTargetFollowsItsProcesses(t *testing.T) {
	path := realCgroup(t, "pids")
	dir := filepath.Join("/sys/fs/cgroup/pids", path)
	inner := filepath.Join(dir, "inner")
	require.NoError(t, os.Mkdir(inner, 0o755))
	t.Cleanup(func() { removeCgroup(t, inner) })
	p := newProber(t, Config{Process: ProcessConfig{Cgroup: path}})
	r := p.Probe(t.Context())
	assert.Equal(t, contract.ProcessGone, r.Process.State)
	assert.Contains(t, r.Message, "no process is in the cgroup")

	first := start(t, "wait")
	time.Sleep(20 * time.Millisecond)
	second := start(t, "wait")
	put(t, second.pid(), inner, "cgroup.procs")
	assert.EqualValues(t, second.pid(), *until(t, p, contract.ProcessRunning).Process.PID, "of a folder below")
	put(t, first.pid(), dir, "cgroup.procs")
	assert.EqualValues(t, second.pid(), *p.Probe(t.Context()).Process.PID, "the one that is known stays")
	require.NoError(t, second.Process.Kill())
	second.reap()
	assert.EqualValues(t, first.pid(), *p.Probe(t.Context()).Process.PID)
	require.NoError(t, first.Process.Kill())
	first.reap()
	assert.Equal(t, contract.ProcessGone, p.Probe(t.Context()).Process.State)
}

// tree writes files below a temporary folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		put(t, content, file)
	}
	return root
}

func statLine(pid int, comm, state string, start int) string {
	return fmt.Sprintf("%d (%s) %s 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 5 0 %d 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		pid, comm, state, start)
}

func TestVersion2(t *testing.T) {
	proc := tree(t, map[string]string{
		"stat":       "cpu 1 2 3\nbtime 1700000000\n",
		"42/stat":    statLine(42, "web (prod) x", "D", 250),
		"42/cgroup":  "0::/system.slice/web.service/inner\n",
		"42/limits":  "Limit                     Soft Limit           Hard Limit           Units\nMax open files            1024                 4096                 files\n",
		"42/fd/0":    "",
		"42/fd/1":    "",
		"43/stat":    statLine(43, "helper", "S", 300),
		"43/cgroup":  "0::/system.slice/web.service\n",
		"self/stat":  "no process",
		"uptime/cpu": "no process",
	})
	const unit = "system.slice/web.service"
	cgroup := tree(t, map[string]string{
		"cgroup.controllers":             "cpu memory pids\n",
		"cpu.pressure":                   "some avg10=99.00 avg60=0.00 avg300=0.00 total=0\n",
		unit + "/cgroup.controllers":     "cpu memory pids\n",
		unit + "/cgroup.events":          "populated 1\n",
		unit + "/cgroup.procs":           "43\n",
		unit + "/memory.current":         "900\n",
		unit + "/memory.stat":            "anon 1\ninactive_file 100\n",
		unit + "/memory.max":             "1000\n",
		unit + "/memory.events":          "low 0\noom 4\noom_kill 3\n",
		unit + "/pids.current":           "7\n",
		unit + "/pids.max":               "max\n",
		unit + "/cpu.stat":               "usage_usec 1\nnr_periods 100\nnr_throttled 10\n",
		unit + "/inner/cgroup.events":    "populated 1\n",
		unit + "/inner/cgroup.procs":     "42\n",
		unit + "/inner/memory.current":   "500\n",
		unit + "/inner/memory.max":       "max\n",
		unit + "/inner/memory.events":    "oom_kill 1\n",
		unit + "/inner/cpu.pressure":     "some avg10=12.50 avg60=0.00 avg300=0.00 total=0\nfull avg10=1.00 avg60=0.00 avg300=0.00 total=0\n",
		unit + "/inner/memory.pressure":  "some avg10=50.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=25.00 avg60=0.00 avg300=0.00 total=0\n",
		unit + "/inner/io.pressure":      "some avg10=5.00 avg60=0.00 avg300=0.00 total=0\nfull avg10=4.00 avg60=0.00 avg300=0.00 total=0\n",
		"user.slice/odd.slice/x.service": "", // a file, no folder
	})
	at := roots{proc: proc, cgroup: cgroup, kernelLog: filepath.Join(t.TempDir(), "none")}

	t.Run("by_pid_file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "app.pid")
		put(t, " 42 \n", file)
		p, err := newProcessAt(ProcessConfig{PIDFile: file}, at)
		require.NoError(t, err)
		r := p.probe(t.Context())
		assert.Equal(t, contract.OutcomeOK, r.Outcome)
		assert.Equal(t, "waits for a disk", r.Message)
		assert.Equal(t, &Process{
			State: contract.ProcessDiskWait, PID: ptr(int64(42)), StartTime: ptr(int64(1_700_000_002_500_000_000)),
			OOMKills: ptr(int64(1)), MemoryUsage: ptr(int64(800)), MemoryLimit: ptr(int64(1000)),
			FDs: ptr(int64(2)), FDLimit: ptr(int64(1024)), Threads: ptr(int64(5)),
			PressureCPU: ptr(0.125), PressureMemory: ptr(0.25), PressureIO: ptr(0.04),
		}, r.Process)

		put(t, "nr_periods 120\nnr_throttled 15\n", cgroup, unit, "cpu.stat")
		put(t, "oom_kill 2\n", cgroup, unit, "inner/memory.events")
		r = p.probe(t.Context())
		assert.InDelta(t, 0.25, *r.Process.Throttled, 1e-9)
		assert.EqualValues(t, 2, *r.Process.OOMKills)
		put(t, "nr_periods 100\nnr_throttled 10\n", cgroup, unit, "cpu.stat")
	})

	t.Run("frozen", func(t *testing.T) {
		p, err := newProcessAt(ProcessConfig{Cgroup: unit}, at)
		require.NoError(t, err)
		put(t, "populated 1\nfrozen 1\n", cgroup, unit, "cgroup.events")
		assert.Equal(t, contract.ProcessStopped, p.probe(t.Context()).Process.State)
		put(t, "populated 1\nfrozen 0\n", cgroup, unit, "cgroup.events")
		assert.Equal(t, contract.ProcessDiskWait, p.probe(t.Context()).Process.State)
	})

	t.Run("by_unit", func(t *testing.T) {
		p, err := newProcessAt(ProcessConfig{SystemdUnit: "web"}, at)
		require.NoError(t, err)
		r := p.probe(t.Context())
		assert.EqualValues(t, 42, *r.Process.PID, "the oldest")
		assert.Contains(t, r.Message, "waits")
		assert.EqualValues(t, 3, *r.Process.OOMKills, "of the unit")

		p, err = newProcessAt(ProcessConfig{SystemdUnit: "nobody.service"}, at)
		require.NoError(t, err)
		r = p.probe(t.Context())
		assert.Equal(t, contract.ProcessGone, r.Process.State)
		assert.Contains(t, r.Message, "system.slice/nobody.service does not exist")
	})

	t.Run("pid_given_to_another_process", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "app.pid")
		put(t, "43", file)
		p, err := newProcessAt(ProcessConfig{PIDFile: file}, at)
		require.NoError(t, err)
		require.Equal(t, contract.ProcessRunning, p.probe(t.Context()).Process.State)
		writePID(t, file, 43) // as some do now and then
		require.Equal(t, contract.ProcessRunning, p.probe(t.Context()).Process.State)
		put(t, statLine(43, "stranger", "S", 9000), proc, "43/stat")
		r := p.probe(t.Context())
		assert.Equal(t, contract.ProcessGone, r.Process.State, "%+v", r)
		assert.Contains(t, r.Message, "another process now")

		writePID(t, file, 43)
		r = p.probe(t.Context())
		assert.Equal(t, contract.ProcessRunning, r.Process.State, "the file was written again")
		assert.EqualValues(t, 1_700_000_090_000_000_000, *r.Process.StartTime)
	})
}

func TestUnitIsFoundInOtherSlices(t *testing.T) {
	root := tree(t, map[string]string{
		"cgroup.controllers": "",
		`system.slice/system-foo\x2dbar.slice/foo-bar@1.service/cgroup.procs`:             "",
		"user.slice/user-1000.slice/user@1000.service/app.slice/own.service/cgroup.procs": "",
	})
	c := cgroupfs{root}
	assert.Equal(t, `system.slice/system-foo\x2dbar.slice/foo-bar@1.service`, c.unitPath("foo-bar@1"))
	assert.Equal(t, "user.slice/user-1000.slice/user@1000.service/app.slice/own.service", c.unitPath("own.service"))
	assert.Equal(t, "system.slice/none.service", c.unitPath("none"))
}

func TestVersion1UsageLeavesTheNodeOut(t *testing.T) {
	root := tree(t, map[string]string{
		"memory/cgroup.procs":                 "",
		"memory/release_agent":                "", // only the system's root has it
		"memory/memory.usage_in_bytes":        "999999",
		"memory/app/cgroup.procs":             "",
		"memory/app/memory.usage_in_bytes":    "500",
		"memory/app/memory.limit_in_bytes":    "9223372036854771712",
		"memory/app/memory.oom_control":       "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
		"memory/app/sub/memory.oom_control":   "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
		"cpu,cpuacct/cgroup.procs":            "",
		"cpu,cpuacct/app/cpu.stat":            "nr_periods 0\nnr_throttled 0\nthrottled_time 0\n",
		"unified/cgroup.controllers":          "",
		"unified/memory.pressure":             "full avg10=99.00 avg60=0.00 avg300=0.00 total=0\n",
		"systemd/system.slice/a/cgroup.procs": "",
		"systemd/cgroup.procs":                "",
	})
	c := cgroupfs{root}
	d := c.dirs(parseCgroups([]byte("4:memory:/app\n2:cpu,cpuacct:/app\n1:name=systemd:/\n0::/\n")))
	usage, limit := d.memory()
	assert.EqualValues(t, 500, *usage)
	assert.Nil(t, limit, "the greatest number means none")
	assert.Equal(t, filepath.Join(root, "cpu,cpuacct/app"), d["cpu"].dir)
	assert.Nil(t, d.throttled(map[string]cpuSeen{}), "no quota is in force")
	assert.Nil(t, d.pressure("memory.pressure", "full"), "that of the node")
	var o oomCount
	o.see(d, false, true)
	assert.EqualValues(t, 1, o.total)
	_, below := d.oomKills(true)
	assert.EqualValues(t, 3, *below)

	d = c.dirs(parseCgroups([]byte("4:memory:/\n3:memory:/../escape\n")))
	usage, _ = d.memory()
	assert.Nil(t, usage, "a process in the root has no usage of its own")
}

func TestKillsNeverFall(t *testing.T) {
	root := tree(t, map[string]string{
		"cgroup.controllers": "", "a/cgroup.events": "", "a/memory.events": "oom_kill 5\n",
		"b/cgroup.events": "", "b/memory.events": "oom_kill 9\n",
	})
	c := cgroupfs{root}
	var o oomCount
	goesOn := false
	see := func(path string) int64 {
		goesOn = o.see(c.dirsAt(path), false, true)
		o.told = true
		return o.total
	}
	assert.EqualValues(t, 5, see("a"))
	assert.EqualValues(t, 5, see("a"))
	assert.True(t, goesOn)
	put(t, "oom_kill 7\n", root, "a/memory.events")
	assert.EqualValues(t, 7, see("a"))
	// The old folder stays under another name, or its number would be given anew.
	require.NoError(t, os.Rename(filepath.Join(root, "a"), filepath.Join(root, "old")))
	require.NoError(t, os.Mkdir(filepath.Join(root, "a"), 0o755))
	put(t, "", root, "a/cgroup.events")
	put(t, "oom_kill 1\n", root, "a/memory.events")
	assert.EqualValues(t, 8, see("a"), "made anew, it began at 0")
	assert.False(t, goesOn, "and what the old one counted last is not known")
	assert.EqualValues(t, 8, see("b"), "what another folder counted before is no news")
	put(t, "oom_kill 10\n", root, "b/memory.events")
	assert.EqualValues(t, 9, see("b"))
	assert.False(t, o.see(c.dirsAt("gone"), false, true))
	assert.EqualValues(t, 9, o.total)
}

func TestControlGroupsAreFoundBehindAnEmptySysfs(t *testing.T) {
	empty, full := t.TempDir(), t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(empty, cgroupMount), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(full, cgroupMount, "cpu"), 0o700))
	assert.Equal(t, full+cgroupMount, cgroupRoot(empty, "/nowhere", full))
	assert.Equal(t, cgroupMount, cgroupRoot(empty), "as ever where nobody sees any")
}
