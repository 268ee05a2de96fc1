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
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/faultline-otel/faultline/cmd/faultline/internal/recording"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// Command returns `faultline replay`.
func Command() *cobra.Command {
	var config, labels, outDir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay FILE…",
		Short: "Run recorded telemetry through the engine and print what it would have said",
		Long: `Reads OTLP JSON lines as the file exporter writes them (plain, gzip or zstd; "-" is
standard input; several files are merged by time) and runs them through the same
processor and engine as the Collector, on the recording's own time. The same
recording gives the same answer every time.

With --json one object a line: time, event, entity, class, subclass, confidence,
culprit, reason, incident.

With --labels the answer is scored against what is known to have happened:
  {"faults":[{"start","end","service","instance","class","type"}]}
with RFC 3339 times, or, one verdict for each service or instance over the whole
recording,
  {"jobs":[{"job","class"}]}
where a class is crash, network_partition, byzantine, resource_exhaustion, or, of
a job, none.`,
		Example: "  faultline replay testdata/replay/crash.otlp.jsonl.gz\n  faultline replay --labels labels.json traces.jsonl metrics.jsonl logs.jsonl\n  zcat telemetry.jsonl.gz | faultline replay --json -",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("no recording: name one or more files, or - for standard input")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), config, labels, outDir, asJSON, args)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "a Collector YAML, of which the failure_model sections are used")
	cmd.Flags().StringVar(&outDir, "out", "", "a folder for the tagged spans and the events, as the Collector would have sent them on (traces.jsonl, events.jsonl)")
	cmd.Flags().StringVar(&labels, "labels", "", "a JSON file with the faults that were there")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object a line")
	return cmd
}

// maxReports is how many lines with something wrong are named; the rest are
// only counted.
const maxReports = 20

func run(ctx context.Context, stdout, stderr io.Writer, config, labelFile, outDir string, asJSON bool, files []string) error {
	settings, err := readConfig(config)
	if err != nil {
		return err
	}
	var known *labels
	if labelFile != "" {
		if known, err = readLabels(labelFile); err != nil {
			return err
		}
	}
	out := bufio.NewWriter(stdout)
	defer out.Flush()
	var events []verdict.Event
	w := writer{out: out, json: asJSON}
	onEvent := func(ev verdict.Event) {
		w.event(&ev)
		if known != nil {
			events = append(events, ev)
		}
	}
	p := problems{out: stderr}
	read, span, err := play(ctx, settings, files, outDir, onEvent, p.report)
	if err != nil {
		return err
	}
	p.summary(read)
	switch {
	case read == 0 && p.bad > 0:
		return fmt.Errorf("nothing to replay: none of %d lines is OTLP JSON, as the file exporter writes it under `format: json`", p.bad)
	case known == nil:
	case known.jobs != nil:
		w.score(scoreJobs(known.jobs, events, span))
	default:
		w.score(score(known.faults, events, span))
	}
	if w.err != nil {
		return w.err
	}
	return out.Flush()
}

// problems tells of lines with something wrong.
type problems struct {
	out        io.Writer
	bad, stray int
}

func (p *problems) report(err error) {
	var stray *recording.StrayTimeError
	if errors.As(err, &stray) {
		p.stray++
	} else {
		p.bad++
	}
	if p.bad+p.stray <= maxReports {
		fmt.Fprintln(p.out, "faultline:", err)
	}
}

func (p *problems) summary(read int) {
	if p.bad > 0 {
		fmt.Fprintf(p.out, "faultline: %d of %d lines could not be read and were left out\n", p.bad, p.bad+read)
	}
	if p.stray > 0 {
		fmt.Fprintf(p.out, "faultline: the times of %d lines were not taken\n", p.stray)
	}
	if read+p.bad == 0 {
		fmt.Fprintln(p.out, "faultline: the recording is empty")
	}
}
