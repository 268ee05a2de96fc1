// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

func sumOf(t *testing.T, m metricdata.Metrics) (sum int64) {
	data, ok := m.Data.(metricdata.Sum[int64])
	require.True(t, ok, "%s is no sum", m.Name)
	for _, dp := range data.DataPoints {
		sum += dp.Value
	}
	return sum
}

// convicted sends batches through a processor whose engine has convicted payment.
func convicted(t *testing.T, change func(*Config), batches ...ptrace.Traces) map[byte]ptrace.Span {
	b := newBench(t, func(c *Config) {
		c.Annotate.Wait = 0
		if change != nil {
			change(c)
		}
	})
	b.convict(verdict.ClassCrash)
	p, sink := b.traces(t)
	for _, td := range batches {
		require.NoError(t, p.ConsumeTraces(context.Background(), td))
	}
	return spansOf(sink.AllTraces())
}

func assertRole(t *testing.T, s ptrace.Span, role string) {
	t.Helper()
	got, _ := s.Attributes().Get(contract.FailureRole)
	culprit, _ := s.Attributes().Get(contract.FailureCulpritName)
	if role == "" {
		assert.NotContains(t, s.Attributes().AsRaw(), contract.FailureClass)
		return
	}
	if assert.Contains(t, s.Attributes().AsRaw(), contract.FailureClass) {
		assert.Equal(t, role, got.Str())
		assert.Equal(t, "payment-1", culprit.Str())
	}
}

func TestHealthyBatchPassesUntouched(t *testing.T) {
	td := batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer), span(1, 2, 1, ptrace.SpanKindClient))
	want := ptrace.NewTraces()
	td.CopyTo(want)
	b := newBench(t, nil)
	b.convict(verdict.ClassCrash)
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	require.Len(t, sink.AllTraces(), 1)
	assert.Equal(t, want, sink.AllTraces()[0])
	assert.Positive(t, b.seen())
}

// What a sender claims under our names must not be read as our word, nor may it stand
// beside it. On what we do not tag it is the sender's own business.
func TestWhatComesInUnderOurNamesIsReplacedWhereWeTag(t *testing.T) {
	claimed := func(s ptrace.Span) {
		for _, key := range contract.TagKeys {
			s.Attributes().PutStr(key, "claimed")
		}
	}
	spans := convicted(t, nil,
		batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, failed, claimed)),
		batch("elsewhere", "elsewhere-1", span(2, 2, 0, ptrace.SpanKindServer, failed, claimed)))
	for _, key := range contract.TagKeys {
		if v, ok := spans[1].Attributes().Get(key); ok {
			assert.NotEqual(t, "claimed", v.AsString(), key)
		}
		v, _ := spans[2].Attributes().Get(key)
		assert.Equal(t, "claimed", v.AsString(), key)
	}
	assertRole(t, spans[1], contract.RoleCulprit)
	for key := range spans[1].Attributes().All() {
		if strings.HasPrefix(key, "failure.") || strings.HasPrefix(key, "incident.") {
			assert.Contains(t, contract.TagKeys, key)
		}
	}
}

// Names that are added to the contract belong to us as well.
func TestEveryNameOfAFailureIsOurs(t *testing.T) {
	source, err := os.ReadFile("../../internal/contract/contract.go")
	require.NoError(t, err)
	attributes, _, found := strings.Cut(string(source), "var TagKeys")
	require.True(t, found)
	names := regexp.MustCompile(`= "((?:failure|incident)\.[a-z_.]+)"`).FindAllStringSubmatch(attributes, -1)
	require.Greater(t, len(names), 10)
	for _, name := range names {
		assert.Contains(t, contract.TagKeys, name[1])
	}
}

func TestAnswersOfTheConvictedAreTaggedThoughTheyLookWell(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Annotate.Wait = 0 })
	b.convict(verdict.ClassByzantine)
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(),
		batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer), span(1, 2, 1, ptrace.SpanKindInternal))))
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("payment", "payment-2", span(1, 3, 0, ptrace.SpanKindServer))))
	spans := spansOf(sink.AllTraces())
	assertRole(t, spans[1], contract.RoleCulprit)
	assertRole(t, spans[2], "")
	assertRole(t, spans[3], "")
}

