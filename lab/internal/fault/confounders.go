// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// harmless is what only looks like a failure.
func harmless(name string, aim func(f *fleet.Fleet, dice *rand.Rand) Aimed) Entry {
	return Entry{Name: name, Kind: ledger.Confounder, Aim: aim}
}

// collector does something to a Collector.
func collector(which func(f *fleet.Fleet, dice *rand.Rand) *fleet.Instance, do, undo func(ctx context.Context, in *fleet.Instance) error) func(*fleet.Fleet, *rand.Rand) Aimed {
	return func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := which(f, dice)
		return Aimed{
			Target: in.Name,
			Inject: func(ctx context.Context) error { return do(ctx, in) },
			Heal:   func(ctx context.Context) error { return undo(ctx, in) },
		}
	}
}

func agent(f *fleet.Fleet, dice *rand.Rand) *fleet.Instance {
	z := f.Zones()
	return z[dice.IntN(len(z))].Agent
}

func gateway(f *fleet.Fleet, _ *rand.Rand) *fleet.Instance { return f.Gateway() }

func pause(_ context.Context, in *fleet.Instance) error  { return in.Pause() }
func resume(_ context.Context, in *fleet.Instance) error { return in.Resume() }

// next is the release after one: "1.0.4" after "1.0.3".
func next(version string) string {
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return "1.0.1"
	}
	return fmt.Sprintf("%d.%d.%d", major, minor, patch+1)
}

// innocent is a command that does no harm.
func innocent(services []string, name string, args ...string) func(*fleet.Fleet, *rand.Rand) Aimed {
	return func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		a := command(services, name, args...)(f, dice)
		a.Target, a.Culprits = a.Culprits[0].Instance, nil
		return a
	}
}

var confounders = []Entry{
	harmless("rolling_deploy", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		all := f.Of(replicated[dice.IntN(len(replicated))])
		version := next(all[0].Version)
		return Aimed{
			Target: all[0].Service + " to " + version,
			Inject: func(ctx context.Context) error {
				return each(all, func(in *fleet.Instance) error {
					in.SetVersion(version)
					return in.Restart(ctx)
				})
			},
			Heal: nothing,
		}
	}),
	harmless("scale_down", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		all := f.Of(inGo[dice.IntN(len(inGo))])
		gone := all[len(all)-1]
		return Aimed{
			Target: gone.Name,
			Inject: func(ctx context.Context) error {
				if err := f.SetEndpoints(gone.Service, all[:len(all)-1]...); err != nil {
					return err
				}
				if err := sleep(ctx, time.Second); err != nil {
					return err
				}
				return gone.Stop(ctx)
			},
			Heal: func(ctx context.Context) error {
				if err := gone.Start(ctx); err != nil {
					return err
				}
				return f.SetEndpoints(gone.Service, all...)
			},
		}
	}),
	harmless("stop_with_drain", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, replicated...)
		return Aimed{Target: in.Name, Inject: in.Stop, Heal: in.Start}
	}),
	harmless("traffic_spike", func(f *fleet.Fleet, _ *rand.Rand) Aimed {
		return Aimed{
			Inject: func(ctx context.Context) error { return f.SetLoad(ctx, 1.8*f.Rate()) },
			Heal:   func(ctx context.Context) error { return f.Instance("load").Command(ctx, control.Reset) },
		}
	}),
	harmless("batch_job", innocent([]string{"inventory"}, control.Burn, "1")),
	harmless("gc_pause", innocent(inGo, control.GCPause, "1500ms")),
	harmless("wrong_credentials", innocent([]string{"checkout"}, control.Credential, "wrong")),
	harmless("breaker_open", func(f *fleet.Fleet, _ *rand.Rand) Aimed {
		a := all(f.Of("checkout"), nil, []string{control.Breaker, "payment"})
		a.Target = "of checkout for payment"
		return a
	}),
	harmless("clock_ahead", innocent(inGo, control.BeatClock, "1h")),
	harmless("agent_paused", collector(agent, pause, resume)),
	harmless("agent_killed", collector(agent,
		func(ctx context.Context, in *fleet.Instance) error { return in.Kill(ctx) },
		func(ctx context.Context, in *fleet.Instance) error { return in.Start(ctx) })),
	harmless("agent_cut_off", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		return shaped(f, []*fleet.Node{agent(f, dice).Node}, nil, fleet.Shape{Loss: 1})
	}),
	harmless("gateway_paused", collector(gateway, pause, resume)),
	harmless("gateway_restarted", collector(gateway, func(ctx context.Context, in *fleet.Instance) error { return in.Restart(ctx) },
		func(context.Context, *fleet.Instance) error { return nil })),
	harmless("two_with_one_id", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		in := among(f, dice, "inventory")
		twin := f.Of("inventory")[0]
		if twin == in {
			twin = f.Of("inventory")[1]
		}
		return Aimed{
			Inject: func(ctx context.Context) error {
				in.SetID(twin.Name)
				return in.Restart(ctx)
			},
			Heal: func(ctx context.Context) error {
				in.SetID("")
				return in.Restart(ctx)
			},
		}
	}),
	harmless("clock_behind", innocent(inGo, control.BeatClock, "-1h")),
	// It is started, serves nobody, and is stopped again.
	harmless("idle_comes_and_goes", func(f *fleet.Fleet, _ *rand.Rand) Aimed {
		var in *fleet.Instance
		return Aimed{
			Target: "inventory-test",
			Inject: func(ctx context.Context) (err error) {
				if in, err = f.Add("inventory", "inventory-test", "node-a2"); err != nil {
					return err
				}
				return in.Start(ctx)
			},
			Heal: func(ctx context.Context) error { return f.Remove(ctx, in) },
		}
	}),
	harmless("bad_request_retried", func(f *fleet.Fleet, _ *rand.Rand) Aimed {
		return Aimed{
			Target: "web",
			Inject: func(ctx context.Context) error {
				world, web := f.Node("world"), f.Of("web")[0]
				for range 30 {
					req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+web.Addr.String()+"/find/apple", nil)
					if err != nil {
						return err
					}
					resp, err := world.Client().Do(req)
					if err != nil {
						return err
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					if err := sleep(ctx, 200*time.Millisecond); err != nil {
						return err
					}
				}
				return nil
			},
			Heal: nothing,
		}
	}),
	// The zone serves on; only its telemetry does not get through, and comes late.
	harmless("telemetry_late", func(f *fleet.Fleet, dice *rand.Rand) Aimed {
		z, _ := pair(f, dice)
		a := shaped(f, []*fleet.Node{f.Gateway().Node}, nil, fleet.Shape{Loss: 1, To: []netip.Prefix{z.Subnet}})
		a.Target = "of " + z.Name
		return a
	}),
	harmless("telemetry_twice", func(f *fleet.Fleet, _ *rand.Rand) Aimed {
		return Aimed{
			Target: "30 s of spans",
			Inject: func(ctx context.Context) error { return replay(ctx, f, 0) },
			Heal:   nothing,
		}
	}),
	harmless("hour_old_backlog", func(f *fleet.Fleet, _ *rand.Rand) Aimed {
		return Aimed{
			Target: "30 s of spans, every third of them failed",
			Inject: func(ctx context.Context) error { return replay(ctx, f, time.Hour) },
			Heal:   nothing,
		}
	}),
}
