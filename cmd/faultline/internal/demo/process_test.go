// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/faultline-otel/faultline/cmd/faultline/internal/shop"
	"github.com/faultline-otel/faultline/e2e/backends"
)

// TestMain lets the test binary be the command: the demo starts itself again for
// each service of the shop.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (strings.HasPrefix(os.Args[1], "demo") || os.Args[1] == "deaf") {
		ctx, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM) // until the process ends
		root := &cobra.Command{SilenceUsage: true}
		root.AddCommand(Command(), shop.ServiceCommand(), shop.LoadCommand(), deafCommand())
		if err := root.ExecuteContext(ctx); err != nil {
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		http.DefaultClient.CloseIdleConnections()
		os.Exit(code)
	}), goleak.IgnoreAnyFunction("net/http.(*persistConn).readLoop"), goleak.IgnoreAnyFunction("net/http.(*persistConn).writeLoop"))
}

// deafCommand does not end when it is told to.
func deafCommand() *cobra.Command {
	return &cobra.Command{Use: "deaf", Run: func(*cobra.Command, []string) {
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("listening to nobody")
		time.Sleep(time.Hour)
	}}
}

func TestEndLeavesNoProcess(t *testing.T) {
	tests := []struct {
		name    string
		args    []string
		prepare func(*testing.T, *process)
	}{
		{"polite", []string{"sleep", "3600"}, func(*testing.T, *process) {}},
		{"frozen", []string{"sleep", "3600"}, func(t *testing.T, p *process) { require.NoError(t, p.signal(syscall.SIGSTOP)) }},
		{"ended_before", []string{"true"}, func(t *testing.T, p *process) { require.NoError(t, p.wait(10*time.Second)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := startProcess(tt.name, exec.Command(tt.args[0], tt.args[1:]...), io.Discard)
			require.NoError(t, err)
			tt.prepare(t, p)
			p.end()
			assert.False(t, alive(p.cmd.Process.Pid))
		})
	}
	(*process)(nil).end() // what was never started
}

func TestEndKillsWhoDoesNotListen(t *testing.T) {
	self, err := os.Executable()
	require.NoError(t, err)
	r, w := io.Pipe()
	p, err := startProcess("deaf", exec.Command(self, "deaf"), w)
	require.NoError(t, err)
	_, err = bufio.NewReader(r).ReadString('\n')
	require.NoError(t, err)
	p.patience = 50 * time.Millisecond
	p.end()
	assert.False(t, alive(p.cmd.Process.Pid))
}

func TestAwaitSaysWhyNotReady(t *testing.T) {
	ended, err := startProcess("ended", exec.Command("true"), io.Discard)
	require.NoError(t, err)
	assert.ErrorContains(t, ended.await(t.Context(), "http://"+freeAddress(t)), "ended ended before it was ready")

	silent, err := startProcess("silent", exec.Command("sleep", "3600"), io.Discard)
	require.NoError(t, err)
	defer silent.end()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	assert.ErrorContains(t, silent.await(ctx, "http://"+freeAddress(t)), "silent is not ready")
}

func TestFindNamesWhatToDo(t *testing.T) {
	path, err := find("", "distribution/config/demo.yaml", "")
	require.NoError(t, err)
	assert.FileExists(t, path)
	_, err = find("", "no/such/file", "build it")
	require.ErrorContains(t, err, "no no/such/file in this checkout: build it")
	_, err = find("/no/such/file", "", "name it")
	require.ErrorContains(t, err, "name it")
}

func TestWrongJaegerIsRefused(t *testing.T) {
	out := &printer{w: io.Discard}
	_, err := startJaeger(t.Context(), &stack{}, "dokcer", out)
	require.ErrorContains(t, err, "--jaeger")
	_, err = startJaeger(t.Context(), &stack{}, "http://", out)
	require.ErrorContains(t, err, "write http://host:port")

	j, err := startJaeger(t.Context(), &stack{}, "http://example.test:16686/", out)
	require.NoError(t, err)
	assert.Equal(t, "http://example.test:16686", j.query.url)
	assert.Equal(t, "example.test:4317", j.otlp)
}

// The whole demo up to its first step, with the real Collector and Jaeger.
func TestInterruptedDemoLeavesNoProcess(t *testing.T) {
	c := startDemo(t)
	pids := c.await(t, "All is well")
	assert.GreaterOrEqual(t, len(pids), 8, "Jaeger, the Collector, five services, the load")
	require.NoError(t, c.cmd.Process.Signal(os.Interrupt))
	require.Error(t, c.cmd.Wait(), "an interrupted demo has shown nothing")
	for pid, name := range pids {
		assert.False(t, alive(pid), "%s survived", name)
	}
}

func TestDemoThatCannotStartLeavesNoProcess(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	require.NoError(t, os.WriteFile(broken, []byte("receivers: {nobody: {}}\n"), 0o600))
	c := startDemo(t, "--config", broken)
	text, pids := c.rest(t)
	require.Error(t, c.cmd.Wait())
	assert.Contains(t, text, "collector ended before it was ready")
	assert.Contains(t, text, "nobody", "it says why")
	for pid, name := range pids {
		assert.False(t, alive(pid), "%s survived", name)
	}
}

// child is a demo in a process of its own.
type child struct {
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

func startDemo(t *testing.T, args ...string) *child {
	t.Helper()
	root, err := backends.Root()
	require.NoError(t, err)
	if _, err := os.Stat(filepath.Join(root, "bin", "otelcol-faultline")); err != nil {
		backends.Require(t, &backends.MissingError{Backend: "The Collector", Install: "run `make build`"})
	}
	jaeger, err := backends.JaegerBinary()
	require.NoError(t, err)
	if _, err := os.Stat(jaeger); err != nil && os.Getenv("FAULTLINE_JAEGER_QUERY") == "" {
		backends.Require(t, &backends.MissingError{Backend: "Jaeger", Install: "run `make backends`"})
	}
	self, err := os.Executable()
	require.NoError(t, err)
	c := &child{cmd: exec.Command(self, append([]string{"demo", "--short", "--dir", t.TempDir()}, args...)...)}
	r, w, err := os.Pipe()
	require.NoError(t, err)
	c.cmd.Stdout, c.cmd.Stderr = w, w
	require.NoError(t, c.cmd.Start())
	require.NoError(t, w.Close())
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = r.Close() })
	c.lines = bufio.NewScanner(r)
	return c
}

