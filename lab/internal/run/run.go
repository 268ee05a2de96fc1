// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package run does to a fleet what the catalogue lists, in an order drawn from
// a seed, and keeps the account of it.
package run

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fault"
	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// Options say what to do, and for how long.
type Options struct {
	Dir    string
	Seed   uint64
	Order  []fault.Entry // what to do, see Draw
	First  int           // index in the whole order of the first of Order
	Clean  time.Duration // before the first, to learn what is usual
	Hold   time.Duration // from injecting to healing
	Settle time.Duration // before each
	Tail   time.Duration // after healing, so that what is revised then is scored
	Fleet  fleet.Options
	Out    io.Writer // progress for a person
}

// Draw returns faults and confounders in random order: each kind as often as
// any other, give or take one. The same seed gives the same order.
func Draw(seed uint64, entries []fault.Entry, faults, confounders int) []fault.Entry {
	dice := rand.New(rand.NewPCG(seed, 1))
	draw := func(kind ledger.Kind, n int) (out []fault.Entry) {
		var all []fault.Entry
		for _, e := range entries {
			if e.Kind == kind {
				all = append(all, e)
			}
		}
		for len(all) > 0 && len(out) < n {
			for _, i := range dice.Perm(len(all)) {
				if len(out) < n {
					out = append(out, all[i])
				}
			}
		}
		return out
	}
	order := append(draw(ledger.Fault, faults), draw(ledger.Confounder, confounders)...)
	dice.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	return order
}

// Run starts a fleet, does all of the order to it that the run's folder does
// not hold yet, and ends the fleet. What was begun and not ended is left out of
// the account.
func Run(ctx context.Context, o Options) (err error) {
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return err
	}
	done, err := finished(o.Dir)
	if err != nil {
		return err
	}
	o.Fleet.Dir, o.Fleet.Seed = o.Dir, o.Seed
	f, err := fleet.Start(ctx, o.Fleet)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	account, err := os.OpenFile(filepath.Join(o.Dir, ledger.InjectionsFile), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer account.Close()
	r := &runner{o: o, fleet: f, account: account, heard: listen(filepath.Join(o.Dir, ledger.EventsFile))}
	if err := f.WaitHealthy(ctx); err != nil {
		return err
	}
	if err := r.clean(ctx); err != nil {
		return err
	}
	for i, e := range o.Order {
		id := fmt.Sprintf("%04d-%s", o.First+i, e.Name)
		if done[id] {
			continue
		}
		if err := r.one(ctx, id, o.First+i, e); err != nil {
			return err
		}
	}
	return nil
}

// finished lists the injections that a run's folder holds.
func finished(dir string) (map[string]bool, error) {
	file, err := os.Open(filepath.Join(dir, ledger.InjectionsFile))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	all, err := ledger.Read[ledger.Injection](file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ledger.InjectionsFile, err)
	}
	done := map[string]bool{}
	for _, in := range all {
		done[in.ID] = true
	}
	return done, nil
}

type runner struct {
	o       Options
	fleet   *fleet.Fleet
	account io.Writer
	heard   *ear
}

func (r *runner) say(format string, a ...any) {
	fmt.Fprintf(r.o.Out, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, a...)...)
}

// clean lets time pass in which nothing is done.
func (r *runner) clean(ctx context.Context) error {
	in := ledger.Injection{ID: fmt.Sprintf("%04d-clean", r.o.First), Name: "clean", Kind: ledger.Clean, Start: time.Now()}
	r.say("clean for %s", r.o.Clean)
	if err := sleep(ctx, r.o.Clean); err != nil {
		return err
	}
	in.End = time.Now()
	r.say("clean: %s", r.heard.since(in.Start))
	return ledger.Write(r.account, in)
}

// one does one thing, takes it back and writes the account.
func (r *runner) one(ctx context.Context, id string, index int, e fault.Entry) error {
	if err := sleep(ctx, r.o.Settle); err != nil {
		return err
	}
	a := e.Aim(r.fleet, rand.New(rand.NewPCG(r.o.Seed, uint64(index)+2)))
	in := ledger.Injection{
		ID: id, Name: e.Name, Kind: e.Kind, Class: e.Class, Subclass: e.Subclass, Culprits: a.Culprits,
		Evidence: e.Evidence, OneSided: e.OneSided, Hidden: e.Hidden, Start: time.Now(),
	}
	if err := a.Inject(ctx); err != nil {
		in.Failed = err.Error()
	} else if err := sleep(ctx, r.o.Hold); err != nil {
		return err
	}
	in.End = time.Now()
	if err := a.Heal(ctx); err != nil {
		r.say("%s: healing: %v", id, err)
	}
	if err := r.mend(ctx); err != nil {
		return fmt.Errorf("%s: the fleet is not well after it: %w", id, err)
	}
	if err := sleep(ctx, r.o.Tail); err != nil {
		return err
	}
	if in.Failed != "" {
		r.say("%s: could not be done: %s", id, in.Failed)
	} else {
		r.say("%s of %s: %s", id, target(in.Culprits), r.heard.since(in.Start))
	}
	return ledger.Write(r.account, in)
}

// mend waits until the fleet is well by its own account, and starts again who
// is not.
func (r *runner) mend(ctx context.Context) error {
	short, cancel := context.WithTimeout(ctx, mendPatience)
	err := r.fleet.WaitHealthy(short)
	cancel()
	if err == nil {
		return nil
	}
	for _, in := range r.fleet.Instances() {
		look, cancel := context.WithTimeout(ctx, time.Second)
		unwell := in.PID() == 0 || in.WaitReady(look) != nil
		cancel()
		if unwell {
			r.say("%s is not well and started again", in.Name)
			if err := in.Restart(ctx); err != nil {
				return err
			}
		}
	}
	long, cancel := context.WithTimeout(ctx, 2*mendPatience)
	defer cancel()
	return r.fleet.WaitHealthy(long)
}

const mendPatience = 20 * time.Second

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// target says in words who was hit.
func target(culprits []ledger.Culprit) string {
	if len(culprits) == 0 {
		return "nobody"
	}
	c := culprits[0]
	for _, name := range []string{c.Name, c.Instance, c.Service, c.Type} {
		if name != "" {
			return name
		}
	}
	return "nobody"
}
