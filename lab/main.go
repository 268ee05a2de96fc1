// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Command lab does real faults to a fleet of real processes and scores what
// Faultline says of them.
//
//	lab --out DIR --seed 1 --faults 200 --confounders 100 --shard 1/8
//	lab --out DIR --only kill,zone_cut
//	lab score DIR...
//
// It needs root on Linux: the fleet's nodes are network namespaces, and its
// limits are control groups. A run that was ended goes on where it was when it
// is started again with the same --out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/faultline-otel/faultline/lab/internal/fault"
	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/run"
	"github.com/faultline-otel/faultline/lab/internal/score"
)

func main() {
	fleet.Main() // a process of the fleet does not come back from here
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command(ctx, os.Args[1:], os.Stdout)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "lab: interrupted; the same command goes on where it was")
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 && args[0] == "score" {
		if len(args) == 1 {
			return errors.New("score: name the folders of runs: lab score DIR")
		}
		_, err := report(out, "", args[1:]...)
		return err
	}
	o := run.Options{Log: out}
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	flags.StringVar(&o.Out, "out", filepath.Join(".cache", "lab-runs", "default"), "folder of the run")
	flags.Uint64Var(&o.Seed, "seed", 1, "of the order, the targets and the load")
	flags.IntVar(&o.Faults, "faults", 200, "faults to make, each kind as often as the others; -1, and with --only: each kind once")
	flags.IntVar(&o.Confounders, "confounders", 100, "confounders to make; -1, and with --only: each kind once")
	shard := flags.String("shard", "", "I/N: only the I-th of N parts of the plan")
	only := flags.String("only", "", "names of the catalogue, with commas between")
	list := flags.Bool("list", false, "list the catalogue and exit")
	plan := flags.Bool("plan", false, "list what would be done, in order, and exit")
	flags.DurationVar(&o.Hold, "hold", 25*time.Second, "how long a fault lasts")
	flags.DurationVar(&o.Settle, "settle", 10*time.Second, "quiet before the next fault")
	flags.DurationVar(&o.Tail, "tail", 60*time.Second, "how long a verdict may take after the end; less where it came and went")
	flags.DurationVar(&o.Clean, "clean", 60*time.Second, "in which nothing is done, at the start of each fleet")
	flags.Float64Var(&o.Rate, "rate", 0, fmt.Sprintf("requests a second from outside (0: %d)", fleet.DefaultRate))
	flags.BoolVar(&o.Daily, "daily", false, "let the load swing as a day does, in 10 minutes")
	flags.BoolVar(&o.Single, "single", false, "one Collector with the shipped sidecar.yaml instead of agents and a gateway")
	flags.BoolVar(&o.Raw, "raw", false, "keep all that reaches the gateway, for faultline replay: half as much again on disk")
	assert := flags.Bool("assert", false, "fail if a class or a culprit was wrong")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q: lab --help shows what there is", flags.Arg(0))
	}
	if *only != "" {
		o.Only = strings.Split(*only, ",")
		given := map[string]bool{}
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		if !given["faults"] {
			o.Faults = -1
		}
		if !given["confounders"] {
			o.Confounders = -1
		}
	}
	if *shard != "" {
		if n, err := fmt.Sscanf(*shard, "%d/%d", &o.Shard, &o.Shards); n != 2 || err != nil || o.Shard < 1 || o.Shard > o.Shards {
			return fmt.Errorf("--shard: %q: write I/N, such as 1/8", *shard)
		}
	}
	if *list {
		return catalogue(out)
	}
	if *plan {
		return plans(out, o)
	}
	if err := run.Run(ctx, o); err != nil {
		return err
	}
	right, err := report(out, o.Out, o.Out)
	if err == nil && *assert && !right {
		err = errors.New("--assert: not all classes are right")
	}
	return err
}

// report prints the score of all runs in dirs and, with an into, writes it there.
func report(out io.Writer, into string, dirs ...string) (right bool, err error) {
	parts, err := run.Parts(dirs...)
	if err != nil {
		return false, err
	}
	if len(parts) == 0 {
		return false, fmt.Errorf("no account in %s", strings.Join(dirs, ", "))
	}
	result, err := score.Score(parts...)
	if err != nil {
		return false, err
	}
	fmt.Fprintln(out, result.Markdown())
	if into != "" {
		text, err := result.JSON()
		if err != nil {
			return false, err
		}
		if err := errors.Join(
			os.WriteFile(filepath.Join(into, "score.json"), text, 0o600),
			os.WriteFile(filepath.Join(into, "score.md"), []byte(result.Markdown()), 0o600),
		); err != nil {
			return false, err
		}
	}
	return len(result.Missed) == 0, nil
}

// catalogue lists what can be done.
func catalogue(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tKIND\tCLASS\tSUBCLASS\tEVIDENCE")
	for _, e := range fault.All() {
		evidence := strings.Join(e.Evidence, ", ")
		if e.Hidden {
			evidence = "none: hidden"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", e.Name, e.Kind, e.Class, e.Subclass, evidence)
	}
	return w.Flush()
}

func plans(out io.Writer, o run.Options) error {
	steps, err := run.Plan(o)
	for _, s := range steps {
		fmt.Fprintln(out, s.ID)
	}
	return err
}
