// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"errors"
	"fmt"
	"io"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/cmd/faultline/internal/recording"
	"github.com/faultline-otel/faultline/internal/contract"
)

// readEvents takes the events of an incident from a file. Lines that cannot be
// read are passed over, unless there are no others.
func (e *explanation) readEvents(name, id string) (err error) {
	r, err := recording.Open(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	read := 0
	var firstBad error
	for {
		l, err := r.Next()
		var bad *recording.BadLineError
		switch {
		case errors.Is(err, io.EOF):
			if read == 0 && firstBad != nil {
				return fmt.Errorf("--events: no line can be read; %w", firstBad)
			}
			return nil
		case errors.As(err, &bad):
			if firstBad == nil {
				firstBad = err
			}
			continue
		case err != nil:
			return err
		}
		read++
		if l.Signal != recording.Logs {
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
	name := lr.EventName()
	if name == "" {
		name = text(attrs, contract.EventName)
	}
	e.timeline = append(e.timeline, moment{lr.Timestamp().AsTime(), name, lr.Body().AsString()})
	if text(attrs, contract.FailureClass) == "" || text(attrs, contract.FailureReason) == "" {
		return
	}
	v := verdict{
		class: text(attrs, contract.FailureClass), subclass: text(attrs, contract.FailureSubclass),
		culprit: text(attrs, contract.FailureCulpritName), culpritType: text(attrs, contract.FailureCulpritType),
		reason: text(attrs, contract.FailureReason), incident: text(attrs, contract.IncidentID),
		evidence: texts(attrs, contract.FailureEvidence), ruledOut: texts(attrs, contract.FailureRuledOut),
		from: fromEvent, at: lr.Timestamp().AsTime(),
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
