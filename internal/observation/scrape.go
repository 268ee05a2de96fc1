// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"time"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// metricReaders is what single metrics say outright, by name. All others are at
// most a sign of life.
var metricReaders = map[string]func(*metricResource, pmetric.Metric){
	"up":                      (*metricResource).up,
	"scrape_duration_seconds": (*metricResource).scrapeDuration,

	"httpcheck.status":            (*metricResource).checkStatus,
	"httpcheck.error":             (*metricResource).checkError,
	"httpcheck.duration":          (*metricResource).checkDuration,
	"httpcheck.validation.failed": (*metricResource).checkValidation,

	// Receivers k8s_cluster and docker_stats.
	"k8s.container.restarts":                 (*metricResource).restarts,
	"container.restarts":                     (*metricResource).restarts,
	"k8s.container.ready":                    (*metricResource).ready,
	"k8s.container.status.reason":            (*metricResource).containerStatus,
	"k8s.pod.phase":                          (*metricResource).podPhase,
	"k8s.node.condition_ready":               (*metricResource).nodeCondition,
	"k8s.node.condition_memory_pressure":     (*metricResource).nodeCondition,
	"k8s.node.condition_disk_pressure":       (*metricResource).nodeCondition,
	"k8s.node.condition_pid_pressure":        (*metricResource).nodeCondition,
	"k8s.node.condition_network_unavailable": (*metricResource).nodeCondition,
	"k8s.container.restart.count":            (*metricResource).restarts,
	"k8s.pod.status.phase":                   (*metricResource).podPhase,
	"k8s.node.condition.status":              (*metricResource).nodeCondition,
	"k8s.node.condition":                     (*metricResource).nodeCondition,
	// kube-state-metrics, scraped.
	"kube_pod_container_status_restarts_total":         (*metricResource).restarts,
	"kube_pod_container_status_last_terminated_reason": (*metricResource).lastTerminated,
	"kube_pod_container_status_ready":                  (*metricResource).ready,
	"kube_pod_container_status_waiting_reason":         (*metricResource).containerStatus,
	"kube_pod_container_status_terminated_reason":      (*metricResource).containerStatus,
	"kube_pod_status_phase":                            (*metricResource).podPhase,
	"kube_node_status_condition":                       (*metricResource).nodeCondition,
	"kube_node_spec_unschedulable":                     (*metricResource).nodeCordoned,
}

// up is what the prometheus receiver says of each scrape. The target is the
// resource, or where a relay has dropped that, the labels job and instance.
func (r *metricResource) up(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		src, instance := r.src, r.id.instance
		if job := attribute(p, "job"); job != "" {
			instance = attribute(p, "instance")
			src = r.x.source(&sourceID{
				name: job, instance: instance, namespace: r.id.namespace,
				environment: r.id.environment, cluster: r.id.cluster,
			})
		} else if src == nil || src.Key == 0 || !scraped(r.scope) && !hostAndPort(instance) {
			return // an application's own metric of that name
		}
		o := report.OutcomeOK
		if value == 0 {
			o = report.OutcomeDown
			r.down = r.down || src == r.src
		}
		r.out.Probes = append(r.out.Probes, report.Probe{
			Stamp: report.Stamp{Observer: r.x.observer, At: r.now}, Source: src,
			Target: own(instance), Outcome: o, Direct: hostAndPort(instance),
		})
	})
}

func hostAndPort(s string) bool {
	_, _, ok := splitPort(s)
	return ok
}

func (r *metricResource) scrapeDuration(m pmetric.Metric) {
	points(m, func(_ pmetric.NumberDataPoint, value float64) {
		if value > 0 && value < 3600 {
			r.took = time.Duration(value * float64(time.Second))
		}
	})
}

// httpCheck is what the httpcheck receiver says of one URL.
type httpCheck struct {
	url     string
	status  int32
	err     string
	took    time.Duration
	invalid bool
}

// maxChecks is how many URLs of one resource are read: finding one's earlier
// points takes a step for each.
const maxChecks = 256

func (r *metricResource) check(p pmetric.NumberDataPoint) *httpCheck {
	url := attribute(p, "http.url")
	for i := range r.checks {
		if r.checks[i].url == url {
			return &r.checks[i]
		}
	}
	if url == "" || len(r.checks) == maxChecks {
		return &httpCheck{}
	}
	r.checks = append(r.checks, httpCheck{url: url})
	return &r.checks[len(r.checks)-1]
}

// checkStatus: one point for each class of status codes, 1 for the one that came.
func (r *metricResource) checkStatus(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		c := r.check(p)
		if value != 1 {
			return
		}
		if v, ok := p.Attributes().Get("http.status_code"); ok {
			c.status = number(v)
		}
		if class := attribute(p, "http.status_class"); c.status < 100 && len(class) == 3 {
			c.status = int32(class[0]-'0') * 100
		}
	})
}

func (r *metricResource) checkError(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		if value > 0 {
			r.check(p).err = attribute(p, "error.message")
		}
	})
}

func (r *metricResource) checkDuration(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		if value > 0 && value < 3_600_000 {
			r.check(p).took = time.Duration(value * float64(time.Millisecond))
		}
	})
}

func (r *metricResource) checkValidation(m pmetric.Metric) {
	points(m, func(p pmetric.NumberDataPoint, value float64) {
		if value > 0 {
			r.check(p).invalid = true
		}
	})
}

// checked adds the result of one check. The resource is a service only where
// the user made it one; else the target is known by its address, written as
// callers write it.
func (r *metricResource) checked(c *httpCheck) {
	host, port, usual := hostOfURL(c.url)
	address, ip := canonical(host, port, usual, "")
	p := report.Probe{
		Stamp: report.Stamp{Observer: r.x.observer, At: r.now}, Target: address, RTT: c.took, Direct: ip,
	}
	if r.src != nil && r.src.Key != 0 {
		p.Source, p.Target = r.src, own(c.url)
	}
	switch o := httpOutcome(c.status, false); {
	case c.err != "":
		p.Message = line(c.err)
		if p.Outcome = words().read(c.err).outcome(); p.Outcome == report.OutcomeOther {
			p.Outcome = report.OutcomeDown
		}
	case o == report.OutcomeUnset || p.Target == "":
		return
	case o == report.OutcomeOK && c.invalid:
		p.Outcome = report.OutcomeWrongAnswer
	default:
		p.Outcome = o
	}
	r.out.Probes = append(r.out.Probes, p)
}