func TestWhoFailsOverAnAnswerOfTheConvictedIsItsVictim(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Annotate.Wait = 0 })
	b.convict(verdict.ClassByzantine, "10.0.0.7")
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("checkout", "checkout-1",
		span(1, 1, 0, ptrace.SpanKindServer, failed), span(1, 2, 1, ptrace.SpanKindClient, with("network.peer.address", "10.0.0.7")),
		span(2, 3, 0, ptrace.SpanKindServer, failed))))
	spans := spansOf(sink.AllTraces())
	assertRole(t, spans[1], contract.RoleVictim)
	assertRole(t, spans[2], contract.RoleVictim)
	assertRole(t, spans[3], "")
}

func TestAnswerGivenUnderASharedNameIsKnownByWhoServedIt(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Annotate.Wait = 0 })
	b.convict(verdict.ClassByzantine)
	p, sink := b.traces(t)
	byName := with("server.address", "payments.example")
	for _, td := range []ptrace.Traces{
		batch("payment", "payment-1", span(1, 1, 2, ptrace.SpanKindServer)),
		batch("payment", "payment-2", span(2, 3, 4, ptrace.SpanKindServer)),
		batch("checkout", "checkout-1", span(1, 2, 0, ptrace.SpanKindClient, byName), span(2, 4, 0, ptrace.SpanKindClient, byName)),
	} {
		require.NoError(t, p.ConsumeTraces(context.Background(), td))
	}
	spans := spansOf(sink.AllTraces())
	assertRole(t, spans[1], contract.RoleCulprit)
	assertRole(t, spans[2], contract.RoleVictim)
	assertRole(t, spans[4], "")
}

func TestTagSaysAllThatTheVerdictSays(t *testing.T) {
	spans := convicted(t, nil, batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, failed)))
	assert.Equal(t, map[string]any{
		"error.type":    "Boom",
		"failure.class": "crash", "failure.subclass": "process_exit", "failure.confidence": 0.9, "failure.role": "culprit",
		"failure.culprit.type": "instance", "failure.culprit.name": "payment-1",
		"failure.culprit.service.name": "payment", "failure.culprit.service.instance.id": "payment-1",
		"failure.reason": "exited with 137", "failure.evidence": []any{"exit status 137"},
		"failure.ruled_out": []any{"network_partition: its host answers"}, "incident.id": "i-1",
	}, spans[1].Attributes().AsRaw())
	assert.Equal(t, ptrace.StatusCodeError, spans[1].Status().Code())
	assert.Equal(t, "it failed", spans[1].Status().Message())
}

