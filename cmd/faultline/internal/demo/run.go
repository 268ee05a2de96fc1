// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"context"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

const (
	// warmUp lets the engine see how regular the heartbeats are.
	warmUp = 25 * time.Second
	// settle is the time after a step is undone in which its verdict must go.
	settle = 25 * time.Second
	// quiet is how long to go on listening for a change of mind, and the time
	// between two steps.
	quiet = 4 * time.Second
)

// result is what became of a step.
type result struct {
	step  step
	began time.Time   // when it was done
	ended time.Time   // when it was over: undone, cleared and quiet
	named *said       // the first event that was right; nil if none was
	first *failedCall // the first evidence of it among the spans; nil if none
	wrong string      // what was wrong; "" if nothing
}

// runSteps does each step, listens, and judges.
func runSteps(ctx context.Context, s *stack, steps []step, out *printer) []result {
	out.line("All is well; watching it for %v to learn what is usual.", warmUp)
	heard := s.account.len()
	sleep(ctx, warmUp)
	var results []result
	// Nobody has been touched yet, so nobody may be accused.
	if wrong := judge(expectation{}, s.account.since(heard), time.Now()); wrong != "" {
		results = append(results, result{step: step{title: "nothing was done yet"}, ended: time.Now(), wrong: wrong})
		out.judge(&results[0])
	}
	for _, st := range steps {
		if ctx.Err() != nil {
			break
		}
		out.step(st.title)
		r := runStep(ctx, s, st, out)
		if ctx.Err() == nil {
			out.judge(&r)
		}
		results = append(results, r)
	}
	return results
}

func runStep(ctx context.Context, s *stack, st step, out *printer) result {
	from := s.account.len()
	heard, accused := from, false
	r := result{step: st, began: time.Now()}

	// hear prints what is said until enough was, or the time is over.
	hear := func(within time.Duration, enough func(*said) bool) {
		for end := time.After(within); ; {
			for _, x := range s.account.since(heard) {
				heard++
				out.said(&x, r.began)
				accused = accused || x.accuses()
				if r.named == nil && st.want.met(&x) {
					r.named = &x
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
	never := func(*said) bool { return false }

	if err := st.do(ctx, s); err != nil {
		r.wrong = "it could not be done: " + err.Error()
		return r
	}
	hear(st.watch, func(*said) bool { return r.named != nil })
	if !st.want.nothing() {
		hear(quiet, never)
	}
	undone := time.Now()
	if st.undo != nil {
		if err := st.undo(ctx, s); err != nil {
			r.wrong = "it could not be undone: " + err.Error()
			return r
		}
	}
	if accused {
		hear(settle, func(x *said) bool { return x.event == contract.EventFailureCleared })
	}
	hear(quiet, never)
	r.ended = time.Now()
	r.first = s.account.firstFailed(r.began)
	r.wrong = judge(st.want, s.account.since(from), undone)
	return r
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
