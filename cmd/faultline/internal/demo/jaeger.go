// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/e2e/backends"
)

// jaegerImage is the release that the module in tools/jaeger is of.
const jaegerImage = "jaegertracing/jaeger:2.13.0"

// jaeger is where the traces go and where they are asked for.
type jaeger struct {
	query jaegerQuery
	otlp  string // host:port of its OTLP gRPC receiver
	ours  bool   // it ends with the demo
	stop  func()
}

// startJaeger takes the Jaeger that --jaeger or the environment names, runs the
// stock image, or builds one.
func startJaeger(ctx context.Context, s *stack, mode string, out *printer) (*jaeger, error) {
	if strings.HasPrefix(mode, "http://") || strings.HasPrefix(mode, "https://") {
		return remoteJaeger(mode, os.Getenv("FAULTLINE_JAEGER_OTLP"))
	}
	switch mode {
	case "build":
		return buildJaeger(ctx, s.dir, out)
	case "docker":
		return dockerJaeger(ctx, s, out)
	case "auto":
	default:
		return nil, fmt.Errorf("--jaeger %q: write auto, build, docker, or the URL of a Jaeger that runs", mode)
	}
	if query := os.Getenv("FAULTLINE_JAEGER_QUERY"); query != "" {
		return remoteJaeger(query, os.Getenv("FAULTLINE_JAEGER_OTLP"))
	}
	if dockerWorks(ctx) {
		j, err := dockerJaeger(ctx, s, out)
		if err == nil || ctx.Err() != nil {
			return j, err
		}
		out.line("Docker cannot run Jaeger (%v); building it instead.", err)
	}
	return buildJaeger(ctx, s.dir, out)
}

// remoteJaeger is one that runs already. Without an address for OTLP it is the
// usual port of the same host.
func remoteJaeger(query, otlp string) (*jaeger, error) {
	u, err := url.Parse(query)
	if err != nil || u.Hostname() == "" {
		return nil, fmt.Errorf("Jaeger's query URL %q: write http://host:port", query) //nolint:staticcheck // a name
	}
	if otlp == "" {
		otlp = net.JoinHostPort(u.Hostname(), "4317")
	}
	return &jaeger{query: jaegerQuery{url: strings.TrimSuffix(query, "/"), hasUI: true}, otlp: otlp, stop: func() {}}, nil
}

func buildJaeger(ctx context.Context, dir string, out *printer) (*jaeger, error) {
	b, err := backends.StartJaeger(ctx, dir)
	var missing *backends.MissingError
	if errors.As(err, &missing) {
		root, rootErr := backends.Root()
		if rootErr == nil {
			root, rootErr = filepath.EvalSymlinks(root)
		}
		if rootErr != nil {
			return nil, rootErr
		}
		// The Makefile knows it by its absolute path.
		goal := filepath.Join(root, ".cache", "backends", "jaeger")
		stop := out.progress("Building Jaeger, once; with cold caches this takes some minutes")
		build := exec.CommandContext(ctx, "make", "-C", root, "--no-print-directory", goal) //nolint:gosec // fixed
		text, buildErr := build.CombinedOutput()
		stop()
		if buildErr != nil {
			return nil, fmt.Errorf("building Jaeger: %w\n%s", buildErr, text)
		}
		b, err = backends.StartJaeger(ctx, dir)
	}
	if err != nil {
		return nil, err
	}
	return &jaeger{query: jaegerQuery{url: b.QueryURL}, otlp: b.OTLP, ours: true, stop: b.Stop}, nil
}

// dockerWorks says whether a Docker daemon answers.
func dockerWorks(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, "docker", "info").Run() == nil
}

// dockerJaeger runs the stock image, which has the UI, in the foreground: the
// docker command passes the signal that ends it on to the container.
func dockerJaeger(ctx context.Context, s *stack, out *printer) (*jaeger, error) {
	ports, err := backends.FreePorts(2)
	if err != nil {
		return nil, err
	}
	stop := out.progress("Starting " + jaegerImage + " with Docker; the first time it is downloaded")
	defer stop()
	// Apart from the run, which has 30 s to answer.
	if text, err := exec.CommandContext(ctx, "docker", "pull", "--quiet", jaegerImage).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("docker pull %s: %w: %s", jaegerImage, err, strings.TrimSpace(string(text)))
	}
	run := exec.Command("docker", "run", "--rm", "--name", fmt.Sprintf("faultline-demo-jaeger-%d", os.Getpid()), //nolint:gosec,noctx // fixed; ended by stop
		"--env", "OTEL_TRACES_SAMPLER=always_off", // not its own
		"--publish", local(ports[0])+":16686", "--publish", local(ports[1])+":4317", jaegerImage)
	p, err := s.spawn("jaeger", run)
	if err != nil {
		return nil, err
	}
	j := &jaeger{query: jaegerQuery{url: "http://" + local(ports[0]), hasUI: true}, otlp: local(ports[1]), ours: true, stop: p.end}
	if err := p.await(ctx, j.query.url+"/api/services"); err != nil {
		p.end()
		return nil, fmt.Errorf("%w: %s", err, s.tail("jaeger"))
	}
	return j, nil
}
