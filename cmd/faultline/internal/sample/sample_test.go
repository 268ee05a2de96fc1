// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package sample

import (
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const committed = "../../../../testdata/replay/"

// What is committed is what the generator writes: `go generate` renews it.
func TestCommittedExampleIsGenerated(t *testing.T) {
	lines, err := Example.Lines()
	require.NoError(t, err)
	f, err := os.Open(committed + "crash.otlp.jsonl.gz")
	require.NoError(t, err)
	defer f.Close()
	info, err := f.Stat()
	require.NoError(t, err)
	assert.Less(t, info.Size(), int64(100_000))
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	text, err := io.ReadAll(z)
	require.NoError(t, err)
	if string(text) != strings.Join(lines, "\n")+"\n" {
		t.Error("testdata/replay/crash.otlp.jsonl.gz is not what its generator writes: run `go generate ./cmd/faultline/internal/sample`")
	}
	labels, err := Example.Labels()
	require.NoError(t, err)
	text, err = os.ReadFile(committed + "crash.labels.json")
	require.NoError(t, err)
	assert.Equal(t, string(labels), string(text))
}
