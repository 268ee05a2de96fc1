// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package backends

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Jaeger is a Jaeger v2 with storage in memory.
type Jaeger struct {
	*process
	QueryURL string // of the query API and UI, http://host:port
	OTLP     string // host:port of its OTLP gRPC receiver
}

// JaegerBinary is where `make backends` puts Jaeger.
func JaegerBinary() (string, error) { return cache("jaeger") }

// StartJaeger starts Jaeger with its files in dir, or takes the one named by
// FAULTLINE_JAEGER_QUERY (URL) and FAULTLINE_JAEGER_OTLP (host:port).
func StartJaeger(ctx context.Context, dir string) (*Jaeger, error) {
	if query := os.Getenv("FAULTLINE_JAEGER_QUERY"); query != "" {
		otlp := os.Getenv("FAULTLINE_JAEGER_OTLP")
		if otlp == "" {
			otlp = "localhost:4317"
		}
		return &Jaeger{QueryURL: query, OTLP: otlp}, nil
	}
	bin, err := JaegerBinary()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(bin); err != nil {
		return nil, &MissingError{"Jaeger", "run `make backends`, or set FAULTLINE_JAEGER_QUERY and FAULTLINE_JAEGER_OTLP"}
	}
	ports, err := FreePorts(4)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "jaeger.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, jaegerConfig, ports[0], ports[1], ports[2], ports[3]), 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(bin, "--config", config) //nolint:gosec,noctx // our own binary; it is ended by Stop
	// Jaeger traces its own API and sends that to localhost:4317: it would reach a
	// stranger's Collector, or delay the end by ten seconds if there is none.
	cmd.Env = append(os.Environ(), "OTEL_TRACES_SAMPLER=always_off")
	p, err := start(cmd)
	if err != nil {
		return nil, err
	}
	j := &Jaeger{process: p, QueryURL: fmt.Sprintf("http://127.0.0.1:%d", ports[0]), OTLP: fmt.Sprintf("127.0.0.1:%d", ports[2])}
	if err := p.ready(ctx, j.QueryURL+"/api/services", time.Minute); err != nil {
		p.Stop()
		return nil, err
	}
	return j, nil
}

const jaegerConfig = `
service:
  extensions: [jaeger_storage, jaeger_query, healthcheckv2]
  pipelines:
    traces: {receivers: [otlp], exporters: [jaeger_storage_exporter]}
  telemetry:
    metrics: {level: none}
    logs: {level: warn}
extensions:
  jaeger_storage: {backends: {memory: {memory: {max_traces: 200000}}}}
  jaeger_query:
    storage: {traces: memory}
    http: {endpoint: 127.0.0.1:%d}
    grpc: {endpoint: 127.0.0.1:%d}
  healthcheckv2: {use_v2: true, http: {endpoint: 127.0.0.1:%[4]d}}
receivers:
  otlp: {protocols: {grpc: {endpoint: 127.0.0.1:%[3]d}}}
exporters:
  jaeger_storage_exporter: {trace_storage: memory}
`
