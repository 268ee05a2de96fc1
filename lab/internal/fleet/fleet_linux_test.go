// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fleet

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/faultline-otel/faultline/lab/internal/ledger"
	"github.com/faultline-otel/faultline/lab/internal/service/control"
)

// TestMain lets the test binary be every process of the fleet.
func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

func TestCleanFleetIsServedSeenAndLeftInPeace(t *testing.T) {
	f := start(t, Options{})
	time.Sleep(10 * time.Second) // connections, caches, the other languages' compilers
	before, began := f.stats(t), cpuSeconds(f)
	from := time.Now()
	time.Sleep(clean(t))
	elapsed := time.Since(from)
	after := f.stats(t)
	t.Logf("CPU: %.2f cores, of which Collectors %.2f", (cpuSeconds(f)-began)/elapsed.Seconds(), cpuSeconds(f, Collector)/time.Since(from.Add(-12*time.Second)).Seconds())

	sent := after.Sent - before.Sent
	assert.InDelta(t, DefaultRate*elapsed.Seconds(), sent, 0.25*DefaultRate*elapsed.Seconds(), "requests at about the rate")
	assert.Zero(t, after.Failed, "every request is served")

	calls := map[string]int{}
	for _, c := range f.calls(t) {
		calls[c.Service+"→"+c.Callee]++
		assert.True(t, c.OK, "%+v", c)
		assert.False(t, c.Wrong, "%+v", c)
		assert.Len(t, c.Trace, 32)
		assert.Len(t, c.Span, 16)
	}
	for _, r := range roles {
		for _, callee := range r.calls {
			if r.kind == Load || r.kind == Bare {
				continue // they keep no log
			}
			assert.Positive(t, calls[r.service+"→"+callee], "%s calls %s", r.service, callee)
		}
	}

	spans, tagged := f.spans(t)
	assert.Empty(t, tagged, "no span carries a class")
	hosts := map[string]string{}
	for _, in := range f.Instances() {
		if in.Kind == Stock || in.Kind == Service && in.Service != "broker" {
			assert.Positive(t, spans[in.Name].count, "spans of %s arrive at the gateway", in.Name)
			assert.Equal(t, in.Node.Name, spans[in.Name].host, "%s keeps its own host's name", in.Name)
			hosts[in.Node.Name] = in.Name
		}
	}
	assert.Len(t, hosts, 6)
	seen := spans["payment-1"]
	for _, c := range f.calls(t)[:100] {
		if c.Instance == "payment-1" {
			assert.True(t, seen.ids[c.Trace+c.Span], "the span of each call arrives: %+v", c)
		}
	}
	up := 0
	for line := range strings.Lines(f.metrics(t)) {
		switch {
		case strings.HasPrefix(line, "heartbeat_up{"):
			assert.True(t, strings.HasSuffix(line, " 1\n"), "heartbeats come and probes go well: %s", line)
			up++
		case strings.HasPrefix(line, "heartbeat_refused_total{"):
			assert.True(t, strings.HasSuffix(line, " 0\n"), "signatures fit: %s", line)
		}
	}
	assert.Greater(t, up, 50)
	for _, e := range f.events(t) {
		assert.False(t, strings.HasPrefix(e, "failure.") || strings.HasPrefix(e, "incident."), "accused: %s", e)
	}
}

