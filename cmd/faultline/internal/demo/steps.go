// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"context"
	"syscall"
	"time"
)

// step is one thing that the demo does to the shop, and what has to be said of
// it.
type step struct {
	title string
	do    func(context.Context, *stack) error
	undo  func(context.Context, *stack) error // nil where nothing is left to undo
	want  expectation
	watch time.Duration // how long to listen before it is undone, at most
}

// steps returns what the demo does, in order.
func steps(short bool) []step {
	all := []step{
		{
			title: "kill -9 payment-1",
			do:    send("payment-1", syscall.SIGKILL), undo: restart("payment-1"),
			want: expectation{"crash", "process_exit", "payment-1"}, watch: 10 * time.Second,
		},
		{
			title: "stop payment-2 on purpose (SIGTERM), start it again after 6 s",
			do:    send("payment-2", syscall.SIGTERM), undo: restart("payment-2"), watch: 6 * time.Second,
		},
		{
			title: "freeze ledger-1 (SIGSTOP), then let it go on (SIGCONT)",
			do:    send("ledger-1", syscall.SIGSTOP), undo: send("ledger-1", syscall.SIGCONT),
			want: expectation{"crash", "hang", "ledger-1"}, watch: 12 * time.Second,
		},
	}
	if short {
		return all
	}
	return append(all,
		step{
			title: "make checkout-1 panic (it exits with status 2)",
			do: func(ctx context.Context, s *stack) error {
				return s.post(ctx, "checkout-1", "/debug/panic")
			},
			undo: restart("checkout-1"),
			want: expectation{"crash", "process_exit", "checkout-1"}, watch: 10 * time.Second,
		},
		step{
			title: "roll out: stop and start payment-1, then payment-2",
			do: func(ctx context.Context, s *stack) error {
				for _, instance := range []string{"payment-1", "payment-2"} {
					if err := s.services[instance].signal(syscall.SIGTERM); err != nil {
						return err
					}
					if err := restart(instance)(ctx, s); err != nil {
						return err
					}
					sleep(ctx, 3*time.Second)
				}
				return nil
			},
			watch: 5 * time.Second,
		},
		step{
			title: "freeze the Collector itself for 15 s, then watch it for 15 s",
			do: func(ctx context.Context, s *stack) error {
				if err := s.collector.signal(syscall.SIGSTOP); err != nil {
					return err
				}
				sleep(ctx, 15*time.Second)
				return s.collector.signal(syscall.SIGCONT)
			},
			watch: 15 * time.Second,
		},
	)
}

func send(instance string, sig syscall.Signal) func(context.Context, *stack) error {
	return func(_ context.Context, s *stack) error { return s.services[instance].signal(sig) }
}

// restart starts an instance that has ended, or is about to, and waits until it
// answers.
func restart(instance string) func(context.Context, *stack) error {
	return func(ctx context.Context, s *stack) error {
		if err := s.services[instance].wait(10 * time.Second); err != nil {
			return err
		}
		if err := s.startService(instance); err != nil {
			return err
		}
		return s.services[instance].await(ctx, "http://"+local(s.services[instance].port)+"/healthz")
	}
}
