// Copyright The Faultline Authors
// SPDX-License-Identifier: Apache-2.0

package failuremodelprocessor

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/faultline-otel/faultline/internal/contract"
	"github.com/faultline-otel/faultline/internal/engine/report"
	"github.com/faultline-otel/faultline/internal/engine/verdict"
)

// held is a verdict, and where its culprit is met.
type held struct {
	verdict *verdict.Verdict
	target  verdict.Target
}

// of is a verdict of a class on an instance that is called at address.
func of(class verdict.Class, service, instance, address string) held {
	src := report.NewSource(report.Source{Service: report.ServiceID{Name: service}, Instance: instance})
	v := verdictOf(class)
	v.Culprit.Name, v.Culprit.Service.Name, v.Culprit.Instance = instance, service, instance
	return held{v, verdict.Target{Instance: src.Key, Service: src.ServiceKey, Addresses: []string{address}}}
}

// cut is a verdict on the ways out of a zone.
func cut(subclass verdict.Subclass) held {
	v := verdictOf(verdict.ClassPartition)
	v.Subclass, v.Culprit = subclass, verdict.Culprit{Type: verdict.CulpritZone, Name: "zone-b"}
	return held{v, verdict.Target{Near: &verdict.WaySide{Zone: "zone-b", Addresses: map[string]bool{paymentAddress: true}}}}
}

// link is a verdict on what lies between zone-a and another, in which payment may be,
// or somewhere else.
func link(far string, subclass verdict.Subclass, later time.Duration) held {
	v := verdictOf(verdict.ClassPartition)
	v.Subclass, v.Decided = subclass, t0.Add(later)
	v.Culprit = verdict.Culprit{Type: verdict.CulpritLink, Name: "zone-a→" + far}
	return held{v, verdict.Target{Near: &verdict.WaySide{Zone: "zone-a"}, Far: &verdict.WaySide{Zone: far, Addresses: map[string]bool{paymentAddress: false}}}}
}

func fromZoneA(td ptrace.Traces) ptrace.Traces {
	td.ResourceSpans().At(0).Resource().Attributes().PutStr("cloud.availability_zone", "zone-a")
	return td
}

// decided returns the culprits of one batch's spans, "" of those without a class.
func decided(t *testing.T, all []held, td ptrace.Traces) map[byte]string {
	b := newBench(t, func(c *Config) { c.Annotate.Wait = 0 })
	var verdicts []*verdict.Verdict
	var targets []verdict.Target
	for _, h := range all {
		verdicts, targets = append(verdicts, h.verdict), append(targets, h.target)
	}
	b.snapshot.Store(verdict.NewSnapshot(t0, verdicts, targets))
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), td))
	culprits := map[byte]string{}
	for id, s := range spansOf(sink.AllTraces()) {
		name, _ := s.Attributes().Get(contract.FailureCulpritName)
		culprits[id] = name.Str()
	}
	return culprits
}

func TestOnWhomAFailureIsBlamed(t *testing.T) {
	const server, client = ptrace.SpanKindServer, ptrace.SpanKindClient
	payment := of(verdict.ClassCrash, "payment", "payment-1", paymentAddress)
	short := of(verdict.ClassExhaustion, "payment", "payment-1", paymentAddress)
	checkout := of(verdict.ClassCrash, "checkout", "c-1", "checkout:80")
	doubtful := of(verdict.ClassUnknown, "checkout", "c-1", "checkout:80")
	words := func(text string) spanOption {
		return func(s ptrace.Span) { failed(s); s.Status().SetMessage(text) }
	}
	timedOut := func(s ptrace.Span) {
		toPayment(s)
		s.Status().SetMessage("context deadline exceeded")
		s.Attributes().PutStr("error.type", "timeout")
	}
	lookUp := words("dial tcp: lookup bank.example: i/o timeout")
	unknownName := words("dial tcp: lookup bank.example: no such host")
	above := func(option spanOption) ptrace.Traces {
		return batch("checkout", "c-1", span(1, 1, 0, server, failed), span(1, 2, 1, client, option))
	}
	ports := of(verdict.ClassExhaustion, "checkout", "c-1", "10.1.0.2:8080")
	ports.verdict.Subclass = "ports"
	descriptors := of(verdict.ClassExhaustion, "checkout", "c-1", "10.1.0.2:8080")
	descriptors.verdict.Subclass = "file_descriptors"
	proxied := func(address string, status int64) ptrace.Traces {
		return batch("web", "w-1", span(1, 1, 0, client, failed, func(s ptrace.Span) {
			s.Attributes().PutStr("server.address", address)
			s.Attributes().PutInt("server.port", 80)
			s.Attributes().PutInt("http.response.status_code", status)
		}))
	}
	for name, c := range map[string]struct {
		held []held
		td   ptrace.Traces
		want map[byte]string
	}{
		"on_who_left_no_ports_to_a_proxy_beside_it":          {[]held{ports}, proxied("10.1.0.2", 503), map[byte]string{1: "c-1"}},
		"on_no_want_of_ports_for_an_error_of_its_own":        {[]held{ports}, proxied("10.1.0.2", 500), map[byte]string{1: ""}},
		"on_no_want_of_ports_elsewhere":                      {[]held{ports}, proxied("10.1.0.3", 503), map[byte]string{1: ""}},
		"on_nobody_beside_it_who_is_short_of_something_else": {[]held{descriptors}, proxied("10.1.0.2", 503), map[byte]string{1: ""}},
		"on_the_deepest": {[]held{checkout, payment}, above(toPayment), map[byte]string{1: "payment-1", 2: "payment-1"}},
		"on_itself_where_its_calls_went_well": {[]held{checkout, payment},
			batch("checkout", "c-1", span(1, 1, 0, server, failed), span(1, 2, 1, client, with("server.address", "payment"))),
			map[byte]string{1: "c-1", 2: ""}},
		"on_a_class_rather_than_unknown":                     {[]held{doubtful, payment}, above(toPayment), map[byte]string{1: "payment-1", 2: "payment-1"}},
		"on_unknown_where_there_is_no_class":                 {[]held{doubtful}, above(toPayment), map[byte]string{1: "c-1", 2: "c-1"}},
		"on_the_cut_before_who_is_behind_it":                 {[]held{short, cut("complete")}, above(timedOut), map[byte]string{1: "zone-b", 2: "zone-b"}},
		"on_the_callee_before_a_leaky_way":                   {[]held{cut("lossy_link"), short}, above(timedOut), map[byte]string{1: "payment-1", 2: "payment-1"}},
		"on_the_first_of_two_ways_that_a_name_may_stand_for": {[]held{link("zone-c", "partial", time.Second), link("zone-b", "slow_link", 0)}, fromZoneA(above(timedOut)), map[byte]string{1: "zone-a→zone-b", 2: "zone-a→zone-b"}},
		"on_the_way_that_it_must_have_gone":                  {[]held{cut("slow_link"), link("zone-c", "partial", 0)}, fromZoneA(above(timedOut)), map[byte]string{1: "zone-b", 2: "zone-b"}},
		"on_a_leaky_way_alone":                               {[]held{cut("lossy_link")}, above(timedOut), map[byte]string{1: "zone-b", 2: "zone-b"}},
		"on_a_cut_if_no_name_server_answers":                 {[]held{cut("complete")}, above(lookUp), map[byte]string{1: "zone-b", 2: "zone-b"}},
		"on_no_cut_if_the_name_is_unknown":                   {[]held{cut("complete")}, above(unknownName), map[byte]string{1: "", 2: ""}},
		"on_no_instance_if_no_name_server_answers":           {[]held{payment}, above(lookUp), map[byte]string{1: "", 2: ""}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, decided(t, c.held, c.td))
		})
	}
}

