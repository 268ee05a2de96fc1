// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
)

// child is what a process that is looked at does. It begins with its first line
// of standard input, and ends with the input.
func child(mode string) {
	in := bufio.NewReader(os.Stdin)
	fmt.Println("ready")
	line, err := in.ReadString('\n')
	if err != nil {
		return
	}
	if code, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
		os.Exit(code)
	}
	switch mode {
	case "listen":
		listen(strings.TrimSpace(line), in)
	case "drain":
		drain(strings.TrimSpace(line))
	case "eat":
		var kept [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := 0; i < len(b); i += 4096 {
				b[i] = 1
			}
			kept = append(kept, b) //nolint:staticcheck // held, not read
		}
	case "spin":
		go func() {
			for { //nolint:staticcheck // it is meant to spin
			}
		}()
	}
	_, _ = io.Copy(io.Discard, in)
}

// proc is a child process of the test.
type proc struct {
	*exec.Cmd
	in io.WriteCloser
}

func (p *proc) pid() int         { return p.Process.Pid }
func (p *proc) send(line string) { _, _ = io.WriteString(p.in, line+"\n") }

// reap waits for the end: before it the process is a zombie.
func (p *proc) reap() {
	_ = p.in.Close()
	_ = p.Wait()
}

// start runs a child that is ready. Its program is this test's own.
func start(t *testing.T, mode string, change ...func(*exec.Cmd)) *proc {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childMode+"="+mode)
	for _, c := range change {
		c(cmd)
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &proc{cmd, in}
	t.Cleanup(func() {
		if p.ProcessState == nil {
			_ = p.Process.Kill()
			p.reap()
		}
	})
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "the child did not come up")
	return p
}

func writePID(t *testing.T, file string, pid int) {
	t.Helper()
	// As daemons do: a new file in the old one's place.
	require.NoError(t, os.WriteFile(file+".new", []byte(strconv.Itoa(pid)+"\n"), 0o600))
	require.NoError(t, os.Rename(file+".new", file))
}

// until probes until the process is in that state.
func until(t *testing.T, p Prober, state string) Result {
	t.Helper()
	var r Result
	require.Eventually(t, func() bool {
		r = p.Probe(t.Context())
		return r.Process != nil && r.Process.State == state
	}, 5*time.Second, 5*time.Millisecond, "never %s", state)
	return r
}

func TestStatesOfARealProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.pid")
	p := newProber(t, Config{Process: ProcessConfig{PIDFile: file}})

	r := p.Probe(t.Context())
	assert.Equal(t, contract.OutcomeError, r.Outcome)
	assert.Equal(t, &Process{State: contract.ProcessGone, OOMKills: nil}, r.Process, "nothing is known of what never ran")

	c := start(t, "wait")
	writePID(t, file, c.pid())
	r = until(t, p, contract.ProcessRunning)
	assert.Equal(t, contract.OutcomeOK, r.Outcome)
	assert.Empty(t, r.Message)
	assert.EqualValues(t, c.pid(), *r.Process.PID)
	assert.InDelta(t, time.Now().UnixNano(), *r.Process.StartTime, float64(5*time.Second))
	assert.Nil(t, r.Process.ExitCode)
	require.NotNil(t, r.Process.FDs)
	assert.GreaterOrEqual(t, *r.Process.FDs, int64(3))
	assert.Greater(t, *r.Process.FDLimit, *r.Process.FDs)
	assert.Positive(t, *r.Process.Threads)
	started := *r.Process.StartTime

	require.NoError(t, c.Process.Signal(syscall.SIGSTOP))
	r = until(t, p, contract.ProcessStopped)
	assert.Equal(t, contract.OutcomeError, r.Outcome)
	assert.Contains(t, r.Message, "stopped")

	require.NoError(t, c.Process.Signal(syscall.SIGCONT))
	r = until(t, p, contract.ProcessRunning)
	assert.Equal(t, started, *r.Process.StartTime, "the same incarnation")

	require.NoError(t, c.Process.Kill())
	r = until(t, p, contract.ProcessZombie)
	assert.Equal(t, contract.OutcomeError, r.Outcome)
	require.NotNil(t, r.Process.ExitCode, "of our own child the exit status may be read")
	assert.EqualValues(t, 137, *r.Process.ExitCode)

	c.reap()
	r = p.Probe(t.Context())
	assert.Equal(t, contract.OutcomeError, r.Outcome)
	assert.Equal(t, contract.ProcessGone, r.Process.State)
	assert.EqualValues(t, c.pid(), *r.Process.PID)
	assert.Equal(t, started, *r.Process.StartTime)
	assert.EqualValues(t, 137, *r.Process.ExitCode, "what was known of a zombie stays known")
	assert.Contains(t, r.Message, "exit status 137")
}

func TestExitStatusIsKnownAfterTheParentReaped(t *testing.T) {
	for line, want := range map[string]int64{"0": 0, "3": 3} {
		file := filepath.Join(t.TempDir(), "app.pid")
		c := start(t, "wait")
		writePID(t, file, c.pid())
		p := newProber(t, Config{Process: ProcessConfig{PIDFile: file}})
		until(t, p, contract.ProcessRunning)
		c.send(line)
		c.reap()
		r := p.Probe(t.Context())
		assert.Equal(t, contract.ProcessGone, r.Process.State)
		if r.Process.ExitCode == nil {
			needs(t, false, "Linux 6.15, which tells the exit status to holders of a pidfd")
		}
		assert.Equal(t, want, *r.Process.ExitCode)
	}
}

