// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// TestEvents compares whole records with the contract.
func TestEvents(t *testing.T) {
	source := report.NewSource(report.Source{
		Service:  report.ServiceID{Name: "payment", Namespace: "shop", Environment: "prod", Cluster: "west"},
		Instance: "payment-1", Version: "1.4", PodUID: "pod-7", Host: "node-3",
	})
	revised := crashOf("payment-1")
	revised.Revision, revised.Previous = 2, verdict.ClassUnknown
	unknown := crashOf("payment-1")
	unknown.Class, unknown.Subclass, unknown.Evidence, unknown.RuledOut, unknown.Incident = verdict.ClassUnknown, "", nil, nil, ""
	link := &verdict.Incident{ID: "i-2", Opened: t0, Class: verdict.ClassPartition, Reason: "cut",
		Culprit: verdict.Culprit{Type: verdict.CulpritLink, Name: "zone-b→zone-c"}, Members: []string{"a", "b"}}
	const since = "2023-11-14T22:13:20Z"

	crash := map[string]any{
		"failure.class": "crash", "failure.subclass": "process_exit", "failure.confidence": 0.9,
		"failure.culprit.type": "instance", "failure.culprit.name": "payment-1", "failure.culprit.service.name": "payment",
		"failure.culprit.service.namespace": "shop", "failure.culprit.service.instance.id": "payment-1",
		"failure.reason": "exited with 137", "failure.evidence": []any{"exit status 137", "refused"},
		"failure.ruled_out":  []any{"network_partition: its host answers"},
		"failure.start_time": since, "failure.revision": int64(0), "incident.id": "i-1",
	}
	with := func(base map[string]any, more map[string]any) map[string]any {
		out := map[string]any{}
		for _, m := range []map[string]any{base, more} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	for name, c := range map[string]struct {
		event    verdict.Event
		severity plog.SeverityNumber
		want     map[string]any
	}{
		"detected_with_its_entity": {
			verdict.Event{Kind: "failure.detected", Verdict: crashOf("payment-1"), Source: source}, plog.SeverityNumberError,
			with(crash, map[string]any{
				"service.name": "payment", "service.namespace": "shop", "service.instance.id": "payment-1", "service.version": "1.4",
				"deployment.environment.name": "prod", "k8s.cluster.name": "west", "k8s.pod.uid": "pod-7", "host.name": "node-3",
			})},
		"revised_says_what_was_said_before": {
			verdict.Event{Kind: "failure.revised", Verdict: revised}, plog.SeverityNumberError,
			with(crash, map[string]any{"failure.revision": int64(2), "failure.previous.class": "unknown"})},
		"unknown_leaves_out_what_it_does_not_know": {
			verdict.Event{Kind: "failure.detected", Verdict: unknown}, plog.SeverityNumberWarn,
			map[string]any{
				"failure.class": "unknown", "failure.confidence": 0.9, "failure.culprit.type": "instance", "failure.culprit.name": "payment-1",
				"failure.culprit.service.name": "payment", "failure.culprit.service.namespace": "shop",
				"failure.culprit.service.instance.id": "payment-1", "failure.reason": "exited with 137",
				"failure.start_time": since, "failure.revision": int64(0),
			}},
		"cleared": {verdict.Event{Kind: "failure.cleared", Verdict: crashOf("payment-1")}, plog.SeverityNumberInfo, crash},
		"incident_opened_with_its_verdict": {
			verdict.Event{Kind: "incident.opened", Verdict: crashOf("payment-1"), Incident: &verdict.Incident{ID: "i-1", Members: []string{"payment-1"}}},
			plog.SeverityNumberError, with(crash, map[string]any{"incident.members": []any{"payment-1"}})},
		"incident_resolved_without_verdict": {
			verdict.Event{Kind: "incident.resolved", Incident: link}, plog.SeverityNumberInfo,
			map[string]any{
				"incident.id": "i-2", "incident.members": []any{"a", "b"}, "failure.class": "network_partition", "failure.reason": "cut",
				"failure.culprit.type": "link", "failure.culprit.name": "zone-b→zone-c",
			}},
		"planned_stop_is_no_failure": {
			verdict.Event{Kind: "planned.stop", Source: report.NewSource(report.Source{Service: report.ServiceID{Name: "payment"}, Instance: "payment-1"})},
			plog.SeverityNumberInfo, map[string]any{"service.name": "payment", "service.instance.id": "payment-1"}},
		"observer_degraded": {
			verdict.Event{Kind: "observer.degraded", Source: report.NewSource(report.Source{Host: "node-1"})},
			plog.SeverityNumberWarn, map[string]any{"host.name": "node-1"}},
		"identity_conflict": {verdict.Event{Kind: "identity.conflict"}, plog.SeverityNumberWarn, map[string]any{}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.start(t)
				c.event.At, c.event.Body = t0, "one line for a person"
				b.say(c.event)
				synctest.Wait()
				require.Len(t, b.events.logs, 1)
				require.Len(t, b.events.records(), 1)
				lr := b.events.records()[0]
				assert.Equal(t, c.event.Kind, lr.EventName())
				assert.Equal(t, with(c.want, map[string]any{"event.name": c.event.Kind}), lr.Attributes().AsRaw())
				assert.Equal(t, "one line for a person", lr.Body().Str())
				assert.Equal(t, c.severity, lr.SeverityNumber())
				assert.Equal(t, pcommon.Timestamp(t0), lr.Timestamp())
				assert.Equal(t, pcommon.NewTimestampFromTime(time.Now()), lr.ObservedTimestamp())
				rl := b.events.logs[0].ResourceLogs().At(0)
				assert.Equal(t, map[string]any{"service.name": "otelcol-faultline"}, rl.Resource().Attributes().AsRaw(), "the engine's own")
				assert.Equal(t, scopeName, rl.ScopeLogs().At(0).Scope().Name())
			})
		})
	}
}

func TestEventsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		b.say(detected("1"), detected("2"))
		b.say(detected("3"))
		synctest.Wait()
		b.say(detected("4"))
		synctest.Wait()
		assert.Equal(t, []string{"1", "2", "3", "4"}, b.events.bodies())
	})
}
