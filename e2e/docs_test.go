// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"gopkg.in/yaml.v3"

	"github.com/faultline-otel/faultline/extension/failuremodelextension"
	"github.com/faultline-otel/faultline/processor/failuremodelprocessor"
	"github.com/faultline-otel/faultline/receiver/failuremodelreceiver"
	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver"
)

// everyPage is all that is written for people, the decisions included.
func everyPage(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "*/README.md", "*/*/README.md"} {
		matches, err := filepath.Glob(filepath.Join(root(t), pattern))
		require.NoError(t, err)
		for _, path := range matches {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			found[path] = string(text)
		}
	}
	require.GreaterOrEqual(t, len(found), 15)
	return found
}

var (
	fenced  = regexp.MustCompile("(?s)```.*?```")
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	noWord  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchor is what GitHub makes of a heading.
func anchor(heading string) string {
	return strings.ReplaceAll(noWord.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), ""), " ", "-")
}

func TestLinksInTheDocumentationLeadSomewhere(t *testing.T) {
	pages := everyPage(t)
	links := 0
	for page, text := range pages {
		for _, m := range link.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
			if strings.Contains(m[1], "://") {
				continue // others' pages come and go
			}
			links++
			path, fragment, _ := strings.Cut(m[1], "#")
			there := page
			if path != "" {
				there = filepath.Join(filepath.Dir(page), path)
			}
			content, err := os.ReadFile(there)
			if info, statErr := os.Stat(there); statErr == nil && info.IsDir() {
				err = nil
			}
			if !assert.NoError(t, err, "%s links to %s", page, m[1]) || fragment == "" {
				continue
			}
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(string(content), -1) {
				anchors = append(anchors, anchor(h[1]))
			}
			assert.Contains(t, anchors, fragment, "%s links to %s", page, m[1])
		}
	}
	assert.Greater(t, links, 15)
}

// Whoever looks for the file of a question finds it by the page: one that is not listed
// there is found by nobody.
func TestPageOnTheEngineSaysWhatEachOfItsFilesIsFor(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "engine.md"))
	require.NoError(t, err)
	_, index, found := strings.Cut(string(page), "## Where what is")
	require.True(t, found)
	index, _, _ = strings.Cut(index, "\n## ")
	files, err := filepath.Glob(filepath.Join(root(t), "internal", "engine", "*.go"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".go")
		switch {
		case name == "doc", name == "engine", name == "params", strings.HasSuffix(name, "_test"), strings.HasPrefix(name, "evidence_"):
		default:
			assert.Contains(t, index, "`"+name+"`")
		}
	}
}

// Own metrics are what a reader is told to alert on: a name that is not emitted
// is an alert that never fires.
func TestOwnMetricsInTheDocumentationExist(t *testing.T) {
	declared := map[string]bool{}
	files, err := filepath.Glob(filepath.Join(root(t), "*", "*", "metadata.yaml"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(files), 4)
	for _, path := range files {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?m)^    ([a-z_]+):$`).FindAllStringSubmatch(string(text), -1) {
			declared["otelcol_"+m[1]] = true
		}
	}
	named := 0
	for page, text := range everyPage(t) {
		for _, m := range regexp.MustCompile(`(otelcol_|…_)[a-z_]+`).FindAllString(text, -1) {
			named++
			if short, isShort := strings.CutPrefix(m, "…"); isShort {
				known := false
				for name := range declared {
					known = known || strings.HasSuffix(name, short)
				}
				assert.True(t, known, "%s names %s", page, m)
				continue
			}
			assert.True(t, declared[m], "%s names %s", page, m)
		}
	}
	assert.Greater(t, named, 10)
}

// Whoever writes a default from a README's table into a configuration must change
// nothing by it.
func TestDefaultsInTheDocumentationAreThose(t *testing.T) {
	for folder, factory := range map[string]component.Factory{
		"extension/failuremodelextension": failuremodelextension.NewFactory(),
		"processor/failuremodelprocessor": failuremodelprocessor.NewFactory(),
		"receiver/failuremodelreceiver":   failuremodelreceiver.NewFactory(),
		"receiver/heartbeatreceiver":      heartbeatreceiver.NewFactory(),
	} {
		t.Run(filepath.Base(folder), func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(root(t), folder, "README.md"))
			require.NoError(t, err)
			_, section, found := strings.Cut(string(text), "\n## Configuration\n\n")
			require.True(t, found)
			table, _, _ := strings.Cut(section, "\n\n")
			values := map[string]any{}
			for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_:]+)` \\| `?([^ |`]+)`? \\|").FindAllStringSubmatch(table, -1) {
				if m[2] == "none" {
					continue // a word for: not set
				}
				var value any
				require.NoError(t, yaml.Unmarshal([]byte(m[2]), &value))
				values[m[1]] = value
			}
			require.NotEmpty(t, values)
			cfg := factory.CreateDefaultConfig()
			require.NoError(t, confmap.NewFromStringMap(values).Unmarshal(cfg))
			assert.Equal(t, factory.CreateDefaultConfig(), cfg)
		})
	}
}

// The image and the compose file set variables that the gateway's configuration reads:
// a name that it does not read is a port that nobody reaches.
func TestImageSetsWhatItsConfigurationReads(t *testing.T) {
	read := func(path ...string) string {
		text, err := os.ReadFile(filepath.Join(append([]string{root(t), "distribution"}, path...)...))
		require.NoError(t, err)
		return string(text)
	}
	config := read("config", "gateway.yaml")
	for _, file := range []string{"Dockerfile", "compose.yaml"} {
		names := regexp.MustCompile(`FAULTLINE_[A-Z_]+`).FindAllString(read(file), -1)
		require.NotEmpty(t, names)
		for _, name := range names {
			assert.Contains(t, config, "${env:"+name+":-", "%s sets %s", file, name)
		}
	}
}