func TestNewProcessUnderOnePIDFileIsANewIncarnation(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.pid")
	first := start(t, "wait")
	writePID(t, file, first.pid())
	p := newProber(t, Config{Process: ProcessConfig{PIDFile: file}})
	before := until(t, p, contract.ProcessRunning)

	time.Sleep(20 * time.Millisecond) // start times count in 10 ms
	second := start(t, "wait")
	first.send("7")
	first.reap()
	writePID(t, file, second.pid())
	after := p.Probe(t.Context())
	assert.Equal(t, contract.OutcomeOK, after.Outcome)
	assert.Equal(t, contract.ProcessRunning, after.Process.State)
	assert.EqualValues(t, second.pid(), *after.Process.PID)
	assert.Greater(t, *after.Process.StartTime, *before.Process.StartTime)
	assert.Contains(t, after.Message, fmt.Sprintf("pid %d took the place of pid %d", second.pid(), first.pid()))
	if after.Process.ExitCode != nil {
		assert.EqualValues(t, 7, *after.Process.ExitCode, "how the one before ended")
	}
	assert.Nil(t, p.Probe(t.Context()).Process.ExitCode, "told once")
}

func TestMissingOrBrokenPIDFileIsNoEndOfTheProcess(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.pid")
	c := start(t, "wait")
	writePID(t, file, c.pid())
	p := newProber(t, Config{Process: ProcessConfig{PIDFile: file}})
	until(t, p, contract.ProcessRunning)

	require.NoError(t, os.WriteFile(file, []byte("not a number"), 0o600))
	r := p.Probe(t.Context())
	assert.Equal(t, contract.OutcomeOK, r.Outcome, "%+v", r)
	assert.Contains(t, r.Message, "holds no process id")

	require.NoError(t, os.Remove(file))
	r = p.Probe(t.Context())
	assert.Equal(t, contract.ProcessRunning, r.Process.State, "%+v", r)

	require.NoError(t, c.Process.Kill())
	c.reap()
	assert.Equal(t, contract.ProcessGone, p.Probe(t.Context()).Process.State)
}

func TestExecutableIsTheOldestOfSeveral(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	program := filepath.Join(t.TempDir(), fmt.Sprintf("faultline-probed-%d", os.Getpid())) // longer than the kernel's 15 bytes
	content, err := os.ReadFile(self)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(program, content, 0o700))
	with := func(c *exec.Cmd) { c.Path, c.Args[0] = program, program }

	byName := newProber(t, Config{Process: ProcessConfig{Executable: filepath.Base(program)}})
	byPath := newProber(t, Config{Process: ProcessConfig{Executable: program}})
	r := byName.Probe(t.Context())
	assert.Equal(t, contract.ProcessGone, r.Process.State)
	assert.Contains(t, r.Message, "no process runs")

	first := start(t, "wait", with)
	time.Sleep(20 * time.Millisecond)
	second := start(t, "wait", with)
	for _, p := range []Prober{byName, byPath} {
		r = p.Probe(t.Context())
		assert.EqualValues(t, first.pid(), *r.Process.PID)
		assert.Contains(t, r.Message, "oldest of 2 processes")
	}
	require.NoError(t, first.Process.Kill())
	first.reap()
	for _, p := range []Prober{byName, byPath} {
		r = p.Probe(t.Context())
		assert.Equal(t, contract.ProcessRunning, r.Process.State)
		assert.EqualValues(t, second.pid(), *r.Process.PID)
	}
	// An update replaces the file of a running program.
	require.NoError(t, os.Remove(program))
	assert.Equal(t, contract.ProcessRunning, byPath.Probe(t.Context()).Process.State)
	require.NoError(t, second.Process.Kill())
	second.reap()
	assert.Equal(t, contract.ProcessGone, byPath.Probe(t.Context()).Process.State)
}

func TestProcessThatIsNoLongerMeantIsNotSaidToHaveExited(t *testing.T) {
	file := filepath.Join(t.TempDir(), "app.pid")
	c, ended := start(t, "wait"), start(t, "wait")
	ended.send("0")
	ended.reap()
	writePID(t, file, c.pid())
	p := newProber(t, Config{Process: ProcessConfig{PIDFile: file}})
	until(t, p, contract.ProcessRunning)
	writePID(t, file, ended.pid())
	r := p.Probe(t.Context())
	assert.Equal(t, contract.ProcessGone, r.Process.State)
	assert.Contains(t, r.Message, "which does not run")
	assert.NotContains(t, r.Message, "exit status")
	writePID(t, file, c.pid())
	r = p.Probe(t.Context())
	assert.Equal(t, contract.ProcessRunning, r.Process.State)
	assert.NotNil(t, r.Process.FDs, "all is read again")
}

func TestDescriptorsAgainstTheirLimit(t *testing.T) {
	c := start(t, "wait")
	file := filepath.Join(t.TempDir(), "app.pid")
	writePID(t, file, c.pid())
	p := newProber(t, Config{Process: ProcessConfig{PIDFile: file}})
	r := until(t, p, contract.ProcessRunning)
	assert.Equal(t, *countEntries(fmt.Sprintf("/proc/%d/fd", c.pid())), *r.Process.FDs)

	limit := syscall.Rlimit{Cur: 64, Max: 64}
	require.NoError(t, setLimit(c.pid(), syscall.RLIMIT_NOFILE, &limit))
	assert.EqualValues(t, 64, *p.Probe(t.Context()).Process.FDLimit)
}

func BenchmarkProcessProbe(b *testing.B) {
	file := filepath.Join(b.TempDir(), "app.pid")
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o600); err != nil {
		b.Fatal(err)
	}
	p, err := newProcess(ProcessConfig{PIDFile: file})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(p.close)
	b.ReportAllocs()
	for b.Loop() {
		p.probe(b.Context())
	}
}
