// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// maxTraces is more payments than are made while one fault lasts, and than fail
// in a whole demo.
const maxTraces = 5000

// trace and span are what Jaeger's query API answers, as far as it is needed.
type trace struct {
	TraceID string `json:"traceID"`
	Spans   []span `json:"spans"`
}

type span struct {
	TraceID   string   `json:"traceID"`
	Operation string   `json:"operationName"`
	Start     int64    `json:"startTime"` // µs
	Duration  int64    `json:"duration"`  // µs
	Warnings  []string `json:"warnings"`
	Tags      []tag    `json:"tags"`
}

type tag struct {
	Key   string `json:"key"`
	Value any    `json:"value"`
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

// jaegerQuery is Jaeger's query API.
type jaegerQuery struct {
	url   string
	hasUI bool // false: built from the module, which holds no pages
}

// between asks for the traces of a service that began between two times; with a
// class, only those in which a span of this service carries it.
func (q *jaegerQuery) between(ctx context.Context, service, class string, from, to time.Time) ([]trace, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	args := arguments(service, class, from, to, maxTraces)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, q.url+"/api/traces?"+args.Encode(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 200))
		return nil, fmt.Errorf("jaeger answered %s: %s", resp.Status, text)
	}
	var found struct {
		Data []trace `json:"data"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil {
		return nil, fmt.Errorf("reading jaeger's answer: %w", err)
	}
	if len(found.Data) >= maxTraces {
		return nil, fmt.Errorf("jaeger has more than %d traces of %s between %s and %s", maxTraces, service, from, to)
	}
	return found.Data, nil
}

// link is where a person sees the traces that between finds.
func (q *jaegerQuery) link(service, class string, from, to time.Time) string {
	args := arguments(service, class, from, to, 100)
	if !q.hasUI {
		return q.url + "/api/traces?" + args.Encode()
	}
	args.Set("lookback", "custom") // from start to end
	return q.url + "/search?" + args.Encode()
}

func arguments(service, class string, from, to time.Time, limit int) url.Values {
	args := url.Values{
		"service": {service}, "limit": {strconv.Itoa(limit)},
		"start": {strconv.FormatInt(from.UnixMicro(), 10)}, "end": {strconv.FormatInt(to.UnixMicro(), 10)},
	}
	if class != "" {
		args.Set("tags", fmt.Sprintf("{%q:%q}", contract.FailureClass, class))
	}
	return args
}
