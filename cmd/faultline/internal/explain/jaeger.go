// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/faultline-otel/faultline/internal/contract"
)

// The parts of Jaeger's query API that are needed.
type (
	jaegerAnswer struct {
		Data []jaegerTrace `json:"data"`
	}
	jaegerTrace struct {
		Spans     []jaegerSpan             `json:"spans"`
		Processes map[string]jaegerProcess `json:"processes"`
	}
	jaegerSpan struct {
		TraceID   string      `json:"traceID"`
		SpanID    string      `json:"spanID"`
		ProcessID string      `json:"processID"`
		StartTime int64       `json:"startTime"` // Unix µs
		Tags      []jaegerTag `json:"tags"`
	}
	jaegerProcess struct {
		ServiceName string `json:"serviceName"`
	}
	jaegerTag struct {
		Key   string `json:"key"`
		Value any    `json:"value"`
	}
)

const (
	tracesPerService = 200
	maxAnswer        = 256 << 20 // bytes
	patience         = 30 * time.Second
)

// askJaeger takes verdicts from the spans of a trace, or of all recent traces of
// an incident.
func (e *explanation) askJaeger(ctx context.Context, base, id string) error {
	base = strings.TrimSuffix(base, "/")
	seen := map[string]bool{} // a trace is found once for each of its services
	if len(id) == 32 {
		var answer jaegerAnswer
		if err := get(ctx, base+"/api/traces/"+id, &answer); err != nil && !errors.Is(err, errNotFound) {
			return err
		}
		e.addTraces(answer.Data, "", seen)
		return nil
	}
	var services struct {
		Data []string `json:"data"`
	}
	if err := get(ctx, base+"/api/services", &services); err != nil {
		return err
	}
	tags, err := json.Marshal(map[string]string{contract.IncidentID: id})
	if err != nil {
		return err
	}
	for _, service := range services.Data {
		q := url.Values{"service": {service}, "tags": {string(tags)}, "limit": {strconv.Itoa(tracesPerService)}, "lookback": {"48h"}}
		var answer jaegerAnswer
		if err := get(ctx, base+"/api/traces?"+q.Encode(), &answer); err != nil {
			return err
		}
		e.addTraces(answer.Data, id, seen)
	}
	return nil
}

func (e *explanation) addTraces(traces []jaegerTrace, incident string, seen map[string]bool) {
	if e.spans == nil {
		e.spans = map[string]int{}
	}
	for _, t := range traces {
		for _, s := range t.Spans {
			tags := map[string]any{}
			for _, tag := range s.Tags {
				tags[tag.Key] = tag.Value
			}
			class, _ := tags[contract.FailureClass].(string)
			key := s.TraceID + s.SpanID
			if class == "" || seen[key] || incident != "" && tags[contract.IncidentID] != incident {
				continue
			}
			seen[key] = true
			role, _ := tags[contract.FailureRole].(string)
			e.spans[t.Processes[s.ProcessID].ServiceName+" ("+role+")"]++
			v := verdictOf(tags)
			v.at = time.UnixMicro(s.StartTime)
			e.add(v)
		}
	}
}

func verdictOf(tags map[string]any) verdict {
	str := func(key string) string { s, _ := tags[key].(string); return s }
	// Jaeger shows a slice as its JSON.
	strs := func(key string) (out []string) { _ = json.Unmarshal([]byte(str(key)), &out); return out }
	confidence, _ := tags[contract.FailureConfidence].(float64)
	return verdict{
		class: str(contract.FailureClass), subclass: str(contract.FailureSubclass), confidence: confidence,
		culprit: str(contract.FailureCulpritName), culpritType: str(contract.FailureCulpritType),
		reason: str(contract.FailureReason), incident: str(contract.IncidentID),
		evidence: strs(contract.FailureEvidence), ruledOut: strs(contract.FailureRuledOut),
	}
}

// errNotFound is Jaeger's word that it knows no such trace.
var errNotFound = errors.New("not found")

func get(ctx context.Context, address string, into any) error {
	if err := fetch(ctx, address, into); err != nil {
		return fmt.Errorf("--jaeger: %w", err)
	}
	return nil
}

func fetch(ctx context.Context, address string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	var verbose struct {
		Errors []any `json:"errors"`
	}
	err = json.Unmarshal(body, &verbose)
	switch {
	case resp.StatusCode == http.StatusNotFound && len(verbose.Errors) > 0:
		return errNotFound // any other server's 404 is the wrong address
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("%s answered %s: %.200s", address, resp.Status, body)
	case err == nil:
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		return fmt.Errorf("%s does not answer like Jaeger's query API: %w", address, err)
	}
	return nil
}
