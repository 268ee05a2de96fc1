// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

const promScope = contribScope + "receiver/prometheusreceiver"

func TestMetrics_sign_of_life(t *testing.T) {
	svc := attrs{"service.name": "payment", "service.instance.id": "payment-1"}
	gone := func(p pmetric.NumberDataPoint) {
		p.SetFlags(pmetric.DefaultDataPointFlags.WithNoRecordedValue(true))
	}
	cases := map[string]struct {
		res   attrs
		scope string
		fill  func(t *testing.T, ms pmetric.MetricSlice)
		want  bool
	}{
		"own_export":       {svc, "go.opentelemetry.io/otel/sdk", func(t *testing.T, ms pmetric.MetricSlice) { gauge(t, ms, "queue", 1, nil) }, true},
		"export_of_a_node": {attrs{"host.name": "node-1"}, "x", func(t *testing.T, ms pmetric.MetricSlice) { gauge(t, ms, "queue", 1, nil) }, false},
		"nobody":           {attrs{}, "x", func(t *testing.T, ms pmetric.MetricSlice) { gauge(t, ms, "queue", 1, nil) }, false},
		"faultlines_own":   {svc, contract.ScopePrefix + "/receiver/failuremodelreceiver", func(t *testing.T, ms pmetric.MetricSlice) { gauge(t, ms, "failure.state", 1, nil) }, false},
		"made_of_spans":    {svc, "spanmetricsconnector", func(t *testing.T, ms pmetric.MetricSlice) { gauge(t, ms, "calls", 1, nil) }, false},
		"service_graph":    {svc, "traces_service_graph", func(t *testing.T, ms pmetric.MetricSlice) { gauge(t, ms, "calls", 1, nil) }, false},
		"an_agent_says": {svc, contribScope + "receiver/hostmetricsreceiver/internal/scraper/cpuscraper",
			func(t *testing.T, ms pmetric.MetricSlice) { gauge(t, ms, "system.cpu.time", 1, nil) }, false},
		"scrape": {svc, promScope, func(t *testing.T, ms pmetric.MetricSlice) {
			gauge(t, ms, "up", 1, nil)
			gauge(t, ms, "go_goroutines", 7, nil)
		}, true},
		"failed_scrape": {svc, promScope, func(t *testing.T, ms pmetric.MetricSlice) {
			gauge(t, ms, "up", 0, nil)
			gauge(t, ms, "scrape_samples_scraped", 0, nil)
			gone(gauge(t, ms, "go_goroutines", 0, nil))
		}, false},
		"failed_scrape_with_a_late_point": {svc, promScope, func(t *testing.T, ms pmetric.MetricSlice) {
			gauge(t, ms, "go_goroutines", 7, nil)
			gauge(t, ms, "up", 0, nil)
		}, false},
		"scrape_split_from_its_up": {svc, promScope, func(t *testing.T, ms pmetric.MetricSlice) { gauge(t, ms, "go_goroutines", 7, nil) }, true},
		"only_markers_of_absence":  {svc, "x", func(t *testing.T, ms pmetric.MetricSlice) { gone(gauge(t, ms, "queue", 0, nil)) }, false},
		"empty_metric":             {svc, "x", func(t *testing.T, ms pmetric.MetricSlice) { ms.AppendEmpty().SetName("queue") }, false},
		"histogram": {svc, "x", func(t *testing.T, ms pmetric.MetricSlice) {
			ms.AppendEmpty().SetEmptyHistogram().DataPoints().AppendEmpty()
		}, true},
		"summary": {svc, "x", func(t *testing.T, ms pmetric.MetricSlice) {
			ms.AppendEmpty().SetEmptySummary().DataPoints().AppendEmpty()
		}, true},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			md, ms := metricsOf(t, c.res, c.scope)
			c.fill(t, ms)
			var b report.Batch
			New(Settings{}).Metrics(md, testNow, nil, &b)
			if got := len(b.Signs) == 1; got != c.want || len(b.Signs) > 1 {
				t.Errorf("signs %+v, want %v", b.Signs, c.want)
			}
		})
	}
}

func TestMetrics_one_sign_a_source_and_batch(t *testing.T) {
	svc := attrs{"service.name": "payment"}
	md := pmetric.NewMetrics()
	for range 3 {
		one, ms := metricsOf(t, svc, "x")
		gauge(t, ms, "queue", 1, nil)
		gauge(t, ms, "depth", 1, nil)
		one.ResourceMetrics().MoveAndAppendTo(md.ResourceMetrics())
	}
	var b report.Batch
	New(Settings{}).Metrics(md, testNow, nil, &b)
	if len(b.Signs) != 1 || b.Signs[0].At != testNow {
		t.Errorf("%+v", b.Signs)
	}
}

