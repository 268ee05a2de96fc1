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
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// evictable is the node on which each service has a replica elsewhere.
const evictable = "node-b1"

// elsewhere points callers at the instances of a service that are not on the node.
func elsewhere(f *fleet.Fleet, node string) error {
	return each(f.On(node), func(in *fleet.Instance) error {
		var rest []*fleet.Instance
		for _, other := range f.Of(in.Service) {
			if other.Node.Name != node {
				rest = append(rest, other)
			}
		}
		return f.SetEndpoints(in.Service, rest...)
	})
}

// comeBack starts what was on a node, then points callers at it again.
func comeBack(ctx context.Context, f *fleet.Fleet, node string) error {
	return each(f.On(node), func(in *fleet.Instance) error {
		if in.PID() == 0 {
			if err := in.Start(ctx); err != nil {
				return err
			}
		}
		return f.SetEndpoints(in.Service, f.Of(in.Service)...)
	})
}

// propagated is how long callers need to learn of new endpoints, and a little.
const propagated = time.Second

// stopAll stops what is on a node, in order.
func stopAll(ctx context.Context, on []*fleet.Instance) error {
	return each(on, func(in *fleet.Instance) error { return in.Stop(ctx) })
}

// planned is what somebody does on purpose, or what a machine does now and then.
var planned = []Entry{
	harmless("killed_after_drain", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, inGo...)
		return Aimed{
			Target: in.Name,
			Inject: func(ctx context.Context) error {
				if err := f.SetEndpoints(in.Service, but(in, f.Of(in.Service))...); err != nil {
					return err
				}
				if err := sleep(ctx, propagated); err != nil {
					return err
				}
				if err := in.Signal(syscall.SIGTERM); err != nil {
					return err
				}
				if err := sleep(ctx, 10*time.Millisecond); err != nil {
					return err
				}
				_ = in.Signal(syscall.SIGKILL) // it may be faster
				return in.Wait(ctx)
			},
			Heal: func(ctx context.Context) error {
				if err := in.Start(ctx); err != nil {
					return err
				}
				return f.SetEndpoints(in.Service, f.Of(in.Service)...)
			},
		}
	}),
	harmless("blue_green", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		service := []string{"inventory", "payment"}[dice.IntN(2)]
		blue := f.Of(service)
		var green []*fleet.Instance
		return Aimed{
			Target: service,
			Inject: func(ctx context.Context) error {
				for i, b := range blue {
					g, err := f.Add(service, service+"-green"+string(rune('1'+i)), b.Node.Name)
					if err != nil {
						return err
					}
					green = append(green, g)
					g.SetVersion(next(b.Version))
					if err := g.Start(ctx); err != nil {
						return err
					}
				}
				if err := f.SetEndpoints(service, green...); err != nil {
					return err
				}
				if err := sleep(ctx, propagated); err != nil {
					return err
				}
				return stopAll(ctx, blue)
			},
			Heal: func(ctx context.Context) error {
				if err := each(blue, func(in *fleet.Instance) error { return in.Start(ctx) }); err != nil {
					return err
				}
				if err := f.SetEndpoints(service, blue...); err != nil {
					return err
				}
				if err := sleep(ctx, propagated); err != nil {
					return err
				}
				return each(green, func(in *fleet.Instance) error { return f.Remove(ctx, in) })
			},
		}
	}),
	harmless("node_drain", func(f *fleet.Fleet, _ *rand.Rand) Aimed {
		return Aimed{
			Target: evictable,
			Inject: func(ctx context.Context) error {
				if err := elsewhere(f, evictable); err != nil {
					return err
				}
				if err := sleep(ctx, propagated); err != nil {
					return err
				}
				return stopAll(ctx, f.On(evictable))
			},
			Heal: func(ctx context.Context) error { return comeBack(ctx, f, evictable) },
		}
	}),
	// The cloud takes the machine back, after it told so.
	harmless("spot_eviction", func(f *fleet.Fleet, _ *rand.Rand) Aimed {
		node := f.Node(evictable)
		return Aimed{
			Target: evictable,
			Inject: func(ctx context.Context) error {
				if err := elsewhere(f, evictable); err != nil {
					return err
				}
				if err := sleep(ctx, propagated); err != nil {
					return err
				}
				if err := stopAll(ctx, f.On(evictable)); err != nil {
					return err
				}
				return f.Shape(ctx, node, fleet.Shape{Loss: 1})
			},
			Heal: func(ctx context.Context) error {
				if err := f.Shape(ctx, node); err != nil {
					return err
				}
				return comeBack(ctx, f, evictable)
			},
		}
	}),
	harmless("database_failover", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		stores := f.Of("ledger")
		old := dice.IntN(2)
		return Aimed{
			Target: stores[old].Name,
			Inject: func(ctx context.Context) error {
				if err := stores[old].Stop(ctx); err != nil {
					return err
				}
				return f.SetEndpoints("ledger", stores[1-old])
			},
			Heal: func(ctx context.Context) error {
				if err := stores[old].Start(ctx); err != nil {
					return err
				}
				return f.SetEndpoints("ledger", stores...)
			},
		}
	}),
	harmless("slow_start", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, inGo...)
		return Aimed{
			Target: in.Name,
			Inject: func(ctx context.Context) error {
				if err := in.Restart(ctx); err != nil {
					return err
				}
				if err := in.Command(ctx, control.Slow, "150ms"); err != nil {
					return err
				}
				if err := sleep(ctx, 5*time.Second); err != nil {
					return err
				}
				return in.Command(ctx, control.Slow, "0s")
			},
			Heal: nothing,
		}
	}),
	harmless("vm_pause", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		node := []string{"node-a2", "node-b1", "node-b2", "node-c1"}[dice.IntN(4)]
		return Aimed{
			Target: node,
			Inject: func(ctx context.Context) error {
				if err := each(f.On(node), (*fleet.Instance).Pause); err != nil {
					return err
				}
				err := sleep(ctx, 1200*time.Millisecond)
				if e := each(f.On(node), (*fleet.Instance).Resume); e != nil {
					return e
				}
				return err
			},
			Heal: nothing,
		}
	}),
	// Callers learn a second late that it is gone, and are sent to its successor
	// before that listens.
	harmless("endpoints_late", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, inGo...)
		return Aimed{
			Target: in.Name,
			Inject: func(ctx context.Context) error {
				if err := in.Stop(ctx); err != nil {
					return err
				}
				if err := sleep(ctx, propagated); err != nil {
					return err
				}
				if err := f.SetEndpoints(in.Service, but(in, f.Of(in.Service))...); err != nil {
					return err
				}
				if err := sleep(ctx, 2*time.Second); err != nil {
					return err
				}
				if err := f.SetEndpoints(in.Service, f.Of(in.Service)...); err != nil {
					return err
				}
				return in.Start(ctx)
			},
			Heal: nothing,
		}
	}),
	// It has everything to look up anew, and is faster each second.
	harmless("cache_warm_up", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, inGo...)
		return Aimed{
			Target: in.Name,
			Inject: func(ctx context.Context) error {
				if err := in.Restart(ctx); err != nil {
					return err
				}
				for _, slow := range []string{"0.8", "0.6", "0.4", "0.2", "0.1"} {
					if err := in.Command(ctx, control.Slow, "80ms", slow); err != nil {
						return err
					}
					if err := sleep(ctx, 2*time.Second); err != nil {
						return err
					}
				}
				return in.Command(ctx, control.Slow, "0s")
			},
			Heal: nothing,
		}
	}),
	// Nobody asks for it any more, so all of it is stopped.
	harmless("scale_to_zero", aside("inventory-idle", func(ctx context.Context, in *fleet.Instance) error { return in.Stop(ctx) })),
	// It beats, serves nobody, and sleeps for a while.
	harmless("sleeping_device", aside("inventory-device", func(_ context.Context, in *fleet.Instance) error { return in.Pause() })),
}

// but returns all except one.
func but(one *fleet.Instance, all []*fleet.Instance) []*fleet.Instance {
	return slices.DeleteFunc(slices.Clone(all), func(in *fleet.Instance) bool { return in == one })
}

// aside does something to an instance that beats for a while and that nobody calls.
func aside(name string, do func(ctx context.Context, in *fleet.Instance) error) func(*fleet.Fleet, *rand.Rand) Aimed {
	return func(f *fleet.Fleet, _ *rand.Rand) Aimed {
		var in *fleet.Instance
		return Aimed{
			Target: name,
			Inject: func(ctx context.Context) (err error) {
				if in, err = f.Add("inventory", name, "node-a2"); err != nil {
					return err
				}
				if err := in.Start(ctx); err != nil {
					return err
				}
				if err := sleep(ctx, 10*time.Second); err != nil {
					return err
				}
				return do(ctx, in)
			},
			Heal: func(ctx context.Context) error {
				if in.PID() != 0 {
					if err := in.Resume(); err != nil {
						return err
					}
				}
				return f.Remove(ctx, in)
			},
		}
	}
}
