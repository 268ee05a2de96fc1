// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelreceiver_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"go.opentelemetry.io/collector/processor"
)

// An agent receives, gathers and sends by OTLP; the gateway behind it judges.
// Each signal has a queue of its own.
const (
	gathered = 5 * time.Second
	inTurn   = 5 // each fifth request comes twice, because its answer was lost
)

// agentTraces is the way of the spans to the gateway.
type agentTraces struct {
	processor.Traces
	gathering ptrace.Traces
	sendAt    time.Time
	sent      int
}

func (a *agentTraces) ConsumeTraces(ctx context.Context, td ptrace.Traces) error {
	td.ResourceSpans().MoveAndAppendTo(a.gathering.ResourceSpans())
	if time.Now().Before(a.sendAt) {
		return nil
	}
	a.sendAt = time.Now().Add(gathered)
	body, err := ptraceotlp.NewExportRequestFromTraces(a.gathering).MarshalProto()
	if err != nil {
		return err
	}
	a.gathering = ptrace.NewTraces()
	for range copies(&a.sent) {
		req := ptraceotlp.NewExportRequest()
		if err := req.UnmarshalProto(body); err != nil {
			return err
		}
		if err := a.Traces.ConsumeTraces(ctx, req.Traces()); err != nil {
			return err
		}
	}
	return nil
}

// agentLogs is the way of heartbeats and log records.
type agentLogs struct {
	processor.Logs
	gathering plog.Logs
	sendAt    time.Time
	sent      int
}

func (a *agentLogs) ConsumeLogs(ctx context.Context, ld plog.Logs) error {
	ld.ResourceLogs().MoveAndAppendTo(a.gathering.ResourceLogs())
	if time.Now().Before(a.sendAt) {
		return nil
	}
	a.sendAt = time.Now().Add(gathered)
	body, err := plogotlp.NewExportRequestFromLogs(a.gathering).MarshalProto()
	if err != nil {
		return err
	}
	a.gathering = plog.NewLogs()
	for range copies(&a.sent) {
		req := plogotlp.NewExportRequest()
		if err := req.UnmarshalProto(body); err != nil {
			return err
		}
		if err := a.Logs.ConsumeLogs(ctx, req.Logs()); err != nil {
			return err
		}
	}
	return nil
}

func copies(sent *int) int {
	if *sent++; *sent%inTurn == 0 {
		return 2
	}
	return 1
}

// inTwoTiers puts an agent between a fleet and the Collector.
func inTwoTiers(f *fleet) {
	f.c.traces = &agentTraces{Traces: f.c.traces, gathering: ptrace.NewTraces(), sendAt: time.Now().Add(time.Second)}
	f.c.logs = &agentLogs{Logs: f.c.logs, gathering: plog.NewLogs(), sendAt: time.Now().Add(3 * time.Second)}
}

// says has an instance write a line.
func (f *fleet) says(i *instance, line string) {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	i.identify(rl.Resource().Attributes())
	lr := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
	lr.SetTimestamp(pcommonNow())
	lr.SetObservedTimestamp(pcommonNow())
	lr.SetSeverityNumber(plog.SeverityNumberFatal)
	lr.Body().SetStr(line)
	require.NoError(f.t, f.c.logs.ConsumeLogs(f.t.Context(), ld))
}

// TestTwoTiersSayWhatOneProcessSays plays the same faults to one Collector that
// does all, and to a gateway behind an agent.
func TestTwoTiersSayWhatOneProcessSays(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(f *fleet)
		want  string // class and culprit; "" for nobody
	}{
		"killed": {func(f *fleet) { f.payments[0].down = true }, "crash payment-1"},
		"panic": {func(f *fleet) {
			f.says(f.payments[0], "panic: runtime error: invalid memory address or nil pointer dereference")
			f.payments[0].down = true
		}, "crash payment-1"},
		"out_of_memory": {func(f *fleet) {
			f.says(f.payments[0], "Memory cgroup out of memory: Killed process 4711 (payment) total-vm:1048576kB")
			f.payments[0].down = true
		}, "resource_exhaustion payment-1"},
		"stopped_in_order": {func(f *fleet) { f.stopInOrder(f.payments[0]) }, ""},
		"healthy":          {func(*fleet) {}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			said := map[bool][]string{}
			for _, twoTiers := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					col := newCollector(t)
					f := newFleet(t, col)
					if twoTiers {
						inTwoTiers(f)
					}
					f.run(90 * time.Second)
					require.Empty(t, col.told("failure."), "nothing happened yet")
					c.fault(f)
					f.run(40 * time.Second)
					last := map[string]string{}
					for _, lr := range col.told("failure.") {
						assert.NotEqual(t, "failure.cleared", lr.EventName(), lr.Body().Str())
						last[str(lr.Attributes(), "failure.culprit.name")] = str(lr.Attributes(), "failure.class")
					}
					for _, culprit := range slices.Sorted(maps.Keys(last)) {
						said[twoTiers] = append(said[twoTiers], last[culprit]+" "+culprit)
					}
				})
			}
			var want []string
			if c.want != "" {
				want = []string{c.want}
			}
			assert.Equal(t, want, said[false], "one process")
			assert.Equal(t, want, said[true], "two tiers")
		})
	}
}

func pcommonNow() pcommon.Timestamp { return pcommon.NewTimestampFromTime(time.Now()) }
