// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
	"github.com/faultline-otel/faultline/internal/observation"
)

// logs is the processor of one logs pipeline.
type logs struct {
	member
	next consumer.Logs
}

// Capabilities says whether records may be written to or dropped.
func (l *logs) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{MutatesData: l.config.Annotate.Enabled || l.consumes()}
}

// consumes says whether heartbeat records end here.
func (l *logs) consumes() bool {
	return l.config.Observe && l.config.Heartbeats == heartbeatsConsume
}

// ConsumeLogs shows the engine what passes, drops the heartbeats that have
// served, and tags the errors of culprits and of tagged traces.
func (l *logs) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	now := l.engine.Now()
	if l.config.Observe {
		b := l.engine.NewBatch()
		b.Arrived = now
		l.extractor.Logs(ld, now, b)
		l.engine.Observe(b)
	}
	if l.consumes() {
		l.consume(ctx, ld)
		if ld.LogRecordCount() == 0 {
			return nil
		}
	}
	if l.config.Annotate.Enabled {
		l.annotate(ld, now)
	}
	return l.next.ConsumeLogs(ctx, ld)
}

func (l *logs) consume(ctx context.Context, ld plog.Logs) {
	gone := 0
	ld.ResourceLogs().RemoveIf(func(rl plog.ResourceLogs) bool {
		rl.ScopeLogs().RemoveIf(func(sl plog.ScopeLogs) bool {
			before := sl.LogRecords().Len()
			sl.LogRecords().RemoveIf(observation.IsHeartbeat)
			gone += before - sl.LogRecords().Len()
			return before > 0 && sl.LogRecords().Len() == 0
		})
		return gone > 0 && rl.ScopeLogs().Len() == 0
	})
	if gone > 0 {
		l.telemetry.ProcessorFailureModelHeartbeatsConsumed.Add(ctx, int64(gone))
	}
}

func (l *logs) annotate(ld plog.Logs, now clock.Time) {
	snapshot := l.engine.Snapshot()
	if snapshot.Empty() && l.memory.empty(now) {
		return
	}
	for _, rl := range ld.ResourceLogs().All() {
		src := l.extractor.Source(rl.Resource())
		for _, sl := range rl.ScopeLogs().All() {
			if observation.Own(sl.Scope()) {
				continue
			}
			for _, lr := range sl.LogRecords().All() {
				if lr.SeverityNumber() < plog.SeverityNumberError {
					continue
				}
				if d := l.decideRecord(src, lr, snapshot); d.verdict != nil {
					tag(lr.Attributes(), d)
				}
			}
		}
	}
}

// decideRecord: an error of the culprit itself, or in a trace that a culprit
// hurt.
func (l *logs) decideRecord(src *report.Source, lr plog.LogRecord, snapshot *verdict.Snapshot) decision {
	at := clock.Time(lr.Timestamp())
	if at == 0 {
		at = clock.Time(lr.ObservedTimestamp())
	}
	if v := snapshot.Verdict(src, l.engine.Dated(at)); v != nil {
		return decision{verdict: v, role: contract.RoleCulprit}
	}
	if v := l.memory.trace(lr.TraceID()); v != nil {
		return decision{verdict: v, role: roleOf(v, src)}
	}
	return decision{}
}
