// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// lookAt is what an agent tells of a process that takes connections on its host.
func lookAt(pid int, addresses ...any) attrs {
	return attrs{
		contract.HeartbeatObserver: "data1", contract.HeartbeatTarget: "process:mysqld:3306", contract.HeartbeatOutcome: "error",
		contract.ProcessState: "gone", contract.ProcessPID: pid, contract.HeartbeatAddresses: addresses,
	}
}

func TestProcessesOfAHostAreKnownByTheirAddresses(t *testing.T) {
	for name, c := range map[string]struct{ addresses, want []any }{
		"ipv4":       {[]any{"10.0.0.31:3306"}, []any{"10.0.0.31:3306", "data1:3306"}},
		"ipv6":       {[]any{"[fd00::31]:3306"}, []any{"[fd00::31]:3306", "data1:3306"}},
		"loopback":   {[]any{"127.0.0.1:3306"}, []any{"127.0.0.1:3306@data1", "data1:3306", "localhost:3306@data1"}},
		"two_ports":  {[]any{"10.0.0.31:3306", "10.0.0.31:33060"}, []any{"10.0.0.31:3306", "data1:3306", "10.0.0.31:33060", "data1:33060"}},
		"no_address": {[]any{"mysql", 7, "10.0.0.31:0", ""}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := seen(t, New(Settings{}), attrs{"host.name": "Data1"}, lookAt(17, c.addresses...))
			require.Len(t, b.Probes, 1)
			assert.Nil(t, b.Probes[0].Source)
			assert.Equal(t, "Data1", b.Probes[0].Host)
			var got []any
			for _, a := range b.Probes[0].Addresses {
				got = append(got, a)
			}
			assert.Equal(t, c.want, got)
		})
	}
	t.Run("no_more_than_a_process_has", func(t *testing.T) {
		var many []any
		for range 1000 {
			many = append(many, "10.0.0.31:3306")
		}
		b := seen(t, New(Settings{}), attrs{"host.name": "data1"}, lookAt(17, many...))
		assert.Len(t, b.Probes[0].Addresses, 2)
	})
}

func TestAProcessIsKnownByItsPID(t *testing.T) {
	x := New(Settings{})
	res := attrs{"service.name": "billing", "host.name": "app2", "process.pid": 4711}
	td, _ := spanOf(t, res, ptrace.SpanKindServer, ptrace.StatusCodeUnset, "", nil)
	var b report.Batch
	x.Traces(td, testNow, nil, &b)

	look := seen(t, x, attrs{"host.name": "app2"}, lookAt(4711, "10.0.0.22:8080"))
	require.NotNil(t, look.Probes[0].Source)
	assert.Equal(t, "billing", look.Probes[0].Source.Service.Name)
	named := lookAt(4711, "10.0.0.22:8080")
	named[contract.HeartbeatService] = "billing"
	assert.Nil(t, seen(t, x, attrs{"host.name": "app2"}, named).Probes[0].Named, "the pid is surer")
	for name, b := range map[string]*report.Batch{
		"another process":          seen(t, x, attrs{"host.name": "app2"}, lookAt(4712, "10.0.0.22:8080")),
		"the same on another host": seen(t, x, attrs{"host.name": "app1"}, lookAt(4711, "10.0.0.22:8080")),
		"a target that is no process": seen(t, x, attrs{"host.name": "app2"}, attrs{
			contract.HeartbeatObserver: "app2", contract.HeartbeatTarget: "tcp://10.0.0.22:8080", contract.HeartbeatOutcome: "ok", contract.ProcessPID: 4711}),
	} {
		assert.Nil(t, b.Probes[0].Source, name)
	}
}

