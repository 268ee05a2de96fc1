// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fault"
	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/score"
)

// step makes one injection, or those of a compound one, from peace to peace.
func (r *runner) step(ctx context.Context, number int, s Step) error {
	parts := s.Entry.Parts(r.fleet, rand.New(rand.NewPCG(s.seed[0], s.seed[1])))
	ins := make([]ledger.Injection, len(parts))
	for i, p := range parts {
		ins[i] = p.Injection
		ins[i].ID = s.ID
		if len(parts) > 1 {
			ins[i].ID, ins[i].Group = fmt.Sprintf("%s+%d", s.ID, i+1), s.ID
		}
	}
	err := r.make(ctx, parts, ins)
	if err == nil {
		hold := r.o.Hold
		for _, p := range parts {
			hold = max(hold, p.Lasts)
		}
		err = sleep(ctx, hold)
	}
	deaths := r.deaths(ins[0].Start)
	if ctx.Err() == nil { // else the fleet ends anyway
		err = errors.Join(err, r.heal(ctx, parts, ins))
	}
	now := time.Now()
	for i := range ins {
		switch {
		case ctx.Err() != nil:
			ins[i].Failed = interrupted
		case err != nil && ins[i].Failed == "":
			ins[i].Failed = err.Error()
		}
		if ins[i].Start.IsZero() {
			ins[i].Start = now
		}
		if ins[i].End.IsZero() {
			ins[i].End = now
		}
	}
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), r.account(ins))
	}
	if err != nil {
		r.failed++
	}
	sick := r.recover(ctx)
	if sick == nil {
		sick = r.tail(ctx, ins)
	}
	if err := errors.Join(r.account(ins), r.arrivals(ins, deaths)); err != nil {
		return err
	}
	r.tell(number, parts, ins)
	if sick != nil {
		return sick
	}
	return sleep(ctx, r.o.Settle)
}

// make does what is to be done.
func (r *runner) make(ctx context.Context, parts []fault.Part, ins []ledger.Injection) error {
	for i, p := range parts {
		if err := sleep(ctx, p.After); err != nil {
			return err
		}
		ins[i].Start = time.Now()
		if err := begin(r.fleet.Dir, ins[:i+1]); err != nil {
			return err
		}
		if err := p.Inject(ctx); err != nil {
			return err
		}
	}
	return nil
}

// heal takes everything back, the first first, so that what came on top of a
// fault can outlast it.
func (r *runner) heal(ctx context.Context, parts []fault.Part, ins []ledger.Injection) error {
	var errs []error
	for i := range parts {
		if ins[i].Start.IsZero() {
			continue // it was not come to
		}
		limited, cancel := context.WithTimeout(ctx, 90*time.Second)
		errs = append(errs, parts[i].Heal(limited))
		cancel()
		ins[i].End = time.Now()
	}
	return errors.Join(errs...)
}

// recover waits until the fleet is healthy, and helps it where it is not.
func (r *runner) recover(ctx context.Context) error {
	for try := range 2 {
		limited, cancel := context.WithTimeout(ctx, 25*time.Second)
		err := r.fleet.WaitHealthy(limited)
		cancel()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if try > 0 {
			return fmt.Errorf("%w: %w", errSick, err)
		}
		r.say("%v: restarting what does not serve", err)
		r.revive(ctx)
	}
	return nil
}

// revive takes back all that can be taken back and restarts who is not ready.
func (r *runner) revive(ctx context.Context) {
	for _, n := range r.fleet.Nodes() {
		if err := r.fleet.Shape(ctx, n); err != nil {
			r.say("%s: %v", n.Name, err)
		}
	}
	for _, in := range r.fleet.Instances() {
		limited, cancel := context.WithTimeout(ctx, 15*time.Second)
		_ = in.ResetCgroup()
		if in.PID() != 0 {
			_ = in.Resume()
		}
		if in.PID() == 0 || in.Kind == fleet.Collector && in.WaitReady(limited) != nil ||
			in.Kind != fleet.Collector && in.Command(limited, "reset") != nil {
			if err := in.Restart(limited); err != nil {
				r.say("%s: %v", in.Name, err)
			}
		}
		cancel()
	}
}

// tail waits for what is said after the end: until Tail is over, or until it
// was said and taken back. About a confounder nothing should be said.
func (r *runner) tail(ctx context.Context, ins []ledger.Injection) error {
	var end time.Time
	wanted := false
	for _, in := range ins {
		if in.End.After(end) {
			end = in.End
		}
		wanted = wanted || in.Kind == ledger.Fault && !in.Hidden
	}
	for {
		said, err := r.ears.listen()
		if err != nil {
			return err
		}
		over := time.Since(end) > quiet && score.Open(said) == 0 && (!wanted || since(said, ins[0].Start))
		if over || time.Since(end) > r.o.Tail {
			return nil
		}
		if err := sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

// account writes what was done, and forgets that it was begun.
func (r *runner) account(ins []ledger.Injection) error {
	return errors.Join(note(r.fleet.Dir, ins), forget(r.fleet.Dir))
}
