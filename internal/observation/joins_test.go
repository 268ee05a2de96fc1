// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

const (
	kubeletScope = contribScope + "receiver/kubeletstatsreceiver"
	dockerScope  = contribScope + "receiver/dockerstatsreceiver"
	longID       = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
)

// container tells that a container uses 99 of 100 bytes, as the receiver
// kubeletstats does by default.
func container(t *testing.T, res attrs) pmetric.Metrics {
	md, ms := metricsOf(t, res, kubeletScope)
	gauge(t, ms, "container.memory.rss", 99, nil)
	gauge(t, ms, "container.memory.working_set", 99, nil)
	gauge(t, ms, "container.memory.available", 1, nil)
	return md
}

func TestWhatAgentsTellReachesTheInstance(t *testing.T) {
	kubelet := attrs{"k8s.pod.uid": "pod-1", "k8s.pod.name": "payment-7d9f-abc", "k8s.namespace.name": "shop", "k8s.container.name": "app", "k8s.node.name": "node-1", "container.id": longID}
	with := func(base attrs, more attrs) attrs {
		out := attrs{}
		for k, v := range base {
			out[k] = v
		}
		for k, v := range more {
			out[k] = v
		}
		return out
	}
	for name, c := range map[string]struct {
		app   attrs // resource of the service's own telemetry
		agent attrs // resource of the agent's
		meet  bool
	}{
		"pod_by_its_uid":                    {attrs{"k8s.pod.uid": "pod-1"}, kubelet, true},
		"pod_by_its_name_and_namespace":     {attrs{"k8s.pod.name": "payment-7d9f-abc", "k8s.namespace.name": "shop"}, kubelet, true},
		"pod_by_the_host_name_of_the_SDK":   {attrs{"host.name": "payment-7d9f-abc"}, kubelet, true},
		"container_by_its_id":               {attrs{"container.id": longID}, kubelet, true},
		"another_pod_of_a_stateful_set":     {attrs{"k8s.pod.uid": "pod-0", "k8s.pod.name": "payment-7d9f-abc", "k8s.namespace.name": "shop"}, kubelet, false},
		"the_proxy_in_the_pod":              {attrs{"k8s.pod.uid": "pod-1"}, with(kubelet, attrs{"k8s.container.name": "istio-proxy", "container.id": strings.Repeat("f", 64)}), false},
		"another_pod_on_the_node":           {attrs{"k8s.pod.uid": "pod-2", "k8s.node.name": "node-1"}, kubelet, false},
		"docker_by_its_short_id":            {attrs{"host.name": longID[:12]}, attrs{"container.id": longID, "container.name": "shop-payment-1", "container.hostname": longID[:12]}, true},
		"docker_by_a_host_name_of_its_own":  {attrs{"host.name": "payment"}, attrs{"container.id": longID, "container.name": "shop-payment-1", "container.hostname": "payment"}, true},
		"docker_on_the_network_of_the_host": {attrs{"host.name": "box"}, attrs{"container.id": longID, "container.name": "shop-mail-1", "container.hostname": "box"}, false},
		"docker_beside_its_host_name":       {attrs{"host.name": longID[:12]}, attrs{"container.id": strings.Repeat("e", 64), "container.hostname": "other", "container.name": "x", "host.name": "box"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			x.Source(resource(t, with(attrs{"service.name": "payment", "service.instance.id": "6ba7b810-9dad-41d1-80b4-00c04fd430c8"}, c.app)))
			var b report.Batch
			x.Metrics(container(t, c.agent), testNow, nil, &b)
			if !c.meet {
				assert.Empty(t, b.Levels, "it is somebody else's")
				return
			}
			require.Len(t, b.Levels, 1)
			assert.Equal(t, "payment", b.Levels[0].Source.Service.Name)
			assert.InDelta(t, 0.99, b.Levels[0].Share, 1e-9)
		})
	}
}

func TestScrapeOfAPodDoesNotStandInForItsService(t *testing.T) {
	pod := attrs{"k8s.pod.uid": "pod-1", "k8s.pod.name": "payment-7d9f-abc", "k8s.namespace.name": "shop"}
	as := func(service, instance string) attrs {
		out := attrs{"service.name": service, "service.instance.id": instance}
		for k, v := range pod {
			out[k] = v
		}
		return out
	}
	service, scrape := as("payment", "6ba7b810-9dad-41d1-80b4-00c04fd430c8"), as("kubernetes-pods", "10.1.2.3:9090")
	for name, order := range map[string][]attrs{"after": {service, scrape}, "before": {scrape, service}} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			for _, res := range order {
				x.Source(resource(t, res))
			}
			for _, by := range []sourceID{{podUID: "pod-1"}, {podName: "payment-7d9f-abc", podNamespace: "shop"}, {podName: "payment-7d9f-abc"}} {
				src := x.inPod(&by)
				require.NotNil(t, src, "%+v", by)
				assert.Equal(t, "payment", src.Service.Name)
			}
		})
	}
}

