// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/clock"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func (b *testBench) logs(t *testing.T) (*logs, *consumertest.LogsSink) {
	sink := new(consumertest.LogsSink)
	p, err := b.factory.CreateLogs(context.Background(), b.settings, b.config, sink)
	require.NoError(t, err)
	b.start(t, p)
	return p.(*logs), sink
}

// line returns one log record of a trace (0: of none).
func line(service, instance string, severity plog.SeverityNumber, trace byte) plog.Logs {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	identity(rl.Resource(), service, instance)
	sl := rl.ScopeLogs().AppendEmpty()
	sl.Scope().SetName("shop")
	lr := sl.LogRecords().AppendEmpty()
	lr.SetTimestamp(pcommon.Timestamp(t0))
	lr.SetSeverityNumber(severity)
	lr.Body().SetStr("it broke")
	if trace != 0 {
		lr.SetTraceID(pcommon.TraceID{trace})
	}
	return ld
}

// untimed is a line that only says when it was seen, as log files without a time do.
func untimed(ld plog.Logs, seen clock.Time) plog.Logs {
	record(ld).SetTimestamp(0)
	record(ld).SetObservedTimestamp(pcommon.Timestamp(seen))
	return ld
}

func record(ld plog.Logs) plog.LogRecord {
	return ld.ResourceLogs().At(0).ScopeLogs().At(0).LogRecords().At(0)
}

func TestWhichRecordsAreTagged(t *testing.T) {
	for name, c := range map[string]struct {
		ld    plog.Logs
		scope string
		want  string
	}{
		"error_of_culprit":               {line("payment", "payment-1", plog.SeverityNumberError, 0), "shop", "culprit"},
		"fatal_of_culprit":               {line("payment", "payment-1", plog.SeverityNumberFatal, 0), "shop", "culprit"},
		"untimed_error_of_culprit":       {untimed(line("payment", "payment-1", plog.SeverityNumberError, 0), t0), "shop", "culprit"},
		"untimed_error_before_it_failed": {untimed(line("payment", "payment-1", plog.SeverityNumberError, 0), t0.Add(-time.Minute)), "shop", ""},
		"warning_of_culprit":             {line("payment", "payment-1", plog.SeverityNumberWarn4, 0), "shop", ""},
		"error_of_sibling":               {line("payment", "payment-2", plog.SeverityNumberError, 0), "shop", ""},
		"error_in_tagged_trace":          {line("gateway", "g-1", plog.SeverityNumberError, 1), "shop", "victim"},
		"information_in_tagged_trace":    {line("gateway", "g-1", plog.SeverityNumberInfo, 1), "shop", ""},
		"error_in_other_trace":           {line("gateway", "g-1", plog.SeverityNumberError, 2), "shop", ""},
		"own_scope_of_culprit_untouched": {line("payment", "payment-1", plog.SeverityNumberError, 0), contract.ScopePrefix + "/x", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, nil)
			b.convict(verdict.ClassCrash)
			tp, _ := b.traces(t)
			require.NoError(t, tp.ConsumeTraces(context.Background(), batch("checkout", "c-1", span(1, 2, 1, ptrace.SpanKindClient, toPayment))))
			lp, sink := b.logs(t)
			require.Same(t, tp.core, lp.core, "pipelines of one ID share what they know")
			c.ld.ResourceLogs().At(0).ScopeLogs().At(0).Scope().SetName(c.scope)
			want := plog.NewLogs()
			c.ld.CopyTo(want)
			require.NoError(t, lp.ConsumeLogs(context.Background(), c.ld))
			require.Len(t, sink.AllLogs(), 1)
			if c.want == "" {
				assert.Equal(t, want, sink.AllLogs()[0])
				return
			}
			attrs := record(sink.AllLogs()[0]).Attributes().AsRaw()
			assert.Equal(t, c.want, attrs[contract.FailureRole])
			assert.Equal(t, "payment-1", attrs[contract.FailureCulpritName])
		})
	}
}

// beats returns a heartbeat and, beside it in another resource, a log line.
func beats() plog.Logs {
	ld := line("payment", "payment-1", plog.SeverityNumberUnspecified, 0)
	record(ld).SetEventName(contract.EventHeartbeat)
	line("search", "s-1", plog.SeverityNumberInfo, 0).ResourceLogs().MoveAndAppendTo(ld.ResourceLogs())
	return ld
}

func TestHeartbeats(t *testing.T) {
	for name, c := range map[string]struct {
		change   func(*Config)
		left     int
		consumed int64
		observed bool
	}{
		"consumed_once_observed": {nil, 1, 1, true},
		"passed_if_wanted":       {func(c *Config) { c.Heartbeats = heartbeatsPass }, 2, 0, true},
		"passed_if_not_observed": {func(c *Config) { c.Observe = false }, 2, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, c.change)
			p, sink := b.logs(t)
			require.NoError(t, p.ConsumeLogs(context.Background(), beats()))
			assert.Equal(t, c.left, sink.LogRecordCount())
			assert.Equal(t, c.left, sink.AllLogs()[0].ResourceLogs().Len(), "no empty resource stays")
			assert.Equal(t, c.consumed, b.counter(t, "heartbeats_consumed"))
			assert.Equal(t, c.observed, b.seen() > 0)
		})
	}
}

func TestBatchOfHeartbeatsOnlyEndsHere(t *testing.T) {
	b := newBench(t, nil)
	p, sink := b.logs(t)
	ld := line("payment", "payment-1", plog.SeverityNumberUnspecified, 0)
	record(ld).Attributes().PutStr(contract.EventName, contract.EventHeartbeat)
	require.NoError(t, p.ConsumeLogs(context.Background(), ld))
	assert.Empty(t, sink.AllLogs())
}
