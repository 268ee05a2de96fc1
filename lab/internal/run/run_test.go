// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/lab/internal/fault"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

func names(order []fault.Entry) (out []string) {
	for _, e := range order {
		out = append(out, e.Name)
	}
	return out
}

func TestSameSeedDoesTheSame(t *testing.T) {
	all := fault.All()
	a := names(Draw(7, all, 100, 50))
	assert.Len(t, a, 150)
	assert.Equal(t, a, names(Draw(7, all, 100, 50)))
	assert.NotEqual(t, a, names(Draw(8, all, 100, 50)))
	count := map[string]int{}
	for _, name := range a {
		count[name]++
	}
	for _, e := range all {
		assert.Positive(t, count[e.Name], "%s is never done", e.Name)
	}
}

func TestCatalogueIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range fault.All() {
		assert.False(t, seen[e.Name], "%s stands there twice", e.Name)
		seen[e.Name] = true
		assert.NotNil(t, e.Aim, e.Name)
		assert.Equal(t, e.Kind == ledger.Fault, e.Class != "", "%s: faults have a class, others none", e.Name)
	}
}

func TestWhatARunHoldsIsNotDoneAgain(t *testing.T) {
	dir := t.TempDir()
	done, err := finished(dir)
	require.NoError(t, err)
	assert.Empty(t, done)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ledger.InjectionsFile), []byte(`{"id":"0003-kill"}`+"\n"+`{"id":"0004-cut o`), 0o600))
	done, err = finished(dir)
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"0003-kill": true}, done, "a torn line is not an injection that ended")
}
