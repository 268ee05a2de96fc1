// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package shop

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// ServiceCommand runs one service of the shop until it is told to stop.
func ServiceCommand() *cobra.Command {
	var s Settings
	cmd := &cobra.Command{
		Use:    "demo-service",
		Short:  "Run one service of the demo's payment platform",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE:   func(cmd *cobra.Command, _ []string) error { return Run(cmd.Context(), s) },
	}
	f := cmd.Flags()
	f.StringVar(&s.Service, "service", "", "service.name")
	f.StringVar(&s.Instance, "instance", "", "service.instance.id")
	f.StringVar(&s.Listen, "listen", "", "host:port to serve on")
	f.StringSliceVar(&s.Next, "next", nil, "host:port of each instance of the service that is called")
	f.DurationVar(&s.Timeout, "timeout", time.Second, "how long to wait for the service that is called")
	f.StringVar(&s.OTLP, "otlp", "", "host:port of the Collector's OTLP/HTTP receiver")
	f.StringVar(&s.Heartbeats, "heartbeats", "", "host:port of the Collector's heartbeat receiver")
	for _, name := range []string{"service", "instance", "listen", "otlp", "heartbeats"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}

// LoadCommand sends requests to the shop at a steady rate.
func LoadCommand() *cobra.Command {
	var target string
	var rate float64
	cmd := &cobra.Command{
		Use:    "demo-load",
		Short:  "Send requests to the demo's payment platform",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if rate <= 0 || rate > 1000 {
				return fmt.Errorf("--rate: %v is not between 0 and 1000 requests a second", rate)
			}
			load(cmd.Context(), http.DefaultTransport, target, time.Duration(float64(time.Second)/rate))
			return nil
		},
	}
	cmd.Flags().StringVar(&target, "target", "", "URL to request")
	cmd.Flags().Float64Var(&rate, "rate", 20, "requests a second")
	_ = cmd.MarkFlagRequired("target")
	return cmd
}

// load sends a request every interval, whether or not the one before was
// answered, as customers do. No more than maxInFlight wait at a time.
func load(ctx context.Context, shop http.RoundTripper, target string, interval time.Duration) {
	client := &http.Client{Transport: shop, Timeout: longestWait}
	slots := make(chan struct{}, maxInFlight)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		go func() {
			defer func() { <-slots }()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
			if err != nil {
				return
			}
			resp, err := client.Do(req)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}()
	}
}

const (
	maxInFlight = 200
	longestWait = 10 * time.Second
)
