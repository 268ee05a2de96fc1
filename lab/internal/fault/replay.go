// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package fault

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/lab/internal/fleet"
	"github.com/faultline-otel/faultline/lab/internal/ledger"
)

// replayed bounds what is sent again, in bytes of the gateway's own output.
const replayed = 4 << 20

// replay sends the gateway its latest spans once more. Those that are made older
// become other traces, and every third client's call one that was refused: what
// an agent has on its disk after an outage.
func replay(ctx context.Context, f *fleet.Fleet, older time.Duration) error {
	text, err := latest(f.File(ledger.TracesFile))
	if err != nil {
		return err
	}
	hub := f.Gateway().Node
	client := hub.Client()
	for line := range bytes.Lines(text) {
		td, err := (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(line)
		if err != nil {
			return err
		}
		rewrite(td, older)
		body, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+hub.Addr.String()+":4318/v1/traces", bytes.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/x-protobuf")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("gateway answered %s", resp.Status)
		}
	}
	return nil
}

// latest are the last complete lines of a file.
func latest(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-replayed)
	text := make([]byte, info.Size()-from)
	if _, err := file.ReadAt(text, from); err != nil {
		return nil, err
	}
	if from > 0 {
		text = text[bytes.IndexByte(text, '\n')+1:]
	}
	return text[:bytes.LastIndexByte(text, '\n')+1], nil
}

func rewrite(td ptrace.Traces, older time.Duration) {
	n := 0
	for _, rs := range td.ResourceSpans().All() {
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				s.Attributes().RemoveIf(func(key string, _ pcommon.Value) bool {
					return strings.HasPrefix(key, "failure.") || strings.HasPrefix(key, "anomaly.") || strings.HasPrefix(key, "incident.")
				})
				if older == 0 {
					continue
				}
				id := s.TraceID()
				id[0] ^= 0xff
				s.SetTraceID(id)
				s.SetStartTimestamp(pcommon.NewTimestampFromTime(s.StartTimestamp().AsTime().Add(-older)))
				s.SetEndTimestamp(pcommon.NewTimestampFromTime(s.EndTimestamp().AsTime().Add(-older)))
				if n++; n%3 == 0 && s.Kind() == ptrace.SpanKindClient {
					s.Status().SetCode(ptrace.StatusCodeError)
					s.Status().SetMessage("dial tcp: connect: connection refused")
				}
			}
		}
	}
}
