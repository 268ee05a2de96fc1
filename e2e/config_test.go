// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"
)

// addresses are where a Collector listens, moved away from the usual ports.
type addresses struct {
	grpc, http, heartbeat, health, prometheus string

	own string // where its own metrics are, if the configuration gives them; "": nowhere
}

func newAddresses(t *testing.T) addresses {
	t.Helper()
	free := freePorts(t, 5)
	return addresses{grpc: free[0], http: free[1], heartbeat: free[2], health: free[3], prometheus: free[4]}
}

// newScrapedAddresses has Prometheus's where a running one scrapes, if there is one.
func newScrapedAddresses(t *testing.T) addresses {
	t.Helper()
	a := newAddresses(t)
	a.prometheus = cmp.Or(os.Getenv("FAULTLINE_PROMETHEUS_LISTEN"), a.prometheus)
	return a
}

// environment moves the addresses of a shipped configuration.
func (a addresses) environment() []string {
	own := "FAULTLINE_SELF_METRICS=none"
	if _, port, err := net.SplitHostPort(a.own); err == nil {
		own = "FAULTLINE_SELF_METRICS_PORT=" + port
	}
	return []string{
		own, "FAULTLINE_OTLP_GRPC=" + a.grpc, "FAULTLINE_OTLP_HTTP=" + a.http, "FAULTLINE_HEARTBEAT=" + a.heartbeat,
		"FAULTLINE_HEALTH=" + a.health, "FAULTLINE_PROMETHEUS_LISTEN=" + a.prometheus,
	}
}

// overlay moves the addresses of a configuration that has no knobs: merged over
// it, it changes where things listen and send to, and nothing else.
func (a addresses) overlay(otlp, documents, state string) string {
	return fmt.Sprintf(`
extensions:
  file_storage: {directory: %[6]q}
receivers:
  otlp: {protocols: {grpc: {endpoint: %[1]q}, http: {endpoint: %[2]q}}}
  heartbeat: {http: {endpoint: %[3]q}}
exporters:
  prometheus: {endpoint: %[4]q}
  otlp_grpc: {endpoint: %[5]q, tls: {insecure: true}}
  otlp_grpc/jaeger: {endpoint: %[5]q, tls: {insecure: true}}
  elasticsearch: {endpoints: [%[7]q], mapping: {mode: ecs}}
service:
  telemetry: {metrics: {level: none}}
`, a.grpc, a.http, a.heartbeat, a.prometheus, otlp, state, documents)
}

// shippedConfig is the path of a configuration that we ship. It is looked at
// here, so that the go command does not take a cached result if it has changed.
func shippedConfig(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(root(t), "distribution", "config", name)
	_, err := os.Stat(path)
	require.NoError(t, err)
	return path
}

func collector(binary string, environment []string, command string, configs ...string) *exec.Cmd {
	var args []string
	if command != "" {
		args = append(args, command)
	}
	for _, c := range configs {
		args = append(args, "--config", c)
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), environment...)
	return cmd
}

// untilItListens to signals: a Collector says that it is ready a moment before,
// and nothing tells from outside when that moment is over.
const untilItListens = 300 * time.Millisecond

func TestShippedConfigurationsValidateStartAndStop(t *testing.T) {
	bin := builtBinary(t, "otelcol-faultline")
	configs, err := filepath.Glob(filepath.Join(root(t), "distribution", "config", "*.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(configs), 4)
	for _, config := range configs {
		t.Run(strings.TrimSuffix(filepath.Base(config), ".yaml"), func(t *testing.T) {
			config := shippedConfig(t, filepath.Base(config))
			a := newAddresses(t)
			a.own = freePorts(t, 1)[0]
			out := newSink(t).address
			account := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			t.Cleanup(account.Close)
			environment := append(a.environment(),
				"FAULTLINE_STATE="+t.TempDir(), "FAULTLINE_LOGS="+t.TempDir()+"/*.log",
				"FAULTLINE_JAEGER_OTLP="+out, "FAULTLINE_OTLP_OUT="+out, "FAULTLINE_GATEWAY="+account.URL,
				"FAULTLINE_ELASTICSEARCH="+newDocumentSink(t), "FAULTLINE_DEMO_ACCOUNT="+account.URL)

			status, text := exitStatus(collector(bin, environment, "validate", config))
			require.Zero(t, status, text)

			c := spawn(t, "collector", collector(bin, environment, "", config))
			c.awaitHTTP(t, "http://"+a.health+"/")
			time.Sleep(untilItListens)
			switch filepath.Base(config) {
			case "gateway.yaml", "sidecar.yaml":
				own := metricNames(t, "http://"+a.own+"/metrics")
				for _, name := range ownMetrics(t) {
					assert.Contains(t, own, name)
				}
			default:
				_, err := net.Dial("tcp", a.own)
				assert.Error(t, err, "it may share its host with another Collector")
			}
			c.terminate(t)
			assert.Empty(t, c.errorLines())
		})
	}
}

// ownMetrics are those on which the documentation tells its readers to alert.
func ownMetrics(t *testing.T) []string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "reading.md"))
	require.NoError(t, err)
	_, text, found := strings.Cut(string(page), "## Is Faultline itself well?")
	require.True(t, found)
	names := regexp.MustCompile("`(otelcol_[a-z_]+)`").FindAllStringSubmatch(text, -1)
	require.GreaterOrEqual(t, len(names), 3)
	var all []string
	for _, n := range names {
		all = append(all, n[1])
	}
	return all
}

