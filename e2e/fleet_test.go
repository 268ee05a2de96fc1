// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fleet is the demo's payment platform: gateway → checkout → 2 × payment →
// ledger, each a process with the stock SDK and heartbeats, and customers.
type fleet struct {
	owner    *testing.T // whose end is the fleet's; subtests restart parts of it
	bin      string
	to       addresses // of the Collector
	address  map[string]string
	services map[string]*child
	pids     string // folder of the pid files
}

// instances of the shop, callees first.
var instances = []string{"ledger-1", "payment-1", "payment-2", "checkout-1", "gateway-1"}

// newFleet chooses where the instances will listen; start starts them.
func newFleet(t *testing.T, to addresses) *fleet {
	t.Helper()
	f := &fleet{
		owner: t, bin: builtBinary(t, "faultline"), to: to, pids: t.TempDir(),
		address: map[string]string{}, services: map[string]*child{},
	}
	for i, address := range freePorts(t, len(instances)) {
		f.address[instances[i]] = address
	}
	return f
}

// start starts all instances and, once they answer, rate customers a second.
func (f *fleet) start(t *testing.T, rate int) {
	t.Helper()
	for _, instance := range instances {
		f.launch(t, instance)
	}
	for _, instance := range instances {
		f.awaitServing(t, instance)
	}
	spawn(f.owner, "load", exec.Command(f.bin, "demo-load", "--target", "http://"+f.address["gateway-1"]+"/pay", "--rate", fmt.Sprint(rate)))
}

func (f *fleet) launch(t *testing.T, instance string) {
	t.Helper()
	callees := map[string][]string{
		"gateway-1": {"checkout-1"}, "checkout-1": {"payment-1", "payment-2"}, "payment-1": {"ledger-1"}, "payment-2": {"ledger-1"},
	}
	timeouts := map[string]time.Duration{"gateway-1": 3 * time.Second, "checkout-1": 2 * time.Second, "payment-1": time.Second, "payment-2": time.Second}
	args := []string{
		"demo-service", "--service", instance[:len(instance)-2], "--instance", instance, "--listen", f.address[instance],
		"--timeout", max(timeouts[instance], time.Second).String(), "--otlp", f.to.http, "--heartbeats", f.to.heartbeat,
	}
	for _, callee := range callees[instance] {
		args = append(args, "--next", f.address[callee])
	}
	c := spawn(f.owner, instance, exec.Command(f.bin, args...))
	f.services[instance] = c
	require.NoError(t, os.WriteFile(f.pidFile(instance), fmt.Appendln(nil, c.cmd.Process.Pid), 0o600))
}

func (f *fleet) pidFile(instance string) string { return filepath.Join(f.pids, instance+".pid") }

func (f *fleet) awaitServing(t *testing.T, instance string) {
	t.Helper()
	f.services[instance].awaitHTTP(t, "http://"+f.address[instance]+"/healthz")
}

func (f *fleet) signal(t *testing.T, instance string, sig syscall.Signal) {
	t.Helper()
	f.services[instance].signal(t, sig)
}

// kill kills an instance and leaves it dead.
func (f *fleet) kill(t *testing.T, instance string) {
	t.Helper()
	f.signal(t, instance, syscall.SIGKILL)
	f.services[instance].awaitEnd(t, 5*time.Second)
}

// stop stops an instance as an operator does.
func (f *fleet) stop(t *testing.T, instance string) {
	t.Helper()
	f.services[instance].terminate(t)
}

// restart starts an instance again that has ended.
func (f *fleet) restart(t *testing.T, instance string) {
	t.Helper()
	f.launch(t, instance)
	f.awaitServing(t, instance)
}