// What an export tells may have waited: its own date says when its sender lived.
func TestMetrics_sign_of_life_is_dated_by_its_sender(t *testing.T) {
	for name, c := range map[string]struct{ sent, want clock.Time }{
		"it_waited":         {testNow.Add(-time.Minute), testNow.Add(-time.Minute)},
		"its_clock_is_fast": {testNow.Add(time.Minute), testNow},
	} {
		t.Run(name, func(t *testing.T) {
			md, ms := metricsOf(t, attrs{"service.name": "payment"}, "x")
			p := gauge(t, ms, "queue", 1, nil)
			p.SetTimestamp(pcommon.Timestamp(c.sent))
			var b report.Batch
			New(Settings{}).Metrics(md, testNow, nil, &b)
			if len(b.Signs) != 1 || b.Signs[0].Dated != c.want {
				t.Errorf("%+v, want it dated %v", b.Signs, c.want)
			}
		})
	}
}

func TestMetrics_container_that_is_ready(t *testing.T) {
	for name, c := range map[string]struct {
		res   attrs
		scope string
		name  string
		point attrs
	}{
		"k8s_cluster":        {attrs{"k8s.pod.uid": "pod-1", "k8s.container.name": "app"}, contribScope + "receiver/k8sclusterreceiver", "k8s.container.ready", nil},
		"kube_state_metrics": {attrs{"service.name": "ksm"}, promScope, "kube_pod_container_status_ready", attrs{"uid": "pod-1", "container": "app"}},
	} {
		t.Run(name, func(t *testing.T) {
			x := heardOf(t)
			for _, ready := range []float64{1, 1, 0} {
				md, ms := metricsOf(t, c.res, c.scope)
				gauge(t, ms, c.name, ready, c.point)
				b := &report.Batch{}
				x.Metrics(md, testNow, nil, b)
				if len(b.Facts) != 1 || b.Facts[0].Kind != report.FactReady || b.Facts[0].Value != int64(ready) || b.Facts[0].Source.Service.Name != "payment" {
					t.Errorf("%v: %+v", ready, b.Facts)
				}
			}
		})
	}
}

