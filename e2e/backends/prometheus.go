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

// Prometheus is a server that scrapes one target each second.
type Prometheus struct {
	*process
	URL string
}

// StartPrometheus starts Prometheus with its files in dir, scraping target
// (host:port), or takes the one at FAULTLINE_PROMETHEUS (URL), which must be
// set up to scrape the target itself.
func StartPrometheus(ctx context.Context, dir, target string) (*Prometheus, error) {
	if url := os.Getenv("FAULTLINE_PROMETHEUS"); url != "" {
		return &Prometheus{URL: url}, nil
	}
	bin, err := exec.LookPath("prometheus")
	if err != nil {
		return nil, &MissingError{"Prometheus", "install the package `prometheus`, or set FAULTLINE_PROMETHEUS"}
	}
	ports, err := FreePorts(1)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, prometheusConfig, target), 0o600); err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	p, err := start(exec.Command(bin, "--config.file", config, //nolint:gosec,noctx // from PATH on purpose; ended by Stop
		"--storage.tsdb.path", filepath.Join(dir, "prometheus"), "--web.listen-address", address))
	if err != nil {
		return nil, err
	}
	url := "http://" + address
	if err := p.ready(ctx, url+"/-/ready", time.Minute); err != nil {
		p.Stop()
		return nil, err
	}
	return &Prometheus{process: p, URL: url}, nil
}

const prometheusConfig = `
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: faultline
    honor_labels: true
    static_configs: [{targets: ["%s"]}]
`