func TestScrapeOfAPodIsALookAtItsService(t *testing.T) {
	x := New(Settings{})
	x.Source(resource(t, attrs{"service.name": "payment", "k8s.pod.uid": "pod-1"}))
	for pod, service := range map[string]string{"pod-1": "payment", "pod-2": "kubernetes-pods"} {
		md, ms := metricsOf(t, attrs{"service.name": "kubernetes-pods", "service.instance.id": "10.1.2.3:9090", "k8s.pod.uid": pod}, promScope)
		gauge(t, ms, "up", 0, nil)
		var b report.Batch
		x.Metrics(md, testNow, nil, &b)
		require.Len(t, b.Probes, 1)
		assert.Equal(t, service, b.Probes[0].Source.Service.Name, "one that nobody else speaks for goes by its job")
		assert.Empty(t, b.Signs)
	}
}

func TestHostNameOfSeveralServicesNamesNone(t *testing.T) {
	x := New(Settings{})
	x.Source(resource(t, attrs{"service.name": "payment", "host.name": "box"}))
	x.Source(resource(t, attrs{"service.name": "mail", "host.name": "box"}))
	assert.Nil(t, x.inPod(&sourceID{podName: "box"}))
}

func TestContainersArePlacedOnTheirHosts(t *testing.T) {
	for name, c := range map[string]struct{ app, agent attrs }{
		"pod":             {attrs{"k8s.pod.uid": "pod-1", "host.name": "payment-7d9f-abc"}, attrs{"k8s.pod.uid": "pod-1", "k8s.node.name": "node-1"}},
		"docker":          {attrs{"host.name": longID[:12]}, attrs{"container.id": longID, "container.name": "payment", "container.hostname": longID[:12], "host.name": "node-1"}},
		"not_by_a_remote": {attrs{"k8s.pod.uid": "pod-1", "host.name": "payment-7d9f-abc"}, attrs{"k8s.pod.uid": "pod-1", "host.name": "collector-5c7d"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			c.app["service.name"] = "payment"
			src := x.Source(resource(t, c.app))
			var b report.Batch
			x.Metrics(container(t, c.agent), testNow, nil, &b)
			if name == "not_by_a_remote" {
				assert.Empty(t, b.Places, "the host of him who tells is not the pod's")
				return
			}
			assert.Equal(t, []report.Place{{Source: src, Host: "node-1"}}, b.Places)
		})
	}
}

// recorded reads what the receiver hostmetrics wrote on a machine, host.name added.
func recorded(t *testing.T, x *Extractor) *report.Batch {
	data, err := os.ReadFile("testdata/hostmetrics.jsonl")
	require.NoError(t, err)
	b := &report.Batch{}
	for line := range strings.Lines(string(data)) {
		md, err := (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics([]byte(line))
		require.NoError(t, err)
		x.Metrics(md, 2e18, nil, b)
	}
	return b
}

func TestHostmetricsAsTheReceiverWritesThem(t *testing.T) {
	b := recorded(t, New(Settings{}))
	last := map[report.LevelKind]float64{}
	for _, l := range b.Levels {
		assert.Equal(t, "node-1", l.Source.Host)
		assert.Empty(t, l.Source.Service.Name)
		last[l.Kind] = l.Share
	}
	assert.InDelta(t, 0.216, last[report.LevelDisk], 0.01, "what is reserved is nobody's")
	assert.InDelta(t, 0.055, last[report.LevelMemory], 0.01)
	assert.InDelta(t, 0.99, last[report.LevelCPU], 0.02, "the machine was busy")
	assert.Zero(t, last[report.LevelDiskIO], "its disk was not slow")
	assert.Empty(t, b.Signs)
	assert.Empty(t, b.Facts)
}

func TestProcessOfAHostIsTheInstanceOfThatPid(t *testing.T) {
	for name, c := range map[string]struct {
		app  attrs
		want int
	}{
		"same_pid_and_host": {attrs{"host.name": "node-1", "process.pid": 4711}, 2}, // told by two exports
		"another_pid":       {attrs{"host.name": "node-1", "process.pid": 4712}, 0},
		"another_host":      {attrs{"host.name": "node-2", "process.pid": 4711}, 0},
		"in_a_container":    {attrs{"host.name": "node-1", "process.pid": 4711, "container.id": longID}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			x := New(Settings{})
			c.app["service.name"] = "payment"
			x.Source(resource(t, c.app))
			var alive int
			for _, f := range recorded(t, x).Facts {
				if f.Kind == report.FactAlive && f.Source.Service.Name == "payment" {
					alive++
				}
			}
			assert.Equal(t, c.want, alive)
		})
	}
}
