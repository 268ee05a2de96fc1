// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"syscall"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// step is one thing that the demo does to the shop, and what has to be said of
// it.
type step struct {
	title string
	do    func(context.Context, *stack) error
	undo  func(context.Context, *stack) error
	want  expectation
	watch time.Duration // how long to listen at most
}

// expectation is what has to be said: this class of this instance, or nothing.
type expectation struct {
	class, subclass, instance string
}

func (x expectation) nothing() bool { return x.class == "" }

// result is what was said in a step.
type result struct {
	step     step
	began    time.Time
	ended    time.Time // after it was cleared
	verdict  *said     // the last before the cause was undone; nil if nothing
	first    *said
	right    bool
	resolved bool
}

// steps returns what the demo does, in order.
func steps(short bool) []step {
	signal := func(instance string, sig syscall.Signal) func(context.Context, *stack) error {
		return func(_ context.Context, s *stack) error { return s.services[instance].signal(sig) }
	}
	restart := func(instance string) func(context.Context, *stack) error {
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
	all := []step{
		{
			title: "kill -9 payment-1", do: signal("payment-1", syscall.SIGKILL), undo: restart("payment-1"),
			want: expectation{"crash", "process_exit", "payment-1"}, watch: 10 * time.Second,
		},
		{
			title: "stop payment-2 on purpose (SIGTERM), start it again after 6 s",
			do:    signal("payment-2", syscall.SIGTERM), undo: restart("payment-2"), watch: 6 * time.Second,
		},
		{
			title: "freeze ledger-1 (SIGSTOP)", do: signal("ledger-1", syscall.SIGSTOP), undo: signal("ledger-1", syscall.SIGCONT),
			want: expectation{"crash", "hang", "ledger-1"}, watch: 12 * time.Second,
		},
	}
	if short {
		return all
	}
	return append(all,
		step{
			title: "make checkout-1 panic (it exits with status 2)",
			do:    func(ctx context.Context, s *stack) error { return s.post(ctx, "checkout-1", "/debug/panic") },
			undo:  restart("checkout-1"), want: expectation{"crash", "process_exit", "checkout-1"}, watch: 10 * time.Second,
		},
		step{
			title: "restart payment-1 and payment-2 in turn", watch: 5 * time.Second,
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
			undo: func(context.Context, *stack) error { return nil },
		},
		step{
			title: "freeze the Collector itself for 15 s, then watch it for 15 s", watch: 15 * time.Second,
			do: func(ctx context.Context, s *stack) error {
				if err := s.collector.signal(syscall.SIGSTOP); err != nil {
					return err
				}
				sleep(ctx, 15*time.Second)
				return s.collector.signal(syscall.SIGCONT)
			},
			undo: func(context.Context, *stack) error { return nil },
		},
	)
}

// runSteps does each step, listens, and judges. Between steps all must be well.
func runSteps(ctx context.Context, s *stack, steps []step, out *printer) []result {
	var results []result
	sleep(ctx, warmUp)
	for _, st := range steps {
		if ctx.Err() != nil {
			break
		}
		out.step(st.title)
		r := runStep(ctx, s, st, out)
		out.judge(&r)
		results = append(results, r)
	}
	return results
}

const (
	// warmUp lets the engine see how regular the heartbeats are.
	warmUp = 25 * time.Second
	// settle is the time after a step is undone in which the verdict must go.
	settle = 25 * time.Second
	// quiet is the time between steps.
	quiet = 4 * time.Second
)

func runStep(ctx context.Context, s *stack, st step, out *printer) result {
	heard := s.account.len()
	r := result{step: st, began: time.Now()}
	if err := st.do(ctx, s); err != nil {
		out.line("  failed to do that: %v", err)
		return r
	}
	hear := func(within time.Duration, enough func(*said) bool) {
		for end := time.After(within); ; {
			for _, x := range s.account.since(heard) {
				heard++
				out.said(&x, r.began)
				if x.failure() {
					if r.first == nil {
						r.first = &x
					}
					r.verdict = &x
				}
				if enough(&x) {
					return
				}
			}
			select {
			case <-s.account.news:
			case <-end:
				return
			case <-ctx.Done():
				return
			}
		}
	}
	hear(st.watch, func(x *said) bool { return !st.want.nothing() && matches(x, st.want) })
	if !st.want.nothing() {
		hear(quiet, func(*said) bool { return false }) // a change of mind would count
	}
	r.right = right(st.want, r.verdict)
	if err := st.undo(ctx, s); err != nil {
		out.line("  failed to undo that: %v", err)
		r.right = false
		return r
	}
	r.resolved = r.verdict == nil
	if !r.resolved {
		hear(settle, func(x *said) bool {
			r.resolved = r.resolved || x.event == contract.EventFailureCleared
			return r.resolved
		})
	}
	late := r.verdict
	hear(quiet, func(*said) bool { return false })
	r.right = r.right && r.resolved && (!st.want.nothing() || r.verdict == nil) && (late == r.verdict || right(st.want, r.verdict))
	r.ended = time.Now()
	return r
}

// matches says whether x is what a step expects.
func matches(x *said, want expectation) bool {
	return x.failure() && x.class == want.class && x.subclass == want.subclass && x.instance == want.instance
}

// right says whether the last word of a step is what it expects.
func right(want expectation, last *said) bool {
	if want.nothing() {
		return last == nil
	}
	return last != nil && matches(last, want)
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
