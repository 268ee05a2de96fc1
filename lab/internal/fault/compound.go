// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// aim aims an entry of the catalogue as a part of something larger.
func aim(name string, f *fleet.Fleet, dice *rand.Rand) Part {
	for _, list := range [][]Entry{crashes, partitions, byzantine, exhaustion, confounders, planned} {
		for i := range list {
			if list[i].Name == name {
				return list[i].part(list[i].Aim(f, dice))
			}
		}
	}
	panic("the catalogue has no " + name) // a test goes through all
}

// then lets a part begin some time after the one before it.
func (p Part) then(after time.Duration) Part {
	p.After = after
	return p
}

// killed is the crash of one instance.
func killed(in *fleet.Instance) Part {
	return (&Entry{Name: "kill", Kind: ledger.Fault, Class: crash, Subclass: "process_exit", Evidence: seen}).part(Aimed{
		Culprits: who(in), Inject: in.Kill, Heal: in.Start,
	})
}

func compound(name string, compose func(f *fleet.Fleet, dice *rand.Rand) []Part) Entry {
	return Entry{Name: name, Kind: ledger.Fault, Compose: compose}
}

var compounds = []Entry{
	compound("two_at_once", func(f *fleet.Fleet, dice *rand.Rand) []Part {
		return []Part{aim("disk_full", f, dice), killed(among(f, dice, "inventory", "pricing")).then(2 * time.Second)}
	}),
	compound("fault_during_deploy", func(f *fleet.Fleet, dice *rand.Rand) []Part {
		return []Part{aim("rolling_deploy", f, dice), killed(f.Instance("search-1")).then(time.Second)}
	}),
	// Starved of CPU, then dead. Others need too little of a processor to be hurt.
	compound("exhausted_then_dead", func(f *fleet.Fleet, dice *rand.Rand) []Part {
		in := among(f, dice, "checkout", "payment")
		starved := (&Entry{Name: "cpu_quota", Kind: ledger.Fault, Class: exhausted, Subclass: "cpu", Evidence: []string{"spans", "process_probe"}}).part(Aimed{
			Culprits: who(in),
			Inject:   func(context.Context) error { return in.SetCgroup("cpu.cfs_quota_us", "2000") },
			Heal:     func(context.Context) error { return in.ResetCgroup() },
		})
		dead := killed(in).then(15 * time.Second)
		dead.Heal = func(ctx context.Context) error {
			if err := in.ResetCgroup(); err != nil { // so that its successor gets on its feet
				return err
			}
			return in.Start(ctx)
		}
		return []Part{starved, dead}
	}),
	// When the cut is mended, one behind it is dead.
	compound("cut_with_a_death", func(f *fleet.Fleet, dice *rand.Rand) []Part {
		cut := aim("zone_cut", f, dice)
		var in *fleet.Instance
		for in == nil || in.Zone() != cut.Culprits[0].Name {
			in = among(f, dice, "checkout", "payment", "pricing", "inventory")
		}
		dead := killed(in).then(8 * time.Second)
		dead.Injection.OneSided = true
		dead.Heal = func(ctx context.Context) error {
			if err := sleep(ctx, 8*time.Second); err != nil {
				return err
			}
			return in.Start(ctx)
		}
		return []Part{cut, dead}
	}),
}
