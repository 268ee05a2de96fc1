// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"context"
	"math/rand/v2"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

const lies = "byzantine"

var byzantine = []Entry{
	{Name: "own_500", Kind: ledger.Fault, Class: lies, Subclass: "error_response", Evidence: []string{"spans"}, Aim: command(inGo, control.Error500, "0.7")},
	{Name: "invalid_answers", Kind: ledger.Fault, Class: lies, Subclass: "invalid_response", Evidence: []string{"spans"}, Aim: command([]string{"pricing", "ledger", "inventory"}, control.Invalid, "0.8")},
	{Name: "wrong_answers", Kind: ledger.Fault, Class: lies, Subclass: "wrong_answer", Evidence: []string{"known_answer"}, Aim: command([]string{"pricing"}, control.Wrong, "1")},
	{Name: "counters_backwards", Kind: ledger.Fault, Class: lies, Subclass: "impossible_state", Evidence: []string{"metrics"}, Aim: command(inGo, control.Backwards, "true")},
	{Name: "pretended_success", Kind: ledger.Fault, Class: lies, Hidden: true, Aim: command(inGo, control.Pretend, "1")},
	{Name: "bad_release", Kind: ledger.Fault, Class: lies, Subclass: "faulty_release", Evidence: []string{"spans", "version"},
		Aim: func(f *fleet.Fleet, dice *rand.Rand) Aimed {
			in := among(f, dice, inGo...)
			return Aimed{
				Culprits: append([]ledger.Culprit{{Type: "version", Name: "9.9.9", Service: in.Service}}, who(in)...),
				Inject: func(ctx context.Context) error {
					in.SetVersion("9.9.9")
					if err := in.Restart(ctx); err != nil {
						return err
					}
					return in.Command(ctx, control.Error500, "0.7")
				},
				Heal: func(ctx context.Context) error {
					in.SetVersion("")
					return in.Restart(ctx)
				},
			}
		}},
}