func TestWhoIsTagged(t *testing.T) {
	const server, client = ptrace.SpanKindServer, ptrace.SpanKindClient
	http404 := func(s ptrace.Span) { s.Attributes().PutInt("http.response.status_code", 404) }
	late := func(s ptrace.Span) {
		s.SetStartTimestamp(pcommon.Timestamp(t0.Add(-time.Hour)))
		s.SetEndTimestamp(pcommon.Timestamp(t0.Add(-time.Hour + time.Second)))
	}
	both := func(first, second func(ptrace.Traces)) ptrace.Traces {
		td := ptrace.NewTraces()
		first(td)
		second(td)
		return td
	}
	gateway := func(td ptrace.Traces) { addSpans(td, "gateway", "g-1", span(1, 1, 0, server, failed)) }
	checkout := func(td ptrace.Traces) {
		addSpans(td, "checkout", "c-1", span(1, 2, 1, server, failed), span(1, 3, 2, client, failed, toPayment))
	}
	for name, c := range map[string]struct {
		batches []ptrace.Traces
		want    map[byte]string
	}{
		"own_failed_span_is_the_culprit's": {[]ptrace.Traces{batch("payment", "payment-1", span(1, 1, 0, server, failed))}, map[byte]string{1: "culprit"}},
		"own_healthy_span_is_not_tagged":   {[]ptrace.Traces{batch("payment", "payment-1", span(1, 1, 0, server, failed), span(2, 2, 0, server))}, map[byte]string{1: "culprit", 2: ""}},
		"sibling_instance_is_not_tagged":   {[]ptrace.Traces{batch("payment", "payment-2", span(1, 1, 0, server, failed))}, map[byte]string{1: ""}},
		"refused_call_is_victim":           {[]ptrace.Traces{batch("checkout", "c-1", span(1, 1, 0, client, toPayment))}, map[byte]string{1: "victim"}},
		"call_that_was_answered_with_500_is_no_crash": {[]ptrace.Traces{batch("checkout", "c-1",
			span(1, 1, 0, client, failed, with("server.address", "payment"), func(s ptrace.Span) {
				s.Attributes().PutInt("server.port", 8080)
				s.Attributes().PutInt("http.response.status_code", 500)
			}))}, map[byte]string{1: ""}},
		"call_to_somebody_else_is_not_tagged": {[]ptrace.Traces{batch("checkout", "c-1", span(1, 1, 0, client, toPayment, with("server.address", "ledger")))}, map[byte]string{1: ""}},
		"above_in_same_batch_parents_first":   {[]ptrace.Traces{both(gateway, checkout)}, map[byte]string{1: "victim", 2: "victim", 3: "victim"}},
		"above_in_same_batch_children_first":  {[]ptrace.Traces{both(checkout, gateway)}, map[byte]string{1: "victim", 2: "victim", 3: "victim"}},
		"above_in_later_batch": {[]ptrace.Traces{
			batch("checkout", "c-1", span(1, 3, 2, client, toPayment)),
			batch("checkout", "c-1", span(1, 2, 1, server, failed)),
			batch("gateway", "g-1", span(1, 1, 0, server, failed)),
		}, map[byte]string{1: "victim", 2: "victim", 3: "victim"}},
		"above_and_healthy_is_not_tagged": {[]ptrace.Traces{
			batch("checkout", "c-1", span(1, 3, 2, client, toPayment), span(1, 2, 1, server))}, map[byte]string{2: "", 3: "victim"}},
		"other_trace_is_not_tagged": {[]ptrace.Traces{
			batch("checkout", "c-1", span(1, 3, 2, client, toPayment)),
			batch("checkout", "c-1", span(2, 2, 0, server, failed))}, map[byte]string{2: "", 3: "victim"}},
		"part_of_a_blamed_call": {[]ptrace.Traces{batch("checkout", "c-1",
			span(1, 4, 3, ptrace.SpanKindInternal, failed, took(time.Millisecond)), span(1, 3, 2, client, toPayment))}, map[byte]string{3: "victim", 4: "victim"}},
		"client_error_of_culprit_is_not_tagged": {[]ptrace.Traces{batch("payment", "payment-1", span(1, 1, 0, server, failed, http404))}, map[byte]string{1: ""}},
		"client_error_of_caller_is_not_tagged":  {[]ptrace.Traces{batch("checkout", "c-1", span(1, 1, 0, client, toPayment, http404))}, map[byte]string{1: ""}},
		"failed_before_the_failure":             {[]ptrace.Traces{batch("payment", "payment-1", span(1, 1, 0, server, failed, late))}, map[byte]string{1: ""}},
	} {
		t.Run(name, func(t *testing.T) {
			spans := convicted(t, nil, c.batches...)
			require.Len(t, spans, len(c.want))
			for id, role := range c.want {
				assertRole(t, spans[id], role)
			}
		})
	}
}

