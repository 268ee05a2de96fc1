// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/e2e/backends"
)

// builtBinary finds what `make build` puts into bin/.
func builtBinary(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(root(t), "bin", name)
	if _, err := os.Stat(path); err != nil {
		backends.Require(t, &backends.MissingError{Backend: "bin/" + name, Install: "run `make bin/" + name + "`"})
	}
	return path
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := backends.Root()
	require.NoError(t, err)
	return dir
}

// freePorts returns addresses of the loopback interface that nobody uses.
func freePorts(t *testing.T, n int) []string {
	t.Helper()
	ports, err := backends.FreePorts(n)
	require.NoError(t, err)
	addresses := make([]string, n)
	for i, p := range ports {
		addresses[i] = fmt.Sprintf("127.0.0.1:%d", p)
	}
	return addresses
}

// child is a process that a test started. It ends with the test.
type child struct {
	name string
	cmd  *exec.Cmd
	log  string        // file with all that it wrote
	done chan struct{} // closed when it has ended
	err  error         // of its end; to be read after done
}

// spawn starts cmd; what it writes is shown if the test fails.
func spawn(t *testing.T, name string, cmd *exec.Cmd) *child {
	t.Helper()
	file, err := os.CreateTemp(t.TempDir(), name+"-*.log")
	require.NoError(t, err)
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	backends.EndWithParent(cmd.SysProcAttr)
	require.NoError(t, cmd.Start())
	c := &child{name: name, cmd: cmd, log: file.Name(), done: make(chan struct{})}
	go func() {
		c.err = cmd.Wait()
		close(c.done)
	}()
	t.Cleanup(func() {
		c.end(10 * time.Second)
		if t.Failed() {
			t.Logf("%s wrote:\n%s", name, c.tail())
		}
	})
	return c
}

func (c *child) signal(t *testing.T, sig syscall.Signal) {
	t.Helper()
	require.NoError(t, c.cmd.Process.Signal(sig), c.name)
}

// end ends the process, also a frozen one: politely, and after patience not.
func (c *child) end(patience time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGCONT)
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}

// terminate sends SIGTERM and requires that the process ends with status 0.
func (c *child) terminate(t *testing.T) {
	t.Helper()
	c.signal(t, syscall.SIGTERM)
	c.awaitEnd(t, 30*time.Second)
	require.NoError(t, c.err, "%s was told to stop and wrote:\n%s", c.name, c.tail())
}

func (c *child) awaitEnd(t *testing.T, within time.Duration) {
	t.Helper()
	select {
	case <-c.done:
	case <-time.After(within):
		t.Fatalf("%s has not ended after %s", c.name, within)
	}
}

// awaitHTTP waits until a GET of url succeeds.
func (c *child) awaitHTTP(t *testing.T, url string) {
	t.Helper()
	c.await(t, url+" answers", func() bool {
		status, _, err := fetch(t.Context(), url)
		return err == nil && status < http.StatusBadRequest
	})
}

// await waits until what is true, as long as the process lives.
func (c *child) await(t *testing.T, what string, isTrue func() bool) {
	t.Helper()
	for deadline := time.Now().Add(45 * time.Second); !isTrue(); time.Sleep(50 * time.Millisecond) {
		select {
		case <-c.done:
			t.Fatalf("%s ended (%v) before %s", c.name, c.err, what)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 45 s: %s", c.name, what)
		}
	}
}

// output is all that the process has written.
func (c *child) output() string {
	text, _ := os.ReadFile(c.log)
	return string(text)
}

func (c *child) tail() string {
	text := c.output()
	return text[max(0, len(text)-8000):]
}

// errorLines are the lines that the Collector logged at error level or above.
func (c *child) errorLines() []string {
	var found []string
	for line := range strings.Lines(c.output()) {
		fields := strings.Split(line, "\t")
		if len(fields) > 1 && (fields[1] == "error" || fields[1] == "fatal" || fields[1] == "dpanic" || fields[1] == "panic") ||
			strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			found = append(found, line)
		}
	}
	return found
}

// fetch gets url and returns the status and the body.
func fetch(ctx context.Context, url string) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 256<<20))
	return resp.StatusCode, body, err
}

// eventually waits until check returns "", and else fails with what it said last.
func eventually(t *testing.T, within time.Duration, check func() string) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(200 * time.Millisecond) {
		missing := check()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %s", within, missing)
		}
	}
}

// exitStatus runs a command to its end.
func exitStatus(cmd *exec.Cmd) (int, string) {
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0, string(text)
	case errors.As(err, &exit):
		return exit.ExitCode(), string(text)
	}
	return -1, err.Error()
}
