// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package heartbeatreceiver

import (
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/xconfmap"

	"github.com/faultline-otel/faultline/receiver/heartbeatreceiver/internal/probe"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

func TestReadmeExampleIsValid(t *testing.T) {
	_, rest, found := strings.Cut(readme(t), "```yaml\n")
	require.True(t, found)
	example, _, _ := strings.Cut(rest, "```")
	raw, err := confmap.NewRetrievedFromYAML([]byte(example))
	require.NoError(t, err)
	conf, err := raw.AsConf()
	require.NoError(t, err)
	sub, err := conf.Sub("receivers::heartbeat")
	require.NoError(t, err)
	cfg := createDefaultConfig().(*Config)
	require.NoError(t, sub.Unmarshal(cfg))
	assert.NoError(t, xconfmap.Validate(cfg))
	assert.Len(t, cfg.Checks, 1)
	assert.Len(t, cfg.Targets, 2)
}

func TestReadmeListsEveryKey(t *testing.T) {
	text := readme(t)
	for _, cfg := range []any{
		Config{}, CheckConfig{}, KeyConfig{}, LocalServersConfig{}, LocalConnectionsConfig{},
		probe.Config{}, probe.ProcessConfig{}, probe.ExpectConfig{},
	} {
		for f := range reflect.TypeOf(cfg).Fields() {
			key := f.Tag.Get("mapstructure")
			assert.Regexp(t, `\W`+regexp.QuoteMeta(key)+`\W`, text)
		}
	}
	for f := range numFields {
		assert.Contains(t, text, "`"+f.String()+"`")
	}
}

// TestReadmeCurlWorks: curl calls its body a form unless told otherwise.
func TestReadmeCurlWorks(t *testing.T) {
	m := regexp.MustCompile(`curl \S+ -d '([^']+)'`).FindStringSubmatch(readme(t))
	require.NotNil(t, m)
	g := newRig(t, nil)
	status, text, _ := g.do(http.MethodPost, "/v1/heartbeats", m[1], "Content-Type", "application/x-www-form-urlencoded")
	assert.Equal(t, http.StatusAccepted, status, text)
}