func TestForeignAttributesAreReplacedOnlyWhereWeTag(t *testing.T) {
	foreign := []spanOption{with(contract.FailureClass, "byzantine"), with(contract.FailureCulpritNamespace, "theirs"), with("failure.mine", "stays")}
	spans := convicted(t, nil,
		batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, append(foreign, failed)...), span(2, 2, 0, ptrace.SpanKindServer, foreign...)))
	assertRole(t, spans[1], contract.RoleCulprit)
	assert.Equal(t, "crash", spans[1].Attributes().AsRaw()[contract.FailureClass])
	assert.NotContains(t, spans[1].Attributes().AsRaw(), contract.FailureCulpritNamespace)
	assert.Equal(t, "stays", spans[1].Attributes().AsRaw()["failure.mine"])
	assert.Equal(t, map[string]any{contract.FailureClass: "byzantine", contract.FailureCulpritNamespace: "theirs", "failure.mine": "stays"},
		spans[2].Attributes().AsRaw())
}

func TestJaegerWarningsAreAppendedAsSlice(t *testing.T) {
	const ours = "crash of payment-1: exited with 137"
	for name, c := range map[string]struct {
		before spanOption
		want   []any
	}{
		"none":     {func(ptrace.Span) {}, []any{ours}},
		"a_string": {with(contract.JaegerWarnings, "skewed"), []any{"skewed", ours}},
		"a_slice": {func(s ptrace.Span) {
			s.Attributes().PutEmptySlice(contract.JaegerWarnings).AppendEmpty().SetStr("skewed")
		}, []any{"skewed", ours}},
	} {
		t.Run(name, func(t *testing.T) {
			spans := convicted(t, func(c *Config) { c.Annotate.JaegerWarnings = true },
				batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, failed, c.before)))
			assert.Equal(t, c.want, spans[1].Attributes().AsRaw()[contract.JaegerWarnings])
		})
	}
}

func TestOwnTelemetryIsUntouched(t *testing.T) {
	td := batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, failed))
	td.ResourceSpans().At(0).ScopeSpans().At(0).Scope().SetName(contract.ScopePrefix + "/receiver/x")
	b := newBench(t, nil)
	b.convict(verdict.ClassCrash)
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	assert.Zero(t, b.seen())
	require.Equal(t, 1, sink.SpanCount())
	assertRole(t, spansOf(sink.AllTraces())[1], "")
}

func TestObserveFalseTagsAndShowsTheEngineNothing(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Observe = false })
	b.convict(verdict.ClassCrash)
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer, failed))))
	assert.Zero(t, b.seen())
	assertRole(t, spansOf(sink.AllTraces())[1], contract.RoleCulprit)
}

// Verdicts lie on the engine's clock, which does not go back with the host's.
func TestWhatIsDatedByAClockThatWasSetBackIsTagged(t *testing.T) {
	earlier := func(by time.Duration) spanOption {
		return func(s ptrace.Span) {
			s.SetStartTimestamp(s.StartTimestamp() - pcommon.Timestamp(by))
			s.SetEndTimestamp(s.EndTimestamp() - pcommon.Timestamp(by))
		}
	}
	b := newBench(t, func(c *Config) { c.Annotate.Wait = 0 })
	b.setBack = time.Hour
	b.convict(verdict.ClassByzantine)
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("payment", "payment-1",
		span(1, 1, 0, ptrace.SpanKindServer, failed, earlier(time.Hour)), span(2, 2, 0, ptrace.SpanKindServer, failed, earlier(2*time.Hour)),
		span(3, 3, 0, ptrace.SpanKindServer, earlier(time.Hour)))))
	spans := spansOf(sink.AllTraces())
	assertRole(t, spans[1], contract.RoleCulprit)
	assertRole(t, spans[2], "") // before it failed
	assertRole(t, spans[3], contract.RoleCulprit)

	lp, lines := b.logs(t)
	require.NoError(t, lp.ConsumeLogs(context.Background(), untimed(line("payment", "payment-1", plog.SeverityNumberError, 0), t0.Add(-time.Hour))))
	assert.Contains(t, record(lines.AllLogs()[0]).Attributes().AsRaw(), contract.FailureClass)
}
