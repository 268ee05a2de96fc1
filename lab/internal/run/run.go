// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package run does to a fleet what the catalogue says, one thing after the
// other, and writes the account of it.
package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// Options say what to do, and how.
type Options struct {
	Out           string // folder of the run; what is done in it is not done again
	Seed          uint64 // of order, targets and load
	Shard, Shards int    // do the Shard-th of Shards parts of the plan; 0: all of it
	Only          []string
	// Faults and Confounders to make, each kind as often as the others; negative: each kind once.
	Faults, Confounders int
	Hold                time.Duration // how long a fault lasts after it was made
	Settle              time.Duration // of quiet before the next one
	Tail                time.Duration // how long after the end a verdict may need; less if it came and went
	Clean               time.Duration // in which nothing is done, at the start of each fleet
	Rate                float64       // requests a second; 0: the fleet's usual
	Daily, Single, Raw  bool          // see fleet.Options
	Log                 io.Writer     // progress
}

// quiet is how long nothing must be said before it counts as over.
const quiet = 15 * time.Second

// warmUp is how long connections, caches and the other languages' compilers need.
const warmUp = 10 * time.Second

// errSick says that a fleet did not recover, so that another one has to go on.
var errSick = errors.New("the fleet did not recover")

// Run makes all injections of the plan that are not in the account yet. An
// injection that could not be made stands there with the reason and is an
// error at the end; a class that is wrong is none.
func Run(ctx context.Context, o Options) error {
	if err := fleet.Available(); err != nil {
		return err
	}
	steps, err := Plan(o)
	if err != nil {
		return err
	}
	s, err := openStore(o)
	if err != nil {
		return err
	}
	done, err := s.finished()
	if err != nil {
		return err
	}
	r := &runner{o: o, total: len(steps)}
	for i, step := range steps {
		if done[step.ID] {
			continue
		}
		if r.fleet == nil {
			if err := r.start(ctx, s); err != nil {
				return errors.Join(err, r.close())
			}
		}
		err := r.step(ctx, i+1, step)
		switch {
		case errors.Is(err, errSick):
			r.say("%v: starting another fleet", err)
			err = r.close()
		case err == nil:
			continue
		}
		if err != nil {
			return errors.Join(err, r.close())
		}
	}
	if err := r.close(); err != nil {
		return err
	}
	if r.failed > 0 {
		return fmt.Errorf("%d injections could not be made: see failed in %s", r.failed, filepath.Join(s.dir, "*", ledger.InjectionsFile))
	}
	return nil
}

// runner does the steps of a plan.
type runner struct {
	o      Options
	total  int
	failed int

	fleet *fleet.Fleet // nil: none runs
	ears  *listener
	calls tail
}

// start starts a fleet and leaves it in peace for a while.
func (r *runner) start(ctx context.Context, s *store) error {
	dir, err := s.part()
	if err != nil {
		return err
	}
	f, err := fleet.Start(ctx, fleet.Options{
		Dir: dir, Seed: r.o.Seed, Rate: r.o.Rate, Daily: r.o.Daily, Single: r.o.Single, Raw: r.o.Raw, Out: r.o.Log,
	})
	if err != nil {
		return err
	}
	r.fleet = f
	r.ears = &listener{events: tail{path: f.File(ledger.EventsFile)}}
	healthy, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := f.WaitHealthy(healthy); err != nil {
		return err
	}
	if err := sleep(ctx, warmUp); err != nil {
		return err
	}
	r.calls = tail{path: f.File(ledger.CallsFile)}
	clean := ledger.Injection{ID: "0000-clean", Name: "clean", Kind: ledger.Clean, Start: time.Now()}
	if err := sleep(ctx, r.o.Clean); err != nil {
		return err
	}
	clean.End = time.Now()
	if err := note(dir, []ledger.Injection{clean}); err != nil {
		return err
	}
	said, err := r.ears.listen()
	r.say("clean for %s: %s", r.o.Clean, heard(said, clean.Start))
	return err
}

func (r *runner) close() error {
	if r.fleet == nil {
		return nil
	}
	f := r.fleet
	r.fleet = nil
	return f.Close()
}

func (r *runner) say(format string, a ...any) {
	if r.o.Log != nil {
		fmt.Fprintf(r.o.Log, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, a...)...)
	}
}

// sleep waits, unless ctx ends first.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
