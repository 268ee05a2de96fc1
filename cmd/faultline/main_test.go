// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const asCommand = "FAULTLINE_TEST_AS_COMMAND"

// TestMain lets the test's own binary stand in for the command.
func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func faultline(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	var failed *exec.ExitError
	if !errors.As(err, &failed) {
		require.NoError(t, err)
	}
	return out.String(), problems.String(), cmd.ProcessState.ExitCode()
}

func TestExitStatus(t *testing.T) {
	const dir = "../../testdata/replay/"
	stdout, stderr, exit := faultline(t, "replay", "--labels", dir+"crash.labels.json", dir+"crash.otlp.jsonl.gz")
	assert.Zero(t, exit)
	assert.Empty(t, stderr)
	assert.Contains(t, stdout, "crash of payment-1")

	stdout, _, exit = faultline(t, "--version")
	assert.Zero(t, exit)
	assert.Regexp(t, `^faultline version \S+`, stdout)

	for _, c := range []struct {
		args  []string
		says  string
		usage bool // it says how to be called
	}{
		{[]string{"replay", "none.jsonl"}, "open none.jsonl: no such file", false},
		{[]string{"replay"}, "no recording: name one or more files", true},
		{[]string{"replay", "--lables", "x"}, "unknown flag: --lables", true},
		{[]string{"explain"}, "name one incident", true},
		{[]string{"explain", "0000000000000001", "--events", dir + "crash.otlp.jsonl.gz"}, "nothing is known of 0000000000000001", false},
		{[]string{"explain", "0000000000000001"}, "give --jaeger URL, --events FILE", false},
		{[]string{"nonsense"}, `unknown command "nonsense"`, true},
	} {
		stdout, stderr, exit := faultline(t, c.args...)
		assert.Equal(t, 1, exit, c.args)
		assert.Empty(t, stdout, c.args)
		assert.Contains(t, stderr, "faultline: ", c.args)
		assert.Contains(t, stderr, c.says, c.args)
		assert.Equal(t, c.usage, strings.Contains(stderr, "--help"), c.args)
	}
}
