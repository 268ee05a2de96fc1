// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

// Package explain prints why Faultline said what it said: the evidence for and
// against, the revisions, and whom the failure hurt.
package explain

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
)

// Command returns `faultline explain`.
func Command() *cobra.Command {
	var jaeger, events string
	cmd := &cobra.Command{
		Use:   "explain INCIDENT|TRACE",
		Short: "Print the evidence for and against a verdict",
		Long: `Takes an incident id (attribute incident.id) or a trace id. Looks it up in Jaeger
(--jaeger), whose spans carry the verdict, or in the events of the receiver
failure_model as the file exporter writes them (--events), or both: events also
tell how the verdict changed.`,
		Example: "  faultline explain 21e447fbc7a36556 --jaeger http://localhost:16686\n  faultline explain 21e447fbc7a36556 --events events.jsonl",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("nothing to explain: name one incident, by its incident.id, or one trace")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if jaeger == "" && events == "" {
				return errors.New("nowhere to look: give --jaeger URL, --events FILE, or both")
			}
			id := strings.ToLower(args[0])
			if !identifier.MatchString(id) {
				return fmt.Errorf("%q is neither an incident id (16 hex digits) nor a trace id (32)", args[0])
			}
			var e explanation
			if events != "" {
				if err := e.readEvents(events, id); err != nil {
					return err
				}
			}
			if jaeger != "" {
				if err := e.askJaeger(cmd.Context(), jaeger, id); err != nil {
					return err
				}
			}
			if e.empty() {
				return fmt.Errorf("nothing is known of %s: the spans may have been sampled away, or it lies outside what Jaeger keeps", id)
			}
			return e.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&jaeger, "jaeger", "", "URL of Jaeger's query service")
	cmd.Flags().StringVar(&events, "events", "", "file with the receiver's events as OTLP JSON lines")
	return cmd
}

var identifier = regexp.MustCompile(`^([0-9a-f]{16}|[0-9a-f]{32})$`)
