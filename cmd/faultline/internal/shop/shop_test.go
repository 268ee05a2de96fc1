// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package shop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// TestMain lets the test binary be the shop: the tests start real processes.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "demo-service" {
		root := &cobra.Command{SilenceUsage: true}
		root.AddCommand(ServiceCommand())
		if err := root.ExecuteContext(untilSIGTERM()); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestPaymentIsOneTraceThroughAllServices(t *testing.T) {
	c := newCollector(t)
	ledger := c.start(t, "ledger", "ledger-1")
	payment := c.start(t, "payment", "payment-1", "--next", ledger.address)
	checkout := c.start(t, "checkout", "checkout-1", "--next", payment.address)

	status, body := checkout.pay(t)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, "paid\n", body)

	// A server and a client span of both callers, a server span of the ledger.
	spans := c.await(t, 5)
	trace := spans[0].TraceID()
	byService := map[string]map[ptrace.SpanKind]seen{}
	for _, s := range spans {
		assert.Equal(t, trace, s.TraceID(), "all spans of a payment are in one trace")
		assert.Equal(t, Namespace, s.resource["service.namespace"])
		assert.Equal(t, Environment, s.resource["deployment.environment.name"])
		assert.Equal(t, s.resource["service.name"].(string)+"-1", s.resource["service.instance.id"])
		assert.NotEmpty(t, s.resource["host.name"])
		assert.NotEmpty(t, s.resource["service.version"])
		name := s.resource["service.name"].(string)
		if byService[name] == nil {
			byService[name] = map[ptrace.SpanKind]seen{}
		}
		byService[name][s.Kind()] = s
	}
	for caller, callee := range map[string]string{"checkout": "payment", "payment": "ledger"} {
		client, server := byService[caller][ptrace.SpanKindClient], byService[callee][ptrace.SpanKindServer]
		assert.Equal(t, client.SpanID(), server.ParentSpanID(), "%s is asked by %s", callee, caller)
		address, _ := client.Attributes().Get("server.address")
		assert.Equal(t, "127.0.0.1", address.Str(), "the engine learns from it who stands behind an address")
		_, ok := client.Attributes().Get("server.port")
		assert.True(t, ok)
	}
}

func TestCallToADeadServiceFailsWithItsReason(t *testing.T) {
	c := newCollector(t)
	payment := c.start(t, "payment", "payment-1", "--next", freeAddress(t))

	status, _ := payment.pay(t)
	assert.Equal(t, http.StatusBadGateway, status)

	for _, s := range c.await(t, 2) {
		assert.Equal(t, ptrace.StatusCodeError, s.Status().Code())
		if s.Kind() == ptrace.SpanKindClient {
			_, ok := s.Attributes().Get("error.type")
			assert.True(t, ok)
			assert.Contains(t, s.Status().Message(), "connection refused")
		}
	}
}

func TestCallsTakeInstancesInTurn(t *testing.T) {
	c := newCollector(t)
	var asked [2]atomic.Int32
	next := make([]string, 2)
	for i := range next {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked[i].Add(1) }))
		t.Cleanup(s.Close)
		next[i] = s.Listener.Addr().String()
	}
	checkout := c.start(t, "checkout", "checkout-1", "--next", next[0], "--next", next[1])
	for range 10 {
		checkout.pay(t)
	}
	assert.EqualValues(t, 5, asked[0].Load())
	assert.EqualValues(t, 5, asked[1].Load())
}

