// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"errors"
	"io"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/cmd/faultline/internal/recording"
	"github.com/faultline-otel/faultline/internal/contract"
)

// readEvents takes the events of an incident from a file. Lines that are no
// OTLP are passed over.
func (e *explanation) readEvents(name, id string) (err error) {
	r, err := recording.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	for {
		l, err := r.Next()
		var bad *recording.BadLineError
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			continue
		case err != nil:
			return err
		case l.Signal != recording.Logs:
			continue
		}
		for _, rl := range l.Logs.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, lr := range sl.LogRecords().All() {
					if text(lr.Attributes(), contract.IncidentID) == id || lr.TraceID().String() == id {
						e.addEvent(lr)
					}
				}
			}
		}
	}
}

func (e *explanation) addEvent(lr plog.LogRecord) {
	attrs := lr.Attributes()
	e.timeline = append(e.timeline, moment{lr.Timestamp().AsTime(), text(attrs, contract.EventName), lr.Body().AsString()})
	if text(attrs, contract.FailureClass) == "" || text(attrs, contract.FailureReason) == "" {
		return
	}
	v := verdict{
		class: text(attrs, contract.FailureClass), subclass: text(attrs, contract.FailureSubclass),
		culprit: text(attrs, contract.FailureCulpritName), culpritType: text(attrs, contract.FailureCulpritType),
		reason: text(attrs, contract.FailureReason), incident: text(attrs, contract.IncidentID),
		evidence: texts(attrs, contract.FailureEvidence), ruledOut: texts(attrs, contract.FailureRuledOut),
	}
	if c, ok := attrs.Get(contract.FailureConfidence); ok {
		v.confidence = c.Double()
		e.add(v) // events of the incident itself repeat it without
	}
}

func text(attrs pcommon.Map, key string) string {
	v, ok := attrs.Get(key)
	if !ok {
		return ""
	}
	return v.AsString()
}

func texts(attrs pcommon.Map, key string) []string {
	v, ok := attrs.Get(key)
	if !ok || v.Type() != pcommon.ValueTypeSlice {
		return nil
	}
	var out []string
	for _, s := range v.Slice().All() {
		out = append(out, s.AsString())
	}
	return out
}
