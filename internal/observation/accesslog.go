// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/engine/report"
)

// The proxies of a mesh write one line for each call, and where nothing else is told
// these lines are all that tells how calls went. A line of a call that left the pod names
// the cluster `outbound|port|subset|host`, in Istio's text format or as JSON. They count
// like a metric's: not where spans tell the same.

// accessLine is one call as an access log of Envoy tells it.
type accessLine struct {
	code, flags, details, reason string
	start, duration              string
	upstream, cluster            string
}

// outbound begins the name of a cluster that is called from the pod.
const outbound = "outbound|"

// accessFields is how many fields follow the time in Istio's format. Who puts quotes into
// a path makes more of them.
const accessFields = 21

// readAccessLine reads a line in Istio's text format or as JSON; ok is false for all
// other lines, which it tells at a glance.
func readAccessLine(s string) (a accessLine, ok bool) {
	if len(s) < 64 || s[0] != '[' && s[0] != '{' || !strings.Contains(s, outbound) {
		return a, false
	}
	if s[0] == '{' {
		var f struct {
			Code     json.Number `json:"response_code"`
			Flags    string      `json:"response_flags"`
			Details  string      `json:"response_code_details"`
			Reason   string      `json:"upstream_transport_failure_reason"`
			Start    string      `json:"start_time"`
			Duration json.Number `json:"duration"`
			Upstream string      `json:"upstream_host"`
			Cluster  string      `json:"upstream_cluster"`
		}
		if len(s) > maxAccessLine || json.Unmarshal([]byte(s), &f) != nil {
			return a, false
		}
		return accessLine{f.Code.String(), f.Flags, f.Details, f.Reason, f.Start, f.Duration.String(), f.Upstream, f.Cluster}, f.Code != ""
	}
	start, rest, ok := strings.Cut(s[1:], "] ")
	if !ok {
		return a, false
	}
	fields := make([]string, 0, accessFields)
	for rest = strings.TrimRight(rest, "\n"); rest != ""; {
		var field string
		if rest[0] == '"' {
			field, rest, ok = strings.Cut(rest[1:], `"`)
			if !ok || rest != "" && rest[0] != ' ' {
				return a, false
			}
			rest = strings.TrimPrefix(rest, " ")
		} else {
			field, rest, _ = strings.Cut(rest, " ")
		}
		if len(fields) == accessFields {
			return a, false
		}
		fields = append(fields, field)
	}
	if len(fields) != accessFields {
		return a, false
	}
	return accessLine{fields[1], fields[2], fields[3], fields[5], start, fields[8], fields[14], fields[15]}, true
}

// maxAccessLine is how long a line may be that is read as JSON, in bytes.
const maxAccessLine = 8 << 10

// accessAttributes reads a line that somebody has parsed.
func accessAttributes(attrs pcommon.Map) (a accessLine, ok bool) {
	cluster, ok := attrs.Get("upstream_cluster")
	if !ok || !strings.HasPrefix(cluster.Str(), outbound) {
		return a, false
	}
	get := func(name string) string { return first(attrs, []string{name}) }
	return accessLine{
		get("response_code"), get("response_flags"), get("response_code_details"), get("upstream_transport_failure_reason"),
		get("start_time"), get("duration"), get("upstream_host"), cluster.Str(),
	}, true
}

// accessed takes in a record if it is a line of an access log.
func (r *logResource) accessed(lr plog.LogRecord, s string) bool {
	a, ok := readAccessLine(s)
	if !ok {
		if a, ok = accessAttributes(lr.Attributes()); !ok && lr.Body().Type() == pcommon.ValueTypeMap {
			a, ok = accessAttributes(lr.Body().Map())
		}
	}
	if !ok || !strings.HasPrefix(a.cluster, outbound) {
		return false
	}
	parts := strings.Split(a.cluster, "|") // outbound, port, subset, host
	if len(parts) != 4 {
		return false
	}
	port, ok := portNumber(parts[1])
	if !ok {
		return false
	}
	src := r.behindProxy()
	if src == nil {
		return true
	}
	id := calleeID{server: clip(parts[3]), serverPort: port}
	if host, port, ok := splitPort(a.upstream); ok && literal(host) {
		id.peer, id.peerPort = clip(host), port
	}
	c := r.sc.callee(&id)
	if c.none {
		return true
	}
	first, last := r.sc.past(when(lr)), r.sc.past(when(lr))
	if t, err := time.Parse(time.RFC3339Nano, a.start); err == nil && t.Unix() > 0 {
		first = r.sc.past(pcommon.NewTimestampFromTime(t))
		last = first
		if ms := digits(a.duration); ms >= 0 {
			last = min(first.Add(time.Duration(ms)*time.Millisecond), r.sc.now)
		}
	}
	r.sc.counted(report.Calls{
		Caller: src, Callee: c.Callee, Outcome: a.outcome(), Count: 1, First: first, Last: last, Took: last.Sub(first), Counted: true,
	})
	return true
}

// outcome is how the call ended.
func (a *accessLine) outcome() report.Outcome {
	v := view{http: int32(digits(a.code)), grpc: -1, size: -1, flags: a.flags}
	if v.http < 100 {
		v.http = -1 // of no answer, or of a connection
	}
	t := texts{status: -1, grpc: -1}
	for _, s := range [...]string{a.details, a.reason} {
		if len(s) > 1 && s != "via_upstream" {
			t.take(strings.ReplaceAll(cut(s, maxText), "_", " "))
		}
	}
	return v.outcome(false, &t)
}

// digits reads a number; -1 if s is none, or a very large one.
func digits(s string) int {
	n, err := strconv.ParseUint(s, 10, 30)
	if err != nil {
		return -1
	}
	return int(n)
}

// behindProxy is for whom the proxy calls whose line it is: who is in its pod.
func (r *logResource) behindProxy() *report.Source {
	if r.identify(); r.id.name != "" {
		return r.source()
	}
	if r.proxyOf == nil {
		pod := r.id
		pod.container, pod.containerID = "", ""
		r.proxyOf = r.sc.x.inPodOrWorkload(&pod, r.sc.now)
	}
	return r.proxyOf
}

// alikeWithin is how far back calls are looked for that ended alike.
const alikeWithin = 32

// counted adds a call to those of the batch that were counted and ended alike.
func (sc *scratch) counted(c report.Calls) {
	for i := len(sc.out.Calls) - 1; i >= max(0, len(sc.out.Calls)-alikeWithin); i-- {
		if o := &sc.out.Calls[i]; o.Counted && o.Caller == c.Caller && o.Outcome == c.Outcome && o.Callee == c.Callee {
			o.Count += c.Count
			o.Took += c.Took
			o.First, o.Last = min(o.First, c.First), max(o.Last, c.Last)
			return
		}
	}
	sc.out.Calls = append(sc.out.Calls, c)
}