// metricNames is what Prometheus reads at url.
func metricNames(t *testing.T, url string) []string {
	t.Helper()
	resp, err := http.Get(url)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	var names []string
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (\S+)`).FindAllStringSubmatch(string(text), -1) {
		names = append(names, line[1])
	}
	return names
}

// usedBySnippets is what the snippets in the documentation leave out, because
// their reader has it already.
const usedBySnippets = `
receivers:
  otlp: {protocols: {grpc: {}, http: {}}}
  heartbeat: {}
processors:
  memory_limiter: {check_interval: 1s, limit_percentage: 75}
  failure_model: {}
  batch: {}
exporters:
  otlp_grpc: {endpoint: "localhost:14317", tls: {insecure: true}}
  elasticsearch: {endpoints: ["http://localhost:9200"]}
  prometheus: {endpoint: "localhost:9464"}
extensions:
  failure_model: {}
service:
  extensions: [failure_model]
  pipelines:
    traces: {receivers: [otlp], processors: [memory_limiter, failure_model, batch], exporters: [otlp_grpc]}
`

// A reader adds the snippets of a page to a Collector that runs, from the top to
// the bottom: after each of them it has to work.
func TestSnippetsInTheDocumentationValidateAndStart(t *testing.T) {
	bin := builtBinary(t, "otelcol-faultline")
	for _, page := range pages(t) {
		for i, snippet := range snippets(t, page) {
			name, err := filepath.Rel(root(t), page)
			require.NoError(t, err)
			t.Run(fmt.Sprintf("%s_%d", name, i+1), func(t *testing.T) {
				dir := t.TempDir()
				a := newAddresses(t)
				var configs []string
				add := func(text string) {
					path := filepath.Join(dir, fmt.Sprintf("%d.yaml", len(configs)))
					require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
					configs = append(configs, path)
				}
				if !snippet[0].whole {
					add(usedBySnippets)
				}
				for _, s := range snippet {
					add(s.text)
				}
				status, text := exitStatus(collector(bin, nil, "validate", configs...))
				require.Zero(t, status, text)

				add(a.overlay(newSink(t).address, newDocumentSink(t), t.TempDir()))
				c := spawn(t, "collector", collector(bin, nil, "", configs...))
				c.await(t, "everything is ready", func() bool { return strings.Contains(c.output(), "Everything is ready.") })
				time.Sleep(untilItListens)
				c.terminate(t)
				assert.Empty(t, c.errorLines())
			})
		}
	}
}

func TestAMisspeltSnippetIsNoticed(t *testing.T) {
	bin := builtBinary(t, "otelcol-faultline")
	dir := t.TempDir()
	base, wrong := filepath.Join(dir, "base.yaml"), filepath.Join(dir, "wrong.yaml")
	require.NoError(t, os.WriteFile(base, []byte(usedBySnippets), 0o600))
	require.NoError(t, os.WriteFile(wrong, []byte("processors: {failure_model: {annotat: {wait: 1s}}}"), 0o600))
	status, text := exitStatus(collector(bin, nil, "validate", base, wrong))
	assert.NotZero(t, status)
	assert.Contains(t, text, "annotat")
}

func pages(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"README.md", "docs/*.md", "*/*/README.md", "distribution/*.md"} {
		matches, err := filepath.Glob(filepath.Join(root(t), pattern))
		require.NoError(t, err)
		found = append(found, matches...)
	}
	require.GreaterOrEqual(t, len(found), 4)
	return found
}

// fence is a fenced piece of Collector configuration.
type fence struct {
	text  string
	whole bool // it needs nothing from before
}

// snippets returns, for each piece of Collector configuration in a page, that
// piece behind the ones before that it adds to.
func snippets(t *testing.T, page string) [][]fence {
	t.Helper()
	content, err := os.ReadFile(page)
	require.NoError(t, err)
	var all [][]fence
	var before []fence
	for i, part := range strings.Split(string(content), "```") {
		text, isYAML := strings.CutPrefix(part, "yaml\n")
		if i%2 == 0 || !isYAML {
			continue
		}
		var keys map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(text), &keys), "%s: %s", page, text)
		if !isConfiguration(keys) {
			continue
		}
		f := fence{text: text, whole: definesWhatItUses(t, text)}
		if f.whole {
			before = nil
		}
		before = append(before, f)
		all = append(all, append([]fence(nil), before...))
	}
	return all
}

// definesWhatItUses says whether a piece of configuration has pipelines and all
// that stands in them.
func definesWhatItUses(t *testing.T, text string) bool {
	t.Helper()
	type components = map[string]any
	var config struct {
		Receivers, Processors, Exporters components
		Service                          struct {
			Pipelines map[string]struct{ Receivers, Processors, Exporters []string }
		}
	}
	require.NoError(t, yaml.Unmarshal([]byte(text), &config), text)
	defined := func(have components, used []string) bool {
		return !slices.ContainsFunc(used, func(id string) bool { _, ok := have[id]; return !ok })
	}
	for _, p := range config.Service.Pipelines {
		if !defined(config.Receivers, p.Receivers) || !defined(config.Processors, p.Processors) || !defined(config.Exporters, p.Exporters) {
			return false
		}
	}
	return len(config.Service.Pipelines) > 0
}

func isConfiguration(keys map[string]any) bool {
	for key := range keys {
		switch key {
		case "extensions", "receivers", "processors", "exporters", "connectors", "service":
		default:
			return false
		}
	}
	return len(keys) > 0
}
