// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Command faultline is for people: it shows, replays and explains what the
// Collector distribution otelcol-faultline says.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/faultline-otel/faultline/cmd/faultline/internal/demo"
	"github.com/faultline-otel/faultline/cmd/faultline/internal/explain"
	"github.com/faultline-otel/faultline/cmd/faultline/internal/replay"
	"github.com/faultline-otel/faultline/cmd/faultline/internal/shop"
)

// version is what the go command noted at the build: the module's version, or the commit.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "unknown"
	}
	return info.Main.Version
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	root := &cobra.Command{
		Use:           "faultline",
		Short:         "See, replay and explain what Faultline says about failures",
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(demo.Command(), explain.Command(), replay.Command(), shop.ServiceCommand(), shop.LoadCommand())
	understood := false
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	if cmd, err := root.ExecuteContextC(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "faultline:", err)
		if !understood {
			fmt.Fprintf(os.Stderr, "How to use it: %s --help\n", cmd.CommandPath())
		}
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}
