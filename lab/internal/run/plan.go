// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/faultline-otel/faultline/lab/internal/fault"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// Step is one thing to do.
type Step struct {
	ID    string // sorts by order: "0007-zone_cut"
	Entry fault.Entry
	seed  [2]uint64 // of the dice that choose the targets
}

// Plan is what a run does, in its order: equal options give equal plans, and
// the shards of a run are parts of one plan.
func Plan(o Options) ([]Step, error) {
	catalogue := fault.All()
	for _, name := range o.Only {
		if !slices.ContainsFunc(catalogue, func(e fault.Entry) bool { return e.Name == name }) {
			return nil, fmt.Errorf("--only: there is no %q: --list shows what there is", name)
		}
	}
	dice := rand.New(rand.NewPCG(o.Seed, 0))
	var entries []fault.Entry
	for _, of := range []struct {
		kind  ledger.Kind
		count int
	}{{ledger.Fault, o.Faults}, {ledger.Confounder, o.Confounders}} {
		kinds := slices.DeleteFunc(slices.Clone(catalogue), func(e fault.Entry) bool {
			return e.Kind != of.kind || len(o.Only) > 0 && !slices.Contains(o.Only, e.Name)
		})
		entries = append(entries, draw(dice, kinds, of.count)...)
	}
	dice.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	var steps []Step
	for i, e := range entries {
		if i%max(1, o.Shards) == max(1, o.Shard)-1 {
			steps = append(steps, Step{fmt.Sprintf("%04d-%s", i+1, e.Name), e, [2]uint64{o.Seed, uint64(i + 1)}})
		}
	}
	return steps, nil
}

// draw takes n entries, each as often as the others but for one; a negative n
// takes each once.
func draw(dice *rand.Rand, kinds []fault.Entry, n int) (drawn []fault.Entry) {
	if n < 0 {
		return kinds
	}
	for len(drawn) < n && len(kinds) > 0 {
		for _, i := range dice.Perm(len(kinds)) {
			if len(drawn) < n {
				drawn = append(drawn, kinds[i])
			}
		}
	}
	return drawn
}

// signature tells whether two runs have the same plan.
func signature(o Options) string {
	return fmt.Sprintf("seed %d, %d faults, %d confounders, only %q, shard %d/%d",
		o.Seed, o.Faults, o.Confounders, strings.Join(o.Only, ","), max(1, o.Shard), max(1, o.Shards))
}
