// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package fault is the lab's catalogue: what can be done to the fleet, who is
// to blame for it, and how it is taken back. The classes follow from how the
// calls fail and what state the callee is in, never from what Faultline says.
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

// Entry is one kind of thing to do.
type Entry struct {
	Name     string
	Kind     ledger.Kind
	Class    string // failure.class; "" of confounders
	Subclass string
	Evidence []string
	OneSided bool // nobody behind it can report while it lasts
	Hidden   bool // nothing observable shows it
	// Lasts is how long it must last at least, where it builds up or shows in the
	// long run only.
	Lasts time.Duration
	// Aim chooses whom to hit.
	Aim func(f *fleet.Fleet, dice *rand.Rand) Aimed
	// Compose makes several at once, instead of Aim.
	Compose func(f *fleet.Fleet, dice *rand.Rand) []Part
}

// Part is one injection with what makes it.
type Part struct {
	Aimed
	Injection ledger.Injection // all but its time
	After     time.Duration    // that the one before has lasted
	Lasts     time.Duration    // at least
}

// Parts aims an entry: most have one part. Equal dice choose equal targets.
func (e *Entry) Parts(f *fleet.Fleet, dice *rand.Rand) []Part {
	if e.Compose != nil {
		return e.Compose(f, dice)
	}
	return []Part{e.part(e.Aim(f, dice))}
}

func (e *Entry) part(a Aimed) Part {
	return Part{Aimed: a, Lasts: e.Lasts, Injection: ledger.Injection{
		Name: e.Name, Kind: e.Kind, Class: e.Class, Subclass: e.Subclass, Culprits: a.Culprits,
		Evidence: e.Evidence, OneSided: e.OneSided, Hidden: e.Hidden,
	}}
}

// Aimed is an entry with its target.
type Aimed struct {
	Target   string           // for a person; "": the first culprit
	Culprits []ledger.Culprit // right answers, the most specific first
	Inject   func(ctx context.Context) error
	// Heal takes it back. The runner restarts who is not well after it.
	Heal func(ctx context.Context) error
}

// All returns the catalogue, in a fixed order.
func All() []Entry {
	return slices.Concat(crashes, partitions, byzantine, exhaustion, confounders, planned, compounds)
}

// who is the culprit that an instance is.
func who(in *fleet.Instance) []ledger.Culprit {
	return []ledger.Culprit{
		{Type: "instance", Service: in.Service, Instance: in.Name},
		{Type: "service", Service: in.Service},
	}
}

// among chooses an instance of one of the services.
func among(f *fleet.Fleet, dice *rand.Rand, services ...string) *fleet.Instance {
	var all []*fleet.Instance
	for _, s := range services {
		all = append(all, f.Of(s)...)
	}
	return all[dice.IntN(len(all))]
}

// replicated are services of which another instance serves meanwhile; inGo are
// those that know all commands.
var (
	replicated = []string{"checkout", "payment", "pricing", "inventory", "ledger"}
	inGo       = []string{"checkout", "payment", "pricing", "inventory"}
)

// command is a fault that a service makes of itself when told to, and takes back.
func command(services []string, name string, args ...string) func(*fleet.Fleet, *rand.Rand) Aimed {
	return func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, services...)
		return Aimed{
			Culprits: who(in),
			Inject:   func(ctx context.Context) error { return in.Command(ctx, name, args...) },
			Heal:     func(ctx context.Context) error { return in.Command(ctx, control.Reset) },
		}
	}
}

// end is a fault that ends a process; healing starts another.
func end(services []string, how func(ctx context.Context, in *fleet.Instance) error) func(*fleet.Fleet, *rand.Rand) Aimed {
	return func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, services...)
		return Aimed{
			Culprits: who(in),
			Inject: func(ctx context.Context) error {
				if err := how(ctx, in); err != nil {
					return err
				}
				return in.Wait(ctx)
			},
			Heal: func(ctx context.Context) error { return in.Start(ctx) },
		}
	}
}

// signal is a fault that a signal makes and another takes back.
func signal(services []string, do, undo syscall.Signal) func(*fleet.Fleet, *rand.Rand) Aimed {
	return func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, services...)
		return Aimed{
			Culprits: who(in),
			Inject:   func(context.Context) error { return in.Signal(do) },
			Heal:     func(context.Context) error { return in.Signal(undo) },
		}
	}
}

// all gives orders to several instances and takes them back.
func all(on []*fleet.Instance, culprits []ledger.Culprit, orders ...[]string) Aimed {
	return Aimed{
		Culprits: culprits,
		Inject: func(ctx context.Context) error {
			return each(on, func(in *fleet.Instance) error {
				return each(orders, func(o []string) error { return in.Command(ctx, o[0], o[1:]...) })
			})
		},
		Heal: func(ctx context.Context) error { return reset(ctx, on...) },
	}
}

// reset takes back what instances were told, and starts those that are gone.
func reset(ctx context.Context, on ...*fleet.Instance) error {
	if err := each(on, (*fleet.Instance).ResetCgroup); err != nil {
		return err
	}
	return each(on, func(in *fleet.Instance) error {
		if in.PID() == 0 {
			return in.Start(ctx)
		}
		return in.Command(ctx, control.Reset)
	})
}

// whole are the culprits of a fault of all instances of a service.
func whole(service string, on []*fleet.Instance) []ledger.Culprit {
	c := []ledger.Culprit{{Type: "service", Name: service}, {Type: "service", Service: service}}
	for _, in := range on {
		c = append(c, ledger.Culprit{Type: "instance", Service: in.Service, Instance: in.Name})
	}
	return c
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

// nothing is the heal of what ends by itself.
func nothing(context.Context) error { return nil }

// each does something to all of a kind, until it fails.
func each[T any](all []T, do func(T) error) error {
	for _, x := range all {
		if err := do(x); err != nil {
			return err // it names whom it is about
		}
	}
	return nil
}
