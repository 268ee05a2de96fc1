// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Command lab runs a fleet of real processes, breaks it in every way of its
// catalogue, and scores what Faultline said.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fault"
	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/run"
	"github.com/faultline-otel/faultline/lab/internal/score"
)

func main() {
	fleet.Main() // a service of the fleet is this program, too
	if err := command(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	if len(args) > 0 && args[0] == "score" {
		return report(args[1:], os.Stdout)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return lab(ctx, args, os.Stdout)
}

// lab runs what the arguments ask for.
func lab(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	dir := flags.String("out", ".cache/lab-runs/1", "folder of the run; what it holds already is not done again")
	seed := flags.Uint64("seed", 1, "of all randomness: the same seed does the same")
	faults := flags.Int("faults", 200, "number of faults")
	harmless := flags.Int("confounders", 100, "number of things that only look like one")
	only := flags.String("only", "", "names in the catalogue, with commas between: each once")
	list := flags.Bool("list", false, "list the catalogue and do nothing")
	shard := flags.String("shard", "1/1", "do the i-th of n parts of the order")
	hold := flags.Duration("hold", 25*time.Second, "how long a fault lasts")
	settle := flags.Duration("settle", 10*time.Second, "before each")
	tail := flags.Duration("tail", 60*time.Second, "after each is taken back")
	clean := flags.Duration("clean", 60*time.Second, "before the first")
	single := flags.Bool("single", false, "one Collector does it all, with the shipped sidecar.yaml")
	if err := flags.Parse(args); err != nil {
		return err
	}
	entries := fault.All()
	if *list {
		for _, e := range entries {
			fmt.Fprintf(out, "%-22s %-11s %s %s\n", e.Name, e.Kind, e.Class, e.Subclass)
		}
		return nil
	}
	if err := fleet.Available(); err != nil {
		return err
	}
	order := run.Draw(*seed, entries, *faults, *harmless)
	if *only != "" {
		order = nil
		for _, name := range strings.Split(*only, ",") {
			i := slices.IndexFunc(entries, func(e fault.Entry) bool { return e.Name == name })
			if i < 0 {
				return fmt.Errorf("--only: %q is not in the catalogue: see --list", name)
			}
			order = append(order, entries[i])
		}
	}
	var i, n int
	if _, err := fmt.Sscanf(*shard, "%d/%d", &i, &n); err != nil || i < 1 || i > n {
		return fmt.Errorf("--shard: %q is none: write 1/8 to 8/8", *shard)
	}
	first := len(order) * (i - 1) / n
	err := run.Run(ctx, run.Options{
		Dir: *dir, Seed: *seed, Order: order[first : len(order)*i/n], First: first,
		Clean: *clean, Hold: *hold, Settle: *settle, Tail: *tail,
		Fleet: fleet.Options{Single: *single}, Out: out,
	})
	if err != nil {
		return err
	}
	return report([]string{*dir}, out)
}

// report scores runs and leaves the result beside the first.
func report(dirs []string, out io.Writer) error {
	result, err := score.Score(dirs...)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, result.Markdown())
	text, err := result.JSON()
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dirs[0], "score.json"), text, 0o600)
}
