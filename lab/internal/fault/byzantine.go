// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

const lies = "byzantine"

var byzantine = []Entry{
	{Name: "own_500", Kind: ledger.Fault, Class: lies, Subclass: "error_response", Evidence: []string{"spans"}, Aim: command(inGo, control.Error500, "0.7")},
	{Name: "invalid_answers", Kind: ledger.Fault, Class: lies, Subclass: "invalid_response", Evidence: []string{"spans"}, Aim: command([]string{"pricing", "ledger", "inventory"}, control.Invalid, "0.8")},
	{Name: "wrong_answers", Kind: ledger.Fault, Class: lies, Subclass: "wrong_answer", Evidence: []string{"known_answer"}, Aim: command([]string{"payment", "inventory", "ledger", "checkout"}, control.Wrong, "1")},
	// Nobody asks pricing anything to which the answer is known.
	{Name: "wrong_prices", Kind: ledger.Fault, Class: lies, Hidden: true, Aim: command([]string{"pricing"}, control.Wrong, "1")},
	{Name: "wrong_to_some", Kind: ledger.Fault, Class: lies, Subclass: "equivocation", Evidence: []string{"known_answer"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, "payment", "inventory", "ledger", "checkout")
			others := slices.DeleteFunc(slices.Clone(f.Zones()), func(z *fleet.Zone) bool { return z.Name == in.Zone() })
			return Aimed{
				Culprits: who(in),
				Inject: func(ctx context.Context) error {
					return in.Command(ctx, control.Wrong, "1", others[dice.IntN(len(others))].Name)
				},
				Heal: func(ctx context.Context) error { return reset(ctx, in) },
			}
		}},
	{Name: "other_digest", Kind: ledger.Fault, Class: lies, Subclass: "wrong_answer", Evidence: []string{"digest"}, Aim: command([]string{"pricing"}, control.Digest, "deadbeef")},
	{Name: "beats_replayed", Kind: ledger.Fault, Class: lies, Subclass: "forged_identity", Evidence: []string{"heartbeat"}, Aim: command([]string{"payment", "pricing"}, control.Replay, "true")},
	// The forger signs with another key than the one whom it plays: what it says is
	// refused, and who it was nobody can tell. The one whom it plays is innocent.
	{Name: "beats_forged", Kind: ledger.Fault, Class: lies, Hidden: true,
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in, as := among(f, dice, "inventory"), among(f, dice, "payment")
			return Aimed{
				Target:   in.Name + " as " + as.Name,
				Culprits: who(in),
				Inject:   func(ctx context.Context) error { return in.Command(ctx, control.Forge, as.Service, as.Name) },
				Heal:     func(ctx context.Context) error { return reset(ctx, in) },
			}
		}},
	{Name: "counters_backwards", Lasts: time.Minute, Kind: ledger.Fault, Class: lies, Subclass: "impossible_state", Evidence: []string{"metrics"}, Aim: command(inGo, control.Backwards, "true")},
	{Name: "pretended_success", Kind: ledger.Fault, Class: lies, Hidden: true, Aim: command(inGo, control.Pretend, "1")},
	{Name: "bad_release", Kind: ledger.Fault, Class: lies, Subclass: "faulty_release", Evidence: []string{"spans", "version"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, inGo...)
			before, release := in.Version, next(in.Version)
			return Aimed{
				Culprits: append([]ledger.Culprit{{Type: "version", Name: release, Service: in.Service}}, who(in)...),
				Inject: func(ctx context.Context) error {
					in.SetVersion(release)
					if err := in.Restart(ctx); err != nil {
						return err
					}
					return in.Command(ctx, control.Error500, "0.7")
				},
				Heal: func(ctx context.Context) error {
					in.SetVersion(before)
					return in.Restart(ctx)
				},
			}
		}},
}
