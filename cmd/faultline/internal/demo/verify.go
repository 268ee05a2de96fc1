// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// maxTraces is more payments than the demo makes.
const maxTraces = 20_000

// trace and span are what Jaeger's query API answers, as far as it is needed.
type trace struct {
	TraceID string `json:"traceID"`
	Spans   []span `json:"spans"`
}

type span struct {
	Operation string   `json:"operationName"`
	Start     int64    `json:"startTime"` // µs
	Duration  int64    `json:"duration"`  // µs
	Warnings  []string `json:"warnings"`
	Tags      []struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	} `json:"tags"`
}

func (s *span) tag(key string) string {
	for _, t := range s.Tags {
		if t.Key == key {
			return fmt.Sprint(t.Value)
		}
	}
	return ""
}

func (s *span) failed() bool { return s.tag("error") == "true" }

// end is when the span ended.
func (s *span) end() time.Time { return time.UnixMicro(s.Start + s.Duration) }

// traces asks Jaeger for traces of a service.
func (s *stack) traces(ctx context.Context, service string, since time.Time, limit int) ([]trace, error) {
	q := url.Values{"service": {service}, "limit": {strconv.Itoa(limit)},
		"start": {strconv.FormatInt(since.UnixMicro(), 10)}, "end": {strconv.FormatInt(time.Now().UnixMicro(), 10)}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.jaeger.QueryURL+"/api/traces?"+q.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close() //nolint:errcheck // read-only
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("jaeger: %s: %.200s", resp.Status, body)
	}
	var answer struct {
		Data []trace `json:"data"`
	}
	return answer.Data, json.Unmarshal(body, &answer)
}

// link is where a person sees the traces of a class.
func (s *stack) link(service, class string) string {
	q := url.Values{"service": {service}, "tags": {fmt.Sprintf(`{"%s":"%s"}`, contract.FailureClass, class)}, "lookback": {"1h"}, "limit": {"100"}}
	return s.jaeger.QueryURL + "/search?" + q.Encode()
}

// verify asks Jaeger whether the failed payments carry what was said, and
// whether nothing else does. It returns how much is wrong.
func verify(ctx context.Context, s *stack, results []result, began time.Time, out *printer) (wrong int) {
	sleep(ctx, 2*time.Second) // what is on its way
	out.line("")
	out.line("In Jaeger:")
	all, err := s.traces(ctx, "gateway", began, maxTraces)
	if err != nil {
		out.line("  %v", err)
		return 1
	}
	for i := range results {
		r := &results[i]
		if r.verdict == nil || r.step.want.nothing() {
			continue
		}
		c := count(all, r)
		out.line("  %s: %d of %d failed spans carry it, %d of %d of those since 3 s before the verdict; %d with a warning",
			r.step.title, c.tagged, c.failed, c.taggedSince, c.failedSince, c.warned)
		out.line("    %s", s.link("gateway", r.verdict.class))
		// A span or two at the edges of a fault may have failed otherwise.
		if c.taggedSince == 0 || c.warned == 0 || float64(c.taggedSince) < 0.95*float64(c.failedSince) {
			wrong++
		}
	}
	stray := strays(all, results)
	out.line("  %d spans carry a class that no fault explains", stray)
	return wrong + stray
}

type counts struct{ failed, tagged, failedSince, taggedSince, warned int }

// count looks at the failed spans in the time of one fault.
func count(traces []trace, r *result) counts {
	var c counts
	since := r.first.at.Add(-3 * time.Second)
	for i := range traces {
		for j := range traces[i].Spans {
			sp := &traces[i].Spans[j]
			if !sp.failed() || sp.end().Before(r.began) || sp.end().After(r.ended) {
				continue
			}
			mine := sp.tag(contract.FailureClass) == r.step.want.class && sp.tag(contract.FailureCulpritInstanceID) == r.step.want.instance
			c.failed++
			if mine {
				c.tagged++
			}
			if sp.end().After(since) {
				c.failedSince++
				if mine {
					c.taggedSince++
				}
			}
			if mine && strings.Contains(strings.Join(sp.Warnings, " "), r.step.want.instance) {
				c.warned++
			}
		}
	}
	return c
}

// strays counts tagged spans outside all faults, and healthy ones.
func strays(traces []trace, results []result) int {
	stray := 0
	for i := range traces {
		for j := range traces[i].Spans {
			sp := &traces[i].Spans[j]
			if sp.tag(contract.FailureClass) == "" {
				continue
			}
			explained := false
			for k := range results {
				r := &results[k]
				explained = explained || !r.step.want.nothing() && sp.end().After(r.began) && sp.end().Before(r.ended)
			}
			if !explained || !sp.failed() {
				stray++
			}
		}
	}
	return stray
}
