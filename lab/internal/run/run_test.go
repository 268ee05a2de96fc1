// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/lab/internal/fault"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

func names(t *testing.T, o Options) (out []string) {
	t.Helper()
	steps, err := Plan(o)
	require.NoError(t, err)
	for _, s := range steps {
		out = append(out, s.ID)
	}
	return out
}

func TestSameSeedDoesTheSame(t *testing.T) {
	o := Options{Seed: 7, Faults: 100, Confounders: 50}
	a := names(t, o)
	assert.Len(t, a, 150)
	assert.Equal(t, a, names(t, o))
	other := o
	other.Seed = 8
	assert.NotEqual(t, a, names(t, other))
	count := map[string]int{}
	for _, id := range a {
		count[id[len("0000-"):]]++
	}
	for _, e := range fault.All() {
		assert.Positive(t, count[e.Name], "%s is never done", e.Name)
	}
}

func TestShardsTogetherAreThePlan(t *testing.T) {
	o := Options{Seed: 7, Faults: 20, Confounders: 11}
	var all []string
	for i := range 3 {
		part := o
		part.Shard, part.Shards = i+1, 3
		all = append(all, names(t, part)...)
	}
	slices.Sort(all)
	assert.Equal(t, names(t, o), all)
}

func TestUnknownNameIsRefused(t *testing.T) {
	_, err := Plan(Options{Only: []string{"kill", "fly"}})
	assert.ErrorContains(t, err, `"fly"`)
}

func TestCatalogueIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range fault.All() {
		assert.False(t, seen[e.Name], "%s stands there twice", e.Name)
		seen[e.Name] = true
		assert.NotEqual(t, e.Aim == nil, e.Compose == nil, "%s: one of the two", e.Name)
		assert.Equal(t, e.Kind == ledger.Fault, e.Class != "" || e.Compose != nil, "%s: faults have a class, others none", e.Name)
	}
}

func TestWhatARunHoldsIsNotDoneAgain(t *testing.T) {
	o := Options{Out: t.TempDir()}
	s, err := openStore(o)
	require.NoError(t, err)
	done, err := s.finished()
	require.NoError(t, err)
	assert.Empty(t, done)
	part, err := s.part()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(part, ledger.InjectionsFile), []byte(
		`{"id":"0003-kill"}`+"\n"+`{"id":"0004-two+1"}`+"\n"+`{"id":"0005-kill","failed":"interrupted"}`+"\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(part, ledger.TracesFile), nil, 0o600))
	require.NoError(t, begin(part, []ledger.Injection{{ID: "0006-kill"}}))
	for range 2 {
		done, err = s.finished()
		require.NoError(t, err)
		assert.Equal(t, map[string]bool{"0003-kill": true, "0004-two": true}, done, "what was cut short is made again")
	}
	text, err := os.ReadFile(filepath.Join(part, ledger.InjectionsFile))
	require.NoError(t, err)
	assert.Equal(t, 1, strings.Count(string(text), "0006-kill"), "what a killed run left open stands in the account")
	parts, err := Parts(o.Out)
	require.NoError(t, err)
	assert.Equal(t, []string{part}, parts)
}

func TestAnotherRunsFolderIsRefused(t *testing.T) {
	o := Options{Out: t.TempDir(), Seed: 1}
	_, err := openStore(o)
	require.NoError(t, err)
	o.Seed = 2
	_, err = openStore(o)
	assert.ErrorContains(t, err, "holds another run")
}
