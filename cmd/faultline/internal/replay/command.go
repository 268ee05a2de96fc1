// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package replay runs recorded telemetry through the same processor and engine
// as the Collector does, on virtual time.
//
//	recording ─► clock ─► processor failure_model ─► engine ─► events ─► text, JSON, score
package replay

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/faultline-otel/faultline/internal/engine"
)

// Command returns `faultline replay`.
func Command() *cobra.Command {
	var config, labels string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay FILE…",
		Short: "Run recorded telemetry through the engine and print what it would have said",
		Long: `Reads OTLP JSON lines as the file exporter writes them (plain, gzip or zstd; "-" is
standard input; several files are merged by time) and runs them through the same
processor and engine as the Collector, on the recording's own time. The same
recording gives the same answer every time.

With --json one object a line: time, event, entity, class, subclass, confidence,
culprit, reason, incident. With --labels the answer is scored against
{"faults":[{"start","end","service","instance","class","type"}]} (RFC 3339).`,
		Example: "  faultline replay telemetry.otlp.jsonl.gz\n  faultline replay --json --labels labels.json telemetry.otlp.jsonl.gz",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), config, labels, asJSON, args)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "a Collector YAML, of which the failure_model sections are used")
	cmd.Flags().StringVar(&labels, "labels", "", "a JSON file with the faults that were there")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// maxBadLines is how many lines that cannot be read are named; the rest are
// only counted.
const maxBadLines = 20

func run(ctx context.Context, stdout, stderr io.Writer, config, labelFile string, asJSON bool, files []string) error {
	settings, err := readConfig(config)
	if err != nil {
		return err
	}
	var faults []fault
	if labelFile != "" {
		if faults, err = readLabels(labelFile); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(stdout)
	defer out.Flush()
	var events []engine.Event
	w := writer{out: out, json: asJSON}
	onEvent := func(ev engine.Event) {
		w.event(&ev)
		if labelFile != "" {
			events = append(events, ev)
		}
	}
	bad := 0
	onBad := func(err error) {
		if bad++; bad <= maxBadLines {
			fmt.Fprintln(stderr, "faultline:", err)
		}
	}
	span, err := play(ctx, settings, files, onEvent, onBad)
	if err != nil {
		return err
	}
	if bad > maxBadLines {
		fmt.Fprintf(stderr, "faultline: and %d more lines that cannot be read\n", bad-maxBadLines)
	}
	if labelFile != "" {
		w.score(score(faults, events, span))
	}
	if w.err != nil {
		return w.err
	}
	return out.Flush()
}

// readLabels reads the faults that were there.
func readLabels(name string) ([]fault, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return parseLabels(name, text)
}
