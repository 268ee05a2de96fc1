// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/faultline-otel/faultline/internal/contract"
)

// jaegerTrace and jaegerSpan are what Jaeger's query API answers, as far as it
// is needed.
type jaegerTrace struct {
	TraceID string       `json:"traceID"`
	Spans   []jaegerSpan `json:"spans"`
}

type jaegerSpan struct {
	Operation string `json:"operationName"`
	Start     int64  `json:"startTime"` // µs
	Duration  int64  `json:"duration"`  // µs
	Tags      []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	} `json:"tags"`
}

func (s *jaegerSpan) tag(key string) string {
	for _, tag := range s.Tags {
		if tag.Key == key {
			return fmt.Sprint(tag.Value)
		}
	}
	return ""
}

func (s *jaegerSpan) failed() bool   { return s.tag("error") == "true" }
func (s *jaegerSpan) end() time.Time { return time.UnixMicro(s.Start + s.Duration) }

// mostTraces is more than a test makes.
const mostTraces = 20_000

// tracesSince asks Jaeger for the traces of a service since a time; with a
// class, only for those in which a span of this service carries it.
func tracesSince(t *testing.T, jaeger, service, class string, since time.Time) []jaegerTrace {
	t.Helper()
	args := url.Values{
		"service": {service}, "limit": {strconv.Itoa(mostTraces)},
		"start": {strconv.FormatInt(since.UnixMicro(), 10)}, "end": {strconv.FormatInt(time.Now().UnixMicro(), 10)},
	}
	if class != "" {
		args.Set("tags", fmt.Sprintf("{%q:%q}", contract.FailureClass, class))
	}
	var found struct{ Data []jaegerTrace }
	getJSON(t, jaeger+"/api/traces?"+args.Encode(), &found)
	require.Less(t, len(found.Data), mostTraces, "more traces than are looked at")
	return found.Data
}

// taggedSince are the traces in which any span carries one of the classes, each once.
func taggedSince(t *testing.T, jaeger string, classes []string, since time.Time) map[string]jaegerTrace {
	t.Helper()
	all := map[string]jaegerTrace{}
	for _, service := range []string{"gateway", "checkout", "payment", "ledger"} {
		for _, class := range classes {
			for _, found := range tracesSince(t, jaeger, service, class, since) {
				all[found.TraceID] = found
			}
		}
	}
	return all
}

// sample is one series of an instant query to Prometheus.
type sample struct {
	Metric map[string]string
	Value  [2]any // time, value
}

func ask(t *testing.T, prometheus, query string) []sample {
	t.Helper()
	var answer struct {
		Status string
		Data   struct{ Result []sample }
	}
	getJSON(t, prometheus+"/api/v1/query?"+url.Values{"query": {query}}.Encode(), &answer)
	require.Equal(t, "success", answer.Status, query)
	return answer.Data.Result
}

// document is one of Elasticsearch's, its fields by dotted names.
type document map[string]any

func (d document) text(field string) string {
	if v, ok := d[field]; ok {
		return fmt.Sprint(v)
	}
	return ""
}

// is says whether the document is one of these events and names this culprit.
func (d document) is(instance, class string, events ...string) bool {
	for _, event := range events {
		if d.text("event.action") == event {
			return d.text(contract.FailureClass) == class && d.text(contract.FailureCulpritInstanceID) == instance
		}
	}
	return false
}

// documents returns all documents of an index that match a query string.
func documents(t *testing.T, elasticsearch, index, query string) []document {
	t.Helper()
	if status, _, err := fetch(t.Context(), elasticsearch+"/"+index+"/_refresh"); err != nil || status == http.StatusNotFound {
		require.NoError(t, err)
		return nil // nothing was written yet
	}
	const most = 5000
	args := url.Values{"q": {query}, "size": {strconv.Itoa(most)}}
	var answer struct {
		Hits struct {
			Hits []struct {
				Source map[string]any `json:"_source"`
			}
		}
	}
	getJSON(t, elasticsearch+"/"+index+"/_search?"+args.Encode(), &answer)
	require.Less(t, len(answer.Hits.Hits), most, "more documents than are looked at")
	var all []document
	for _, hit := range answer.Hits.Hits {
		flat := document{}
		flatten(flat, "", hit.Source)
		all = append(all, flat)
	}
	return all
}

func flatten(into document, prefix string, fields map[string]any) {
	for key, value := range fields {
		if nested, ok := value.(map[string]any); ok {
			flatten(into, prefix+key+".", nested)
			continue
		}
		into[strings.TrimSuffix(prefix+key, ".value")] = value
	}
}

func getJSON(t *testing.T, url string, into any) {
	t.Helper()
	status, body, err := fetch(t.Context(), url)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, status, "%s: %.500s", url, body)
	require.NoError(t, json.Unmarshal(body, into), "%.500s", body)
}
