// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/e2e/backends"
)

// What the documentation tells to ask Prometheus has to find a killed instance.
func TestQueriesInTheDocumentationFindAFailure(t *testing.T) {
	bin := builtBinary(t, "otelcol-faultline")
	a := newScrapedAddresses(t)
	prometheus, err := backends.StartPrometheus(t.Context(), t.TempDir(), a.prometheus)
	backends.Require(t, err)
	t.Cleanup(prometheus.Stop)
	environment := append(a.environment(), "FAULTLINE_STATE="+t.TempDir(), "FAULTLINE_OTLP_OUT="+newSink(t).address)
	c := spawn(t, "collector", collector(bin, environment, "", shippedConfig(t, "sidecar.yaml")))
	c.awaitHTTP(t, "http://"+a.health+"/")
	f := newFleet(t, a)
	f.start(t, 20)
	eventually(t, time.Minute, func() string {
		if len(ask(t, prometheus.URL, `rate(http_server_request_duration_seconds_count{job=~".*payment"}[1m]) > 0`)) < 2 {
			return "no traffic of payment"
		}
		return ""
	})

	f.kill(t, "payment-1")
	for _, page := range []string{"tour.md", "reading.md"} {
		for _, query := range queries(t, filepath.Join(root(t), "docs", page)) {
			t.Run(page, func(t *testing.T) {
				eventually(t, 30*time.Second, func() string {
					for _, found := range ask(t, prometheus.URL, query) {
						if found.Metric["failure_class"] == "crash" {
							return ""
						}
					}
					return "nothing is found by " + query
				})
			})
		}
	}
}

// queries returns the queries to Prometheus in a page. A line that is indented
// belongs to the one before.
func queries(t *testing.T, page string) []string {
	t.Helper()
	content, err := os.ReadFile(page)
	require.NoError(t, err)
	var found []string
	for i, part := range strings.Split(string(content), "```") {
		text, ok := strings.CutPrefix(part, "promql\n")
		if i%2 == 0 || !ok {
			continue
		}
		for line := range strings.Lines(text) {
			if n := len(found); strings.HasPrefix(line, " ") {
				found[n-1] += line
			} else {
				found = append(found, line)
			}
		}
	}
	assert.NotEmpty(t, found, page)
	return found
}
