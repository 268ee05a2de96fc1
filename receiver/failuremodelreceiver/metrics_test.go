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
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// TestMetrics compares names, kinds, units, attributes and values with the
// contract, all of them.
func TestMetrics(t *testing.T) {
	crash := holds(crashOf("payment-1"), 3)
	over := crash
	over.Active, over.Confidence, over.Suspicion = false, 0, 0
	other := holds(crashOf("payment-2"), 1)
	of := func(c verdict.Culprit, class verdict.Class, incident string) verdict.Reading {
		return verdict.Reading{Culprit: c, Class: class, Active: true, Confidence: 0.75, Detections: 1, Incident: incident}
	}
	ledger := report.ServiceID{Name: "ledger"}
	const p1, p2 = " service.instance.id=payment-1 service.name=payment service.namespace=shop }", " service.instance.id=payment-2 service.name=payment service.namespace=shop }"

	for name, c := range map[string]struct {
		readings []verdict.Reading
		want     []string
	}{
		"an_instance_that_crashed": {[]verdict.Reading{crash}, []string{
			"failure.state gauge [] { failure.class=crash failure.culprit.name=payment-1 failure.culprit.type=instance" + p1 + " 1",
			"failure.confidence gauge [1] { failure.class=crash" + p1 + " 0.9",
			"failure.suspicion gauge [{decade}] {" + p1 + " 4.5",
			"failure.detections counter [{failure}] { failure.class=crash" + p1 + " 3i",
			"incident.active sum [{incident}] { failure.class=crash } 1i",
		}},
		"after_clearing_it_says_0_and_the_count_stays": {[]verdict.Reading{over}, []string{
			"failure.state gauge [] { failure.class=crash failure.culprit.name=payment-1 failure.culprit.type=instance" + p1 + " 0",
			"failure.confidence gauge [1] { failure.class=crash" + p1 + " 0",
			"failure.suspicion gauge [{decade}] {" + p1 + " 0",
			"failure.detections counter [{failure}] { failure.class=crash" + p1 + " 3i",
			"incident.active sum [{incident}] { failure.class=crash } 0i",
		}},
		"two_culprits_of_one_incident": {[]verdict.Reading{crash, other}, []string{
			"failure.state gauge [] { failure.class=crash failure.culprit.name=payment-1 failure.culprit.type=instance" + p1 + " 1",
			"failure.state gauge [] { failure.class=crash failure.culprit.name=payment-2 failure.culprit.type=instance" + p2 + " 1",
			"failure.confidence gauge [1] { failure.class=crash" + p1 + " 0.9",
			"failure.confidence gauge [1] { failure.class=crash" + p2 + " 0.9",
			"failure.suspicion gauge [{decade}] {" + p1 + " 4.5",
			"failure.suspicion gauge [{decade}] {" + p2 + " 4.5",
			"failure.detections counter [{failure}] { failure.class=crash" + p1 + " 3i",
			"failure.detections counter [{failure}] { failure.class=crash" + p2 + " 1i",
			"incident.active sum [{incident}] { failure.class=crash } 1i",
		}},
		"a_link_has_no_service_but_a_name": {
			[]verdict.Reading{of(verdict.Culprit{Type: verdict.CulpritLink, Name: "zone-b→zone-c"}, verdict.ClassPartition, "i-2")},
			[]string{
				"failure.state gauge [] { failure.class=network_partition failure.culprit.name=zone-b→zone-c failure.culprit.type=link } 1",
				"failure.confidence gauge [1] { failure.class=network_partition failure.culprit.name=zone-b→zone-c } 0.75",
				"failure.suspicion gauge [{decade}] { failure.culprit.name=zone-b→zone-c } 0",
				"failure.detections counter [{failure}] { failure.class=network_partition failure.culprit.name=zone-b→zone-c } 1i",
				"incident.active sum [{incident}] { failure.class=network_partition } 1i",
			}},
		"a_service": {
			[]verdict.Reading{of(verdict.Culprit{Type: verdict.CulpritService, Name: "ledger", Service: ledger}, verdict.ClassExhaustion, "i-2")},
			[]string{
				"failure.state gauge [] { failure.class=resource_exhaustion failure.culprit.name=ledger failure.culprit.type=service service.name=ledger } 1",
				"failure.confidence gauge [1] { failure.class=resource_exhaustion service.name=ledger } 0.75",
				"failure.suspicion gauge [{decade}] { service.name=ledger } 0",
				"failure.detections counter [{failure}] { failure.class=resource_exhaustion service.name=ledger } 1i",
				"incident.active sum [{incident}] { failure.class=resource_exhaustion } 1i",
			}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.start(t)
				b.snapshot.Store(&verdict.Snapshot{At: t0, Readings: c.readings})
				began := time.Now()
				time.Sleep(b.config.CollectionInterval + time.Millisecond)
				require.Equal(t, 1, b.states.collections())
				md := b.states.metrics[0]
				assert.Equal(t, c.want, lines(md))

				rm := md.ResourceMetrics().At(0)
				assert.Equal(t, map[string]any{"service.name": "otelcol-faultline"}, rm.Resource().Attributes().AsRaw(), "the engine's own")
				assert.Equal(t, "github.com/faultline-otel/faultline/receiver/failuremodelreceiver", rm.ScopeMetrics().At(0).Scope().Name())
				assert.Equal(t, "9.9.9", rm.ScopeMetrics().At(0).Scope().Version())
				for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
					assert.NotEmpty(t, m.Description())
					if m.Type() != pmetric.MetricTypeSum {
						continue
					}
					for _, dp := range m.Sum().DataPoints().All() {
						assert.Equal(t, pcommon.NewTimestampFromTime(began), dp.StartTimestamp())
						assert.Equal(t, pcommon.NewTimestampFromTime(began.Add(b.config.CollectionInterval)), dp.Timestamp())
					}
				}
			})
		})
	}
}