func TestFleetDoesWhatItIsTold(t *testing.T) {
	f := start(t, Options{})
	ctx := t.Context()
	in := func(name string) *Instance {
		i := f.Instance(name)
		require.NotNil(t, i, name)
		return i
	}
	expect := func(t *testing.T, what string, is func(c ledger.Call) bool) {
		t.Helper()
		from := time.Now()
		assert.Eventually(t, func() bool {
			return slices.ContainsFunc(f.calls(t), func(c ledger.Call) bool { return c.Start.After(from) && is(c) })
		}, 15*time.Second, 200*time.Millisecond, what)
	}
	fails := func(callee, text string) func(ledger.Call) bool {
		return func(c ledger.Call) bool { return c.Callee == callee && !c.OK && strings.Contains(c.Error, text) }
	}

	t.Run("killed_service_refuses_and_its_successor_serves", func(t *testing.T) {
		require.NoError(t, in("payment-1").Kill(ctx))
		state, _, ok := in("payment-1").Exit()
		require.True(t, ok)
		assert.Equal(t, syscall.SIGKILL, state.Sys().(syscall.WaitStatus).Signal())
		expect(t, "refused", fails("payment", "connection refused"))
		require.NoError(t, in("payment-1").Start(ctx))
		assert.Equal(t, 2, in("payment-1").Starts())
	})
	t.Run("each_end_is_what_was_ordered", func(t *testing.T) {
		for _, end := range []struct {
			name, command, arg string
			status             int
			signal             syscall.Signal
		}{
			{"checkout-1", control.Panic, "", 2, 0},
			{"checkout-1", control.Exit, "3", 3, 0},
			{"checkout-1", control.Abort, "", 0, syscall.SIGABRT},
			{"checkout-1", control.Segfault, "", 2, 0},
			{"search-1", control.Panic, "", 1, 0},
			{"cart-1", control.Panic, "", 7, 0},
			{"cart-1", control.Exit, "4", 4, 0},
		} {
			i := in(end.name)
			require.NoError(t, i.Command(ctx, end.command, end.arg), end.command)
			require.NoError(t, i.Wait(ctx))
			state, _, _ := i.Exit()
			ws := state.Sys().(syscall.WaitStatus)
			if end.signal != 0 {
				assert.Equal(t, end.signal, ws.Signal(), "%s %s", end.name, end.command)
			} else if end.status != 7 { // Node's differs between versions
				assert.Equal(t, end.status, ws.ExitStatus(), "%s %s", end.name, end.command)
			}
			require.NoError(t, i.Start(ctx))
		}
	})
	t.Run("closed_listener_refuses_while_the_process_lives", func(t *testing.T) {
		for _, name := range []string{"ledger-1", "pricing-2", "cart-1"} {
			pid := in(name).PID()
			require.NoError(t, in(name).Command(ctx, control.Close))
			expect(t, name, fails(in(name).Service, "refused"))
			require.NoError(t, in(name).Command(ctx, control.Reset))
			assert.Equal(t, pid, in(name).PID())
		}
	})
	t.Run("deadlock_lets_calls_time_out_and_reset_frees_it", func(t *testing.T) {
		require.NoError(t, in("inventory-1").Command(ctx, control.Deadlock))
		expect(t, "timeout", fails("inventory", "time"))
		require.NoError(t, in("inventory-1").Command(ctx, control.Reset))
	})
	t.Run("wrong_answers_are_known_to_the_lab", func(t *testing.T) {
		require.NoError(t, in("pricing-1").Command(ctx, control.Wrong, "1"))
		expect(t, "wrong", func(c ledger.Call) bool { return c.Callee == "pricing" && c.OK && c.Wrong })
		require.NoError(t, in("pricing-1").Command(ctx, control.Reset))
		require.NoError(t, in("ledger-2").Command(ctx, control.Invalid, "1"))
		expect(t, "invalid", func(c ledger.Call) bool { return c.Callee == "ledger" && c.Wrong })
		require.NoError(t, in("ledger-2").Command(ctx, control.Reset))
	})
	t.Run("expired_certificate_name_and_proxy_fail_as_they_do", func(t *testing.T) {
		require.NoError(t, in("bank-1").Command(ctx, control.Expired, "true"))
		expect(t, "certificate", fails("bank", "certificate has expired"))
		require.NoError(t, in("bank-1").Command(ctx, control.Reset))
		require.NoError(t, in("dns-1").Command(ctx, control.NameGone))
		expect(t, "names", fails("inventory", "ENOTFOUND"))
		require.NoError(t, in("dns-1").Command(ctx, control.NameGone, DNSName("bank")))
		expect(t, "name", fails("bank", "no such host"))
		require.NoError(t, in("dns-1").Command(ctx, control.Reset))
		require.NoError(t, in("search-1").Pause())
		expect(t, "proxy", fails("proxy", "503"))
		require.NoError(t, in("search-1").Resume())
	})
	t.Run("resources_run_out_for_real", func(t *testing.T) {
		i := in("payment-2")
		require.NoError(t, i.Command(ctx, control.ShrinkPool, "1"))
		require.NoError(t, i.Command(ctx, control.HoldPool, "3s"))
		expect(t, "pool", func(c ledger.Call) bool { return c.Service == "checkout" && c.Callee == "payment" && !c.OK })
		require.NoError(t, i.Command(ctx, control.Reset))

		require.NoError(t, in("ledger-1").Command(ctx, control.FillDisk, "0"))
		expect(t, "disk", fails("ledger", "500"))
		require.NoError(t, in("ledger-1").Command(ctx, control.Reset))

		require.NoError(t, in("checkout-2").SetLimit(unix.RLIMIT_NOFILE, 12))
		expect(t, "descriptors", func(c ledger.Call) bool {
			return c.Instance == "checkout-2" && strings.Contains(c.Error, "too many open files")
		})
		require.NoError(t, in("checkout-2").SetLimit(unix.RLIMIT_NOFILE, 4096))

		o := in("inventory-2")
		require.NoError(t, o.SetCgroup("memory.limit_in_bytes", strconv.Itoa(64<<20)))
		require.NoError(t, o.Command(ctx, control.LeakMemory, strconv.Itoa(40<<20)))
		require.NoError(t, o.Wait(ctx))
		state, _, _ := o.Exit()
		assert.Equal(t, syscall.SIGKILL, state.Sys().(syscall.WaitStatus).Signal(), "killed for want of memory")
		require.NoError(t, o.ResetCgroup())
		require.NoError(t, o.Start(ctx))
	})
	t.Run("dead_consumer_fails_no_call", func(t *testing.T) {
		require.NoError(t, in("mailer-1").Kill(ctx))
		from := time.Now()
		time.Sleep(2 * time.Second)
		published := 0
		for _, c := range f.calls(t) {
			if c.Start.After(from) && c.Callee == "broker" {
				assert.True(t, c.OK, "%+v", c)
				published++
			}
		}
		assert.Positive(t, published)
		require.NoError(t, in("mailer-1").Start(ctx))
	})
	t.Run("paused_collector_goes_on_and_a_killed_one_comes_back", func(t *testing.T) {
		agent := f.Zones()[1].Agent
		require.NoError(t, agent.Pause())
		require.NoError(t, agent.Resume())
		require.NoError(t, agent.Kill(ctx))
		require.NoError(t, agent.Start(ctx))
		require.NoError(t, f.Gateway().Restart(ctx))
	})
	t.Run("shaped_cables_cut_lose_and_delay", func(t *testing.T) {
		node := f.Node("node-b2")
		// The quickest call of many: a busy machine holds up some of them, a cable all.
		quickest := func(from time.Time) time.Duration {
			least := time.Hour
			for _, c := range f.calls(t) {
				if c.Start.After(from) && c.Callee == "broker" && c.Service == "checkout" {
					least = min(least, c.Duration)
				}
			}
			return least
		}
		require.NoError(t, f.Shape(ctx, node, Shape{Delay: 60 * time.Millisecond, Jitter: 10 * time.Millisecond}))
		from := time.Now()
		time.Sleep(2 * time.Second)
		assert.Greater(t, quickest(from), 90*time.Millisecond, "there and back, with some jitter")
		assert.Less(t, quickest(from), 800*time.Millisecond, "a connection and a request")

		require.NoError(t, f.Shape(ctx, node, Shape{Delay: 300 * time.Millisecond, To: []netip.Prefix{f.Zones()[0].Subnet}}))
		took := func(from string) time.Duration {
			began := time.Now()
			resp, err := f.Node(from).Client().Get("http://" + in("payment-1").Addr.String() + "/healthz")
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			return time.Since(began)
		}
		time.Sleep(time.Second)
		assert.Greater(t, took("node-a1"), 600*time.Millisecond, "there and back")
		assert.Less(t, min(took("node-c1"), took("node-c1"), took("node-c1")), 300*time.Millisecond, "others are not held up with them")

		for _, cut := range []Shape{
			{Loss: 1},
			{Loss: 1, Way: Out, To: []netip.Prefix{f.Zones()[0].Subnet}},
			{Loss: 1, Way: In, Port: in("payment-1").Addr.Port()},
		} {
			require.NoError(t, f.Shape(ctx, node, cut))
			expect(t, fmt.Sprint(cut), func(c ledger.Call) bool {
				return c.Callee == "payment" && (strings.Contains(c.Error, "deadline exceeded") || strings.Contains(c.Error, "i/o timeout"))
			})
		}
		require.NoError(t, f.Shape(ctx, node, Shape{Loss: .2}))
		zoneC := f.Zones()[2]
		require.Len(t, f.NodesIn(zoneC), 3)
		for _, n := range f.NodesIn(zoneC) {
			require.NoError(t, f.Shape(ctx, n, Shape{Loss: 1, To: f.Outside(zoneC)}))
		}
		ask := func(node string) error {
			resp, err := f.Node(node).Client().Get("http://" + in("ledger-2").Addr.String() + "/healthz")
			if err == nil {
				err = resp.Body.Close()
			}
			return err
		}
		assert.NoError(t, ask("node-c1"), "within the zone all goes on")
		assert.Error(t, ask("node-a1"))
		for _, n := range f.NodesIn(zoneC) {
			require.NoError(t, f.Shape(ctx, n))
		}
		require.NoError(t, f.Shape(ctx, node))
		time.Sleep(2 * time.Second)
		from = time.Now()
		time.Sleep(time.Second)
		assert.Less(t, quickest(from), 100*time.Millisecond, "an ordinary cable again")
		assert.Error(t, f.Shape(ctx, node, Shape{Loss: 2}))
	})
	t.Run("new_version_on_another_node_takes_over", func(t *testing.T) {
		green, err := f.Add("inventory", "inventory-green", "node-a2")
		require.NoError(t, err)
		green.SetVersion("1.1.0")
		require.NoError(t, green.Start(ctx))
		require.NoError(t, f.SetEndpoints("inventory", green))
		time.Sleep(time.Second)
		require.NoError(t, in("inventory-1").Stop(ctx))
		state, _, _ := in("inventory-1").Exit()
		assert.True(t, state.Success(), "a stop that was ordered ends with status 0")
		require.Eventually(t, func() bool { s, _ := f.spans(t); return s["inventory-green"].count > 0 }, 15*time.Second, 300*time.Millisecond)
	})
	t.Run("fleet_is_healthy_again", func(t *testing.T) {
		soon, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		require.ErrorContains(t, f.WaitHealthy(soon), "inventory-1", "which was scaled down")
		require.NoError(t, in("inventory-1").Start(ctx))
		require.NoError(t, f.WaitHealthy(ctx))
	})
	t.Run("unknown_command_says_so", func(t *testing.T) {
		for _, name := range []string{"web-1", "cart-1", "search-1", "proxy-1", "dns-1", "load"} {
			assert.ErrorContains(t, in(name).Command(ctx, "fly"), "unknown command")
		}
		assert.ErrorContains(t, in("web-1").Command(ctx, control.Wrong, "2"), "fraction")
	})
	t.Run("load_follows", func(t *testing.T) {
		require.NoError(t, f.SetLoad(ctx, 0))
		time.Sleep(time.Second)
		before := f.stats(t).Sent
		time.Sleep(time.Second)
		assert.Equal(t, before, f.stats(t).Sent)
	})
}