func TestAnswersOfAnotherReleaseAreNoneOfTheConvicted(t *testing.T) {
	release := of(verdict.ClassByzantine, "payment", "payment-1", paymentAddress)
	release.verdict.Culprit.Type, release.verdict.Culprit.Name = verdict.CulpritVersion, "2.0"
	td := batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer))
	td.ResourceSpans().At(0).Resource().Attributes().PutStr("service.version", "2.0")
	addSpans(td, "payment", "payment-1", span(2, 2, 0, ptrace.SpanKindServer))
	td.ResourceSpans().At(1).Resource().Attributes().PutStr("service.version", "1.9")
	assert.Equal(t, map[byte]string{1: "2.0", 2: ""}, decided(t, []held{release}, td))
}

func TestAnswersOfWhoIsSeenToBeRightAgainAreLeftAlone(t *testing.T) {
	right := of(verdict.ClassByzantine, "payment", "payment-1", paymentAddress)
	right.target.Right = true
	td := batch("payment", "payment-1", span(1, 1, 0, ptrace.SpanKindServer), span(2, 2, 0, ptrace.SpanKindServer, failed))
	assert.Equal(t, map[byte]string{1: "", 2: "payment-1"}, decided(t, []held{right}, td), "what fails is still blamed on it")
}

func TestWhatIsTurnedAwayWaitsForItsVerdict(t *testing.T) {
	b := newBench(t, nil)
	p, sink := b.traces(t)
	tooMany := func(s ptrace.Span) { s.Attributes().PutInt("http.response.status_code", 429) }
	notFound := func(s ptrace.Span) { s.Attributes().PutInt("http.response.status_code", 404) }
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("payment", "payment-1",
		span(1, 1, 0, ptrace.SpanKindServer, tooMany), span(2, 2, 0, ptrace.SpanKindServer, notFound))))
	require.Equal(t, 1, sink.SpanCount(), "a client's own mistake does not wait")
	b.convict(verdict.ClassExhaustion)
	b.pass(time.Second)
	eventually(t, "released", func() bool { return sink.SpanCount() == 2 })
	assertRole(t, spansOf(sink.AllTraces())[1], contract.RoleCulprit)
}

func TestWhatIsLaterThanUsualWaitsForACallThatIsToldAfterIt(t *testing.T) {
	server := func(trace byte, d time.Duration) func(ptrace.Span) {
		return span(trace, trace, 0, ptrace.SpanKindServer, took(d))
	}
	b := newBench(t, nil)
	b.learn(batch("gateway", "g-1", server(1, 100*time.Millisecond)))
	b.convict(verdict.ClassCrash)
	p, sink := b.traces(t)
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("gateway", "g-1", server(1, 130*time.Millisecond), server(2, 100*time.Millisecond))))
	require.Equal(t, 1, sink.SpanCount(), "what took as long as ever goes at once")
	require.NoError(t, p.ConsumeTraces(context.Background(), batch("gateway", "g-1", span(1, 3, 1, ptrace.SpanKindClient, toPayment))))
	b.pass(time.Second)
	eventually(t, "released", func() bool { return sink.SpanCount() == 3 })
	assertRole(t, spansOf(sink.AllTraces())[1], contract.RoleVictim)
	assertRole(t, spansOf(sink.AllTraces())[2], "")
}