// TestNoTwoCulpritsShareASeries: exporters refuse or merge the second.
func TestNoTwoCulpritsShareASeries(t *testing.T) {
	payment := report.ServiceID{Name: "payment"}
	staging, west := payment, payment
	staging.Environment, west.Cluster = "staging", "west"
	culprits := []verdict.Culprit{
		{Type: verdict.CulpritService, Name: "payment", Service: payment},
		{Type: verdict.CulpritService, Name: "payment", Service: staging},
		{Type: verdict.CulpritService, Name: "payment", Service: west},
		{Type: verdict.CulpritInstance, Name: "payment-1", Service: payment, Instance: "payment-1"},
		{Type: verdict.CulpritInstance, Name: "payment-1", Service: staging, Instance: "payment-1"},
		{Type: verdict.CulpritInstance, Name: "host-1", Service: payment},
		{Type: verdict.CulpritInstance, Name: "host-2", Service: payment},
		{Type: verdict.CulpritVersion, Name: "1.4.0", Service: payment},
		{Type: verdict.CulpritVersion, Name: "1.5.0", Service: payment},
		{Type: verdict.CulpritNode, Name: "node-1"},
		{Type: verdict.CulpritExternal, Name: "api.example.com:443"},
	}
	b := newBench(t)
	s := &verdict.Snapshot{At: t0}
	for _, c := range culprits {
		for _, class := range []verdict.Class{verdict.ClassCrash, verdict.ClassUnknown} {
			s.Readings = append(s.Readings, verdict.Reading{Culprit: c, Class: class, Active: true, Incident: "i"})
		}
	}
	md := b.logs.(*failureModel).stateMetrics(s)
	for _, m := range md.ResourceMetrics().At(0).ScopeMetrics().At(0).Metrics().All() {
		want, dps := 2*len(culprits), dataPoints(m)
		switch m.Name() {
		case "failure.suspicion": // has no class
			want = len(culprits)
		case "incident.active":
			want = 2
		}
		series := map[string]bool{}
		for _, dp := range dps.All() {
			series[attributes(dp.Attributes())] = true
		}
		assert.Len(t, series, want, m.Name())
		assert.Equal(t, want, dps.Len(), m.Name())
	}
}

func TestMetricsComeAtTheIntervalAndWithEachVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.start(t)
		time.Sleep(time.Minute + time.Millisecond)
		assert.Zero(t, b.states.collections(), "nothing is sent while nothing fails")

		b.snapshot.Store(&verdict.Snapshot{At: t0, Readings: []verdict.Reading{holds(crashOf("payment-1"), 1)}})
		b.say(detected("crash"))
		synctest.Wait()
		assert.Equal(t, 1, b.states.collections(), "a verdict is not kept waiting")
		b.say(verdict.Event{Kind: "planned.stop", At: t0, Body: "stop"})
		synctest.Wait()
		assert.Equal(t, 1, b.states.collections(), "what is no verdict changes no metric")
		time.Sleep(3 * b.config.CollectionInterval)
		assert.Equal(t, 4, b.states.collections())

		b.snapshot.Store(nil)
		time.Sleep(time.Minute)
		assert.Equal(t, 4, b.states.collections(), "the series end with the readings")
	})
}
