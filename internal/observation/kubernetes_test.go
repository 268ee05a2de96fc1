// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// knowsPayment makes an extractor that knows a pod of payment, by all its names.
func knowsPayment(t *testing.T) *Extractor {
	x := New(Settings{})
	x.Source(resource(t, attrs{"service.name": "payment", "k8s.pod.uid": "pod-1", "k8s.pod.name": "payment-7d9f-abc", "k8s.namespace.name": "shop", "k8s.deployment.name": "payment", "k8s.node.name": "node-1"}))
	x.Source(resource(t, attrs{"service.name": "batch", "host.name": "node-1", "process.pid": "4711"}))
	return x
}

// watched is an event as receiver k8sobjects writes it when it watches events.
func watched(t *testing.T, kind, name, uid, reason, message string) *report.Batch {
	x := knowsPayment(t)
	ld := logOf(t, attrs{"k8s.namespace.name": "shop"}, noSeverity, "", attrs{"k8s.resource.name": "events", "event.domain": "k8s", "event.name": name + ".17f3"})
	body := ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0).Body().SetEmptyMap()
	attrs{"type": "ADDED", "object": map[string]any{
		"kind": "Event", "apiVersion": "v1", "reason": reason, "message": message, "lastTimestamp": time.Unix(0, int64(testNow)-3e9).UTC().Format(time.RFC3339),
		"involvedObject": map[string]any{"kind": kind, "name": name, "uid": uid, "namespace": "shop", "fieldPath": "spec.containers{app}"},
	}}.putTo(t, body)
	b := &report.Batch{}
	x.Logs(ld, testNow, b)
	return b
}

func TestEventsAsKubernetesWritesThem(t *testing.T) {
	for name, c := range map[string]struct {
		kind, object, uid string
		reason, message   string
		want              report.FactKind
		value             int64
		service           string
	}{
		"stopped":               {"Pod", "payment-7d9f-abc", "pod-1", "Killing", "Stopping container app", report.FactStopping, 0, "payment"},
		"known_by_its_name":     {"Pod", "payment-7d9f-abc", "", "Killing", "Stopping container app", report.FactStopping, 0, "payment"},
		"low_on_memory":         {"Pod", "payment-7d9f-abc", "pod-1", "Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 90Mi. Container app was using 1Gi, request is 0, has larger consumption of memory.", report.FactEvicted, int64(report.LevelMemory), "payment"},
		"low_on_disk":           {"Pod", "payment-7d9f-abc", "pod-1", "Evicted", "The node was low on resource: ephemeral-storage.", report.FactEvicted, int64(report.LevelDisk), "payment"},
		"low_on_inodes":         {"Pod", "payment-7d9f-abc", "pod-1", "Evicted", "The node was low on resource: inodes.", report.FactEvicted, int64(report.LevelDisk), "payment"},
		"under_pressure":        {"Pod", "payment-7d9f-abc", "pod-1", "Evicted", "The node had condition: [MemoryPressure].", report.FactEvicted, int64(report.LevelMemory), "payment"},
		"over_its_own_limit":    {"Pod", "payment-7d9f-abc", "pod-1", "Evicted", "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi.", report.FactOverLimit, 0, "payment"},
		"moved":                 {"Pod", "payment-7d9f-abc", "pod-1", "Evicted", "pod evicted by the descheduler", report.FactStopping, 0, "payment"},
		"preempted":             {"Pod", "payment-7d9f-abc", "pod-1", "Preempted", "Preempted by pod x on node node-1", report.FactStopping, 0, "payment"},
		"of_a_dead_node":        {"Pod", "payment-7d9f-abc", "pod-1", "TaintManagerEviction", "Marking for deletion Pod shop/payment-7d9f-abc", 0, 0, ""},
		"not_scheduled":         {"Pod", "payment-7d9f-xyz", "pod-2", "FailedScheduling", "0/3 nodes are available: 3 Insufficient memory.", 0, 0, ""},
		"scaled_down":           {"ReplicaSet", "payment-7d9f", "rs-1", "SuccessfulDelete", "Deleted pod: payment-7d9f-abc", report.FactStopping, 0, "payment"},
		"rolled_out":            {"Deployment", "payment", "d-1", "ScalingReplicaSet", "Scaled up replica set payment-85bc to 1 from 0", report.FactDeploy, 0, "payment"},
		"another_rolled_out":    {"Deployment", "mail", "d-2", "ScalingReplicaSet", "Scaled up replica set mail-85bc to 1", 0, 0, ""},
		"node_not_ready":        {"Node", "node-1", "node-1", "NodeNotReady", "Node node-1 status is now: NodeNotReady", report.FactNodeDown, 0, ""},
		"node_started_anew":     {"Node", "node-1", "node-1", "Rebooted", "Node node-1 has been rebooted, boot id: 7", report.FactNodeDown, 1, ""},
		"kernel_killed_a_known": {"Node", "node-1", "node-1", "SystemOOM", "System OOM encountered, victim process: batch, pid: 4711", report.FactOOMKill, 0, "batch"},
		"kernel_killed_another": {"Node", "node-1", "node-1", "OOMKilling", "Memory cgroup out of memory: Killed process 99 (java) total-vm:1kB", 0, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := watched(t, c.kind, c.object, c.uid, c.reason, c.message)
			if c.want == 0 {
				assert.Empty(t, b.Facts)
				return
			}
			require.Len(t, b.Facts, 1)
			f := b.Facts[0]
			assert.Equal(t, c.want, f.Kind)
			assert.Equal(t, c.value, f.Value)
			assert.Equal(t, c.service, f.Source.Service.Name)
			if c.service == "" {
				assert.Equal(t, "node-1", f.Source.Host)
			}
			assert.Equal(t, testNow.Add(-3*time.Second).Sub(f.At).Round(time.Second), time.Duration(0))
		})
	}
}

