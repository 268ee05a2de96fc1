// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

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
	jaeger    string
	collector string
	config    string
	dir       string
}

// Command returns `faultline demo`.
func Command() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a small payment platform, break it, and see what Faultline says",
		Long: `Starts a payment platform of real processes (gateway, checkout, two of payment,
ledger), the Collector with distribution/config/demo.yaml, and Jaeger; kills,
stops and freezes processes in turn; prints what was done, what Faultline said
and after how long; and asks Jaeger whether the failed traces carry it.

It takes about two and a half minutes, with --short one, and listens on
free ports of the loopback interface only. The exit status is 0 only if every
verdict was right. Ctrl-C ends everything that was started.

Run it in a checkout of Faultline, after "make build"; "make demo" does both.`,
		Example: `  faultline demo --short
  faultline demo --keep --jaeger docker
  faultline demo --jaeger http://localhost:16686`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return run(cmd.Context(), o) },
	}
	f := cmd.Flags()
	f.BoolVar(&o.short, "short", false, "only the main steps: a kill, a planned stop, a hang")
	f.BoolVar(&o.keep, "keep", false, "leave everything running at the end, until Ctrl-C")
	f.StringVar(&o.jaeger, "jaeger", "auto", `which Jaeger: "docker" (the stock image, with UI), "build" (from source, once;
API only), the query URL of one that runs (its OTLP gRPC address from
FAULTLINE_JAEGER_OTLP, else port 4317 of that host), or "auto": the one
of FAULTLINE_JAEGER_QUERY if set, else docker if it works, else build`)
	f.StringVar(&o.collector, "collector", "", "the Collector's binary (default bin/otelcol-faultline of the checkout)")
	f.StringVar(&o.config, "config", "", "the Collector's configuration (default distribution/config/demo.yaml of the checkout)")
	f.StringVar(&o.dir, "dir", "", "folder for the logs of all processes (default a temporary one, kept if something was wrong)")
	return cmd
}

// errInterrupted is what Ctrl-C ends with.
var errInterrupted = errors.New("interrupted; everything that was started has been ended")

func run(ctx context.Context, o options) (err error) {
	out := newPrinter(os.Stdout)
	dir, temporary := o.dir, o.dir == ""
	if temporary {
		dir, err = os.MkdirTemp("", "faultline-demo-")
	} else {
		err = os.MkdirAll(dir, 0o750)
	}
	if err != nil {
		return err
	}
	defer func() {
		if temporary && (err == nil || errors.Is(err, errInterrupted)) {
			_ = os.RemoveAll(dir)
			return
		}
		out.line("The logs of all processes are in %s.", dir)
	}()

	began := time.Now()
	s, err := startStack(ctx, o, dir, out)
	if err == nil {
		defer s.stop()
		err = show(ctx, o, s, began, out)
	}
	if err != nil && ctx.Err() != nil {
		return errInterrupted
	}
	return err
}

// show breaks what was started, and says how it went.
func show(ctx context.Context, o options, s *stack, began time.Time, out *printer) error {
	results := runSteps(ctx, s, steps(o.short), out)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	wrong := verify(ctx, s, results, began, out)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, r := range results {
		if r.wrong != "" {
			wrong++
		}
	}
	out.summary(results, wrong)
	switch {
	case !o.keep && s.jaeger.ours:
		out.line("Jaeger ends with the demo; --keep leaves everything running, to look at the traces.")
	case o.keep:
		out.line("\nEverything keeps running: payments at http://%s/pay, metrics at http://%s/metrics,\nJaeger at %s. Ctrl-C ends it (or: kill %d).",
			local(s.ports.gateway), local(s.ports.prometheus), s.query.url, os.Getpid())
		<-ctx.Done()
	}
	if wrong > 0 {
		return fmt.Errorf("%d of what it said and showed was not right", wrong)
	}
	return nil
}
