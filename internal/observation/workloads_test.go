// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// db is the pod of a database that sends nothing itself.
var db = attrs{
	"k8s.pod.uid": "pod-9", "k8s.pod.name": "pg-main-0", "k8s.namespace.name": "shop", "k8s.node.name": "node-9",
	"k8s.container.name": "postgres", "k8s.statefulset.name": "pg-main",
}

// logAt takes in one line, as read from the output of a container.
func logAt(t *testing.T, x *Extractor, res attrs, body string, at clock.Time) *report.Batch {
	ld := logOf(t, res, plog.SeverityNumberUnspecified, body, nil)
	ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).SetTimestamp(pcommon.Timestamp(at))
	var b report.Batch
	x.Logs(ld, at, &b)
	return &b
}

const full = "2026-07-02 09:02:32.626 UTC [7] FATAL:  could not write to file \"pg_wal/xlogtemp.23\": No space left on device"

func TestPodWithoutAServiceGoesByItsWorkload(t *testing.T) {
	x := New(Settings{})
	b := logAt(t, x, db, full, testNow)
	assert.Empty(t, b.Facts, "it may still speak for itself")
	later := testNow.Add(ownWordWithin)
	b = logAt(t, x, db, full, later)
	require.Len(t, b.Facts, 1)
	src := b.Facts[0].Source
	assert.Equal(t, report.FactDiskFull, b.Facts[0].Kind)
	assert.Equal(t, report.ServiceID{Name: "pg-main", Namespace: "shop"}, src.Service)
	assert.Equal(t, "pg-main@node-9", src.Name())
	assert.True(t, src.Outside)

	// Whoever speaks of the pod means the same, and knows it by less.
	got := report.Batch{}
	x.Metrics(container(t, attrs{"k8s.pod.uid": "pod-9", "k8s.pod.name": "pg-main-0", "k8s.namespace.name": "shop", "k8s.node.name": "node-9"}), later, nil, &got)
	require.NotEmpty(t, got.Levels)
	assert.Same(t, src, got.Levels[0].Source)
	assert.Equal(t, []report.FactKind{report.FactAlive}, kinds(&got), "the kubelet sees it run")
	got = report.Batch{}
	x.Logs(logOf(t, attrs{"k8s.object.kind": "Pod", "k8s.object.name": "pg-main-0", "k8s.object.uid": "pod-9", "k8s.object.fieldpath": "spec.containers{postgres}"},
		plog.SeverityNumberWarn, "Back-off restarting failed container", attrs{"k8s.event.reason": "BackOff", "k8s.namespace.name": "shop"}), later, &got)
	require.Equal(t, []report.FactKind{report.FactCrashLoop}, kinds(&got))
	assert.Same(t, src, got.Facts[0].Source)
}

func TestWorkloadOfAPodIsToldOrInItsName(t *testing.T) {
	for name, c := range map[string]struct{ told, pod, want string }{
		"told":                      {"orders", "orders-7d9f8b6c5d-x2x7k", "orders"},
		"pod_of_a_deployment":       {"", "policy-webhook-7d9f8b6c5d-x2x7k", "policy-webhook"},
		"pod_of_a_stateful_set":     {"", "pg-main-12", "pg-main"},
		"pod_of_a_job":              {"", "backup-x2x7k", ""},
		"pod_of_a_cron_job":         {"", "backup-29742584-x2x7k", ""},
		"pod_by_itself":             {"", "debug-shell", ""},
		"pod_with_a_year_in_it":     {"", "report-2026-01", ""},
		"a_name_that_is_all_suffix": {"", "-0", ""},
		"no_name":                   {"", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, (&sourceID{workload: c.told, podName: c.pod}).workloadName())
		})
	}
}