func TestLoneCollectorSeesAndLeavesInPeaceToo(t *testing.T) {
	f := start(t, Options{Single: true})
	require.NoError(t, f.WaitHealthy(t.Context()))
	time.Sleep(clean(t) / 3)
	spans, tagged := f.spans(t)
	assert.Empty(t, tagged)
	for _, in := range f.Instances() {
		if in.Kind == Stock || in.Kind == Service && in.Service != "broker" {
			assert.Positive(t, spans[in.Name].count, in.Name)
		}
	}
	for _, e := range f.events(t) {
		assert.False(t, strings.HasPrefix(e, "failure.") || strings.HasPrefix(e, "incident."), "accused: %s", e)
	}
}

func TestWhatAKilledRunLeftIsRemoved(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	dead, alive := prefixStart+"999999991", prefixStart+"999999992"
	require.NoError(t, os.MkdirAll(claims, 0o755))
	for prefix, owner := range map[string]string{
		dead:  fmt.Sprintf("%d 1", os.Getpid()), // the id is in use again, by another process
		alive: fmt.Sprintf("%d %s", os.Getpid(), startTime(os.Getpid())),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(claims, prefix), []byte(owner+"\n"), 0o600))
		_, err := ip(t.Context(), "netns", "add", prefix+"-node")
		require.NoError(t, err)
		require.NoError(t, (&groups{prefix}).create("one"))
		require.NoError(t, mountData(prefix+"-one", t.TempDir()))
	}
	t.Cleanup(func() { assert.NoError(t, cleanUp(alive)) })
	sleeper, err := os.StartProcess("/bin/sleep", []string{"sleep", "1000"}, &os.ProcAttr{})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join((&groups{dead}).folder("pids", "one"), "cgroup.procs"), []byte(strconv.Itoa(sleeper.Pid)), 0o600))
	go func() { _, _ = sleeper.Wait() }()

	require.NoError(t, sweep())
	assert.NoFileExists(t, filepath.Join(claims, dead))
	assert.NoFileExists(t, "/run/netns/"+dead+"-node")
	assert.NoDirExists(t, (&groups{dead}).folder("memory", ""))
	assert.Error(t, sleeper.Signal(syscall.Signal(0)), "its processes are gone")
	assert.FileExists(t, "/run/netns/"+alive+"-node", "a live fleet is left alone")
}
