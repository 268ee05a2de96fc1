// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"math/rand/v2"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

const exhausted = "resource_exhaustion"

// limited lowers a limit of a control group and may add demand.
func limited(services []string, file, value string, demand ...string) func(*fleet.Fleet, *rand.Rand) Aimed {
	return func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, services...)
		return Aimed{
			Culprits: who(in),
			Inject: func(ctx context.Context) error {
				if err := in.SetCgroup(file, value); err != nil || len(demand) == 0 {
					return err
				}
				return in.Command(ctx, demand[0], demand[1:]...)
			},
			Heal: func(ctx context.Context) error {
				if err := in.ResetCgroup(); err != nil {
					return err
				}
				if in.PID() == 0 {
					return in.Start(ctx)
				}
				return in.Command(ctx, control.Reset)
			},
		}
	}
}

var exhaustion = []Entry{
	{Name: "oom_kill", Kind: ledger.Fault, Class: exhausted, Subclass: "oom_kill", Evidence: seen,
		Aim: limited(inGo, "memory.limit_in_bytes", strconv.Itoa(64<<20), control.LeakMemory, strconv.Itoa(40<<20))},
	{Name: "cpu_quota", Kind: ledger.Fault, Class: exhausted, Subclass: "cpu", Evidence: []string{"spans", "process_probe"},
		Aim: limited([]string{"checkout", "payment", "pricing"}, "cpu.cfs_quota_us", "2000")},
	{Name: "disk_full", Kind: ledger.Fault, Class: exhausted, Subclass: "disk", Evidence: []string{"logs", "spans"}, Aim: command([]string{"ledger"}, control.FillDisk, "0")},
	{Name: "descriptors", Kind: ledger.Fault, Class: exhausted, Subclass: "file_descriptors", Evidence: []string{"logs", "spans"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, "checkout", "payment")
			return Aimed{
				Culprits: who(in),
				Inject:   func(context.Context) error { return in.SetLimit(unix.RLIMIT_NOFILE, 12) },
				Heal:     func(context.Context) error { return in.SetLimit(unix.RLIMIT_NOFILE, 4096) },
			}
		}},
	{Name: "pool_drained", Kind: ledger.Fault, Class: exhausted, Subclass: "connection_pool", Evidence: []string{"logs", "metrics", "spans"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, "payment")
			return Aimed{
				Culprits: who(in),
				Inject: func(ctx context.Context) error {
					if err := in.Command(ctx, control.ShrinkPool, "1"); err != nil {
						return err
					}
					return in.Command(ctx, control.HoldPool, "3s")
				},
				Heal: func(ctx context.Context) error { return in.Command(ctx, control.Reset) },
			}
		}},
	{Name: "rejected", Kind: ledger.Fault, Class: exhausted, Subclass: "overload", Evidence: []string{"spans"}, Aim: command([]string{"pricing", "payment"}, control.Reject, "0.8")},
}