func TestNodeUnderPressureSaysSoUntilItIsNot(t *testing.T) {
	for reason, share := range map[string]float64{"NodeHasDiskPressure": 1, "NodeHasNoDiskPressure": 0} {
		b := watched(t, "Node", "node-1", "node-1", reason, "Node node-1 status is now: "+reason)
		require.Len(t, b.Levels, 1)
		l := b.Levels[0]
		assert.Equal(t, report.LevelNodeDisk, l.Kind)
		assert.Equal(t, share, l.Share)
		assert.Equal(t, "node-1", l.Source.Host)
		assert.Equal(t, pressureFor, l.Stands)
	}
}

func TestNodeConditionsAsMetrics(t *testing.T) {
	for name, c := range map[string]struct {
		res    attrs
		scope  string
		metric string
		value  float64
		attrs  attrs
		share  float64
	}{
		"k8s_cluster":        {attrs{"k8s.node.name": "node-1"}, contribScope + "receiver/k8sclusterreceiver", "k8s.node.condition_memory_pressure", 1, nil, 1},
		"k8s_cluster_well":   {attrs{"k8s.node.name": "node-1"}, contribScope + "receiver/k8sclusterreceiver", "k8s.node.condition_memory_pressure", 0, nil, 0},
		"k8s_cluster_all":    {attrs{"k8s.node.name": "node-1"}, contribScope + "receiver/k8sclusterreceiver", "k8s.node.condition", 1, attrs{"condition": "MemoryPressure"}, 1},
		"k8s_cluster_silent": {attrs{"k8s.node.name": "node-1"}, contribScope + "receiver/k8sclusterreceiver", "k8s.node.condition_memory_pressure", -1, nil, 0},
		"kube_state_metrics": {attrs{"service.name": "kube-state-metrics"}, promScope, "kube_node_status_condition", 1, attrs{"node": "node-1", "condition": "MemoryPressure", "status": "true"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			md, ms := metricsOf(t, c.res, c.scope)
			gauge(t, ms, c.metric, c.value, c.attrs)
			var b report.Batch
			New(Settings{}).Metrics(md, testNow, nil, &b)
			require.Len(t, b.Levels, 1)
			assert.Equal(t, report.LevelNodeMemory, b.Levels[0].Kind)
			assert.Equal(t, c.share, b.Levels[0].Share)
			assert.Equal(t, "node-1", b.Levels[0].Source.Host)
		})
	}
}

func TestNodeThatIsEmptiedFirstIsStoppedOnPurpose(t *testing.T) {
	x := knowsPayment(t)
	node := attrs{"k8s.object.kind": "Node", "k8s.object.name": "node-1"}
	var b report.Batch
	for _, reason := range []string{"NodeNotSchedulable", "NodeNotReady"} {
		x.Logs(logOf(t, node, warn, "Node node-1 status is now: "+reason, attrs{"k8s.event.reason": reason}), testNow, &b)
	}
	assert.Equal(t, []report.FactKind{report.FactStopping}, kinds(&b))

	for _, reason := range []string{"PreemptScheduled", "TerminatingOnInterruption"} { // the cloud takes it back
		x, b := knowsPayment(t), report.Batch{}
		for _, reason := range []string{reason, "NodeNotReady"} {
			x.Logs(logOf(t, node, warn, "Node node-1: "+reason, attrs{"k8s.event.reason": reason}), testNow, &b)
		}
		assert.Equal(t, []report.FactKind{report.FactStopping}, kinds(&b))
	}

	b = report.Batch{}
	for _, reason := range []string{"NodeReady", "NodeSchedulable", "NodeNotReady"} { // it came back into service, and failed
		x.Logs(logOf(t, node, warn, "Node node-1 status is now: "+reason, attrs{"k8s.event.reason": reason}), testNow, &b)
	}
	assert.Equal(t, []report.FactKind{report.FactNodeDown}, kinds(&b))
}