func TestMetrics_up(t *testing.T) {
	target := attrs{"service.name": "payment", "service.instance.id": "10.0.0.7:9090"}
	cases := map[string]struct {
		res     attrs
		scope   string
		labels  attrs
		value   float64
		want    int
		outcome report.Outcome
	}{
		"scraped":                {target, promScope, nil, 1, 1, report.OutcomeOK},
		"scrape_failed":          {target, promScope, nil, 0, 1, report.OutcomeDown},
		"relayed_without_scope":  {target, "", nil, 0, 1, report.OutcomeDown},
		"labels_name_the_target": {attrs{}, "", attrs{"job": "payment", "instance": "10.0.0.7:9090"}, 0, 1, report.OutcomeDown},
		"an_applications_own_up": {attrs{"service.name": "router"}, "router", nil, 0, 0, 0},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			md, ms := metricsOf(t, c.res, c.scope)
			gauge(t, ms, "up", c.value, c.labels)
			gauge(t, ms, "scrape_duration_seconds", 0.25, nil)
			var b report.Batch
			New(Settings{Observer: "gateway-1"}).Metrics(md, testNow, nil, &b)
			if len(b.Probes) != c.want {
				t.Fatalf("%+v", b.Probes)
			}
			if c.want == 0 {
				return
			}
			p := b.Probes[0]
			if p.Outcome != c.outcome || p.Source.Service.Name != "payment" || p.Target != "10.0.0.7:9090" || !p.Direct ||
				p.RTT != 250*time.Millisecond || p.Observer != "gateway-1" || p.At != testNow {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestMetrics_httpcheck(t *testing.T) {
	const url = "http://10.0.0.7:8080/health"
	cases := map[string]struct {
		res     attrs
		code    int
		err     string
		invalid bool
		outcome report.Outcome
		target  string
	}{
		"ok":               {attrs{}, 204, "", false, report.OutcomeOK, "10.0.0.7:8080"},
		"of_a_service":     {attrs{"service.name": "payment"}, 204, "", false, report.OutcomeOK, url},
		"agents_host_only": {attrs{"host.name": "agent"}, 204, "", false, report.OutcomeOK, "10.0.0.7:8080"},
		"failing":          {attrs{}, 500, "", false, report.OutcomeServerError, "10.0.0.7:8080"},
		"wrong_answer":     {attrs{}, 200, "", true, report.OutcomeWrongAnswer, "10.0.0.7:8080"},
		"refused":          {attrs{}, 0, `Get "` + url + `": dial tcp 10.0.0.7:8080: connect: connection refused`, false, report.OutcomeRefused, "10.0.0.7:8080"},
		"mute":             {attrs{}, 0, `context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, false, report.OutcomeTimeout, "10.0.0.7:8080"},
		"who_knows":        {attrs{}, 0, `odd`, false, report.OutcomeDown, "10.0.0.7:8080"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			md, ms := metricsOf(t, c.res, contribScope+"receiver/httpcheckreceiver")
			for class, digit := range map[string]int{"2xx": 2, "4xx": 4, "5xx": 5} {
				value, code := 0.0, 0
				if c.err == "" && c.code/100 == digit {
					value, code = 1, c.code
				}
				gauge(t, ms, "httpcheck.status", value, attrs{"http.url": url, "http.status_class": class, "http.status_code": code})
			}
			gauge(t, ms, "httpcheck.duration", 12, attrs{"http.url": url})
			if c.err != "" {
				gauge(t, ms, "httpcheck.error", 1, attrs{"http.url": url, "error.message": c.err})
			}
			if c.invalid {
				gauge(t, ms, "httpcheck.validation.failed", 1, attrs{"http.url": url, "validation.type": "contains"})
			}
			var b report.Batch
			New(Settings{}).Metrics(md, testNow, nil, &b)
			if len(b.Probes) != 1 || len(b.Signs) != 0 {
				t.Fatalf("probes %+v, signs %+v", b.Probes, b.Signs)
			}
			p := b.Probes[0]
			if p.Outcome != c.outcome || p.Target != c.target || p.RTT != 12*time.Millisecond || !p.Direct && p.Source == nil {
				t.Errorf("%+v", p)
			}
			if isService := c.res["service.name"] != nil; (p.Source != nil) != isService {
				t.Errorf("source %+v", p.Source)
			}
		})
	}
}

// heardOf makes an extractor that knows who runs in a pod.
func heardOf(t *testing.T) *Extractor {
	x := New(Settings{})
	x.Source(resource(t, attrs{"service.name": "payment", "k8s.pod.uid": "pod-1", "container.id": "c-1"}))
	return x
}

func TestMetrics_container_restarts(t *testing.T) {
	x := heardOf(t)
	see := func(restarts float64, reason string, pod string) *report.Batch {
		md, ms := metricsOf(t, attrs{"k8s.pod.uid": pod, "k8s.container.name": "app", "k8s.container.status.last_terminated_reason": reason},
			contribScope+"receiver/k8sclusterreceiver")
		gauge(t, ms, "k8s.container.restarts", restarts, nil)
		b := &report.Batch{}
		x.Metrics(md, testNow, nil, b)
		return b
	}
	for i, step := range []struct {
		restarts float64
		reason   string
		want     []report.FactKind
	}{
		{2, "OOMKilled", []report.FactKind{report.FactRestarts}}, // long ago, for all we know
		{2, "OOMKilled", nil}, // repeated at each export
		{3, "OOMKilled", []report.FactKind{report.FactRestarts, report.FactOOMKill}},
		{3, "OOMKilled", nil},
		{4, "Error", []report.FactKind{report.FactRestarts, report.FactExit}},
		{4, "Error", nil},
		{0, "Error", []report.FactKind{report.FactRestarts}},
	} {
		b := see(step.restarts, step.reason, "pod-1")
		if got := kinds(b); !equalKinds(got, step.want) {
			t.Errorf("step %d: facts %v, want %v", i, got, step.want)
		}
		for _, f := range b.Facts {
			if f.Source.Service.Name != "payment" || f.Kind == report.FactRestarts && f.Value != int64(step.restarts) || f.Kind == report.FactExit && f.Value != report.ExitUntold {
				t.Errorf("step %d: %+v", i, f)
			}
		}
	}
	if b := see(5, "OOMKilled", "pod-2"); !b.Empty() || x.Skipped()[skipUnknownPod] == 0 {
		t.Errorf("a pod that nobody knows: %+v", b)
	}
}

// Who is told to run for ever whatever ends is called failed, though it did its work.
func TestMetrics_container_that_completes(t *testing.T) {
	x := heardOf(t)
	see := func(restarts float64, reason string) []report.FactKind {
		md, ms := metricsOf(t, attrs{"k8s.pod.uid": "pod-1", "k8s.container.name": "app", "k8s.container.status.last_terminated_reason": reason},
			contribScope+"receiver/k8sclusterreceiver")
		gauge(t, ms, "k8s.container.restarts", restarts, nil)
		gauge(t, ms, "k8s.container.status.reason", restarts-1, attrs{"k8s.container.status.reason": "CrashLoopBackOff"})
		var b report.Batch
		x.Metrics(md, testNow, nil, &b)
		x.Logs(logOf(t, attrs{"k8s.object.kind": "Pod", "k8s.object.uid": "pod-1", "k8s.object.fieldpath": "spec.containers{app}"}, warn,
			"Back-off restarting failed container app in pod payment_shop(pod-1)", attrs{"k8s.event.reason": "BackOff"}), testNow, &b)
		return kinds(&b)
	}
	for i, step := range []struct {
		restarts float64
		reason   string
		want     []report.FactKind
	}{
		{1, "Completed", []report.FactKind{report.FactRestarts}}, // long ago, for all we know
		{2, "Completed", []report.FactKind{report.FactExit, report.FactStarted}},
		{2, "Completed", nil},
		{3, "Error", []report.FactKind{report.FactRestarts, report.FactExit, report.FactCrashLoop}},
	} {
		if i == 0 {
			see(1, "Completed")
			continue
		}
		if got := see(step.restarts, step.reason); !equalKinds(got, step.want) {
			t.Errorf("step %d: facts %v, want %v", i, got, step.want)
		}
	}
}

func TestMetrics_supervisors(t *testing.T) {
	cases := map[string]struct {
		res    attrs
		scope  string
		metric string
		value  float64
		attrs  attrs
		want   []report.FactKind
	}{
		"docker":                            {attrs{"container.id": "c-1"}, contribScope + "receiver/dockerstatsreceiver", "container.restarts", 3, nil, []report.FactKind{report.FactRestarts}},
		"crash_loop":                        {attrs{"k8s.pod.uid": "pod-1"}, "", "k8s.container.status.reason", 1, attrs{"k8s.container.status.reason": "CrashLoopBackOff"}, []report.FactKind{report.FactCrashLoop}},
		"no_crash_loop":                     {attrs{"k8s.pod.uid": "pod-1"}, "", "k8s.container.status.reason", 0, attrs{"k8s.container.status.reason": "CrashLoopBackOff"}, nil},
		"pulling":                           {attrs{"k8s.pod.uid": "pod-1"}, "", "k8s.container.status.reason", 1, attrs{"k8s.container.status.reason": "ImagePullBackOff"}, nil},
		"oom":                               {attrs{"k8s.pod.uid": "pod-1"}, "", "k8s.container.status.reason", 1, attrs{"k8s.container.status.reason": "OOMKilled"}, []report.FactKind{report.FactOOMKill}},
		"kube_state":                        {attrs{"service.name": "kube-state-metrics"}, promScope, "kube_pod_container_status_waiting_reason", 1, attrs{"uid": "pod-1", "container": "app", "reason": "CrashLoopBackOff"}, []report.FactKind{report.FactCrashLoop}},
		"kube_state_else":                   {attrs{"service.name": "kube-state-metrics"}, promScope, "kube_pod_container_status_waiting_reason", 1, attrs{"uid": "pod-9", "container": "app", "reason": "CrashLoopBackOff"}, nil},
		"node_not_ready_by_the_conventions": {attrs{"k8s.node.name": "node-1"}, "", "k8s.node.condition.status", 1, attrs{"k8s.node.condition.type": "Ready", "k8s.node.condition.status": "condition_false"}, []report.FactKind{report.FactNodeDown}},
		"node_ready_by_the_conventions":     {attrs{"k8s.node.name": "node-1"}, "", "k8s.node.condition.status", 1, attrs{"k8s.node.condition.type": "Ready", "k8s.node.condition.status": "condition_true"}, nil},
		"succeeded_by_the_conventions":      {attrs{"k8s.pod.uid": "pod-1"}, "", "k8s.pod.status.phase", 1, attrs{"k8s.pod.status.phase": "Succeeded"}, []report.FactKind{report.FactExit}},
		"node_ready":                        {attrs{"k8s.node.name": "node-1"}, "", "k8s.node.condition_ready", 1, nil, nil},
		"node_not_ready":                    {attrs{"k8s.node.name": "node-1"}, "", "k8s.node.condition_ready", 0, nil, []report.FactKind{report.FactNodeDown}},
		"node_unheard_of":                   {attrs{"k8s.node.name": "node-1"}, "", "k8s.node.condition_ready", -1, nil, []report.FactKind{report.FactNodeDown}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			x := heardOf(t)
			for round, want := range [][]report.FactKind{c.want, nil} { // a state that lasts is told once
				md, ms := metricsOf(t, c.res, c.scope)
				gauge(t, ms, c.metric, c.value, c.attrs)
				var b report.Batch
				x.Metrics(md, testNow, nil, &b)
				if got := kinds(&b); !equalKinds(got, want) {
					t.Errorf("round %d: facts %v, want %v", round, got, want)
				}
				for _, f := range b.Facts {
					if f.Kind == report.FactNodeDown {
						if f.Source.Host != "node-1" || f.Source.Key != 0 {
							t.Errorf("node %+v", f.Source)
						}
					} else if f.Source.Service.Name != "payment" {
						t.Errorf("source %+v", f.Source)
					}
				}
			}
		})
	}
}