func TestAProcessIsKnownByWhatItCallsItself(t *testing.T) {
	x := New(Settings{})
	tells := func(res attrs) {
		td, _ := spanOf(t, res, ptrace.SpanKindConsumer, ptrace.StatusCodeUnset, "", nil)
		var b report.Batch
		x.Traces(td, testNow, nil, &b)
	}
	look := func(host, service string, client bool) *report.Probe {
		told := lookAt(17)
		if !client {
			told = lookAt(17, "10.0.0.11:9000")
		}
		told[contract.HeartbeatClient], told[contract.HeartbeatService] = client, service
		b := seen(t, x, attrs{"host.name": host}, told)
		require.Len(t, b.Probes, 1)
		return &b.Probes[0]
	}
	tells(attrs{"service.name": "worker", "host.name": "app1", "deployment.environment.name": "shop"})
	tells(attrs{"service.name": "pod", "host.name": "app1", "k8s.pod.uid": "0c0a"})
	tells(attrs{"service.name": "two", "host.name": "app1", "service.namespace": "a"})
	tells(attrs{"service.name": "two", "host.name": "app1", "service.namespace": "b"})
	for _, client := range []bool{true, false} {
		p := look("app1", "worker", client)
		require.NotNil(t, p.Named)
		assert.Nil(t, p.Source, "another process may go by that name")
		assert.Equal(t, client, p.Client)
		assert.Equal(t, "shop", p.Named.Service.Environment)
	}
	for name, p := range map[string]*report.Probe{
		"nobody of that name":      look("app1", "other", true),
		"the same on another host": look("app2", "worker", true),
		"one in a pod":             look("app1", "pod", true),
		"two of one name":          look("app1", "two", true),
		"one that tells no name":   look("app1", "", false),
	} {
		assert.Nil(t, p.Source, name)
		assert.Nil(t, p.Named, name)
	}
}

func TestWhatTheKernelTellsOfConnectionsIsNoProbe(t *testing.T) {
	told := func(target, outcome string) report.Probe {
		b := seen(t, New(Settings{}), attrs{"host.name": "app1"}, attrs{
			contract.HeartbeatObserver: "app1", contract.HeartbeatTarget: target, contract.HeartbeatOutcome: outcome})
		require.Len(t, b.Probes, 1)
		return b.Probes[0]
	}
	p := told("connections:10.0.0.31:3306", "unacknowledged")
	assert.Equal(t, report.OutcomeUnacknowledged, p.Outcome)
	assert.Equal(t, report.OutcomeConnectTimeout, told("connections:10.0.0.31:3306", "timeout").Outcome)
	assert.Equal(t, "app1", p.Host)
	assert.Equal(t, []string{"10.0.0.31:3306"}, p.Addresses)
	assert.True(t, p.Passive)
	assert.True(t, p.Direct)
	assert.Equal(t, []string{"[fd00::31]:3306"}, told("connections:[fd00::31]:3306", "ok").Addresses)

	b := seen(t, New(Settings{}), attrs{"host.name": "data1"}, attrs{
		contract.HeartbeatObserver: "data1", contract.HeartbeatTarget: "connections:10.0.0.31:3306", contract.HeartbeatOutcome: "ok",
		contract.HeartbeatRemoteAddress: "10.0.0.11", contract.HeartbeatLoss: 0.4})
	require.Len(t, b.Probes, 1)
	assert.Equal(t, "10.0.0.11", b.Probes[0].From)
	assert.InDelta(t, 0.4, b.Probes[0].Loss, 1e-9)
	assert.Zero(t, p.Loss)
	assert.Empty(t, p.From)

	probe := told("tcp://10.0.0.31:3306", "timeout")
	assert.Equal(t, report.OutcomeTimeout, probe.Outcome, "a target that the user named")
	assert.False(t, probe.Passive)
	for _, target := range []string{"connections:db:3306", "connections:10.0.0.31", "connections:"} {
		b := seen(t, New(Settings{}), attrs{"host.name": "app1"}, attrs{
			contract.HeartbeatObserver: "app1", contract.HeartbeatTarget: target, contract.HeartbeatOutcome: "ok"})
		assert.Empty(t, b.Probes, target)
	}
}