func TestKubeStateMetricsSpeaksOfPods(t *testing.T) {
	x := knowsPayment(t)
	labels := attrs{"namespace": "shop", "pod": "payment-7d9f-abc", "uid": "pod-1", "container": "app"}
	with := func(k, v string) attrs {
		out := attrs{k: v}
		for k, v := range labels {
			out[k] = v
		}
		return out
	}
	var all []report.FactKind
	for _, restarts := range []float64{1, 1, 2} {
		md, ms := metricsOf(t, attrs{"service.name": "kube-state-metrics", "service.instance.id": "ksm:8080"}, promScope)
		gauge(t, ms, "kube_pod_container_status_restarts_total", restarts, labels)
		if restarts > 1 {
			gauge(t, ms, "kube_pod_container_status_last_terminated_reason", 1, with("reason", "OOMKilled"))
		} else {
			gauge(t, ms, "kube_pod_container_status_last_terminated_reason", 0, with("reason", "OOMKilled"))
		}
		gauge(t, ms, "kube_pod_status_phase", 0, with("phase", "Succeeded"))
		var b report.Batch
		x.Metrics(md, testNow, nil, &b)
		for _, f := range b.Facts {
			assert.Equal(t, "payment", f.Source.Service.Name)
		}
		all = append(all, kinds(&b)...)
	}
	assert.Equal(t, []report.FactKind{report.FactRestarts, report.FactRestarts, report.FactOOMKill}, all)
}

// Of a container that never ended there is no point that says why.
func TestKubeStateMetricsTellsForTheFirstTimeWhyOneEnded(t *testing.T) {
	for _, reasonFirst := range []bool{false, true} {
		x := knowsPayment(t)
		labels := func() attrs {
			return attrs{"namespace": "shop", "pod": "payment-7d9f-abc", "uid": "pod-1", "container": "app"}
		}
		var all []report.FactKind
		for _, restarts := range []float64{0, 1, 1} {
			md, ms := metricsOf(t, attrs{"service.name": "kube-state-metrics", "service.instance.id": "ksm:8080"}, promScope)
			why := func() {
				if restarts > 0 {
					of := labels()
					of["reason"] = "OOMKilled"
					gauge(t, ms, "kube_pod_container_status_last_terminated_reason", 1, of)
				}
			}
			if reasonFirst {
				why()
			}
			gauge(t, ms, "kube_pod_container_status_restarts_total", restarts, labels())
			if !reasonFirst {
				why()
			}
			var b report.Batch
			x.Metrics(md, testNow, nil, &b)
			all = append(all, kinds(&b)...)
		}
		assert.Equal(t, []report.FactKind{report.FactRestarts, report.FactRestarts, report.FactOOMKill}, all)
	}
}

func TestLabelsThatPrometheusRenamedAreTheOnesMeant(t *testing.T) {
	x := knowsPayment(t)
	x.Source(resource(t, attrs{"service.name": "monitoring", "k8s.pod.name": "ksm-1", "k8s.namespace.name": "monitoring"}))
	md, ms := metricsOf(t, attrs{"service.name": "kube-state-metrics", "service.instance.id": "ksm:8080"}, promScope)
	gauge(t, ms, "kube_pod_container_status_waiting_reason", 1, attrs{"reason": "CrashLoopBackOff", "namespace": "monitoring", "pod": "ksm-1", "container": "ksm",
		"exported_namespace": "shop", "exported_pod": "payment-7d9f-abc", "exported_container": "app"})
	var b report.Batch
	x.Metrics(md, testNow, nil, &b)
	require.Len(t, b.Facts, 1)
	assert.Equal(t, "payment", b.Facts[0].Source.Service.Name)
}

func TestPodThatSucceededHasEndedInOrder(t *testing.T) {
	x := knowsPayment(t)
	var all []report.FactKind
	for _, phase := range []float64{2, 3, 3} {
		md, ms := metricsOf(t, attrs{"k8s.pod.uid": "pod-1", "k8s.pod.name": "payment-7d9f-abc"}, contribScope+"receiver/k8sclusterreceiver")
		gauge(t, ms, "k8s.pod.phase", phase, nil)
		var b report.Batch
		x.Metrics(md, testNow, nil, &b)
		all = append(all, kinds(&b)...)
	}
	assert.Equal(t, []report.FactKind{report.FactExit}, all)
}

func TestWhatBefallsTheProxyOfAPodDoesNotBefallIt(t *testing.T) {
	x := New(Settings{})
	x.Source(resource(t, attrs{"service.name": "payment", "k8s.pod.uid": "pod-1"}))
	var b report.Batch
	x.Logs(logOf(t, attrs{"k8s.object.kind": "Pod", "k8s.object.uid": "pod-1", "k8s.object.fieldpath": "spec.containers{fluent-bit}"}, warn,
		"Back-off restarting failed container fluent-bit", attrs{"k8s.event.reason": "BackOff"}), testNow, &b)
	assert.Empty(t, b.Facts)
}
