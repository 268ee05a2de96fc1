// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
)

// options are the flags of `faultline demo`.
type options struct {
	short     bool
	keep      bool
	collector string
	config    string
}

// Command returns `faultline demo`.
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a small payment platform, break it, and see what Faultline says",
		Long: `Starts a payment platform of real processes (gateway, checkout, two of payment,
ledger), the Collector with distribution/config/demo.yaml, and Jaeger; kills,
stops and hangs processes in turn; prints what was done, what Faultline said and
after how long; and asks Jaeger whether the failed traces carry it.

The exit status is 0 only if every verdict was right. Jaeger is built on first
use; set FAULTLINE_JAEGER_QUERY (URL) and FAULTLINE_JAEGER_OTLP (host:port) to use
one that runs.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.short, "short", false, "only the main steps: a kill, a planned stop, a hang")
	f.BoolVar(&o.keep, "keep", false, "leave everything running at the end, until Ctrl-C")
	f.StringVar(&o.collector, "collector", "bin/otelcol-faultline", "the Collector's binary")
	f.StringVar(&o.config, "config", "distribution/config/demo.yaml", "the Collector's configuration")
	return cmd
}

// errWrong says that not every verdict was right.
var errWrong = errors.New("not every verdict was right")

func run(ctx context.Context, o options) error {
	out := newPrinter(os.Stdout)
	dir, err := os.MkdirTemp("", "faultline-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // temporary files

	s, err := startStack(ctx, o, dir, out)
	if err != nil {
		return err
	}
	defer s.stop()

	began := time.Now()
	results := runSteps(ctx, s, steps(o.short), out)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	wrong := verify(ctx, s, results, began, out)
	for _, r := range results {
		if !r.right {
			wrong++
		}
	}
	out.summary(results, wrong)
	if o.keep {
		out.line("Everything keeps running; look at %s. Ctrl-C ends it.", s.jaeger.QueryURL)
		<-ctx.Done()
	}
	if wrong > 0 {
		return fmt.Errorf("%w: %d", errWrong, wrong)
	}
	return nil
}
