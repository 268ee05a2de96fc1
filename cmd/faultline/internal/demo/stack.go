// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/faultline-otel/faultline/e2e/backends"
)

// stack is everything that the demo starts.
type stack struct {
	dir     string
	self    string // this binary: the shop's services are its subcommands
	ports   ports
	account *account
	jaeger  *jaeger
	query   *jaegerQuery // of the jaeger

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
// of a payment has reached Jaeger. If it cannot, it leaves nothing behind.
func startStack(ctx context.Context, o options, dir string, out *printer) (*stack, error) {
	s := &stack{dir: dir, services: map[string]*process{}}
	if err := s.start(ctx, o, out); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *stack) start(ctx context.Context, o options, out *printer) (err error) {
	if s.self, err = os.Executable(); err != nil {
		return err
	}
	free, err := backends.FreePorts(10)
	if err != nil {
		return err
	}
	s.ports = ports{free[0], free[1], free[2], free[3], free[4], free[5], free[6], free[7], free[8], free[9]}

	out.line("Starting Jaeger, the Collector, and a payment platform: gateway, checkout, 2 x payment, ledger.")
	if s.jaeger, err = startJaeger(ctx, s, o.jaeger, out); err != nil {
		return err
	}
	s.query = &s.jaeger.query
	if s.account, err = listen(local(s.ports.account)); err != nil {
		return err
	}
	if err := s.startCollector(ctx, o); err != nil {
		return err
	}
	for _, instance := range instances {
		if err := s.startService(instance); err != nil {
			return err
		}
	}
	if s.load, err = s.spawn("load", exec.Command(s.self, "demo-load", //nolint:gosec,noctx // ourselves; ended by stop
		"--target", "http://"+local(s.ports.gateway)+"/pay", "--rate", fmt.Sprint(requestRate))); err != nil {
		return err
	}
	out.line("Waiting for the first payments to reach Jaeger at %s.", s.query.url)
	return s.awaitTraces(ctx)
}

// requestRate is the load on the shop, requests a second.
const requestRate = 25

// startCollector starts the distribution with the demo's configuration.
func (s *stack) startCollector(ctx context.Context, o options) error {
	binary, err := find(o.collector, "bin/otelcol-faultline", "run `make build` first, or name it with --collector")
	if err != nil {
		return err
	}
	config, err := find(o.config, "distribution/config/demo.yaml", "name it with --config")
	if err != nil {
		return err
	}
	cmd := exec.Command(binary, "--config", config) //nolint:gosec,noctx // the user's choice; ended by stop
	cmd.Env = append(os.Environ(),
		"FAULTLINE_OTLP_HTTP="+local(s.ports.otlp),
		"FAULTLINE_HEARTBEAT="+local(s.ports.heartbeat),
		"FAULTLINE_HEALTH="+local(s.ports.health),
		"FAULTLINE_PROMETHEUS_LISTEN="+local(s.ports.prometheus),
		"FAULTLINE_JAEGER_OTLP="+s.jaeger.otlp,
		"FAULTLINE_DEMO_ACCOUNT=http://"+local(s.ports.account),
		"FAULTLINE_DEMO_LEDGER=http://"+local(s.ports.ledger)+"/healthz",
	)
	if s.collector, err = s.spawn("collector", cmd); err != nil {
		return err
	}
	if err := s.collector.await(ctx, "http://"+local(s.ports.health)+"/"); err != nil {
		return fmt.Errorf("%w; it says:\n%s", err, s.tail("collector"))
	}
	return nil
}

// find returns the file that a flag names, or else the usual one of the checkout
// that we are in or that this binary was built in.
func find(flag, usual, advice string) (string, error) {
	if flag != "" {
		if _, err := os.Stat(flag); err != nil {
			return "", fmt.Errorf("%w: %s", err, advice)
		}
		return flag, nil
	}
	var roots []string
	if root, err := backends.Root(); err == nil {
		roots = append(roots, root)
	}
	if self, err := os.Executable(); err == nil {
		roots = append(roots, filepath.Dir(filepath.Dir(self)))
	}
	for _, root := range roots {
		path := filepath.Join(root, usual)
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s in this checkout: %s", usual, advice)
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
	log, err := os.OpenFile(filepath.Join(s.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	return startProcess(name, cmd, log)
}

// awaitTraces waits until a whole payment stands in Jaeger.
func (s *stack) awaitTraces(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		traces, err := s.query.between(ctx, "ledger", "", began, time.Now())
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
	text, _ := os.ReadFile(filepath.Join(s.dir, name+".log"))
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

// stop ends all that was started. The shop goes before those whom it reports to.
func (s *stack) stop() {
	var shop sync.WaitGroup
	for _, p := range append(slices.Collect(maps.Values(s.services)), s.load) {
		shop.Go(p.end)
	}
	shop.Wait()
	s.collector.end()
	if s.account != nil {
		s.account.close()
	}
	if s.jaeger != nil {
		s.jaeger.stop()
	}
}
