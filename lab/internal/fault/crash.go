// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

const crash = "crash"

var seen = []string{"heartbeat", "process_probe", "refused", "spans"}

var crashes = []Entry{
	{Name: "kill", Kind: ledger.Fault, Class: crash, Subclass: "process_exit", Evidence: seen,
		Aim: end(replicated, func(ctx context.Context, in *fleet.Instance) error { return in.Kill(ctx) })},
	{Name: "panic", Kind: ledger.Fault, Class: crash, Subclass: "process_exit", Evidence: seen,
		Aim: end(slices.Concat(inGo, []string{"search", "cart"}), func(ctx context.Context, in *fleet.Instance) error { return in.Command(ctx, control.Panic) })},
	{Name: "segfault", Kind: ledger.Fault, Class: crash, Subclass: "process_exit", Evidence: seen,
		Aim: end(inGo, func(ctx context.Context, in *fleet.Instance) error { return in.Command(ctx, control.Segfault) })},
	{Name: "abort", Kind: ledger.Fault, Class: crash, Subclass: "process_exit", Evidence: seen,
		Aim: end(inGo, func(ctx context.Context, in *fleet.Instance) error { return in.Command(ctx, control.Abort) })},
	{Name: "exit", Kind: ledger.Fault, Class: crash, Subclass: "process_exit", Evidence: seen,
		Aim: end(inGo, func(ctx context.Context, in *fleet.Instance) error { return in.Command(ctx, control.Exit, "3") })},
	{Name: "hang_stop", Kind: ledger.Fault, Class: crash, Subclass: "hang", Evidence: seen,
		Aim: signal(replicated, syscall.SIGSTOP, syscall.SIGCONT)},
	{Name: "deadlock", Kind: ledger.Fault, Class: crash, Subclass: "hang", Evidence: []string{"spans", "probe"},
		Aim: command(inGo, control.Deadlock)},
	{Name: "listener_closed", Kind: ledger.Fault, Class: crash, Subclass: "not_listening", Evidence: []string{"refused", "probe"},
		Aim: command([]string{"checkout", "payment", "pricing", "ledger"}, control.Close)},
	{Name: "external_gone", Kind: ledger.Fault, Class: crash, Subclass: "not_listening", Evidence: []string{"refused", "spans"},
		Aim: func(f *fleet.Fleet, _ *rand.Rand) Aimed {
			in := f.Instance("bank-1")
			return Aimed{
				Culprits: []ledger.Culprit{{Type: "external"}, {Type: "instance", Service: "bank"}, {Type: "service", Service: "bank"}},
				Inject:   in.Kill,
				Heal:     in.Start,
			}
		}},
	{Name: "consumer_dead", Kind: ledger.Fault, Class: crash, Subclass: "process_exit", Evidence: []string{"heartbeat", "process_probe"},
		Aim: end([]string{"mailer"}, func(ctx context.Context, in *fleet.Instance) error { return in.Kill(ctx) })},
	// It lives and beats, and takes nothing off the queue: what a hang is to a server.
	{Name: "consumer_stuck", Lasts: time.Minute, Kind: ledger.Fault, Class: crash, Subclass: "hang", Evidence: []string{"metrics", "spans"},
		Aim: command([]string{"mailer"}, control.Consume, "false")},
	{Name: "node_processes_gone", Kind: ledger.Fault, Class: crash, Subclass: "node_down", Evidence: seen,
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			node := []string{"node-b1", "node-c1", "node-b2"}[dice.IntN(3)]
			on := f.On(node)
			culprits := []ledger.Culprit{{Type: "node", Name: node}}
			for _, in := range on {
				culprits = append(culprits, ledger.Culprit{Type: "instance", Service: in.Service, Instance: in.Name})
			}
			return Aimed{
				Culprits: culprits,
				Inject: func(ctx context.Context) error {
					return each(on, func(in *fleet.Instance) error { return in.Kill(ctx) })
				},
				Heal: func(ctx context.Context) error {
					return each(on, func(in *fleet.Instance) error { return in.Start(ctx) })
				},
			}
		}},
	{Name: "crash_loop", Kind: ledger.Fault, Class: crash, Subclass: "crash_loop", Evidence: seen,
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, inGo...)
			return Aimed{
				Culprits: who(in),
				Inject: func(ctx context.Context) error {
					for range 3 {
						if err := in.Command(ctx, control.Exit, "1"); err != nil {
							return err
						}
						if err := in.Wait(ctx); err != nil {
							return err
						}
						if err := in.Start(ctx); err != nil {
							return err
						}
					}
					return in.Kill(ctx)
				},
				Heal: in.Start,
			}
		}},
}
