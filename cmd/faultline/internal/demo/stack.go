// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/faultline-otel/faultline/e2e/backends"
)

// stack is everything that the demo starts.
type stack struct {
	dir     string
	self    string // this binary: the shop's services are its subcommands
	ports   ports
	jaeger  *backends.Jaeger
	account *account

	collector *process
	load      *process
	services  map[string]*process // by instance
}

// ports of the loopback interface.
type ports struct {
	otlp, heartbeat, health, prometheus, account int
	gateway, checkout, payment1, payment2        int
	ledger                                       int
}

func local(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// startStack starts Jaeger, the Collector and the shop, and waits until a trace
// of a payment has reached Jaeger.
func startStack(ctx context.Context, o options, dir string, out *printer) (s *stack, err error) {
	s = &stack{dir: dir, services: map[string]*process{}}
	defer func() {
		if err != nil {
			s.stop()
		}
	}()
	if s.self, err = os.Executable(); err != nil {
		return nil, err
	}
	free, err := backends.FreePorts(10)
	if err != nil {
		return nil, err
	}
	s.ports = ports{free[0], free[1], free[2], free[3], free[4], free[5], free[6], free[7], free[8], free[9]}

	out.line("Starting Jaeger, the Collector and a payment platform.")
	if err := s.startJaeger(ctx, out); err != nil {
		return nil, err
	}
	if s.account, err = listen(local(s.ports.account)); err != nil {
		return nil, err
	}
	if err := s.startCollector(ctx, o); err != nil {
		return nil, err
	}
	for _, instance := range instances {
		if err := s.startService(instance); err != nil {
			return nil, err
		}
	}
	if s.load, err = s.spawn("load", exec.Command(s.self, "demo-load", //nolint:gosec,noctx // ourselves; ended by stop
		"--target", "http://"+local(s.ports.gateway)+"/pay", "--rate", fmt.Sprint(requestRate))); err != nil {
		return nil, err
	}
	out.line("Waiting for the first payments to reach Jaeger at %s.", s.jaeger.QueryURL)
	return s, s.awaitTraces(ctx)
}

// requestRate is the load on the shop, requests a second.
const requestRate = 25

// startJaeger uses the Jaeger that is there, or builds it.
func (s *stack) startJaeger(ctx context.Context, out *printer) error {
	j, err := backends.StartJaeger(ctx, s.dir)
	var missing *backends.MissingError
	if errors.As(err, &missing) {
		root, rootErr := backends.Root()
		if rootErr != nil {
			return rootErr
		}
		out.line("Building Jaeger, once; with cold caches this takes some minutes.")
		stop := out.progress(ctx)
		build := exec.CommandContext(ctx, "make", "-C", root, "--no-print-directory", ".cache/backends/jaeger") //nolint:gosec // fixed
		text, buildErr := build.CombinedOutput()
		stop()
		if buildErr != nil {
			return fmt.Errorf("building Jaeger: %w\n%s", buildErr, text)
		}
		j, err = backends.StartJaeger(ctx, s.dir)
	}
	s.jaeger = j
	return err
}

func (s *stack) startCollector(ctx context.Context, o options) error {
	cmd := exec.Command(o.collector, "--config", o.config) //nolint:gosec,noctx // the user's choice; ended by stop
	cmd.Env = append(os.Environ(),
		"FAULTLINE_OTLP_HTTP="+local(s.ports.otlp),
		"FAULTLINE_HEARTBEAT="+local(s.ports.heartbeat),
		"FAULTLINE_HEALTH="+local(s.ports.health),
		"FAULTLINE_PROMETHEUS_LISTEN="+local(s.ports.prometheus),
		"FAULTLINE_JAEGER_OTLP="+s.jaeger.OTLP,
		"FAULTLINE_DEMO_ACCOUNT=http://"+local(s.ports.account),
		"FAULTLINE_DEMO_LEDGER=http://"+local(s.ports.ledger)+"/healthz",
	)
	var err error
	if s.collector, err = s.spawn("collector", cmd); err != nil {
		return fmt.Errorf("%w: run `make build` first", err)
	}
	return s.collector.await(ctx, "http://"+local(s.ports.health)+"/")
}

// instances of the shop, callees first.
var instances = []string{"ledger-1", "payment-1", "payment-2", "checkout-1", "gateway-1"}

// startService starts an instance of the shop; also again, after it ended.
func (s *stack) startService(instance string) error {
	p := &s.ports
	spec := map[string]struct {
		service string
		port    int
		timeout time.Duration
		next    []int
	}{
		"gateway-1":  {"gateway", p.gateway, 3 * time.Second, []int{p.checkout}},
		"checkout-1": {"checkout", p.checkout, 2 * time.Second, []int{p.payment1, p.payment2}},
		"payment-1":  {"payment", p.payment1, 1500 * time.Millisecond, []int{p.ledger}},
		"payment-2":  {"payment", p.payment2, 1500 * time.Millisecond, []int{p.ledger}},
		"ledger-1":   {"ledger", p.ledger, time.Second, nil},
	}[instance]
	args := []string{"demo-service", "--service", spec.service, "--instance", instance, "--listen", local(spec.port),
		"--timeout", spec.timeout.String(), "--otlp", local(p.otlp), "--heartbeats", local(p.heartbeat)}
	for _, port := range spec.next {
		args = append(args, "--next", local(port))
	}
	proc, err := s.spawn(instance, exec.Command(s.self, args...)) //nolint:gosec,noctx // ourselves; ended by stop
	if err != nil {
		return err
	}
	proc.port = spec.port
	s.services[instance] = proc
	return nil
}

// spawn starts a process with its output in the demo's folder.
func (s *stack) spawn(name string, cmd *exec.Cmd) (*process, error) {
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // our folder
	if err != nil {
		return nil, err
	}
	defer log.Close() //nolint:errcheck // the child has its own
	return startProcess(name, cmd, log)
}

// awaitTraces waits until a whole payment stands in Jaeger.
func (s *stack) awaitTraces(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		traces, err := s.traces(ctx, "ledger", time.Now().Add(-time.Minute), 1)
		if err == nil && len(traces) > 0 {
			return nil
		}
		select {
		case <-s.collector.done:
			return fmt.Errorf("the Collector ended: %s", s.tail("collector"))
		case <-ctx.Done():
			return fmt.Errorf("no payment reached Jaeger within a minute (last answer: %w); the Collector says: %s", err, s.tail("collector"))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// tail is the end of what a process wrote.
func (s *stack) tail(name string) string {
	text, _ := os.ReadFile(filepath.Join(s.dir, name+".log")) //nolint:gosec // our folder
	if len(text) > 2000 {
		text = text[len(text)-2000:]
	}
	return string(text)
}

// post asks an instance for something on its debug endpoint.
func (s *stack) post(ctx context.Context, instance, path string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+local(s.services[instance].port)+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil //nolint:nilerr // it may well end before it answers
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Body.Close()
}

// stop ends all that was started, callers first.
func (s *stack) stop() {
	s.load.end()
	for i := len(instances) - 1; i >= 0; i-- {
		s.services[instances[i]].end()
	}
	s.collector.end()
	if s.account != nil {
		s.account.close()
	}
	if s.jaeger != nil {
		s.jaeger.Stop()
	}
}