func TestPodOfAKnownServiceIsOneOfIt(t *testing.T) {
	for name, known := range map[string]attrs{
		"another_pod_tells_it":   {"service.name": "ledger", "k8s.pod.uid": "pod-1", "k8s.deployment.name": "orders", "k8s.namespace.name": "shop"},
		"the_service_tells_none": {"service.name": "orders", "deployment.environment.name": "prod"},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			service := x.Source(resource(t, known)).Service
			pod := attrs{"k8s.pod.uid": "pod-2", "k8s.pod.name": "orders-7d9f8b6c5d-x2x7k", "k8s.namespace.name": "shop", "k8s.container.name": "app"}
			logAt(t, x, pod, full, testNow)
			b := logAt(t, x, pod, full, testNow.Add(ownWordWithin))
			require.Len(t, b.Facts, 1)
			assert.Equal(t, service, b.Facts[0].Source.Service)
		})
	}
}

func TestWhatAPodSaysItselfComesBeforeItsWorkload(t *testing.T) {
	x := New(Settings{})
	logAt(t, x, db, full, testNow)
	logAt(t, x, db, full, testNow.Add(ownWordWithin))
	x.Source(resource(t, attrs{"service.name": "database", "k8s.pod.uid": "pod-9"}))
	b := logAt(t, x, db, full, testNow.Add(2*ownWordWithin))
	require.Len(t, b.Facts, 1)
	assert.Equal(t, "database", b.Facts[0].Source.Service.Name)
}

func TestContainerBesideOthersIsNotTheirWorkload(t *testing.T) {
	x := New(Settings{})
	proxy := attrs{"k8s.pod.uid": "pod-9", "k8s.pod.name": "pg-main-0", "k8s.namespace.name": "shop", "k8s.container.name": "istio-proxy", "k8s.statefulset.name": "pg-main"}
	logAt(t, x, proxy, full, testNow)
	assert.Empty(t, logAt(t, x, proxy, full, testNow.Add(ownWordWithin)).Facts)
}

// What a container writes is its service's own word, whichever way it comes.
func TestOutputOfAContainerIsItsServices(t *testing.T) {
	x := New(Settings{})
	src := x.Source(resource(t, attrs{"service.name": "tracking", "k8s.pod.uid": "pod-1"}))
	b := logAt(t, x, attrs{"k8s.pod.uid": "pod-1", "k8s.container.name": "app"},
		"ERROR failed to connect to `user=app database=app`: 10.96.1.2:5432 (pg-main): dial error: dial tcp 10.96.1.2:5432: connect: connection refused", testNow)
	require.Len(t, b.Calls, 1)
	assert.Same(t, src, b.Calls[0].Caller)
	assert.Equal(t, report.Callee{Address: "10.96.1.2:5432", Direct: true, Named: "pg-main:5432"}, b.Calls[0].Callee)
}

// Of a proxy no good call is told: its line counts as a proxy's, whoever runs it.
func TestLineOfAProxyWithoutAServiceIsNoCallOfItsWorkload(t *testing.T) {
	x := New(Settings{})
	nginx := attrs{"k8s.pod.uid": "pod-3", "k8s.pod.name": "ingress-nginx-7d9f8b6c5d-x2x7k", "k8s.namespace.name": "edge", "k8s.node.name": "node-3", "k8s.container.name": "controller"}
	line := `2026/01/05 09:00:00 [error] 29#29: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 10.0.0.1, upstream: "http://10.244.1.6:8080/"`
	logAt(t, x, nginx, line, testNow)
	b := logAt(t, x, nginx, line, testNow.Add(ownWordWithin))
	require.Len(t, b.Calls, 1)
	assert.Zero(t, b.Calls[0].Caller.Key)
	assert.Equal(t, time.Duration(0), b.Calls[0].Took)
}

func TestScrapedPodIsCalledByItsName(t *testing.T) {
	x := New(Settings{})
	scraped := attrs{"service.name": "orders", "service.instance.id": "10.244.4.9:8080", "k8s.pod.name": "orders-7d9f8b6c5d-x2x7k"}
	src := x.Source(resource(t, scraped))
	assert.Equal(t, "orders-7d9f8b6c5d-x2x7k", src.Name())
	assert.Equal(t, "10.244.4.9:8080", src.Instance)
	scraped["service.instance.id"] = "orders-a"
	assert.Equal(t, "orders-a", x.Source(resource(t, scraped)).Name())
}
