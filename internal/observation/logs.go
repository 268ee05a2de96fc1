// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
)

// Logs adds to b what log records show: heartbeats, Kubernetes events, and lines
// that say outright what happened. now is the time on the engine's clock. ld is
// only read and not kept.
func (x *Extractor) Logs(ld plog.Logs, now clock.Time, b *report.Batch) {
	sc := x.scratch.Get().(*scratch)
	sc.begin(x, now, nil, b)
	resources := ld.ResourceLogs()
	for i := range resources.Len() {
		rl := resources.At(i)
		r := logResource{sc: sc, attrs: rl.Resource().Attributes()}
		sc.resource(nil)
		event := false
		if _, ok := r.attrs.Get("k8s.object.kind"); ok {
			event = true
		}
		scopes := rl.ScopeLogs()
		for j := range scopes.Len() {
			sl := scopes.At(j)
			ours := Own(sl.Scope())
			records := sl.LogRecords()
			for k := range records.Len() {
				lr := records.At(k)
				switch {
				case IsHeartbeat(lr):
					r.identify()
					x.heartbeat(&r.id, lr, now, b)
				case ours:
				case event:
					sc.kubernetes(r.attrs, lr)
				case isObject(lr):
					sc.object(r.attrs, lr.Body().Map(), sc.past(when(lr)))
				default:
					r.line(lr)
				}
			}
		}
	}
	sc.end()
	x.scratch.Put(sc)
}

// isObject says whether a record is an object as receiver k8sobjects writes it.
func isObject(lr plog.LogRecord) bool {
	if lr.Body().Type() != pcommon.ValueTypeMap {
		return false
	}
	v, ok := lr.Attributes().Get("k8s.resource.name")
	return ok && v.Str() == "events"
}

// logResource is a resource whose identity is read only when a record needs it:
// most lines say nothing.
type logResource struct {
	sc    *scratch
	attrs pcommon.Map
	id    sourceID
	known bool

	proxyOf *report.Source // accesslog.go: for whom the proxy calls that writes; nil until then
}

func (r *logResource) identify() {
	if !r.known {
		r.id, r.known = identify(r.attrs), true
	}
}

// source returns who writes, nil unless it is a service or the workload of a pod.
func (r *logResource) source() *report.Source {
	if r.sc.src == nil {
		r.identify()
		if r.id.name != "" {
			r.sc.src = r.sc.x.source(&r.id)
		} else if r.id.podUID != "" {
			r.sc.src = r.sc.x.inPodOrWorkload(&r.id, r.sc.now)
		}
	}
	return r.sc.src
}
