// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package observation

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine"
)

// Span is a full look at one span.
type Span struct {
	Failed   bool
	Client   bool // client or producer: it speaks of a callee
	Outcome  engine.Outcome
	Callee   engine.Callee
	Surprise float64 // −log10 of the probability of its duration
	Slow     bool
}

type (
	sourceID struct{ name string }
	calleeID struct{ peer string }
	callee   struct{ engine.Callee }
	stateID  struct{ key string }
	hopGate  struct{}
	skips    struct{}
	scratch  struct{}
)

func (*hopGate) init(int)  {}
func newScratch() *scratch { return &scratch{} }

// Source returns who a resource speaks of; nil if it names neither service nor host.
func (x *Extractor) Source(res pcommon.Resource) *engine.Source {
	name, _ := res.Attributes().Get("service.name")
	host, _ := res.Attributes().Get("host.name")
	if name.Str() == "" && host.Str() == "" {
		return nil
	}
	return engine.NewSource(engine.Source{Service: engine.ServiceID{Name: name.Str()}, Host: host.Str()})
}

// Traces fills b and returns how many spans failed or are anomalously slow.
func (x *Extractor) Traces(td ptrace.Traces, now engine.Time, bl *engine.Baselines, b *engine.Batch) (odd int) {
	return 0
}

// Metrics fills b.
func (x *Extractor) Metrics(md pmetric.Metrics, now engine.Time, b *engine.Batch) {}

// Logs fills b.
func (x *Extractor) Logs(ld plog.Logs, now engine.Time, b *engine.Batch) {}

// Look looks at one span.
func (x *Extractor) Look(src *engine.Source, span ptrace.Span, bl *engine.Baselines) Span {
	return Span{Failed: span.Status().Code() == ptrace.StatusCodeError, Client: span.Kind() == ptrace.SpanKindClient}
}

// IsHeartbeat says whether a record is a heartbeat.
func IsHeartbeat(lr plog.LogRecord) bool { return lr.EventName() == contract.EventHeartbeat }