func TestHeartbeatsCountOnUntilAPlannedStopIsAnnounced(t *testing.T) {
	c := newCollector(t)
	ledger := c.start(t, "ledger", "ledger-1")
	require.Eventually(t, func() bool { return len(c.beatsOf("ledger-1")) >= 3 }, 10*time.Second, 50*time.Millisecond)
	require.NoError(t, ledger.cmd.Process.Signal(syscall.SIGTERM))
	require.NoError(t, ledger.cmd.Wait(), "a planned stop exits with 0")

	beats := c.beatsOf("ledger-1")
	for i, b := range beats {
		assert.EqualValues(t, i+1, b.Seq)
		assert.Equal(t, beats[0].Incarnation, b.Incarnation)
		assert.Equal(t, "1s", b.Interval)
		want := "ready"
		switch i {
		case 0:
			want = "starting"
		case len(beats) - 1:
			want = "stopping"
		}
		assert.Equal(t, want, b.Status, "beat %d", i)
	}

	again := c.start(t, "ledger", "ledger-1")
	require.Eventually(t, func() bool { return len(c.beatsOf("ledger-1")) > len(beats) }, 10*time.Second, 50*time.Millisecond)
	reborn := c.beatsOf("ledger-1")[len(beats)]
	assert.Greater(t, reborn.Incarnation, beats[0].Incarnation, "a restart shows")
	assert.EqualValues(t, 1, reborn.Seq)
	assert.NotEqual(t, ledger.cmd.Process.Pid, again.cmd.Process.Pid)
}

func TestKilledServiceAnnouncesNothing(t *testing.T) {
	c := newCollector(t)
	ledger := c.start(t, "ledger", "ledger-1")
	require.Eventually(t, func() bool { return len(c.beatsOf("ledger-1")) >= 2 }, 10*time.Second, 50*time.Millisecond)
	require.NoError(t, ledger.cmd.Process.Kill())
	require.Error(t, ledger.cmd.Wait())
	for _, b := range c.beatsOf("ledger-1") {
		assert.NotEqual(t, "stopping", b.Status)
	}
}

func TestPanicExitsWithStatus2(t *testing.T) {
	c := newCollector(t)
	checkout := c.start(t, "checkout", "checkout-1")
	if resp, err := http.Post("http://"+checkout.address+"/debug/panic", "", nil); err == nil {
		_ = resp.Body.Close() // it may answer before it ends
	}
	var exit *exec.ExitError
	require.True(t, errors.As(checkout.cmd.Wait(), &exit))
	assert.Equal(t, 2, exit.ExitCode())
}

func TestLoadIsSteadyAndBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const interval = 40 * time.Millisecond
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var at []time.Duration
		waiting, most := 0, 0
		began := time.Now()
		shop := roundTrip(func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			at = append(at, time.Since(began))
			waiting++
			most = max(most, waiting)
			mu.Unlock()
			defer func() { mu.Lock(); waiting--; mu.Unlock() }()
			<-r.Context().Done() // nobody is ever served
			return nil, r.Context().Err()
		})
		done := make(chan struct{})
		go func() { defer close(done); load(ctx, shop, "http://gateway/pay", interval) }()
		time.Sleep(time.Minute)
		cancel()
		<-done
		synctest.Wait()

		assert.Equal(t, maxInFlight, most, "a shop that hangs is not flooded")
		for i := 1; i < maxInFlight; i++ {
			assert.Equal(t, interval, at[i]-at[i-1], "request %d does not wait for the one before", i)
		}
	})
}

func TestLoadRefusesAnAbsurdRate(t *testing.T) {
	for _, rate := range []string{"0", "-1", "1e9"} {
		cmd := LoadCommand()
		cmd.SetArgs([]string{"--target", "http://localhost:1/pay", "--rate", rate})
		cmd.SilenceUsage, cmd.SilenceErrors = true, true
		assert.ErrorContains(t, cmd.Execute(), "--rate", rate)
	}
}

// roundTrip is a shop without a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// running is a service of the shop, as a process.
type running struct {
	cmd     *exec.Cmd
	address string
}

func (r *running) pay(t *testing.T) (status int, body string) {
	t.Helper()
	resp, err := http.Get("http://" + r.address + "/pay")
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// start starts a service that reports to c, and waits until it answers.
func (c *collector) start(t *testing.T, service, instance string, args ...string) *running {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	r := &running{address: freeAddress(t)}
	r.cmd = exec.Command(self, append([]string{"demo-service", "--service", service, "--instance", instance,
		"--listen", r.address, "--otlp", c.address, "--heartbeats", c.address}, args...)...)
	r.cmd.Stderr = os.Stderr
	require.NoError(t, r.cmd.Start())
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
	})
	require.Eventually(t, func() bool {
		resp, err := http.Get(fmt.Sprintf("http://%s/healthz", r.address))
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	}, 10*time.Second, 20*time.Millisecond)
	return r
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}