// await reads until a line holds text; it returns the processes then.
func (c *child) await(t *testing.T, text string) map[int]string {
	t.Helper()
	var all []string
	for c.lines.Scan() {
		all = append(all, c.lines.Text())
		if strings.Contains(c.lines.Text(), text) {
			return childrenOf(t, c.cmd.Process.Pid)
		}
	}
	t.Fatalf("the demo ended without %q:\n%s", text, strings.Join(all, "\n"))
	return nil
}

// rest reads to the end; it returns the text, and every process that was seen.
func (c *child) rest(t *testing.T) (string, map[int]string) {
	t.Helper()
	var all strings.Builder
	seen := map[int]string{}
	for c.lines.Scan() {
		all.WriteString(c.lines.Text() + "\n")
		for pid, name := range childrenOf(t, c.cmd.Process.Pid) {
			seen[pid] = name
		}
	}
	return all.String(), seen
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// alive says whether there is such a process, a zombie too.
func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// childrenOf asks ps, which every Unix has, for the processes that parent
// started.
func childrenOf(t *testing.T, parent int) map[int]string {
	t.Helper()
	text, err := exec.Command("ps", "-A", "-o", "pid=,ppid=,args=").Output()
	require.NoError(t, err)
	found := map[int]string{}
	for line := range strings.Lines(string(text)) {
		var pid, ppid int
		if n, _ := fmt.Sscan(line, &pid, &ppid); n == 2 && ppid == parent {
			found[pid] = strings.TrimSpace(line)
		}
	}
	return found
}
